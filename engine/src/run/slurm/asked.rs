//! What Slurm will go by: the settings, the free options behind them, and the environment, which
//! `sbatch` puts before the lines of a script.

use super::nodes::gpus_of;
use super::settings::{SlurmSettings, parse_memory, parse_time};
use std::time::Duration;

/// What a task asks for, as far as it can be checked. What this program cannot read is left to Slurm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Partition, or several with commas.
    pub partition: Option<String>,
    /// Account.
    pub account: Option<String>,
    /// Quality of service.
    pub qos: Option<String>,
    /// Features of nodes.
    pub constraint: Option<String>,
    /// Time limit.
    pub time: Option<Duration>,
    /// Memory in bytes.
    pub memory: u64,
    /// Processors.
    pub cpus: u64,
    /// Graphics processors.
    pub gpus: u64,
    /// Reservation.
    pub reservation: Option<String>,
    /// Another cluster than the one that `sinfo` tells of.
    pub elsewhere: bool,
}

impl Asked {
    /// From settings and the environment of this process.
    pub fn of(settings: &SlurmSettings) -> Asked {
        Asked::with(settings, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn with(settings: &SlurmSettings, environment: impl Fn(&str) -> Option<String>) -> Asked {
        let option = |long: &str, short: &str| value_of(&settings.options, long, short);
        let asked = |variable: &str, long: &str, short: &str, own: &Option<String>| {
            environment(variable).or_else(|| option(long, short)).or_else(|| own.clone())
        };
        let time = asked("SBATCH_TIMELIMIT", "time", "-t", &settings.time);
        let memory = option("mem", "").or_else(|| settings.mem.clone());
        // Processors of a model are written `a100:2`.
        let count = |text: String| text.rsplit(':').next().and_then(|count| count.parse().ok());
        let gpus = option("gpus", "-G").and_then(count).unwrap_or(settings.gpus.into());
        Asked {
            partition: asked("SBATCH_PARTITION", "partition", "-p", &settings.partition),
            account: asked("SBATCH_ACCOUNT", "account", "-A", &settings.account),
            qos: asked("SBATCH_QOS", "qos", "-q", &settings.qos),
            constraint: asked("SBATCH_CONSTRAINT", "constraint", "-C", &settings.constraint),
            time: time.and_then(|time| parse_time(&time).ok()),
            memory: memory.and_then(|memory| parse_memory(&memory).ok()).unwrap_or(0),
            cpus: option("cpus-per-task", "-c")
                .and_then(|cpus| cpus.parse().ok())
                .unwrap_or(settings.cpus_per_task.into()),
            gpus: option("gres", "").map_or(0, |gres| gpus_of(&gres)).max(gpus),
            reservation: asked("SBATCH_RESERVATION", "reservation", "", &None),
            elsewhere: environment("SBATCH_CLUSTERS")
                .or_else(|| environment("SLURM_CLUSTERS"))
                .or_else(|| option("clusters", "-M"))
                .is_some(),
        }
    }
}

/// The value of an option among free ones, of which the last counts: `--partition=a`, `--partition a`,
/// `-p a`, `-pa`.
fn value_of(options: &[String], long: &str, short: &str) -> Option<String> {
    let words: Vec<&str> = options.iter().flat_map(|option| option.split_whitespace()).collect();
    let value = |(index, word): (usize, &&str)| {
        let long = word.strip_prefix("--").and_then(|word| word.strip_prefix(long));
        let rest = match long {
            Some(rest) => rest,
            None if short.is_empty() => return None,
            None => word.strip_prefix(short)?,
        };
        match rest.strip_prefix('=') {
            Some(value) => Some(value.to_owned()),
            None if rest.is_empty() => words.get(index + 1).map(|&word| word.to_owned()),
            // Another option that begins so: `--mem-per-cpu`.
            None if long.is_some() => None,
            None => Some(rest.to_owned()),
        }
    };
    words.iter().enumerate().rev().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_options_come_before_settings_and_the_environment_before_both() {
        let settings = SlurmSettings {
            partition: Some("cpu".into()),
            qos: Some("low".into()),
            mem: Some("2G".into()),
            gpus: 1,
            options: vec![
                "--partition=gpu --exclusive".into(),
                "-q high".into(),
                "--mem-per-cpu=9T".into(),
                "--gres=gpu:a100:4".into(),
                "-c8".into(),
            ],
            ..SlurmSettings::default()
        };
        let asked = Asked::with(&settings, |_| None);
        let expected = Asked {
            partition: Some("gpu".into()),
            qos: Some("high".into()),
            memory: 2 << 30,
            cpus: 8,
            gpus: 4,
            ..Asked::default()
        };
        assert_eq!(asked, expected);
        let set = |name: &str| match name {
            "SBATCH_PARTITION" => Some("long".to_owned()),
            "SBATCH_TIMELIMIT" => Some("90".to_owned()),
            "SBATCH_CLUSTERS" => Some("other".to_owned()),
            _ => None,
        };
        let asked = Asked::with(&settings, set);
        assert_eq!(asked.partition.as_deref(), Some("long"));
        assert_eq!((asked.time, asked.elsewhere), (Some(Duration::from_secs(5400)), true));
    }
}
