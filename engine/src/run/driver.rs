//! Leads an attempt from its first block to its outcome.

use super::cancel::CancelToken;
use super::folder::{Attempt, BlockSet, Request, RunFolder};
use super::lock::{LeadLock, OutputLock};
use super::monitor::{BlockState, Counts, Monitor};
use super::partials::Partials;
use super::process::{boot_id, host_name};
use super::slurm::{self, Efficiency, Leader};
use super::subprocess::Pool;
use super::worker::{Job, flush};
use super::{Backend, journal, threads};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use crate::source::Sink;
use serde::{Deserialize, Serialize};
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Blocks are being worked on.
    Running,
    /// It was asked to stop, and blocks in hand are being finished.
    Cancelling,
    /// Every block is done or skipped.
    Succeeded,
    /// Some blocks failed.
    Failed,
    /// It was stopped on request.
    Cancelled,
    /// The process that led it is gone.
    Interrupted,
}

impl RunState {
    /// The name that commands and run folders use.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Cancelling => "cancelling",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Interrupted => "interrupted",
        }
    }

    /// Whether nothing more will happen by itself.
    pub fn is_final(self) -> bool {
        !matches!(self, RunState::Running | RunState::Cancelling)
    }
}

/// How an attempt ended; `outcome.json`, written last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `succeeded`, `failed` or `cancelled`.
    pub state: RunState,
    /// Which attempt.
    pub attempt: u32,
    /// Blocks by state.
    pub counts: Counts,
    /// When the attempt began, in seconds since 1970.
    pub started: f64,
    /// When it ended.
    pub ended: f64,
    /// Bytes of voxels read.
    pub read: u64,
    /// Bytes stored.
    pub written: u64,
    /// Largest resident memory of a worker's process.
    pub peak_memory: Option<u64>,
    /// The blocks that failed, in order.
    pub failed_blocks: Vec<u64>,
    /// The first failure, or why the run stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// A run that this process leads, or has led.
pub struct Run {
    folder: RunFolder,
    cancel: CancelToken,
    end: Arc<(Mutex<Option<Outcome>>, Condvar)>,
}

/// What an attempt needs besides its job.
pub(super) struct Lead {
    pub attempt: Attempt,
    pub todo: Option<BlockSet>,
    pub locks: Vec<OutputLock>,
    pub program: Option<PathBuf>,
    pub task_timeout: Option<Duration>,
    /// Keeps other processes from leading a run on a cluster, too.
    #[expect(dead_code, reason = "held, not read")]
    pub held: Option<LeadLock>,
}

/// A run as its leader knows it. On a cluster it has the arrays open only where it made the run.
struct Led {
    folder: RunFolder,
    request: Request,
    plan: Plan,
    job: Option<Arc<Job>>,
}

impl Led {
    fn of(job: Job) -> Led {
        let (folder, request, plan) = (job.folder.clone(), job.request.clone(), job.plan.clone());
        Led { folder, request, plan, job: Some(Arc::new(job)) }
    }
}

/// Takes the locks of all outputs that have a place on disk.
pub(super) fn lock_outputs(
    places: impl Iterator<Item = PathBuf>,
    folder: &RunFolder,
    patience: Duration,
) -> Result<Vec<OutputLock>> {
    places.map(|place| OutputLock::acquire(&place, folder.path(), patience)).collect()
}

impl Run {
    /// Starts the attempt on a thread of its own.
    pub(super) fn lead(job: Job, lead: Lead) -> Result<Run> {
        for lock in &lead.locks {
            lock.share()?;
        }
        Run::lead_on(Led::of(job), lead)
    }

    /// Takes the lead of a run on a cluster that nobody leads any more. None if somebody does, or if
    /// nothing is left to lead.
    ///
    /// # Errors
    /// `run-damaged`, and those of opening the outputs' locks.
    pub fn adopt(folder: &RunFolder) -> Result<Option<Run>> {
        if state_of(folder)?.is_final() || !is_on_cluster(folder)? {
            return Ok(None);
        }
        // Whoever can only read the folder, or is not on a login node, may watch but not lead.
        let Ok(Some(held)) = LeadLock::take(folder) else { return Ok(None) };
        if !slurm::is_there() {
            return Ok(None);
        }
        // Its last leader may have ended it in the meantime.
        if state_of(folder)?.is_final() {
            return Ok(None);
        }
        let (request, plan) = (folder.request()?, folder.plan()?);
        let attempt = folder.attempt(folder.latest_attempt())?;
        let lead = Lead {
            todo: folder.todo(attempt.number, plan.blocks())?,
            attempt,
            locks: Vec::new(),
            program: None,
            task_timeout: None,
            held: Some(held),
        };
        Run::lead_on(Led { folder: folder.clone(), request, plan, job: None }, lead).map(Some)
    }

    fn lead_on(led: Led, lead: Lead) -> Result<Run> {
        let cancel = CancelToken::new();
        let end = Arc::new((Mutex::new(None), Condvar::new()));
        let run = Run { folder: led.folder.clone(), cancel: cancel.clone(), end: end.clone() };
        std::thread::Builder::new()
            .name(format!("run {}", led.request.id))
            .spawn(move || {
                let outcome = drive(&led, lead, &cancel);
                // Whoever waits may be the last to hold the folder, and end the process right away.
                drop(led);
                *end.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                end.1.notify_all();
            })
            .map_err(|error| Error::internal(format!("no thread for the run: {error}")))?;
        Ok(run)
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Asks the run to stop; what is in hand ends within about a second.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for the end, at most so long.
    pub fn wait_for(&self, time: Duration) -> Option<Outcome> {
        let end = self.end.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.end.1.wait_timeout_while(end, time, |outcome| outcome.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Waits for the end.
    pub fn wait(&self) -> Outcome {
        loop {
            if let Some(outcome) = self.wait_for(Duration::from_secs(3600)) {
                return outcome;
            }
        }
    }
}

impl Outcome {
    /// The outcome as a result: an error unless the run succeeded.
    ///
    /// # Errors
    /// `blocks-failed` or `cancelled`, with the way to go on.
    pub fn into_result(self, folder: &RunFolder) -> Result<Outcome> {
        let id = folder.request().map_or_else(|_| folder.name(), |request| request.id);
        match self.state {
            RunState::Succeeded => Ok(self),
            RunState::Cancelled => Err(Error::new(
                Kind::Cancelled,
                format!(
                    "run {id} was stopped with {} of {} blocks done{}",
                    self.counts.done,
                    self.counts.total,
                    self.error.map_or(String::new(), |error| format!(": {}", error.message))
                ),
            )
            .fix(format!("bp resume {id} finishes the rest."))),
            _ => {
                let first = self.error.as_ref();
                if let Some(error) = first.filter(|_| self.failed_blocks.is_empty()) {
                    let mut error = error.clone();
                    error.message = format!("run {id} failed: {}", error.message);
                    let fix = error.fix.take().unwrap_or_default();
                    let hint = format!("{fix} bp resume {id} tries what is not done again.");
                    return Err(error.fix(hint.trim()));
                }
                let message = match self.failed_blocks.len() {
                    0 => format!("run {id} failed"),
                    n => {
                        let shown = &self.failed_blocks[..n.min(10)];
                        format!("{n} block(s) failed in run {id}: {shown:?}")
                    }
                };
                let reason = first.map_or_else(String::new, |error| format!(". {}", error.message));
                let fix = first.and_then(|error| error.fix.clone()).unwrap_or_default();
                let mut error = Error::new(Kind::BlocksFailed, format!("{message}{reason}"))
                    .fix(format!("{fix} bp resume {id} tries what is not done again.").trim());
                error.traceback = first.and_then(|error| error.traceback.clone());
                Err(error)
            }
        }
    }
}

/// How often the folder is read while blocks are worked on.
const POLL: Duration = Duration::from_millis(50);

fn drive(led: &Led, lead: Lead, cancel: &CancelToken) -> Outcome {
    let mut outcome = match follow(led, &lead, cancel) {
        Ok(outcome) => outcome,
        Err(error) => outcome_without_journal(led, &lead.attempt, error),
    };
    if let Err(error) = led.folder.write("outcome.json", &outcome) {
        outcome.state = RunState::Failed;
        outcome.error = Some(error);
    }
    if let Some(job) = &led.job {
        job.give_back_held_memory();
    }
    for lock in lead.locks {
        lock.release();
    }
    if outcome.state == RunState::Succeeded {
        note_when_durable(led, &lead.attempt);
    }
    if lead.attempt.backend == Backend::Slurm {
        measure_efficiency(led.folder.clone());
    }
    outcome
}

/// Accounting learns of the last tasks some seconds after they have ended. If the process is gone by
/// then, whoever asks for the run's status measures instead.
fn measure_efficiency(folder: RunFolder) {
    drop(std::thread::Builder::new().name("efficiency".into()).spawn(move || {
        std::thread::sleep(ACCOUNTING_LAG);
        Efficiency::measure(&folder)
    }));
}

/// How far accounting lags behind.
const ACCOUNTING_LAG: Duration = Duration::from_secs(6);

/// Flushes the outputs and writes `durable.json`, behind the back of whoever waited for the run. If
/// the process ends before that, nothing is lost unless the machine crashes, too; then the run is
/// taken for interrupted. On a cluster every worker has flushed what it wrote.
fn note_when_durable(led: &Led, attempt: &Attempt) {
    let number = attempt.number;
    let job = led.job.as_ref().filter(|_| attempt.backend != Backend::Slurm);
    let storages = job.map(|job| job.storages()).unwrap_or_default();
    // A run in memory cannot be resumed, and its folder is not to be held here.
    let folder = (!led.folder.is_ephemeral()).then(|| led.folder.clone());
    if folder.is_none() && storages.is_empty() {
        return;
    }
    // Without a thread, or with a failed flush, the run just stays unconfirmed.
    drop(std::thread::Builder::new().name("flush".into()).spawn(move || {
        flush(storages)?;
        folder.map_or(Ok(()), |folder| folder.write(DURABLE, &Durable { attempt: number }))
    }));
}

const DURABLE: &str = "durable.json";

/// The attempt whose output is known to be on stable storage.
#[derive(Serialize, Deserialize)]
struct Durable {
    attempt: u32,
}

/// Whether a machine crash may have taken back what a run that succeeded has written.
fn is_lost_in_crash(folder: &RunFolder, attempt: &Attempt) -> bool {
    let same_host = attempt.driver.host == host_name();
    let durable = folder.read::<Durable>(DURABLE).is_ok_and(|file| file.attempt == attempt.number);
    same_host && attempt.driver.boot != boot_id() && !durable
}

/// When even the journals cannot be read, the run has failed for that reason.
fn outcome_without_journal(led: &Led, attempt: &Attempt, error: Error) -> Outcome {
    let total = led.plan.blocks();
    Outcome {
        state: RunState::Failed,
        attempt: attempt.number,
        counts: Counts { total, pending: total, ..Counts::default() },
        started: attempt.started,
        ended: journal::now(),
        read: 0,
        written: 0,
        peak_memory: None,
        failed_blocks: Vec::new(),
        error: Some(error),
    }
}

/// A leader of a cluster spends at most this share of its time on looking.
const LOOKING: u32 = 100;

/// Whether the latest attempt of a run is worked on by a cluster.
///
/// # Errors
/// `run-damaged`.
pub fn is_on_cluster(folder: &RunFolder) -> Result<bool> {
    let latest = folder.latest_attempt();
    Ok(latest > 0 && folder.attempt(latest)?.backend == Backend::Slurm)
}

fn follow(led: &Led, lead: &Lead, cancel: &CancelToken) -> Result<Outcome> {
    let mut watch = Watch { monitor: Monitor::open(&led.folder)?, asked: false, stopped: None };
    let mut cancelled_outside = None;
    let mut worked = Ok(());
    for stage in 0..led.plan.stages.len() {
        if !watch.monitor.is_complete(stage) {
            worked = work_on(stage, led, lead, &mut watch, &mut cancelled_outside, cancel);
            watch.monitor.poll()?;
        }
        if worked.is_err() || cancel.is_cancelled() || !watch.monitor.is_complete(stage) {
            break;
        }
        worked = merge(stage, led, lead, &watch.monitor);
        if worked.is_err() {
            break;
        }
    }
    let Watch { mut monitor, stopped, .. } = watch;
    monitor.poll()?;
    monitor.settle();
    let counts = monitor.counts();
    let failed = |block: &u64| monitor.states()[*block as usize] == BlockState::Failed;
    let first_failure =
        monitor.failures().iter().find(|(block, _)| failed(block)).map(|(block, failure)| {
            let mut error = failure.error.clone();
            // What a function raised is told as it is.
            if error.kind != Kind::Foreign && !error.message.contains("block") {
                error.message = format!("Block {block}: {}", error.message);
            }
            error
        });
    let stopped = stopped.map(|reason| Error::new(Kind::BlocksFailed, reason));
    let outside = cancelled_outside.is_some() && counts.failed == 0;
    let error = worked.err().or(cancelled_outside).or(first_failure).or(stopped);
    let state = if outside && !counts.is_complete() {
        RunState::Cancelled
    } else if counts.is_complete() && error.is_none() {
        RunState::Succeeded
    } else if error.is_none() && cancel.is_cancelled() {
        RunState::Cancelled
    } else {
        RunState::Failed
    };
    let (read, written) = monitor.bytes();
    Ok(Outcome {
        state,
        attempt: lead.attempt.number,
        counts,
        started: lead.attempt.started,
        ended: journal::now(),
        read,
        written,
        peak_memory: monitor.peak_memory(),
        failed_blocks: monitor.failures().keys().copied().filter(failed).collect(),
        error,
    })
}

/// What whoever leads a run sees of it.
struct Watch {
    monitor: Monitor,
    /// Whether somebody was seen to ask the run to stop.
    asked: bool,
    /// Why it is stopped, if for a reason of its own.
    stopped: Option<String>,
}

impl Watch {
    fn look(&mut self, folder: &RunFolder, cancel: &CancelToken) -> Result<()> {
        self.monitor.poll()?;
        if self.stopped.is_none() {
            self.stopped = self.monitor.reason_to_stop();
            if self.stopped.is_some() {
                cancel.cancel();
            }
        }
        if !self.asked && folder.is_cancel_asked() {
            self.asked = true;
            cancel.cancel();
        }
        Ok(())
    }
}

/// Has the blocks of a stage worked on until nothing is left to wait for.
fn work_on(
    stage: usize,
    led: &Led,
    lead: &Lead,
    watch: &mut Watch,
    cancelled_outside: &mut Option<Error>,
    cancel: &CancelToken,
) -> Result<()> {
    match lead.attempt.backend {
        Backend::Local => {
            let job = led.job.as_ref().ok_or_else(|| Error::internal("a run without arrays"))?;
            let job = job.in_stage(stage)?;
            let (done, wait) = std::sync::mpsc::channel();
            let thread = {
                let (attempt, todo, cancel) =
                    (lead.attempt.clone(), lead.todo.clone(), cancel.clone());
                std::thread::spawn(move || {
                    let result = threads::run(&job, stage, &attempt, todo.as_ref(), &cancel);
                    let _ = done.send(());
                    result
                })
            };
            let mut looked = Ok(());
            while wait.recv_timeout(POLL) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                looked = looked.and_then(|()| watch.look(&led.folder, cancel));
            }
            let result = thread.join().unwrap_or_else(|_| Err(Error::internal("the run panicked")));
            result.and(looked)
        }
        Backend::Subprocess => {
            let mut pool = Pool::new(
                &led.folder,
                &led.request,
                stage,
                led.plan.tasks_of(stage, &lead.attempt.tasks),
                &lead.attempt,
                lead.program.clone(),
                lead.task_timeout,
            )?;
            let mut looked_at = Instant::now();
            while pool.step(cancel)? {
                std::thread::sleep(Duration::from_millis(5));
                if looked_at.elapsed() > POLL {
                    watch.look(&led.folder, cancel)?;
                    looked_at = Instant::now();
                }
            }
            Ok(())
        }
        Backend::Slurm => {
            let (plan, attempt) = (led.plan.clone(), lead.attempt.clone());
            let mut leader = Leader::new(&led.folder, &led.request, plan, stage, attempt)?;
            let result = loop {
                let begun = Instant::now();
                let looked = watch.look(&led.folder, cancel);
                let cost = begun.elapsed();
                match looked.and_then(|()| leader.step(&watch.monitor, cancel)) {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => break Err(error),
                }
                // Thousands of journals take a while to look at, and are looked at less often.
                let rest = POLL.max(cost * LOOKING).min(Duration::from_secs(5));
                if !cancel.is_cancelled() {
                    cancel.sleep(rest);
                } else {
                    std::thread::sleep(POLL);
                }
            };
            if result.is_err() {
                // What still waits or runs would go on without anybody who leads it.
                leader.give_up();
            }
            *cancelled_outside = leader.cancelled_outside();
            result
        }
    }
}

/// Puts the partial results of a complete stage together, unless that was done before.
fn merge(stage: usize, led: &Led, lead: &Lead, monitor: &Monitor) -> Result<()> {
    let path = led.folder.merged(stage);
    if path.is_file() {
        return Ok(());
    }
    let operation = match &led.job {
        Some(job) => job.in_stage(stage)?.operation,
        None => {
            let job = Job::open(led.folder.clone(), &lead.attempt.paths)?;
            job.in_stage(stage)?.operation
        }
    };
    if !operation.gives_partials() {
        return Ok(());
    }
    let blocks = led.plan.stages[stage].blocks();
    let is_done = |block: &u64| monitor.states()[*block as usize] == BlockState::Done;
    let done = blocks.clone().filter(is_done);
    // What a worker has written may be seen here later than its sentinels.
    let latency = lead.attempt.slurm.as_ref().map_or(0.0, |slurm| slurm.latency_wait);
    let begun = Instant::now();
    let partials = loop {
        let partials = Partials::of(&led.folder, stage, &led.plan.stages[stage])?;
        let missing = done.clone().find(|block| !partials.has(block - blocks.start));
        match missing {
            None => break partials,
            Some(_) if begun.elapsed().as_secs_f64() < latency => std::thread::sleep(POLL),
            Some(block) => {
                return Err(Error::new(
                    Kind::RunDamaged,
                    format!("block {block} is done, but its partial result is not there"),
                ));
            }
        }
    };
    let failed = |error: &std::io::Error| Error::write(&path, error);
    let folder = path.parent().unwrap_or(led.folder.path());
    let file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    let mut writer = BufWriter::new(file);
    operation.merge(&partials, &mut writer)?;
    let file = writer.into_inner().map_err(|error| failed(error.error()))?;
    file.persist(&path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Where the outputs lie on disk.
pub(super) fn places(outputs: &[Arc<dyn Sink>]) -> impl Iterator<Item = PathBuf> + '_ {
    outputs.iter().filter_map(|output| output.storage())
}

/// Where a run stands, from its folder alone.
///
/// # Errors
/// `run-damaged` and the like.
pub fn state_of(folder: &RunFolder) -> Result<RunState> {
    let latest = folder.latest_attempt();
    if folder.file("outcome.json").is_file() {
        let outcome: Outcome = folder.read("outcome.json")?;
        if outcome.attempt == latest {
            let lost = outcome.state == RunState::Succeeded
                && is_lost_in_crash(folder, &folder.attempt(latest)?);
            return Ok(if lost { RunState::Interrupted } else { outcome.state });
        }
    }
    if latest == 0 {
        return Ok(RunState::Interrupted);
    }
    let attempt = folder.attempt(latest)?;
    // Jobs in a cluster go on without the process that submitted them.
    let needs_leader = attempt.backend != Backend::Slurm;
    Ok(match attempt.driver.is_alive() {
        Some(false) if needs_leader => RunState::Interrupted,
        _ if folder.is_cancel_asked() => RunState::Cancelling,
        _ => RunState::Running,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::process::ProcessId;

    #[test]
    fn a_success_that_a_crash_may_have_taken_back_is_an_interrupted_run() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "copy", "abcdef").unwrap();
        let attempt = |boot: String| Attempt {
            number: 1,
            backend: Backend::Local,
            workers: 1,
            budget: 1,
            tasks: Vec::new(),
            driver: ProcessId { boot, ..ProcessId::current() },
            started: 0.0,
            forced: Vec::new(),
            slurm: None,
            command: Vec::new(),
            paths: Vec::new(),
        };
        let outcome = Outcome {
            state: RunState::Succeeded,
            attempt: 1,
            counts: Counts::default(),
            started: 0.0,
            ended: 0.0,
            read: 0,
            written: 0,
            peak_memory: None,
            failed_blocks: Vec::new(),
            error: None,
        };
        folder.write("outcome.json", &outcome).unwrap();
        folder.write("attempts/1.json", &attempt(boot_id())).unwrap();
        assert_eq!(state_of(&folder).unwrap(), RunState::Succeeded);
        folder.write("attempts/1.json", &attempt("before the crash".into())).unwrap();
        assert_eq!(state_of(&folder).unwrap(), RunState::Interrupted);
        folder.write(DURABLE, &Durable { attempt: 1 }).unwrap();
        assert_eq!(state_of(&folder).unwrap(), RunState::Succeeded);
    }
}
