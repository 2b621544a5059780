//! What Slurm says of tasks: the queue's rows for what waits and runs, accounting's for what ended.

use super::client::call;
use crate::error::Result;
use std::collections::BTreeMap;

/// A task of a job array: the job, and its index there.
pub type TaskId = (u64, u64);

/// A task as Slurm's programs take and print it.
pub fn id_text((job, index): TaskId) -> String {
    format!("{job}_{index}")
}

/// What the queue says of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Whether it runs.
    pub running: bool,
    /// Why it waits, or the nodes that it runs on.
    pub reason: String,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In its own time, with success.
    Completed,
    /// With an exit status or a signal.
    Failed,
    /// Over its memory.
    OutOfMemory,
    /// Over its time.
    Timeout,
    /// With its node.
    NodeFail,
    /// For a job that was more important.
    Preempted,
    /// By somebody's order.
    Cancelled,
}

/// A row of accounting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended; none while it goes on.
    pub end: Option<End>,
    /// As Slurm says it: `FAILED`, `CANCELLED by 0`.
    pub state: String,
    /// Exit status and signal.
    pub exit: String,
    /// Where it ran.
    pub nodes: String,
}

/// The tasks of jobs that wait or run.
///
/// # Errors
/// `scheduler-failed` when the controller does not answer.
pub fn queue(jobs: &[u64]) -> Result<BTreeMap<TaskId, Queued>> {
    let jobs = join(jobs);
    let arguments = ["-h", "-r", "-a", "-o", "%i|%T|%R", "-j", &jobs];
    match call("squeue", &arguments) {
        Ok(text) => Ok(parse_queue(&text)),
        // The jobs have ended, and so long ago that the controller has forgotten them.
        Err(error) if error.message.contains("Invalid job id") => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

fn parse_queue(text: &str) -> BTreeMap<TaskId, Queued> {
    let row = |line: &str| {
        let mut fields = line.splitn(3, '|');
        let (id, state, reason) = (fields.next()?, fields.next()?, fields.next()?);
        let reason = reason.trim_matches(['(', ')']).to_owned();
        let waits = matches!(state, "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "SPECIAL_EXIT");
        // A task that is COMPLETING may still write, or be started again when that is over.
        let running = matches!(
            state,
            "RUNNING" | "CONFIGURING" | "SUSPENDED" | "STOPPED" | "COMPLETING" | "SIGNALING"
        );
        let queued = Queued { running, reason };
        (waits || running).then(|| tasks_of(id).into_iter().map(move |id| (id, queued.clone())))
    };
    text.lines().filter_map(row).flatten().collect()
}

/// What accounting knows of the tasks of jobs.
///
/// # Errors
/// `scheduler-failed` when accounting does not answer.
pub fn accounting(jobs: &[u64]) -> Result<BTreeMap<TaskId, Ended>> {
    let jobs = join(jobs);
    let format = "--format=JobID,State,ExitCode,NodeList";
    Ok(parse_accounting(&call("sacct", &["-X", "-n", "-P", format, "-j", &jobs])?))
}

fn parse_accounting(text: &str) -> BTreeMap<TaskId, Ended> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let [id, state, exit, nodes] = fields[..] else { return None };
        let ended = Ended {
            end: end_of(state),
            state: state.to_owned(),
            exit: exit.to_owned(),
            nodes: nodes.to_owned(),
        };
        Some(tasks_of(id).into_iter().map(move |id| (id, ended.clone())))
    };
    text.lines().filter_map(row).flatten().collect()
}

/// How a task ended, by the word of accounting; none while it goes on.
pub fn end_of(state: &str) -> Option<End> {
    Some(match state.split_whitespace().next()? {
        "COMPLETED" => End::Completed,
        "FAILED" | "SPECIAL_EXIT" => End::Failed,
        "OUT_OF_MEMORY" => End::OutOfMemory,
        "TIMEOUT" | "DEADLINE" => End::Timeout,
        "NODE_FAIL" | "BOOT_FAIL" => End::NodeFail,
        "PREEMPTED" => End::Preempted,
        "CANCELLED" | "REVOKED" => End::Cancelled,
        _ => return None,
    })
}

/// The tasks that an id stands for: `18_3`, `18_[0-2,5%3]`. A bare id speaks for none.
fn tasks_of(id: &str) -> Vec<TaskId> {
    let parsed = || {
        let (job, indices) = id.split_once('_')?;
        let job = job.parse().ok()?;
        let indices = indices.trim_matches(['[', ']']).split('%').next()?;
        let mut tasks = Vec::new();
        for range in indices.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (last, step) = last.split_once(':').unwrap_or((last, "1"));
            let range = first.parse::<u64>().ok()?..=last.parse::<u64>().ok()?;
            tasks.extend(range.step_by(step.parse().ok()?).map(|index| (job, index)));
        }
        Some(tasks)
    };
    parsed().unwrap_or_default()
}

fn join(jobs: &[u64]) -> String {
    jobs.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_with_ranges_stands_for_its_tasks_and_a_bare_one_for_none() {
        assert_eq!(tasks_of("18_3"), [(18, 3)]);
        assert_eq!(tasks_of("18_[0-2,5%3]"), [(18, 0), (18, 1), (18, 2), (18, 5)]);
        assert_eq!(tasks_of("7_[1-5:2]"), [(7, 1), (7, 3), (7, 5)]);
        for none in ["18", "18_3.batch", "18_[0-9,...]", "18_x"] {
            assert!(tasks_of(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn the_queue_tells_reasons_and_nodes() {
        let rows = parse_queue("5_1|PENDING|(Resources)\n5_2|RUNNING|n1\n5_3|COMPLETING|n1\n");
        assert_eq!(rows[&(5, 1)], Queued { running: false, reason: "Resources".into() });
        assert_eq!(rows[&(5, 2)], Queued { running: true, reason: "n1".into() });
        assert!(rows[&(5, 3)].running);
    }

    #[test]
    fn accounting_tells_how_tasks_ended() {
        let text = "69_0|COMPLETED|0:0|n1\n69_[1-2,4-5%1]|CANCELLED by 0|0:0|None assigned\n\
                    69_3|OUT_OF_MEMORY|0:125|n2\n69_6|RUNNING|0:0|n1\n69|PENDING|0:0|\n";
        let rows = parse_accounting(text);
        assert_eq!(rows.len(), 7);
        assert_eq!(rows[&(69, 4)].end, Some(End::Cancelled));
        assert_eq!((rows[&(69, 3)].end, &*rows[&(69, 3)].exit), (Some(End::OutOfMemory), "0:125"));
        assert_eq!(rows[&(69, 6)].end, None);
    }
}
