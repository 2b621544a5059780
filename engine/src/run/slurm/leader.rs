//! Leads an attempt on a cluster: submits its tasks, follows them by sentinels and by what Slurm says,
//! and submits again what is worth it.

use super::client::{call, max_array_size};
use super::jobs::{self, Jobs, cancel_others, name_of};
use super::limits::Limits;
use super::script::Submit;
use super::settings::{SlurmSettings, memory_text, parse_memory, parse_time, time_text};
use super::state::{End, Ended, Queued, TaskId, accounting, id_text, queue};
use crate::error::{Error, Kind, Result, RetryClass};
use crate::plan::Plan;
use crate::run::cancel::CancelToken;
use crate::run::folder::{Attempt, BlockSet, Request, RunFolder};
use crate::run::journal::{Event, parse};
use crate::run::losses::{Losses, in_hand};
use crate::run::monitor::{BlockState, Monitor};
use crate::run::process::ProcessId;
use crate::run::subprocess::{launch_of, tail, task_name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
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
/// How long after a refusal tasks are submitted again.
const RESUBMIT: Duration = Duration::from_secs(5);
/// How long accounting may be silent before tasks that left the queue are taken for lost.
const NO_ACCOUNTING: Duration = Duration::from_secs(600);
/// A node is left out after so many failures.
const STRIKES: u32 = 2;

/// Where a task stands.
#[derive(Clone, Debug)]
enum Phase {
    /// To be submitted.
    Waiting,
    /// Submitted, and since when Slurm has not had it in its queue any more.
    Submitted { id: TaskId, gone: Option<Gone> },
    /// Nothing more will come of it.
    Ended,
}

/// A task that Slurm does not have in its queue any more.
#[derive(Clone, Copy, Debug)]
struct Gone {
    since: Instant,
    /// Since when accounting has answered without knowing how it ended.
    unknown: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Task {
    phase: Phase,
    /// Number of its latest launch that has a journal.
    launch: Option<u32>,
    /// The latest launch of which the end has been noted.
    spent: Option<u32>,
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

/// The leader of a stage of an attempt.
pub struct Leader {
    folder: RunFolder,
    plan: Plan,
    stage: usize,
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
    schedule: Schedule,
    ask_at: Instant,
    submit_at: Instant,
    refused: Option<Instant>,
    cancelled: Option<Instant>,
    cancelled_outside: Vec<usize>,
}

impl Task {
    /// The launch of which the end has not been noted.
    fn live_launch(&self) -> Option<u32> {
        self.launch.filter(|launch| self.spent.is_none_or(|spent| spent < *launch))
    }
}

impl Leader {
    /// Takes the lead of a stage of an attempt, whose tasks may have been submitted by another process.
    ///
    /// # Errors
    /// `run-damaged`, `scheduler-failed`.
    pub fn new(
        folder: &RunFolder,
        request: &Request,
        plan: Plan,
        stage: usize,
        attempt: Attempt,
    ) -> Result<Leader> {
        let settings = attempt.slurm.clone().unwrap_or_default();
        let jobs = Jobs::of(folder)?;
        let name = name_of(request);
        let is_of_stage =
            |task: &crate::plan::Task| !task.is_empty() && plan.stage_of_task(task) == stage;
        let submitted = jobs.submissions.iter().filter(|one| one.attempt == attempt.number);
        let submitted =
            submitted.flat_map(|one| &one.tasks).filter_map(|&task| attempt.tasks.get(task));
        let adopted = submitted.into_iter().any(is_of_stage);
        if attempt.number > 1 || attempt.driver != ProcessId::current() {
            // A controller that does not answer now knows of such jobs in the rarest of cases.
            let _ = cancel_others(&name, &jobs.of_attempt(attempt.number));
        }
        let new_task = |task: &crate::plan::Task| Task {
            phase: if is_of_stage(task) { Phase::Waiting } else { Phase::Ended },
            launch: None,
            spent: None,
            fruitless: 0,
            memory: None,
            time: None,
        };
        let mut tasks: Vec<Task> = attempt.tasks.iter().map(new_task).collect();
        if adopted {
            take_over(&mut tasks, &jobs, attempt.number, &settings, &Monitor::open(folder)?);
        }
        let todo = folder.todo(attempt.number, plan.blocks())?;
        Ok(Leader {
            losses: Losses::of(folder, stage, attempt.number, request.retries),
            folder: folder.clone(),
            plan,
            stage,
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
            schedule: Schedule::default(),
            ask_at: Instant::now() + if adopted { Duration::ZERO } else { FIRST_LOOK },
            submit_at: Instant::now(),
            refused: None,
            cancelled: None,
            cancelled_outside: Vec::new(),
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
            // A scheduler that cannot be reached is asked again; every worker sees the `cancel` file.
            let _ = self.folder.ask_cancel();
            let _ = jobs::cancel(&self.jobs.of_attempt(self.attempt.number));
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

    /// Takes back what was submitted, and waits until it is gone.
    pub fn give_up(&mut self) {
        let recorded = self.jobs.of_attempt(self.attempt.number);
        // Workers see the file even if the controller cannot be reached.
        let _ = self.folder.ask_cancel();
        let _ = jobs::cancel(&recorded);
        let _ = cancel_others(&self.name, &recorded);
        let since = Instant::now();
        while matches!(self.await_cancelled(since), Ok(true)) {
            std::thread::sleep(Duration::from_millis(100));
        }
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
                let _ = jobs::cancel(&jobs);
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
            if task.launch.is_none_or(|latest| latest < launch) {
                restarted.extend(task.live_launch().map(|before| (number, before)));
                task.launch = Some(launch);
            }
            // What it left undone it has given up.
            if worker.ended && task.live_launch() == Some(launch) {
                task.phase = Phase::Ended;
            }
        }
        restarted.into_iter().try_for_each(|(task, launch)| self.note_restart(task, launch))
    }

    fn journal(&self, task: usize, launch: u32) -> PathBuf {
        self.folder.journal(self.stage, &task_name(task, launch), self.attempt.number)
    }

    /// A block of a task that is to be done and has not ended.
    fn open_block(&self, task: usize, monitor: &Monitor, except: Option<u64>) -> Option<u64> {
        let groups = self.attempt.tasks.get(task)?.iter();
        groups.flat_map(|group| self.plan.blocks_of(group)).find(|&block| {
            let ended = matches!(
                monitor.states().get(block as usize),
                Some(BlockState::Done | BlockState::Skipped | BlockState::Failed)
            );
            let wanted = self.todo.as_ref().is_none_or(|todo| todo.contains(block));
            wanted && !ended && Some(block) != except
        })
    }

    /// Slurm has started a task again by itself: after its node failed, or for a job that was more
    /// important.
    fn note_restart(&mut self, number: usize, launch: u32) -> Result<()> {
        let Phase::Submitted { id, .. } = self.tasks[number].phase else { return Ok(()) };
        self.tasks[number].spent = Some(launch);
        let journal = self.journal(number, launch);
        let Some((block, since)) = in_hand(&journal) else { return Ok(()) };
        let id = id_text(id);
        let arguments = ["-D", "-X", "-n", "-P", "--format=State,NodeList", "-j", &id];
        let rows = call("sacct", &arguments).unwrap_or_default();
        let earlier = rows.lines().rev().skip(1).find_map(|line| line.split_once('|'));
        let (state, node) = earlier.unwrap_or(("REQUEUED", ""));
        let kind = if state.starts_with("PREEMPTED") { Kind::Preempted } else { Kind::NodeFailed };
        let error = Error::new(
            kind,
            format!(
                "task {number} was lost on block {block} and started again by Slurm: {state} {node}"
            ),
        );
        if kind == Kind::NodeFailed {
            self.strike(node);
        }
        // Before the new launch's own events, as it happened.
        if !self.losses.note_at(since, block, error)? {
            // It is working on that block again, which has cost too many workers.
            let _ = jobs::cancel(&[id]);
            self.tasks[number].spent = self.tasks[number].launch;
            self.tasks[number].phase = Phase::Waiting;
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
            let Phase::Submitted { gone: left, .. } = &mut self.tasks[number].phase else {
                continue;
            };
            match queued.get(&id) {
                Some(Queued { running, reason }) => {
                    *left = None;
                    let state = if *running { "running" } else { "pending" };
                    let job = id_text(id);
                    shown.insert(
                        number,
                        Scheduled { job, state: state.to_owned(), reason: reason.clone() },
                    );
                }
                None => {
                    let now = Gone { since: Instant::now(), unknown: None };
                    gone.push((number, id, *left.get_or_insert(now)));
                }
            }
        }
        self.show(shown)?;
        if gone.is_empty() {
            return Ok(());
        }
        let rows = match accounting(&jobs_of(gone.iter().map(|(_, id, _)| *id))) {
            Ok(rows) => rows,
            // Where there is no accounting, a task that has left the queue has ended somehow.
            Err(_) if gone.iter().any(|(.., gone)| gone.since.elapsed() > NO_ACCOUNTING) => {
                BTreeMap::new()
            }
            Err(_) => return Ok(()),
        };
        for (number, id, gone) in gone {
            let row = rows.get(&id);
            if let Some(ended) = self.believed(number, row, gone) {
                self.note_lost(number, &ended, monitor)?;
            }
        }
        Ok(())
    }

    /// How a task ended that the queue does not have any more, once that is certain: its sentinels may
    /// only be late, and accounting lags behind.
    fn believed(&mut self, number: usize, row: Option<&Ended>, gone: Gone) -> Option<Ended> {
        let grace = GRACE.max(seconds(self.settings.poll_interval));
        let latency = seconds(self.settings.latency_wait);
        if let Some(row) = row
            && let Some(end) = row.end
        {
            let patience = if end == End::Completed { latency } else { grace };
            return (gone.since.elapsed() >= patience).then(|| row.clone());
        }
        let Phase::Submitted { gone: Some(gone), .. } = &mut self.tasks[number].phase else {
            return None;
        };
        let unknown = gone.unknown.get_or_insert_with(Instant::now).elapsed();
        // A row without an end may be about to get one.
        let patience = if row.is_some() { latency.max(UNKNOWN) } else { UNKNOWN.max(grace) };
        // A task that was cancelled while it waited may leave no row at all.
        let has_run = row.is_some() || self.tasks[number].live_launch().is_some();
        (unknown >= patience).then(|| Ended {
            end: Some(if has_run { End::Failed } else { End::Cancelled }),
            state: if has_run { "UNKNOWN" } else { "CANCELLED" }.to_owned(),
            exit: "unknown".to_owned(),
            nodes: row.map_or_else(String::new, |row| row.nodes.clone()),
        })
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
        let journal = self.tasks[number].live_launch().map(|launch| self.journal(number, launch));
        let held = journal.as_deref().and_then(in_hand);
        self.tasks[number].spent = self.tasks[number].launch;
        // Should Slurm mean to start it again by itself.
        let _ = jobs::cancel(&[id_text(id)]);
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
            Some(End::Timeout) => Error::new(
                Kind::TimeLimit,
                format!("task {number} ran over its time limit{}", asked(settings.time)),
            )
            .fix("Ask for more with --time, or use more tasks (--workers)."),
            Some(End::NodeFail) => {
                Error::new(Kind::NodeFailed, format!("task {number} was lost with node {nodes}"))
            }
            Some(End::Preempted) => Error::new(
                Kind::Preempted,
                format!("task {number} had to give way to a job that is more important"),
            ),
            Some(End::Cancelled) => Error::new(
                Kind::Cancelled,
                format!("task {number} was cancelled in Slurm ({state})"),
            ),
            Some(End::Completed) => Error::new(
                Kind::WorkerLost,
                format!(
                    "Slurm says that task {number} is completed, but its sentinels were not seen \
                     within {} s",
                    self.settings.latency_wait
                ),
            )
            .fix("Check that the node sees the run's folder, or raise latency_wait."),
            Some(End::Failed) | None => Error::new(
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
    /// end it, and a limit on jobs is waited for while others of the run's tasks work.
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
        let goes_on = self.is_anything_submitted();
        let may_pass = !recorded.is_empty() && is_passing(&error) && since.elapsed() < PATIENCE;
        if !goes_on && !may_pass {
            return Err(error);
        }
        // It may have taken the job and lost its answer.
        let _ = cancel_others(&self.name, &recorded);
        self.submit_at = Instant::now() + RESUBMIT;
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

/// Tasks as an earlier leader left them: where they were submitted, what they ask for by now, and
/// which launches it has dealt with.
fn take_over(
    tasks: &mut [Task],
    jobs: &Jobs,
    attempt: u32,
    settings: &SlurmSettings,
    monitor: &Monitor,
) {
    for submission in jobs.submissions.iter().filter(|one| one.attempt == attempt) {
        let grown =
            |now: &Option<String>, first: &Option<String>| now.clone().filter(|_| now != first);
        let memory = grown(&submission.mem, &settings.mem);
        let time = grown(&submission.time, &settings.time);
        for &number in &submission.tasks {
            // Those of other stages are not to be led.
            let waits = |task: &&mut Task| matches!(task.phase, Phase::Waiting);
            let Some(task) = tasks.get_mut(number).filter(waits) else { continue };
            task.phase = Phase::Submitted { id: submission.id_of(number), gone: None };
            task.memory = memory.as_deref().and_then(|text| parse_memory(text).ok());
            task.time = time.as_deref().and_then(|text| parse_time(text).ok());
            for launch in 0.. {
                let Some(worker) = monitor.workers().get(&task_name(number, launch)) else { break };
                if worker.began < submission.submitted {
                    task.spent = Some(launch);
                }
                // Restarts under the earlier leader were its to note.
                task.launch = Some(launch);
            }
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 86400.0))
}

fn jobs_of(ids: impl Iterator<Item = TaskId>) -> Vec<u64> {
    let mut jobs: Vec<u64> = ids.map(|id| id.0).collect();
    jobs.sort_unstable();
    jobs.dedup();
    jobs
}
