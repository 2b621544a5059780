//! How much of what a partition gives, and what Slurm gave to a task that asked for nothing.

use super::client::call;
use super::nodes::{self, Nodes};
use super::settings::{parse_memory, parse_time};
use super::state::{TaskId, id_text};
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
        Ok(Limits::among(&nodes::all()?, partition))
    }

    fn among(nodes: &[Nodes], partition: Option<&str>) -> Limits {
        let is_it = |nodes: &&Nodes| match partition {
            // Several may be named; the first that has room takes the task.
            Some(names) => names.split(',').any(|name| name == nodes.partition),
            None => nodes.is_default,
        };
        let these: Vec<&Nodes> = nodes.iter().filter(is_it).collect();
        let times: Option<Vec<Duration>> = these.iter().map(|nodes| nodes.time).collect();
        Limits {
            memory: these.iter().map(|nodes| nodes.memory).max(),
            time: times.and_then(|times| times.into_iter().max()),
        }
    }
}

/// The memory that a task was given.
pub fn memory_of(id: TaskId) -> Option<u64> {
    parse_memory(field_of(id, "ReqMem")?.trim_end_matches(['c', 'n'])).ok()
}

/// The time limit that a task was given.
pub fn time_of(id: TaskId) -> Option<Duration> {
    parse_time(&field_of(id, "Timelimit")?).ok()
}

fn field_of(id: TaskId, field: &str) -> Option<String> {
    let (format, id) = (format!("--format={field}"), id_text(id));
    let text = call("sacct", &["-X", "-n", "-P", &format, "-j", &id]).ok()?;
    text.lines().last().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_node_and_the_longest_time_of_the_partition_count() {
        let nodes = nodes::parse(
            "cpu*|infinite|1|4096|4|(null)|a\ncpu*|infinite|1|8192|4|(null)|b\n\
             short|5:00|1|4096|4|(null)|a\nlong|1-00:00:00|1|2048|4|(null)|a\n",
        );
        let limits = |partition| Limits::among(&nodes, partition);
        let (minutes, day) = (Duration::from_secs(300), Duration::from_secs(86400));
        assert_eq!(limits(None), Limits { memory: Some(8192 << 20), time: None });
        assert_eq!(limits(Some("short")), Limits { memory: Some(4096 << 20), time: Some(minutes) });
        assert_eq!(limits(Some("short,long")).time, Some(day));
        assert_eq!(limits(Some("short,cpu")).time, None);
        assert_eq!(limits(Some("none")), Limits::default());
    }
}
