//! What the tasks of a run used of what they asked for, and what to ask for next time.

use super::client::call;
use super::jobs::{Jobs, Submission};
use super::settings::{memory_text, parse_memory, parse_time};
use super::state::{TaskId, end_of};
use crate::error::Result;
use crate::run::driver::{Outcome, state_of};
use crate::run::folder::RunFolder;
use crate::run::journal::{self, Event, parse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const FILE: &str = "efficiency.json";

/// Accounting knows of every task within so many seconds after the end of the run. Those that were
/// taken out of the queue it never knows of.
const LAG: f64 = 30.0;

/// A quantity over all tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Sum.
    pub sum: f64,
    /// The largest.
    pub max: f64,
    /// The median.
    pub median: f64,
}

/// What was asked for and what of it was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// What the tasks were given.
    pub requested: Spread,
    /// What they used.
    pub used: Spread,
}

/// What to ask for next time, as options of `sbatch` take it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// Memory of a task: a fifth more than the largest used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<String>,
    /// Time limit in minutes: half as much again as the longest task took.
    pub time: String,
    /// Processors of a task.
    pub cpus: u64,
}

/// The efficiency of an attempt on a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Efficiency {
    /// The attempt.
    pub attempt: u32,
    /// How many tasks are counted; those that Slurm was asked for again count each time.
    pub tasks: u64,
    /// Memory in bytes, of the tasks of which it is known.
    pub memory: Usage,
    /// Processors; used is the mean over the task's time.
    pub cpus: Usage,
    /// Seconds; requested is the time limit, of the tasks that had one.
    pub time: Usage,
    /// What to ask for next time.
    pub suggested: Suggestion,
}

/// What accounting has of a task.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    is_final: bool,
    asked_memory: Option<u64>,
    memory: Option<u64>,
    cpus: u64,
    cpu_seconds: f64,
    seconds: f64,
    limit: Option<f64>,
}

impl Row {
    fn has_run(&self) -> bool {
        self.seconds > 0.0 || self.memory.is_some()
    }
}

impl Efficiency {
    /// Of the latest attempt that ran on Slurm, once the run has ended; none where accounting has
    /// nothing on it. What is complete is kept in the run's folder.
    ///
    /// # Errors
    /// `scheduler-failed` when accounting does not answer; `run-damaged` and the like.
    pub fn measure(folder: &RunFolder) -> Result<Option<Efficiency>> {
        let jobs = Jobs::of(folder)?;
        let Some(attempt) = jobs.submissions.iter().map(|one| one.attempt).max() else {
            return Ok(None);
        };
        if let Some(recorded) = recorded_of(folder, attempt) {
            return Ok(Some(recorded));
        }
        if !state_of(folder)?.is_final() {
            return Ok(None);
        }
        let submissions: Vec<&Submission> =
            jobs.submissions.iter().filter(|one| one.attempt == attempt).collect();
        let ids: Vec<String> = submissions.iter().map(|one| one.job.to_string()).collect();
        let format =
            "--format=JobID,State,ReqMem,MaxRSS,AllocCPUS,TotalCPU,ElapsedRaw,TimelimitRaw";
        let mut rows = parse_rows(&call("sacct", &["-n", "-P", format, "-j", &ids.join(",")])?);
        let (plan, of) = (folder.plan()?, folder.attempt(attempt)?);
        let mut is_complete = true;
        for submission in submissions {
            for &task in &submission.tasks {
                match rows.get_mut(&submission.id_of(task)) {
                    Some(row) => {
                        is_complete &= row.is_final;
                        let stage = of.tasks.get(task).map_or(0, |task| plan.stage_of_task(task));
                        row.memory = row.memory.max(peak_memory(folder, stage, task, attempt)?);
                    }
                    None => is_complete &= ended_long_ago(folder),
                }
            }
        }
        let rows: Vec<&Row> = rows.values().filter(|row| row.has_run()).collect();
        let efficiency = Efficiency::among(attempt, &rows);
        if is_complete && let Some(efficiency) = &efficiency {
            folder.write(FILE, efficiency)?;
        }
        Ok(efficiency)
    }

    /// As JSON, if it has been measured for the latest attempt that ran on Slurm.
    pub fn recorded(folder: &RunFolder) -> Option<serde_json::Value> {
        let jobs = Jobs::of(folder).ok()?;
        let attempt = jobs.submissions.iter().map(|one| one.attempt).max()?;
        serde_json::to_value(recorded_of(folder, attempt)?).ok()
    }

    fn among(attempt: u32, rows: &[&Row]) -> Option<Efficiency> {
        if rows.is_empty() {
            return None;
        }
        let spread = |value: &dyn Fn(&Row) -> Option<f64>| {
            Spread::of(rows.iter().filter_map(|row| value(row)).collect())
        };
        let memory = Usage {
            requested: spread(&|row| Some(row.asked_memory? as f64)),
            used: spread(&|row| Some(row.memory? as f64)),
        };
        let cpus = Usage {
            requested: spread(&|row| Some(row.cpus as f64)),
            // Whole seconds alone are counted: of none there is no mean.
            used: spread(&|row| (row.seconds > 0.0).then(|| row.cpu_seconds / row.seconds)),
        };
        let time =
            Usage { requested: spread(&|row| row.limit), used: spread(&|row| Some(row.seconds)) };
        let hundreds = (memory.used.max * 1.2 / f64::from(100 << 20)).ceil() as u64;
        let suggested = Suggestion {
            mem: (memory.used.max > 0.0).then(|| memory_text(hundreds * (100 << 20))),
            time: ((time.used.max * 1.5 / 60.0).ceil() as u64).max(1).to_string(),
            // A worker that keeps one processor busy may be counted for a little more.
            cpus: ((cpus.used.max - 0.1).ceil() as u64).max(1),
        };
        let tasks = rows.len() as u64;
        Some(Efficiency { attempt, tasks, memory, cpus, time, suggested })
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let Some(&max) = values.last() else { return Spread::default() };
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => (values[middle - 1] + values[middle]) / 2.0,
        };
        Spread { sum: values.iter().sum(), max, median }
    }
}

fn recorded_of(folder: &RunFolder, attempt: u32) -> Option<Efficiency> {
    folder.read::<Efficiency>(FILE).ok().filter(|recorded| recorded.attempt == attempt)
}

fn ended_long_ago(folder: &RunFolder) -> bool {
    folder.read::<Outcome>("outcome.json").is_ok_and(|end| end.ended + LAG < journal::now())
}

/// The rows of tasks, each with the most that its steps say.
fn parse_rows(text: &str) -> BTreeMap<TaskId, Row> {
    let mut rows: BTreeMap<TaskId, Row> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [id, state, asked, memory, cpus, cpu, seconds, limit] = fields[..] else { continue };
        let (id, step) = id.split_once('.').unwrap_or((id, ""));
        let id = id
            .split_once('_')
            .and_then(|(job, index)| Some((job.parse::<u64>().ok()?, index.parse::<u64>().ok()?)));
        // Ranges of tasks that never ran have used nothing.
        let Some(id) = id else { continue };
        let row = rows.entry(id).or_default();
        let used = parse_memory(memory).ok().filter(|bytes| *bytes > 0);
        row.memory = row.memory.max(used);
        if !step.is_empty() {
            continue;
        }
        row.is_final = end_of(state).is_some();
        row.cpus = cpus.parse().unwrap_or(1);
        // Before 21.08 the last letter tells memory of a processor from that of a node.
        let factor = if asked.ends_with('c') { row.cpus } else { 1 };
        let asked = parse_memory(asked.trim_end_matches(['c', 'n'])).ok();
        row.asked_memory = asked.map(|bytes| bytes * factor).filter(|bytes| *bytes > 0);
        row.cpu_seconds = cpu_seconds(cpu);
        row.seconds = seconds.parse().unwrap_or(0.0);
        row.limit = limit.parse::<f64>().ok().map(|minutes| minutes * 60.0);
    }
    rows
}

/// A time such as `00:01.254`, `01:02:03` or `1-02:03:04`.
fn cpu_seconds(text: &str) -> f64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part = format!("0.{part}").parse().unwrap_or(0.0);
    parse_time(whole).map_or(0.0, |time| time.as_secs_f64() + part)
}

/// The peak memory that the workers of a task note when they end. Slurm looks only now and then, and
/// not at all at tasks of less than a second.
fn peak_memory(folder: &RunFolder, stage: usize, task: usize, attempt: u32) -> Result<Option<u64>> {
    let mut peak = None;
    for launch in 0.. {
        let path = folder.journal(stage, &crate::run::subprocess::task_name(task, launch), attempt);
        let Ok(bytes) = std::fs::read(&path) else { break };
        let ends = parse(&bytes).0.filter_map(|event| match event {
            Event::End { peak_memory, .. } => peak_memory,
            _ => None,
        });
        peak = peak.max(ends.max());
    }
    Ok(peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "\
2_0|COMPLETED|400M||2|00:01.254|5|2
2_0.batch|COMPLETED||314196K|2|00:01.254|5|
2_0.extern|COMPLETED||0|2|00:00:00|5|
2_1|OUT_OF_MEMORY|400M||2|00:12.500|10|2
2_1.batch|OUT_OF_MEMORY||409600K|2|00:12.500|10|
2_[2-5]|CANCELLED by 0|400M||0|00:00:00|0|2
";

    #[test]
    fn a_task_s_memory_is_on_its_steps_and_the_rest_on_its_own_row() {
        let rows = parse_rows(ROWS);
        assert_eq!(rows.keys().collect::<Vec<_>>(), [&(2, 0), &(2, 1)]);
        let expected = Row {
            is_final: true,
            asked_memory: Some(400 << 20),
            memory: Some(314_196 << 10),
            cpus: 2,
            cpu_seconds: 1.254,
            seconds: 5.0,
            limit: Some(120.0),
        };
        assert_eq!(rows[&(2, 0)], expected);
        let running = "3_0|RUNNING|1000Mc||4|1-00:00:01|7|UNLIMITED\n3_0.batch|RUNNING||||||\n";
        let row = &parse_rows(running)[&(3, 0)];
        assert_eq!((row.is_final, row.limit, row.memory), (false, None, None));
        assert_eq!((row.asked_memory, row.cpu_seconds), (Some(4000 << 20), 86401.0));
    }

    #[test]
    fn the_suggestion_leaves_some_room() {
        let rows = parse_rows(ROWS);
        let rows: Vec<&Row> = rows.values().collect();
        let efficiency = Efficiency::among(3, &rows).unwrap();
        assert_eq!((efficiency.tasks, efficiency.attempt), (2, 3));
        assert_eq!(efficiency.memory.used.max, f64::from(400 << 20));
        assert_eq!(efficiency.time.used, Spread { sum: 15.0, max: 10.0, median: 7.5 });
        assert_eq!(efficiency.time.requested.median, 120.0);
        assert_eq!(
            efficiency.suggested,
            Suggestion { mem: Some("500M".into()), time: "1".into(), cpus: 2 }
        );
        assert_eq!(Efficiency::among(1, &[]), None);
    }

    #[test]
    fn processor_times_have_days_or_thousandths() {
        for (text, seconds) in
            [("00:01.254", 1.254), ("01:02:03", 3723.0), ("1-02:03:04", 93784.0), ("", 0.0)]
        {
            assert_eq!(cpu_seconds(text), seconds, "{text}");
        }
    }
}
