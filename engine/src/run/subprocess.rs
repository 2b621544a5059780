//! The subprocess backend: a process of `bp worker` for each task, watched and started again when it
//! is lost. The protocol is the run folder alone, so that the same workers serve a cluster.

use super::cancel::CancelToken;
use super::folder::{Attempt, BlockSet, Request, RunFolder};
use super::journal::{DRIVER, Event, Journal, now, parse};
use super::language;
use super::lock::OutputLock;
use super::process::MemoryGauge;
use super::worker::{Job, Orders, append, commit_in_background, work};
use crate::error::{Error, Kind, Result, RetryClass};
use std::collections::{BTreeMap, VecDeque};
use std::env::var_os;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a cancelled worker may take for the block in hand before it is killed.
const GRACE: Duration = Duration::from_millis(900);

/// How long a worker that took too long may take to end by itself.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Worker processes of one attempt.
pub struct Pool {
    command: Vec<OsString>,
    folder: RunFolder,
    attempt: u32,
    retries: u32,
    task_timeout: Option<Duration>,
    waiting: VecDeque<Launch>,
    running: Vec<Running>,
    slots: usize,
    journal: Option<Journal>,
    losses: BTreeMap<u64, u32>,
    cancelled: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Launch {
    task: usize,
    launch: u32,
    fruitless: u32,
}

struct Running {
    launch: Launch,
    child: Child,
    started: Instant,
}

impl Running {
    /// Lets a worker say in its log what it was at, before it is killed.
    fn ask_to_end(&mut self) {
        let process = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let asked =
            process.map(|id| rustix::process::kill_process(id, rustix::process::Signal::TERM));
        let begun = Instant::now();
        while asked == Some(Ok(()))
            && begun.elapsed() < LAST_WORDS
            && matches!(self.child.try_wait(), Ok(None))
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Pool {
    /// Prepares the workers of an attempt; [`Pool::step`] starts them. `program` is the `bp` program.
    ///
    /// # Errors
    /// `not-found` if there is no `bp` program; `unsupported-format` if the run needs a language that
    /// this process does not have.
    pub fn new(
        folder: &RunFolder,
        request: &Request,
        attempt: &Attempt,
        program: Option<PathBuf>,
        task_timeout: Option<Duration>,
    ) -> Result<Self> {
        let command = match &request.language {
            Some(name) => language::find(name)?.worker(request),
            None => vec![program.map_or_else(find_program, Ok)?.into(), "worker".into()],
        };
        let tasks = (0..attempt.tasks.len()).filter(|&task| !attempt.tasks[task].is_empty());
        Ok(Pool {
            command,
            folder: folder.clone(),
            attempt: attempt.number,
            retries: request.retries,
            task_timeout,
            waiting: tasks.map(|task| Launch { task, launch: 0, fruitless: 0 }).collect(),
            running: Vec::new(),
            slots: attempt.workers as usize,
            journal: None,
            losses: BTreeMap::new(),
            cancelled: None,
        })
    }

    /// Starts waiting tasks, takes note of ended ones, enforces time limits. Returns whether
    /// anything is left to wait for.
    ///
    /// # Errors
    /// `worker-lost` if workers cannot be started or end before their first block again and again.
    pub fn step(&mut self, cancel: &CancelToken) -> Result<bool> {
        if cancel.is_cancelled() && self.cancelled.is_none() {
            self.cancelled = Some(Instant::now());
            self.waiting.clear();
            // Workers watch their standard input: its end asks them to stop.
            self.running.iter_mut().for_each(|running| drop(running.child.stdin.take()));
        }
        let overdue = self.cancelled.is_some_and(|since| since.elapsed() > GRACE);
        let mut index = 0;
        while index < self.running.len() {
            let running = &mut self.running[index];
            let late = self.task_timeout.is_some_and(|limit| running.started.elapsed() > limit);
            if late && !overdue {
                running.ask_to_end();
            }
            if late || overdue {
                let _ = running.child.kill();
            }
            match running.child.try_wait() {
                Ok(None) if !late && !overdue => index += 1,
                Ok(None) | Err(_) => {
                    let mut running = self.running.swap_remove(index);
                    let status = running.child.wait().unwrap_or_else(|_| ExitStatus::from_raw(9));
                    self.note_end(running.launch, status, late)?;
                }
                Ok(Some(status)) => {
                    let launch = self.running.swap_remove(index).launch;
                    self.note_end(launch, status, late)?;
                }
            }
        }
        while self.cancelled.is_none() && self.running.len() < self.slots {
            let Some(launch) = self.waiting.pop_front() else { break };
            let child = self.spawn(launch)?;
            self.running.push(Running { launch, child, started: Instant::now() });
        }
        Ok(!self.running.is_empty() || !self.waiting.is_empty())
    }

    fn spawn(&self, launch: Launch) -> Result<Child> {
        let name = task_name(launch.task, launch.launch);
        let log = |stream| {
            let path = self.folder.log(&name, self.attempt, stream);
            append(&path).map_err(|error| Error::write(&path, &error))
        };
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(Error::internal("there is no command line for workers"));
        };
        // Workers are the parallelism; libraries with threads of their own would only compete.
        let alone = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];
        Command::new(program)
            .envs(alone.iter().filter(|name| var_os(name).is_none()).map(|name| (name, "1")))
            .args(arguments)
            .arg(self.folder.path())
            .args(["--task", &launch.task.to_string()])
            .args(["--attempt", &self.attempt.to_string()])
            .args(["--launch", &launch.launch.to_string()])
            .stdin(Stdio::piped())
            .stdout(log("out")?)
            .stderr(log("err")?)
            .spawn()
            .map_err(|error| {
                Error::new(
                    Kind::WorkerLost,
                    format!("cannot start the worker '{}': {error}", program.display()),
                )
                .fix("Check that the program can be run, or use --backend local.")
            })
    }

    fn note_end(&mut self, launch: Launch, status: ExitStatus, late: bool) -> Result<()> {
        if status.success() || self.cancelled.is_some() {
            return Ok(());
        }
        let name = task_name(launch.task, launch.launch);
        let what = match (late, status.signal(), status.code()) {
            (true, ..) => "took longer than a task may and was killed".to_owned(),
            (_, Some(signal), _) => format!("was killed by signal {signal}"),
            (_, _, code) => format!("ended with status {}", code.unwrap_or(-1)),
        };
        let tail = tail(&self.folder.log(&name, self.attempt, "err"), 2000);
        let in_hand = in_hand(&self.folder.journal(&name, self.attempt));
        let fruitless = if in_hand.is_some() { 0 } else { launch.fruitless + 1 };
        if fruitless > self.retries {
            return Err(Error::new(
                Kind::WorkerLost,
                format!("the worker of task {} {what} before its first block\n{tail}", launch.task),
            )
            .fix("See its log in the run folder."));
        }
        if let Some(block) = in_hand {
            let losses = self.losses.entry(block).or_default();
            *losses += 1;
            let again = *losses <= self.retries;
            let kind = if late { Kind::TimedOut } else { Kind::WorkerLost };
            let mut error = Error::new(kind, format!("the worker on block {block} {what}"));
            if !tail.is_empty() {
                error.traceback = Some(format!("The end of its log:\n{tail}"));
            }
            let event = Event::Failed { block, time: now(), seconds: 0.0, error, again };
            self.own_journal()?.write(&event)?;
        }
        self.waiting.push_back(Launch { task: launch.task, launch: launch.launch + 1, fruitless });
        Ok(())
    }

    /// The journal of what workers could not write down themselves.
    fn own_journal(&mut self) -> Result<&mut Journal> {
        if self.journal.is_none() {
            let path = self.folder.journal(DRIVER, self.attempt);
            self.journal = Some(Journal::create(&path)?);
        }
        self.journal.as_mut().ok_or_else(|| Error::internal("the driver has no journal"))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for running in &mut self.running {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

fn task_name(task: usize, launch: u32) -> String {
    if launch == 0 { task.to_string() } else { format!("{task}-{launch}") }
}

/// The block that a journal says is begun and not ended.
fn in_hand(journal: &Path) -> Option<u64> {
    let mut in_hand = None;
    for event in parse(&std::fs::read(journal).ok()?).0 {
        match event {
            Event::Start { block, .. } => in_hand = Some(block),
            Event::Done { .. } | Event::Skipped { .. } | Event::Failed { .. } => in_hand = None,
            _ => {}
        }
    }
    in_hand
}

/// The end of a text file.
pub fn tail(path: &Path, bytes: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let from = text.len().saturating_sub(bytes);
    String::from_utf8_lossy(&text[from..]).trim().to_owned()
}

/// The `bp` program: this one, the one beside it, or the one on the path.
///
/// # Errors
/// `not-found`.
pub fn find_program() -> Result<PathBuf> {
    let own = std::env::current_exe().ok();
    let beside = own.as_ref().map(|own| own.with_file_name("bp"));
    if let Some(found) = std::env::var_os("BIOIMAGE_RS_BP").map(PathBuf::from).or(beside)
        && found.is_file()
    {
        return Ok(found);
    }
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("bp"))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::new(Kind::NotFound, "there is no program 'bp' for worker processes")
                .fix("Install bioimage-rs so that bp is on the PATH, or use --backend local.")
        })
}

/// The body of `bp worker`: works on one task of a run, until it is done or the standard input ends.
///
/// # Errors
/// Those of opening the run and its arrays, and of writing the journal.
pub fn work_as_process(folder: &Path, task: usize, attempt: u32, launch: u32) -> Result<()> {
    let cancel = CancelToken::new();
    stop_with_parent(cancel.clone());
    let folder = RunFolder::open(folder)?;
    let name = task_name(task, launch);
    let job = match Job::open(folder.clone()) {
        Ok(job) => job,
        // It would fail the same way again: the task's first block is said to fail of it, and the
        // others are left for a resume.
        Err(error) if error.kind.retry_class() == RetryClass::Deterministic => {
            return note_refusal(&folder, attempt, task, launch, error);
        }
        Err(error) => return Err(error),
    };
    let held = job
        .outputs
        .iter()
        .filter_map(|output| output.storage())
        .map(|storage| OutputLock::join(&storage))
        .collect::<Result<Vec<_>>>()?;
    let plan = job.folder.attempt(attempt)?;
    let groups = plan.tasks.get(task).ok_or_else(|| {
        Error::argument(format!("attempt {attempt} has {} tasks, not {task}", plan.tasks.len()))
    })?;
    let blocks = job.plan.grid.len();
    let todo = job.folder.todo(attempt, blocks)?;
    let dealt_with = dealt_with(&job.folder, task, attempt, launch, blocks)?;
    let journal = Journal::create(&job.folder.journal(&name, attempt))?;
    let journals = [Mutex::new(journal)];
    job.set_held_memory();
    let finished = CancelToken::new();
    let orders = Orders {
        todo: todo.as_ref(),
        dealt_with: Some(&dealt_with),
        clean: attempt > 1 || launch > 0,
        upcoming: None,
        cancel: &cancel,
        memory: &MemoryGauge::whole_process(),
        log: job.folder.log(&name, attempt, "err"),
    };
    let blocks =
        groups.iter().flat_map(|group| job.plan.ownership.blocks_of(&job.plan.grid, group));
    let result = std::thread::scope(|scope| {
        let committer = scope.spawn(|| commit_in_background(&job, &journals, &finished));
        let result = work(&job, blocks, &orders, &journals[0]);
        finished.cancel();
        let committed = committer.join();
        result.and(committed.unwrap_or_else(|_| Err(Error::internal("the committer panicked"))))
    });
    drop(held);
    job.give_back_held_memory();
    result
}

fn note_refusal(
    folder: &RunFolder,
    attempt: u32,
    task: usize,
    launch: u32,
    error: Error,
) -> Result<()> {
    let (plan, tasks) = (folder.plan()?, folder.attempt(attempt)?.tasks);
    let todo = folder.todo(attempt, plan.grid.len())?;
    let dealt_with = dealt_with(folder, task, attempt, launch, plan.grid.len())?;
    let mut blocks = tasks
        .get(task)
        .into_iter()
        .flat_map(|task| task.iter().flat_map(|group| plan.ownership.blocks_of(&plan.grid, group)));
    let open = |block: &u64| {
        todo.as_ref().is_none_or(|todo| todo.contains(*block)) && !dealt_with.contains(*block)
    };
    let Some(block) = blocks.find(open) else {
        return Err(error);
    };
    let mut journal = Journal::create(&folder.journal(&task_name(task, launch), attempt))?;
    journal.start(block)?;
    let time = now();
    journal.write(&Event::Failed { block, time, seconds: 0.0, error, again: false })?;
    journal.write(&Event::End { time, peak_memory: None })
}

/// Whoever started this worker holds the other end of its standard input for as long as it lives.
fn stop_with_parent(cancel: CancelToken) {
    std::thread::spawn(move || {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(n) if n > 0) {}
        cancel.cancel();
    });
}

/// The blocks that earlier launches of a task ended, or that were given up for killing workers.
fn dealt_with(
    folder: &RunFolder,
    task: usize,
    attempt: u32,
    launch: u32,
    blocks: u64,
) -> Result<BlockSet> {
    let mut set = BlockSet::empty(blocks);
    let earlier = (0..launch).map(|launch| task_name(task, launch)).chain([DRIVER.to_owned()]);
    for name in earlier {
        let Ok(bytes) = std::fs::read(folder.journal(&name, attempt)) else { continue };
        for event in parse(&bytes).0 {
            if let Event::Done { block, .. }
            | Event::Skipped { block, .. }
            | Event::Failed { block, again: false, .. } = event
                && block < blocks
            {
                set.insert(block);
            }
        }
    }
    Ok(set)
}
