//! What was submitted for a run: `jobs.json`, from which any process can go on.

use super::client::call;
use super::script::{Submit, render};
use super::state::TaskId;
use crate::error::{Error, Kind, Result};
use crate::run::folder::RunFolder;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;

const FILE: &str = "jobs.json";

/// One job array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// Slurm's number of the job.
    pub job: u64,
    /// The attempt that it is for.
    pub attempt: u32,
    /// The tasks, in ascending order.
    pub tasks: Vec<usize>,
    /// The task that array index 0 stands for.
    pub first: usize,
    /// The script, in the run's folder.
    pub script: String,
    /// When, in seconds since 1970.
    pub submitted: f64,
    /// Memory of a task as it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<String>,
    /// Time limit of a task as it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

impl Submission {
    /// What Slurm calls a task of this array.
    pub fn id_of(&self, task: usize) -> TaskId {
        (self.job, (task - self.first) as u64)
    }
}

/// All submissions of a run, the earliest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Jobs {
    /// The submissions.
    pub submissions: Vec<Submission>,
}

impl Jobs {
    /// The record of a run; empty before its first submission.
    ///
    /// # Errors
    /// `run-damaged`.
    pub fn of(folder: &RunFolder) -> Result<Jobs> {
        if folder.file(FILE).is_file() { folder.read(FILE) } else { Ok(Jobs::default()) }
    }

    /// The jobs of an attempt.
    pub fn of_attempt(&self, attempt: u32) -> Vec<u64> {
        let of = |submission: &&Submission| submission.attempt == attempt;
        self.submissions.iter().filter(of).map(|submission| submission.job).collect()
    }

    /// Submits a job array and records it.
    ///
    /// # Errors
    /// `scheduler-failed` with Slurm's own words; `write-failed` and the like.
    pub fn submit(&mut self, folder: &RunFolder, submit: &Submit) -> Result<u64> {
        let script = format!("submit-{}.sh", self.submissions.len());
        folder.write_bytes(&script, render(submit).as_bytes())?;
        let path = folder.file(&script);
        let arguments: [OsString; 2] = ["--parsable".into(), path.into()];
        let answer = call("sbatch", &arguments)?;
        let job =
            answer.trim().split(';').next().and_then(|id| id.parse().ok()).ok_or_else(|| {
                Error::new(Kind::SchedulerFailed, format!("sbatch answered '{}'", answer.trim()))
            })?;
        self.submissions.push(Submission {
            job,
            attempt: submit.attempt,
            tasks: submit.tasks.to_vec(),
            first: submit.first,
            script,
            submitted: crate::run::journal::now(),
            mem: submit.settings.mem.clone(),
            time: submit.settings.time.clone(),
        });
        let recorded = folder.write(FILE, &*self);
        if recorded.is_err() {
            // A job that nobody knows of must not stay.
            let _ = call("scancel", &[job.to_string()]);
        }
        recorded.map(|()| job)
    }
}

/// Takes jobs out of the queue and ends those of their tasks that run.
///
/// # Errors
/// `scheduler-failed`.
pub fn cancel(jobs: &[u64]) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let jobs: Vec<String> = jobs.iter().map(u64::to_string).collect();
    call("scancel", &jobs).map(drop)
}

/// Cancels jobs of a run that were submitted by a process which died before it could record them.
///
/// # Errors
/// `scheduler-failed`.
pub fn cancel_unrecorded(name: &str, recorded: &[u64]) -> Result<()> {
    let listed = call("squeue", &["-h", "-a", "-o", "%A|%F", "--name", name])?;
    let job_of = |line: &str| line.split('|').nth(1)?.trim().parse::<u64>().ok();
    let mut unknown: Vec<u64> = listed.lines().filter_map(job_of).collect();
    unknown.retain(|job| !recorded.contains(job));
    unknown.sort_unstable();
    unknown.dedup();
    cancel(&unknown)
}
