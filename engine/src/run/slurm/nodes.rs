//! The partitions of the cluster and what their nodes have, as `sinfo` tells.

use super::client::call;
use super::settings::{parse_memory, parse_time};
use crate::error::Result;
use std::time::Duration;

/// Nodes of one kind in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// The partition.
    pub partition: String,
    /// Whether it takes the jobs that name none.
    pub is_default: bool,
    /// Its longest time limit; none is unlimited.
    pub time: Option<Duration>,
    /// How many nodes there are; a partition may have none.
    pub count: u64,
    /// Memory of each, in bytes.
    pub memory: u64,
    /// Processors of each.
    pub cpus: u64,
    /// Graphics processors of each.
    pub gpus: u64,
    /// Features that they have or can be given.
    pub features: Vec<String>,
}

/// All nodes, by partition; a node may be in several.
///
/// # Errors
/// `scheduler-failed`.
pub fn all() -> Result<Vec<Nodes>> {
    Ok(parse(&call("sinfo", &["-h", "-a", "-e", "-o", "%P|%l|%D|%m|%c|%G|%f"])?))
}

pub(super) fn parse(text: &str) -> Vec<Nodes> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [partition, time, count, memory, cpus, gres, features] = fields[..] else {
            return None;
        };
        let name = partition.trim_end_matches('*');
        Some(Nodes {
            partition: name.to_owned(),
            is_default: name != partition,
            time: parse_time(time).ok(),
            count: number(count),
            memory: parse_memory(memory.trim_end_matches('+')).unwrap_or(0),
            cpus: number(cpus.trim_end_matches('+')),
            gpus: gpus_of(gres),
            features: features
                .split(',')
                .filter(|feature| !matches!(*feature, "" | "(null)"))
                .map(str::to_owned)
                .collect(),
        })
    };
    text.lines().filter_map(row).collect()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// The graphics processors in a list such as `gpu:a100:4(S:0-1),gpu:h100:2,shard:8`.
pub(super) fn gpus_of(gres: &str) -> u64 {
    // What stands in parentheses may hold commas, and says only where they are plugged in.
    let mut depth = 0;
    let plain: String = gres
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let keep = depth == 0;
            depth -= i32::from(*c == ')');
            keep
        })
        .collect();
    let count = |one: &str| match one.split(':').collect::<Vec<_>>()[..] {
        ["gpu"] => 1,
        ["gpu", .., last] => last.parse().unwrap_or(1),
        _ => 0,
    };
    plain.split(',').map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_a_partition_are_told_apart_by_what_they_have() {
        let text = "cpu*|infinite|1|4096|4|gpu:2|fast|\n\
                    cpu*|infinite|1|4096|4|gpu:2|fast\n\
                    cpu*|infinite|3|8192|16|(null)|slow,avx2\n\
                    short|5:00|1|4096|4|gpu:2|(null)\n\
                    empty|1-00:00:00|0|0|0|(null)|(null)\n";
        let nodes = parse(text);
        assert_eq!(nodes.len(), 4, "a line of another form is passed over");
        assert_eq!(
            nodes[1],
            Nodes {
                partition: "cpu".into(),
                is_default: true,
                time: None,
                count: 3,
                memory: 8192 << 20,
                cpus: 16,
                gpus: 0,
                features: vec!["slow".into(), "avx2".into()],
            }
        );
        assert_eq!((nodes[2].time, nodes[2].is_default), (Some(Duration::from_secs(300)), false));
        assert!(nodes[2].features.is_empty());
        assert_eq!((nodes[3].count, nodes[3].time), (0, Some(Duration::from_secs(86400))));
    }

    #[test]
    fn graphics_processors_of_all_models_count() {
        for (gres, gpus) in [
            ("(null)", 0),
            ("gpu", 1),
            ("gpu:2", 2),
            ("gpu:a100:4(S:0-1)", 4),
            ("gpu:a100:4(S:0,2),gpu:h100:2(S:1),shard:8", 6),
            ("gpu:tesla:no_consume:2,license:3", 2),
            ("nic:2", 0),
        ] {
            assert_eq!(gpus_of(gres), gpus, "{gres}");
        }
    }
}
