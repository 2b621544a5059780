//! What is asked of Slurm for a run, and the notations in which Slurm takes time and memory.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What a run asks of Slurm. What is not set is the cluster's choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlurmSettings {
    /// Partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Time limit of a task: `30`, `1:30:00`, `2-0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Memory of a task: `4G`, `800M`; a number alone is in megabytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<String>,
    /// Processors of a task.
    pub cpus_per_task: u32,
    /// Graphics processors of a task.
    pub gpus: u32,
    /// Account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Quality of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Features that nodes must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// First line of the script if it starts with `#!`, then lines that prepare the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shebang: Option<String>,
    /// More options for `#SBATCH` lines, such as `--exclusive`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Most tasks of one job array; asked of the cluster by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_array_size: Option<u64>,
    /// Seconds that sentinels of a completed task may take to be seen here.
    pub latency_wait: f64,
    /// Seconds between questions to the scheduler.
    pub poll_interval: f64,
    /// Folder for run folders, which all nodes see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmp_root: Option<PathBuf>,
}

impl Default for SlurmSettings {
    fn default() -> Self {
        SlurmSettings {
            partition: None,
            time: None,
            mem: None,
            cpus_per_task: 1,
            gpus: 0,
            account: None,
            qos: None,
            constraint: None,
            shebang: None,
            options: Vec::new(),
            max_array_size: None,
            latency_wait: 120.0,
            poll_interval: 10.0,
            tmp_root: None,
        }
    }
}

impl SlurmSettings {
    /// Bytes of memory that a task asks for.
    ///
    /// # Errors
    /// `invalid-argument`.
    pub fn memory(&self) -> Result<Option<u64>> {
        self.mem.as_deref().map(parse_memory).transpose()
    }

    /// Time that a task asks for.
    ///
    /// # Errors
    /// `invalid-argument`.
    pub fn time_limit(&self) -> Result<Option<Duration>> {
        self.time.as_deref().map(parse_time).transpose()
    }
}

/// Reads an amount of memory as Slurm writes it: megabytes, or `K`, `M`, `G`, `T` behind a number.
///
/// # Errors
/// `invalid-argument`.
pub fn parse_memory(text: &str) -> Result<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "K" | "KB" => Some(10),
        "" | "M" | "MB" => Some(20),
        "G" | "GB" => Some(30),
        "T" | "TB" => Some(40),
        _ => None,
    };
    let number = number.parse::<f64>().ok().filter(|number| *number >= 0.0);
    number.zip(shift).map(|(n, shift)| (n * (1u64 << shift) as f64) as u64).ok_or_else(|| {
        Error::argument(format!("'{text}' is not an amount of memory for Slurm"))
            .fix("Write it as 4G or 800M.")
    })
}

/// An amount of memory as Slurm reads it, in whole megabytes.
pub fn memory_text(bytes: u64) -> String {
    format!("{}M", bytes.div_ceil(1 << 20))
}

/// Reads a time as Slurm writes it: minutes, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`,
/// `days-hours:minutes` or `days-hours:minutes:seconds`.
///
/// # Errors
/// `invalid-argument`.
pub fn parse_time(text: &str) -> Result<Duration> {
    let wrong = || {
        Error::argument(format!("'{text}' is not a time limit for Slurm"))
            .fix("Write it as 90 (minutes), 1:30:00 or 2-12:00:00.")
    };
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (days.parse::<u64>().map_err(|_| wrong())?, rest),
        None => (0, text),
    };
    let parts: Vec<u64> =
        rest.split(':').map(|part| part.parse().map_err(|_| wrong())).collect::<Result<_>>()?;
    let seconds = match (text.contains('-'), &parts[..]) {
        (true, [hours]) => hours * 3600,
        (true, [hours, minutes]) => hours * 3600 + minutes * 60,
        (false, [minutes]) => minutes * 60,
        (false, [minutes, seconds]) => minutes * 60 + seconds,
        (_, [hours, minutes, seconds]) => hours * 3600 + minutes * 60 + seconds,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(days * 86400 + seconds))
}

/// A time as Slurm reads it, in whole minutes.
pub fn time_text(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60).max(1);
    match (minutes / 1440, minutes % 1440 / 60, minutes % 60) {
        (0, hours, minutes) => format!("{hours:02}:{minutes:02}:00"),
        (days, hours, minutes) => format!("{days}-{hours:02}:{minutes:02}:00"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_slurm_s_six_notations() {
        let seconds = |text| parse_time(text).unwrap().as_secs();
        assert_eq!(seconds("90"), 5400);
        assert_eq!(seconds("1:30"), 90);
        assert_eq!(seconds("1:30:00"), 5400);
        assert_eq!(seconds("2-12"), 60 * 3600);
        assert_eq!(seconds("1-0:30"), 86400 + 1800);
        assert_eq!(seconds("1-00:00:05"), 86405);
        for bad in ["", "soon", "1:2:3:4", "-1", "1h"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert_eq!(time_text(Duration::from_secs(5401)), "01:31:00");
        assert_eq!(
            parse_time(&time_text(Duration::from_secs(100_000))).unwrap().as_secs(),
            100_020
        );
    }

    #[test]
    fn memory_without_a_unit_is_in_megabytes() {
        assert_eq!(parse_memory("100").unwrap(), 100 << 20);
        assert_eq!(parse_memory("1.5G").unwrap(), 3 << 29);
        assert_eq!(memory_text(parse_memory("4G").unwrap()), "4096M");
        assert!(parse_memory("4 apples").is_err());
    }
}
