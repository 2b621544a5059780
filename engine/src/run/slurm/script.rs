//! The batch script of a job array.

use super::settings::SlurmSettings;
use std::ffi::OsString;
use std::path::Path;

/// What one submission asks for.
#[derive(Clone, Debug)]
pub struct Submit<'a> {
    /// Name of the job.
    pub name: &'a str,
    /// The run's folder.
    pub folder: &'a Path,
    /// The attempt.
    pub attempt: u32,
    /// What is asked of Slurm.
    pub settings: &'a SlurmSettings,
    /// The tasks, in ascending order.
    pub tasks: &'a [usize],
    /// The task that array index 0 stands for.
    pub first: usize,
    /// Most tasks at the same time.
    pub throttle: u64,
    /// A job that must have ended before.
    pub after: Option<u64>,
    /// Nodes that are left out.
    pub exclude: &'a [String],
    /// Command line of a worker; what tells it its task is appended.
    pub command: &'a [OsString],
}

/// Renders the script. Directives come first: Slurm reads none behind the first command.
pub fn render(submit: &Submit) -> String {
    let settings = submit.settings;
    let preamble = settings.shebang.as_deref().unwrap_or_default();
    let (first, preamble) = match preamble.strip_prefix("#!") {
        Some(_) => preamble.split_once('\n').unwrap_or((preamble, "")),
        None => ("#!/bin/bash", preamble),
    };
    let indices: Vec<u64> = submit.tasks.iter().map(|&task| (task - submit.first) as u64).collect();
    let mut lines = vec![first.to_owned()];
    let mut directive = |option: &str, value: &str| {
        let quote = if value.contains(char::is_whitespace) { "\"" } else { "" };
        lines.push(format!("#SBATCH --{option}={quote}{value}{quote}"));
    };
    directive("job-name", submit.name);
    directive("array", &format!("{}%{}", ranges_text(&indices), submit.throttle));
    directive("cpus-per-task", &settings.cpus_per_task.to_string());
    let logs = submit.folder.join("logs").display().to_string().replace('%', "%%");
    // A restarted task must not lose what it said before.
    directive("open-mode", "append");
    directive("output", &format!("{logs}/slurm-%A_%a.out"));
    directive("error", &format!("{logs}/slurm-%A_%a.err"));
    let gpus = (settings.gpus > 0).then(|| settings.gpus.to_string());
    let exclude = (!submit.exclude.is_empty()).then(|| submit.exclude.join(","));
    let after = submit.after.map(|job| format!("afterany:{job}"));
    let optional = [
        ("partition", &settings.partition),
        ("time", &settings.time),
        ("mem", &settings.mem),
        ("gpus", &gpus),
        ("account", &settings.account),
        ("qos", &settings.qos),
        ("constraint", &settings.constraint),
        ("exclude", &exclude),
        ("dependency", &after),
    ];
    for (option, value) in optional {
        if let Some(value) = value {
            directive(option, value);
        }
    }
    lines.extend(settings.options.iter().map(|option| format!("#SBATCH {option}")));
    lines.extend(preamble.lines().map(str::to_owned));
    let words = submit.command.iter().map(|word| word.to_string_lossy().into_owned());
    let words = words.chain([submit.folder.display().to_string()]);
    let command = shell_words::join(words.collect::<Vec<_>>());
    lines.push(format!(
        "{command} --attempt {} --task $((SLURM_ARRAY_TASK_ID + {})) </dev/null",
        submit.attempt, submit.first
    ));
    lines.join("\n") + "\n"
}

/// Numbers in ascending order as Slurm writes them: `0,3,7-9`.
pub fn ranges_text(numbers: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(settings: &SlurmSettings, first: usize) -> String {
        render(&Submit {
            name: "copy-abcdef",
            folder: Path::new("/shared/my runs/r1"),
            attempt: 2,
            settings,
            tasks: &[first, first + 3, first + 7, first + 8, first + 9],
            first,
            throttle: 4,
            after: None,
            exclude: &[],
            command: &["/opt/bin/bp".into(), "worker".into()],
        })
    }

    #[test]
    fn only_what_is_set_is_asked_for() {
        let text = script(&SlurmSettings::default(), 0);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "#!/bin/bash",
                "#SBATCH --job-name=copy-abcdef",
                "#SBATCH --array=0,3,7-9%4",
                "#SBATCH --cpus-per-task=1",
                "#SBATCH --open-mode=append",
                "#SBATCH --output=\"/shared/my runs/r1/logs/slurm-%A_%a.out\"",
                "#SBATCH --error=\"/shared/my runs/r1/logs/slurm-%A_%a.err\"",
                "/opt/bin/bp worker '/shared/my runs/r1' --attempt 2 --task $((SLURM_ARRAY_TASK_ID + 0)) </dev/null",
            ]
        );
    }

    #[test]
    fn the_preamble_follows_the_directives() {
        let settings = SlurmSettings {
            partition: Some("cpu".into()),
            gpus: 2,
            shebang: Some("#!/bin/zsh\nmodule load bio\nulimit -c 0".into()),
            options: vec!["--exclusive".into()],
            ..SlurmSettings::default()
        };
        let text = script(&settings, 1000);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[2]), ("#!/bin/zsh", "#SBATCH --array=0,3,7-9%4"));
        assert_eq!(
            lines[7..12],
            [
                "#SBATCH --partition=cpu",
                "#SBATCH --gpus=2",
                "#SBATCH --exclusive",
                "module load bio",
                "ulimit -c 0",
            ]
        );
        assert!(lines[12].contains("+ 1000"));
    }
}
