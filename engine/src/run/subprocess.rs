//! The subprocess backend: a process of `bp worker` for each task, watched and started again when it
//! is lost. The protocol is the run folder alone, so that the same workers serve a cluster.

use super::cancel::CancelToken;
use super::folder::{Attempt, Request, RunFolder};
use super::language;
use super::losses::{Losses, in_hand};
use super::worker::append;
use crate::error::{Error, Kind, Result};
use crate::op::OperationSpec;
use std::collections::VecDeque;
use std::env::var_os;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a cancelled worker may take for the block in hand before it is killed.
const GRACE: Duration = Duration::from_millis(900);

/// How long a worker that took too long may take to end by itself.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Worker processes of one stage of an attempt.
pub struct Pool {
    command: Vec<OsString>,
    folder: RunFolder,
    stage: usize,
    attempt: u32,
    retries: u32,
    task_timeout: Option<Duration>,
    waiting: VecDeque<Launch>,
    running: Vec<Running>,
    slots: usize,
    losses: Losses,
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
    /// Prepares the workers of a stage; [`Pool::step`] starts them. `program` is the `bp` program.
    ///
    /// # Errors
    /// `not-found` if there is no `bp` program; `unsupported-format` if the run needs a language that
    /// this process does not have.
    pub fn new(
        folder: &RunFolder,
        request: &Request,
        stage: usize,
        tasks: impl Iterator<Item = usize>,
        attempt: &Attempt,
        program: Option<PathBuf>,
        task_timeout: Option<Duration>,
    ) -> Result<Self> {
        let command = worker_command(request.language.as_deref(), &request.operation, program)?;
        Ok(Pool {
            command,
            folder: folder.clone(),
            stage,
            attempt: attempt.number,
            retries: request.retries,
            task_timeout,
            waiting: tasks.map(|task| Launch { task, launch: 0, fruitless: 0 }).collect(),
            running: Vec::new(),
            slots: attempt.workers as usize,
            losses: Losses::of(folder, stage, attempt.number, request.retries),
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
        let in_hand = in_hand(&self.folder.journal(self.stage, &name, self.attempt));
        let fruitless = if in_hand.is_some() { 0 } else { launch.fruitless + 1 };
        if fruitless > self.retries {
            return Err(Error::new(
                Kind::WorkerLost,
                format!("the worker of task {} {what} before its first block\n{tail}", launch.task),
            )
            .fix("See its log in the run folder."));
        }
        if let Some((block, _)) = in_hand {
            let kind = if late { Kind::TimedOut } else { Kind::WorkerLost };
            let mut error = Error::new(kind, format!("the worker on block {block} {what}"));
            if !tail.is_empty() {
                error.traceback = Some(format!("The end of its log:\n{tail}"));
            }
            self.losses.note(block, error)?;
        }
        self.waiting.push_back(Launch { task: launch.task, launch: launch.launch + 1, fruitless });
        Ok(())
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

pub(super) fn task_name(task: usize, launch: u32) -> String {
    if launch == 0 { task.to_string() } else { format!("{task}-{launch}") }
}

/// Task and launch of a journal's name: `3`, `3-1`.
pub(super) fn launch_of(name: &str) -> Option<(usize, u32)> {
    let (task, launch) = name.split_once('-').unwrap_or((name, "0"));
    Some((task.parse().ok()?, launch.parse().ok()?))
}

/// The command line of a worker process; what tells it its task is appended.
///
/// # Errors
/// `not-found` if there is no `bp` program; `unsupported-format` if the run needs a language that this
/// process does not have.
pub(super) fn worker_command(
    language: Option<&str>,
    operation: &OperationSpec,
    program: Option<PathBuf>,
) -> Result<Vec<OsString>> {
    Ok(match language {
        Some(name) => language::find(name)?.worker(operation),
        None => vec![program.map_or_else(find_program, Ok)?.into(), "worker".into()],
    })
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
