//! What was submitted for a run: `jobs.json`, from which any process can go on.

use super::client::call;
use super::script::{Submit, render};
use super::state::TaskId;
use crate::error::{Error, Kind, Result};
use crate::run::folder::{Request, RunFolder};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::time::{Duration, Instant};

const FILE: &str = "jobs.json";

/// A cancelled job may take so long to end: Slurm's own 30 s between its signals, and some more. One
/// on a node that does not answer is listed for longer.
const ENDING: Duration = Duration::from_secs(40);

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

    /// All jobs.
    pub fn all(&self) -> Vec<u64> {
        self.submissions.iter().map(|submission| submission.job).collect()
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

/// Whether the latest attempt of a run has jobs.
///
/// # Errors
/// `run-damaged`.
pub fn has_jobs(folder: &RunFolder) -> Result<bool> {
    Ok(!Jobs::of(folder)?.of_attempt(folder.latest_attempt()).is_empty())
}

/// Takes jobs, or tasks of job arrays, out of the queue and ends what runs of them.
///
/// # Errors
/// `scheduler-failed`.
pub fn cancel(jobs: &[impl ToString]) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    match call("scancel", &jobs) {
        // What the controller has forgotten has ended long ago.
        Err(error) if !error.message.contains("Invalid job id") => Err(error),
        _ => Ok(()),
    }
}

/// Name of a run's jobs, in which nothing has a meaning for Slurm.
pub fn name_of(request: &Request) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let operation: String = request.operation.name.chars().map(plain).collect();
    format!("{operation}-{}", request.id)
}

/// Cancels jobs of a run that are not among these, and waits until they are gone: a process may have
/// died before it could record what it submitted, and jobs of an earlier attempt may have outlived it.
/// What they work on must not be begun again beside them.
///
/// # Errors
/// `scheduler-failed`.
pub fn cancel_others(name: &str, recorded: &[u64]) -> Result<()> {
    let begun = Instant::now();
    loop {
        let listed = call("squeue", &["-h", "-a", "-o", "%F", "--name", name])?;
        let mut others: Vec<u64> =
            listed.lines().filter_map(|line| line.trim().parse().ok()).collect();
        others.retain(|job| !recorded.contains(job));
        others.sort_unstable();
        others.dedup();
        if others.is_empty() || begun.elapsed() > ENDING {
            return Ok(());
        }
        // Again, for one that is just being started may not have heard it.
        cancel(&others)?;
        std::thread::sleep(Duration::from_millis(500));
    }
}
