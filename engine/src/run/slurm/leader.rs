//! Leads an attempt on a cluster: submits its tasks, follows them by sentinels and by what Slurm says,
//! and submits again what is worth it.

use super::client::{call, max_array_size};
use super::jobs::{Jobs, cancel, cancel_unrecorded};
use super::limits::Limits;
use super::script::Submit;
use super::settings::{SlurmSettings, memory_text, time_text};
use super::state::{End, Ended, Queued, TaskId, accounting, queue};
use crate::error::{Error, Kind, Result, RetryClass};
use crate::plan::Plan;
use crate::run::cancel::CancelToken;
use crate::run::folder::{Attempt, BlockSet, Request, RunFolder};
use crate::run::journal::{Event, parse};
use crate::run::losses::{Losses, in_hand};
use crate::run::monitor::{BlockState, Monitor};
use crate::run::subprocess::{launch_of, tail, task_name};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a task that neither queue nor accounting knows is waited for: accounting lags.
const UNKNOWN: Duration = Duration::from_secs(15);
/// How long the end of a task is doubted, at least, before its sentinels are believed to be complete.
const GRACE: Duration = Duration::from_secs(5);
/// So soon after a submission the scheduler is asked for the first time.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// How long cancelled jobs are waited for.
const CANCELLING: Duration = Duration::from_secs(60);
/// How long a controller that does not take jobs is asked again.
const PATIENCE: Duration = Duration::from_secs(900);
/// A node is left out after so many failures.
const STRIKES: u32 = 2;

/// Where a task stands.
#[derive(Clone, Debug)]
enum Phase {
    /// To be submitted.
    Waiting,
    /// Submitted, and since when Slurm has not had it in its queue any more.
    Submitted { id: TaskId, gone: Option<Instant> },
    /// Nothing more will come of it.
    Ended,
}

#[derive(Clone, Debug)]
struct Task {
    phase: Phase,
    /// Number of its latest launch that has a journal.
    launch: Option<u32>,
    /// Launches that ended before their first block, in a row.
    fruitless: u32,
    /// What it asks for by now, where that is more than at first.
    memory: Option<u64>,
    time: Option<Duration>,
}

/// A task as `scheduler.json` tells it to whoever looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Slurm's name of the task.
    pub job: String,
    /// `pending` or `running`.
    pub state: String,
    /// Why it waits, or the node that it runs on.
    pub reason: String,
}

/// What the scheduler last said of the tasks that are not done; `scheduler.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// By task.
    pub tasks: BTreeMap<usize, Scheduled>,
}

/// The file of the [`Schedule`] in the run's folder.
pub const SCHEDULE: &str = "scheduler.json";

/// The leader of an attempt.
pub struct Leader {
    folder: RunFolder,
    plan: Plan,
    attempt: Attempt,
    todo: Option<BlockSet>,
    settings: SlurmSettings,
    command: Vec<OsString>,
    retries: u32,
    name: String,
    jobs: Jobs,
    tasks: Vec<Task>,
    losses: Losses,
    strikes: BTreeMap<String, u32>,
    limits: Option<Limits>,
    queued: BTreeMap<TaskId, Queued>,
    schedule: Schedule,
    ask_at: Instant,
    submit_at: Instant,
    refused: Option<Instant>,
    cancelled: Option<Instant>,
    cancelled_outside: Vec<usize>,
    /// Whether it has not yet looked at the sentinels.
    is_new: bool,
    /// Journals whose worker has been seen to end.
    ended: HashMap<String, bool>,
}

impl Leader {
    /// Takes the lead of an attempt, whose tasks may have been submitted by another process.
    ///
    /// # Errors
    /// `run-damaged`, `scheduler-failed`.
    pub fn new(
        folder: &RunFolder,
        request: &Request,
        plan: Plan,
        attempt: Attempt,
    ) -> Result<Leader> {
        let settings = attempt.slurm.clone().unwrap_or_default();
        let jobs = Jobs::of(folder)?;
        let name =
            format!("{}-{}", request.operation.name.replace(char::is_whitespace, "_"), request.id);
        let adopted = !jobs.of_attempt(attempt.number).is_empty();
        if adopted {
            // A controller that does not answer now knows of such jobs in the rarest of cases.
            let _ = cancel_unrecorded(&name, &jobs.of_attempt(attempt.number));
        }
        let new_task = |task: &crate::plan::Task| Task {
            phase: if task.is_empty() { Phase::Ended } else { Phase::Waiting },
            launch: None,
            fruitless: 0,
            memory: None,
            time: None,
        };
        let mut tasks: Vec<Task> = attempt.tasks.iter().map(new_task).collect();
        for submission in jobs.submissions.iter().filter(|one| one.attempt == attempt.number) {
            for &task in &submission.tasks {
                if let Some(slot) = tasks.get_mut(task) {
                    slot.phase = Phase::Submitted { id: submission.id_of(task), gone: None };
                }
            }
        }
        let todo = folder.todo(attempt.number, plan.grid.len())?;
        Ok(Leader {
            losses: Losses::of(folder, attempt.number, request.retries),
            folder: folder.clone(),
            plan,
            todo,
            settings,
            command: attempt.command.iter().map(OsString::from).collect(),
            attempt,
            retries: request.retries,
            name,
            jobs,
            tasks,
            strikes: BTreeMap::new(),
            limits: None,
            queued: BTreeMap::new(),
            schedule: Schedule::default(),
            ask_at: Instant::now() + if adopted { Duration::ZERO } else { FIRST_LOOK },
            submit_at: Instant::now(),
            refused: None,
            cancelled: None,
            cancelled_outside: Vec::new(),
            is_new: true,
            ended: HashMap::new(),
        })
    }

    /// Goes on by one step. Returns whether anything is left to wait for.
    ///
    /// # Errors
    /// `scheduler-failed` where tasks cannot be submitted; `worker-lost` where they end before their
    /// first block again and again.
    pub fn step(&mut self, monitor: &Monitor, cancel: &CancelToken) -> Result<bool> {
        if cancel.is_cancelled() && self.cancelled.is_none() {
            self.cancelled = Some(Instant::now());
            cancel_jobs(&self.jobs.of_attempt(self.attempt.number));
            self.ask_at = Instant::now() + Duration::from_millis(300);
        }
        self.note_ended(monitor)?;
        if let Some(since) = self.cancelled {
            return self.await_cancelled(since);
        }
        if self.ask_at <= Instant::now() && self.is_anything_submitted() {
            self.ask(monitor)?;
            let poll = Duration::from_secs_f64(self.settings.poll_interval.clamp(0.2, 3600.0));
            self.ask_at = Instant::now() + poll;
        }
        self.submit_patiently()?;
        let goes_on = self.tasks.iter().any(|task| !matches!(task.phase, Phase::Ended));
        if !goes_on {
            self.show(BTreeMap::new())?;
        }
        Ok(goes_on)
    }

    /// Takes back what was submitted.
    pub fn give_up(&self) {
        cancel_jobs(&self.jobs.of_attempt(self.attempt.number));
    }

    /// The tasks that somebody else took out of Slurm's queue or ended.
    pub fn cancelled_outside(&self) -> Option<Error> {
        if self.cancelled_outside.is_empty() {
            return None;
        }
        let shown: Vec<String> =
            self.cancelled_outside.iter().take(10).map(usize::to_string).collect();
        Some(Error::new(
            Kind::Cancelled,
            format!(
                "{} task(s) were cancelled in Slurm, not by this run: {}",
                self.cancelled_outside.len(),
                shown.join(", ")
            ),
        ))
    }

    fn is_anything_submitted(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task.phase, Phase::Submitted { .. }))
    }

    /// Cancelled jobs are asked for until Slurm has none of them.
    fn await_cancelled(&mut self, since: Instant) -> Result<bool> {
        if self.ask_at > Instant::now() {
            return Ok(true);
        }
        self.ask_at = Instant::now() + Duration::from_millis(500);
        let jobs = self.jobs.of_attempt(self.attempt.number);
        let left = if jobs.is_empty() { Ok(BTreeMap::new()) } else { queue(&jobs) };
        let over = match left {
            Ok(left) if left.is_empty() => true,
            Ok(_) => {
                cancel_jobs(&jobs);
                since.elapsed() > CANCELLING
            }
            Err(_) => since.elapsed() > CANCELLING,
        };
        if over {
            self.show(BTreeMap::new())?;
        }
        Ok(!over)
    }

    /// Looks at the sentinels: which workers began and ended.
    fn note_ended(&mut self, monitor: &Monitor) -> Result<()> {
        let mut restarted = Vec::new();
        for (name, worker) in monitor.workers() {
            let Some((number, launch)) = launch_of(name) else { continue };
            let Some(task) = self.tasks.get_mut(number) else { continue };
            if task.launch.is_none_or(|latest| latest < launch)
                && let Some(before) = task.launch.replace(launch)
                && !self.ended.contains_key(&task_name(number, before))
            {
                restarted.push((number, before));
            }
            if worker.ended && !self.ended.contains_key(name) {
                let complete = self.is_complete(number, monitor);
                self.ended.insert(name.clone(), complete);
                if complete {
                    self.tasks[number].phase = Phase::Ended;
                }
            }
        }
        if std::mem::take(&mut self.is_new) {
            // What happened under an earlier leader was its to note.
            return Ok(());
        }
        restarted.into_iter().try_for_each(|(task, launch)| self.note_restart(task, launch))
    }

    /// Whether every block of a task has ended.
    fn is_complete(&self, task: usize, monitor: &Monitor) -> bool {
        self.open_block(task, monitor, None).is_none()
    }

    /// A block of a task that is to be done and has not ended.
    fn open_block(&self, task: usize, monitor: &Monitor, except: Option<u64>) -> Option<u64> {
        let groups = self.attempt.tasks.get(task)?.iter();
        groups.flat_map(|group| self.plan.ownership.blocks_of(&self.plan.grid, group)).find(
            |&block| {
                let ended = matches!(
                    monitor.states().get(block as usize),
                    Some(BlockState::Done | BlockState::Skipped | BlockState::Failed)
                );
                let wanted = self.todo.as_ref().is_none_or(|todo| todo.contains(block));
                wanted && !ended && Some(block) != except
            },
        )
    }

    /// Slurm has started a task again by itself: after its node failed, or for a job that was more
    /// important.
    fn note_restart(&mut self, task: usize, launch: u32) -> Result<()> {
        let Phase::Submitted { id, .. } = self.tasks[task].phase else { return Ok(()) };
        // Launches that were given up have been noted with what became of them.
        let journal = self.folder.journal(&task_name(task, launch), self.attempt.number);
        let Some((block, since)) = in_hand(&journal) else { return Ok(()) };
        let arguments = [
            "-D",
            "-X",
            "-n",
            "-P",
            "--format=State,NodeList",
            "-j",
            &format!("{}_{}", id.0, id.1),
        ];
        let rows = call("sacct", &arguments).unwrap_or_default();
        let earlier = rows.lines().rev().skip(1).find_map(|line| line.split_once('|'));
        let (state, node) = earlier.unwrap_or(("REQUEUED", ""));
        let kind = if state.starts_with("PREEMPTED") { Kind::Preempted } else { Kind::NodeFailed };
        let error = Error::new(
            kind,
            format!(
                "task {task} was lost on block {block} and started again by Slurm: {state} {node}"
            ),
        );
        // Before the new launch's own events, as it happened.
        self.losses.write(&Event::Failed {
            block,
            time: since,
            seconds: 0.0,
            error,
            again: true,
        })?;
        if kind == Kind::NodeFailed {
            self.strike(node);
        }
        Ok(())
    }

    fn strike(&mut self, node: &str) {
        if node.is_empty() || node.contains([',', '[', ' ']) {
            return;
        }
        let strikes = self.strikes.entry(node.to_owned()).or_default();
        *strikes += 1;
        if *strikes == STRIKES {
            // What waits already is kept away from the node, too, as far as Slurm lets us.
            let excluded = format!("ExcNodeList={}", self.excluded().join(","));
            for job in self.jobs.of_attempt(self.attempt.number) {
                let _ = call("scontrol", &["update", &format!("JobId={job}"), &excluded]);
            }
        }
    }

    fn excluded(&self) -> Vec<String> {
        let out = self.strikes.iter().filter(|(_, strikes)| **strikes >= STRIKES);
        out.map(|(node, _)| node.clone()).collect()
    }

    /// Asks Slurm for the tasks whose sentinels do not tell of their end.
    fn ask(&mut self, monitor: &Monitor) -> Result<()> {
        let live: Vec<(usize, TaskId)> = self
            .tasks
            .iter()
            .enumerate()
            .filter_map(|(number, task)| match task.phase {
                Phase::Submitted { id, .. } => Some((number, id)),
                _ => None,
            })
            .collect();
        // A scheduler that does not answer for a while stops nothing.
        let Ok(queued) = queue(&jobs_of(live.iter().map(|(_, id)| *id))) else { return Ok(()) };
        let mut gone = Vec::new();
        let mut shown = BTreeMap::new();
        for (number, id) in live {
            let Phase::Submitted { gone: since, .. } = &mut self.tasks[number].phase else {
                continue;
            };
            match queued.get(&id) {
                Some(Queued { running, reason }) => {
                    *since = None;
                    let state = if *running { "running" } else { "pending" };
                    let job = format!("{}_{}", id.0, id.1);
                    shown.insert(
                        number,
                        Scheduled { job, state: state.to_owned(), reason: reason.clone() },
                    );
                }
                None => gone.push((number, id, *since.get_or_insert_with(Instant::now))),
            }
        }
        self.queued = queued;
        self.show(shown)?;
        if gone.is_empty() {
            return Ok(());
        }
        let Ok(rows) = accounting(&jobs_of(gone.iter().map(|(_, id, _)| *id))) else {
            return Ok(());
        };
        let grace = GRACE.max(Duration::from_secs_f64(self.settings.poll_interval.min(3600.0)));
        for (number, id, since) in gone {
            let row = rows.get(&id);
            let said = self.tasks[number].launch.map(|launch| task_name(number, launch));
            let said_end = said.is_some_and(|name| self.ended.contains_key(&name));
            let patience = match row.map(|row| row.end) {
                // The worker has said itself that it stopped early.
                Some(Some(_)) if said_end => Duration::ZERO,
                Some(Some(End::Completed)) => {
                    Duration::from_secs_f64(self.settings.latency_wait.clamp(0.0, 86400.0))
                }
                Some(Some(_)) => grace,
                // Accounting has not heard of its end.
                Some(None) => continue,
                None => UNKNOWN.max(grace),
            };
            if since.elapsed() < patience {
                // Looked at again as soon as the time is over.
                continue;
            }
            let unknown = Ended {
                end: Some(End::Cancelled),
                state: "CANCELLED".into(),
                exit: String::new(),
                nodes: String::new(),
            };
            self.note_lost(number, row.unwrap_or(&unknown), monitor)?;
        }
        Ok(())
    }

    /// Tells everybody who looks what the scheduler says.
    fn show(&mut self, tasks: BTreeMap<usize, Scheduled>) -> Result<()> {
        let schedule = Schedule { tasks };
        if schedule != self.schedule {
            self.folder.write(SCHEDULE, &schedule)?;
            self.schedule = schedule;
        }
        Ok(())
    }

    /// A task has ended without having done its blocks.
    fn note_lost(&mut self, number: usize, row: &Ended, monitor: &Monitor) -> Result<()> {
        let Phase::Submitted { id, .. } = self.tasks[number].phase else { return Ok(()) };
        let launch = self.tasks[number].launch;
        let journal = launch
            .map(|launch| self.folder.journal(&task_name(number, launch), self.attempt.number));
        let already =
            launch.is_some_and(|launch| self.ended.contains_key(&task_name(number, launch)));
        let held = journal.as_deref().filter(|_| !already).and_then(in_hand);
        if let Some(launch) = launch {
            // The next launch is one that is asked for here, not Slurm's own.
            self.ended.insert(task_name(number, launch), false);
        }
        let log = self.folder.file(&format!("logs/slurm-{}_{}.err", id.0, id.1));
        let log = tail(&log, 2000);
        let mut error = self.error_of(number, row, &log);
        if row.end == Some(End::NodeFail) {
            self.strike(&row.nodes);
        }
        let before = (self.tasks[number].memory, self.tasks[number].time);
        let mut worth_it = true;
        if error.kind.retry_class() == RetryClass::Resource && !self.grow(number, error.kind, id)? {
            // Of many blocks that take their time, the one in hand is not the cause.
            worth_it = error.kind == Kind::TimeLimit && journal.as_deref().is_some_and(has_done);
            error = error.fix(
                "It is as much as the partition gives: use a smaller --block-shape, or more tasks \
                 (--workers).",
            );
        }
        if !log.is_empty() {
            error.traceback = Some(format!("The end of its log:\n{log}"));
        }
        let outside = error.kind == Kind::Cancelled;
        let task = &mut self.tasks[number];
        let mut given_up = None;
        match held {
            Some((block, _)) => {
                task.fruitless = 0;
                let again = if worth_it {
                    self.losses.note(block, error)?
                } else {
                    self.losses.give_up(block, error)?
                };
                if !again {
                    given_up = Some(block);
                    // The task's other blocks get by with what they had.
                    (task.memory, task.time) = before;
                }
            }
            None if outside => {}
            None => {
                task.fruitless += 1;
                let most = match error.kind.retry_class() {
                    RetryClass::Resource if worth_it => self.retries.min(1),
                    RetryClass::Resource => 0,
                    _ => self.retries,
                };
                if task.fruitless > most {
                    error.message = format!("{} before its first block", error.message);
                    return Err(error);
                }
            }
        }
        let next = if outside {
            self.cancelled_outside.push(number);
            Phase::Ended
        } else if self.open_block(number, monitor, given_up).is_none() {
            Phase::Ended
        } else {
            Phase::Waiting
        };
        self.tasks[number].phase = next;
        Ok(())
    }

    fn error_of(&self, number: usize, row: &Ended, log: &str) -> Error {
        let what = |kind, text: String| Error::new(kind, text);
        let Ended { end, state, exit, nodes } = row;
        let asked =
            |value: Option<String>| value.map_or(String::new(), |text| format!(" of {text}"));
        let settings = self.settings_of(number);
        // Without control groups the kernel's or Slurm's kill looks like any other.
        let short_of_memory = ["oom", "out of memory", "memory limit", "exceeded job memory"]
            .iter()
            .any(|words| log.to_ascii_lowercase().contains(words));
        match end {
            Some(End::OutOfMemory) => out_of_memory(number, asked(settings.mem)),
            Some(End::Failed) if short_of_memory || exit.ends_with(":125") => {
                out_of_memory(number, asked(settings.mem))
            }
            Some(End::Timeout) => what(
                Kind::TimeLimit,
                format!("task {number} ran over its time limit{}", asked(settings.time)),
            )
            .fix("Ask for more with --time, or use more tasks (--workers)."),
            Some(End::NodeFail) => {
                what(Kind::NodeFailed, format!("task {number} was lost with node {nodes}"))
            }
            Some(End::Preempted) => what(
                Kind::Preempted,
                format!("task {number} had to give way to a job that is more important"),
            ),
            Some(End::Cancelled) => {
                what(Kind::Cancelled, format!("task {number} was cancelled in Slurm ({state})"))
            }
            Some(End::Completed) => what(
                Kind::WorkerLost,
                format!(
                    "Slurm says that task {number} is completed, but its sentinels were not seen \
                     within {} s",
                    self.settings.latency_wait
                ),
            )
            .fix("Check that the node sees the run's folder, or raise latency_wait."),
            Some(End::Failed) | None => what(
                Kind::WorkerLost,
                format!(
                    "task {number} ended as {state} (exit status and signal {exit}) on {nodes}"
                ),
            ),
        }
    }

    /// What a task asks for by now.
    fn settings_of(&self, number: usize) -> SlurmSettings {
        let task = &self.tasks[number];
        SlurmSettings {
            mem: task.memory.map(memory_text).or_else(|| self.settings.mem.clone()),
            time: task.time.map(time_text).or_else(|| self.settings.time.clone()),
            ..self.settings.clone()
        }
    }

    /// Doubles what a task had too little of, as far as the partition has it. Returns whether there
    /// was more to be had.
    fn grow(&mut self, number: usize, kind: Kind, id: TaskId) -> Result<bool> {
        if self.limits.is_none() {
            self.limits = Limits::of(self.settings.partition.as_deref()).ok();
        }
        let limits = self.limits.unwrap_or_default();
        let task = &self.tasks[number];
        if kind == Kind::OutOfMemory {
            let before = match task.memory {
                Some(memory) => Some(memory),
                None => self.settings.memory()?.or_else(|| super::limits::memory_of(id)),
            };
            let Some(before) = before else { return Ok(true) };
            let after = (2 * before).min(limits.memory.unwrap_or(u64::MAX));
            self.tasks[number].memory = Some(after.max(before));
            return Ok(after > before);
        }
        let before = match task.time {
            Some(time) => Some(time),
            None => self.settings.time_limit()?.or_else(|| super::limits::time_of(id)),
        };
        let Some(before) = before else { return Ok(true) };
        let after = (2 * before).min(limits.time.unwrap_or(Duration::MAX));
        self.tasks[number].time = Some(after.max(before));
        Ok(after > before)
    }

    /// Submits the tasks that wait. Once the run is going, a controller that is being restarted does not
    /// end it.
    fn submit_patiently(&mut self) -> Result<()> {
        if self.submit_at > Instant::now() {
            return Ok(());
        }
        let Err(error) = self.submit() else {
            self.refused = None;
            return Ok(());
        };
        let recorded = self.jobs.of_attempt(self.attempt.number);
        let since = *self.refused.get_or_insert_with(Instant::now);
        if recorded.is_empty() || !is_passing(&error) || since.elapsed() > PATIENCE {
            return Err(error);
        }
        // It may have taken the job and lost its answer.
        let _ = cancel_unrecorded(&self.name, &recorded);
        self.submit_at = Instant::now() + FIRST_LOOK;
        Ok(())
    }

    /// Submits the tasks that wait, in as few job arrays as what they ask for allows.
    fn submit(&mut self) -> Result<()> {
        let mut groups: BTreeMap<(Option<u64>, Option<Duration>), Vec<usize>> = BTreeMap::new();
        for (number, task) in self.tasks.iter().enumerate() {
            if matches!(task.phase, Phase::Waiting) {
                groups.entry((task.memory, task.time)).or_default().push(number);
            }
        }
        if groups.is_empty() {
            return Ok(());
        }
        let size = match self.settings.max_array_size {
            Some(size) => size,
            None => max_array_size()?,
        };
        // Indices stay below the size.
        let size = size.max(1) as usize;
        for tasks in groups.into_values() {
            let settings = self.settings_of(tasks[0]);
            let mut after = None;
            let mut rest = &tasks[..];
            while let Some(&first) = rest.first() {
                // One array is followed by the next, so that the throttle holds for all of them.
                let many = rest.partition_point(|&task| task - first < size);
                let (these, others) = rest.split_at(many);
                rest = others;
                let excluded = self.excluded();
                let submit = Submit {
                    name: &self.name,
                    folder: self.folder.path(),
                    attempt: self.attempt.number,
                    settings: &settings,
                    tasks: these,
                    first,
                    throttle: self.attempt.workers,
                    after,
                    exclude: &excluded,
                    command: &self.command,
                };
                let job = self.jobs.submit(&self.folder, &submit)?;
                after = Some(job);
                for &task in these {
                    let id = (job, (task - first) as u64);
                    self.tasks[task].phase = Phase::Submitted { id, gone: None };
                }
            }
        }
        self.ask_at = self.ask_at.min(Instant::now() + FIRST_LOOK);
        Ok(())
    }
}

/// Whether a launch has done any block.
fn has_done(journal: &Path) -> bool {
    let bytes = std::fs::read(journal).unwrap_or_default();
    parse(&bytes).0.any(|event| matches!(event, Event::Done { .. }))
}

fn out_of_memory(number: usize, asked: String) -> Error {
    Error::new(Kind::OutOfMemory, format!("task {number} ran out of its memory{asked}"))
        .fix("Ask for more with --mem, or use a smaller --block-shape.")
}

/// Whether a controller may take a job later that it did not take now.
fn is_passing(error: &Error) -> bool {
    let words =
        ["unable to contact", "timed out", "connection refused", "temporarily", "did not answer"];
    let message = error.message.to_ascii_lowercase();
    words.iter().any(|word| message.contains(word))
}

/// A scheduler that cannot be reached now is asked again, and every worker sees the `cancel` file.
fn cancel_jobs(jobs: &[u64]) {
    let _ = cancel(jobs);
}

fn jobs_of(ids: impl Iterator<Item = TaskId>) -> Vec<u64> {
    let mut jobs: Vec<u64> = ids.map(|id| id.0).collect();
    jobs.sort_unstable();
    jobs.dedup();
    jobs
}
