//! How much of what a partition gives, and what Slurm gave to a task that asked for nothing.

use super::client::call;
use super::settings::{parse_memory, parse_time};
use super::state::TaskId;
use crate::error::Result;
use std::time::Duration;

/// The most that a task can get; not known is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the largest node, in bytes.
    pub memory: Option<u64>,
    /// Time limit.
    pub time: Option<Duration>,
}

impl Limits {
    /// Of a partition, or of the default one.
    ///
    /// # Errors
    /// `scheduler-failed`.
    pub fn of(partition: Option<&str>) -> Result<Limits> {
        Ok(parse(&call("sinfo", &["-h", "-a", "-e", "-o", "%P|%m|%l"])?, partition))
    }
}

fn parse(text: &str, partition: Option<&str>) -> Limits {
    let mut limits = Limits::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.trim().split('|').collect();
        let [name, memory, time] = fields[..] else { continue };
        let is_it = match partition {
            // Several may be named; the first that has room takes the task.
            Some(names) => names.split(',').any(|one| one == name.trim_end_matches('*')),
            None => name.ends_with('*'),
        };
        if is_it {
            limits.memory = limits.memory.max(parse_memory(memory.trim_end_matches('+')).ok());
            limits.time = limits.time.max(parse_time(time).ok());
        }
    }
    limits
}

/// The memory that a task was given.
pub fn memory_of(id: TaskId) -> Option<u64> {
    parse_memory(field_of(id, "ReqMem")?.trim_end_matches(['c', 'n'])).ok()
}

/// The time limit that a task was given.
pub fn time_of(id: TaskId) -> Option<Duration> {
    parse_time(&field_of(id, "Timelimit")?).ok()
}

fn field_of((job, index): TaskId, field: &str) -> Option<String> {
    let (format, id) = (format!("--format={field}"), format!("{job}_{index}"));
    let text = call("sacct", &["-X", "-n", "-P", &format, "-j", &id]).ok()?;
    text.lines().last().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_node_and_the_default_partition_count() {
        let text = "cpu*|4096|infinite\ncpu*|8192+|infinite\nshort|4096|5:00\n";
        let cpu = Limits { memory: Some(8192 << 20), time: None };
        assert_eq!(parse(text, None), cpu);
        let short = Limits { memory: Some(4096 << 20), time: Some(Duration::from_secs(300)) };
        assert_eq!(parse(text, Some("short")), short);
    }
}
