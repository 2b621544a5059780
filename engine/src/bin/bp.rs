//! The shell command `bp`.

use bioimage_engine::command::{Command, Host, Reply, RunView, drive, exit_status, kernel_program};
use bioimage_engine::run::cancel::CancelToken;
use bioimage_engine::run::live::LiveView;
use bioimage_engine::run::{Outcome, work_as_process};
use bioimage_engine::{Error, Kind};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // Workers are started by the hundred: nothing is set up for them that they do not need.
    match arguments.next().as_deref().and_then(|verb| verb.to_str()) {
        Some("worker") => finish(worker(&arguments.collect::<Vec<_>>()), false),
        Some("drive") => finish(detached(&arguments.collect::<Vec<_>>()), false),
        Some("kernel") => finish(kernel(arguments), false),
        _ => shell(),
    }
}

fn words(arguments: impl Iterator<Item = OsString>) -> Result<Vec<String>, Error> {
    let word = |argument: OsString| {
        argument.into_string().map_err(|argument| {
            Error::argument(format!("'{}' is not UTF-8", argument.to_string_lossy()))
                .fix("Rename the file.")
        })
    };
    arguments.map(word).collect()
}

fn shell() -> ExitCode {
    let command = match words(std::env::args_os().skip(1)).and_then(Command::from_words) {
        Ok(command) => command,
        // What a line that is not understood asks for can only be guessed.
        Err(error) => {
            let json = std::env::args_os().any(|argument| argument == "--json");
            return finish(Err(error), json);
        }
    };
    let (json, quiet) = (command.wants_json(), command.is_quiet());
    let mut terminal = Terminal { cancel: CancelToken::new(), quiet, progress: None };
    if let Err(error) = listen_to_interrupts(terminal.cancel.clone()) {
        return finish(Err(error), json);
    }
    let result = command.run(&mut terminal).map(|reply| print_reply(&reply));
    finish(result, json)
}

fn print_reply(reply: &Reply) {
    let text = match reply {
        Reply::Nothing => return,
        Reply::Text(text) => text.clone(),
        Reply::Value(value) => value.text.clone(),
        Reply::Panel(panel) => panel.text(),
        Reply::Run(view) => {
            let live = LiveView::open(view.clone(), None).and_then(|mut live| {
                live.poll()?;
                Ok(live.text())
            });
            live.unwrap_or_else(|_| view.folder.name())
        }
    };
    // A reader that has gone away, such as `head`, is no error.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn finish(result: Result<(), Error>, json: bool) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if json {
        let _ = writeln!(std::io::stdout(), "{:#}", json!({ "error": error }));
    } else {
        let _ = writeln!(std::io::stderr(), "bp: {}", error.report());
    }
    ExitCode::from(exit_status(error.kind))
}

/// `bp worker RUN --task N --attempt N [--launch N]`, by which backends start workers.
fn worker(arguments: &[OsString]) -> Result<(), Error> {
    // An interrupt from the terminal is for the process that leads the run; it tells its workers.
    let ignored = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, ignored).map_err(|error| signals(&error))?;
    let usage = || Error::argument("bp worker takes RUN --task N --attempt N [--launch N]");
    let (folder, options) = arguments.split_first().ok_or_else(usage)?;
    let number = |name: &str| -> Result<Option<u32>, Error> {
        let Some(at) = options.iter().position(|word| word == name) else { return Ok(None) };
        let value = options.get(at + 1).and_then(|value| value.to_str());
        value.and_then(|value| value.parse().ok()).map(Some).ok_or_else(usage)
    };
    let task = number("--task")?.ok_or_else(usage)? as usize;
    let attempt = number("--attempt")?.ok_or_else(usage)?;
    let result = work_as_process(Path::new(folder), task, attempt, number("--launch")?);
    // Whatever the kind, a worker that gives up has failed.
    result.map_err(|error| Error { kind: Kind::WorkerLost, ..error })
}

/// `bp drive FOLDER WORDS...`, by which detached runs are led.
fn detached(arguments: &[OsString]) -> Result<(), Error> {
    let usage = || Error::argument("bp drive takes FOLDER WORDS...");
    let (place, line) = arguments.split_first().ok_or_else(usage)?;
    drive(Path::new(place), words(line.iter().cloned())?)
}

fn kernel(arguments: impl Iterator<Item = OsString>) -> Result<(), Error> {
    let program = kernel_program().ok_or_else(|| {
        Error::new(Kind::NotFound, "bioimage-kernel is neither beside bp nor on the PATH")
            .fix("Reinstall bioimage-rs; bp doctor checks the rest.")
    })?;
    let error = std::process::Command::new(&program).args(arguments).exec();
    Err(Error::new(Kind::PermissionDenied, format!("cannot run '{}': {error}", program.display()))
        .fix("Check that the program can be run."))
}

fn signals(error: &std::io::Error) -> Error {
    Error::internal(format!("interrupts cannot be listened to: {error}"))
}

/// The first interrupt stops the command in an orderly way, the second one ends the process.
fn listen_to_interrupts(cancel: CancelToken) -> Result<(), Error> {
    let mut interrupts =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(|error| signals(&error))?;
    std::thread::spawn(move || {
        for _ in interrupts.forever() {
            if cancel.is_cancelled() {
                signal_hook::low_level::exit(130);
            }
            cancel.cancel();
        }
    });
    Ok(())
}

struct Terminal {
    cancel: CancelToken,
    quiet: bool,
    progress: Option<Progress>,
}

impl Host for Terminal {
    fn text(&mut self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    fn run_started(&mut self, run: &RunView) {
        self.progress = Progress::start(run);
    }

    fn run_ended(&mut self, _run: &RunView, _outcome: Option<&Outcome>) {
        if let Some(progress) = self.progress.take() {
            progress.end();
        }
    }

    fn cancel(&self) -> CancelToken {
        self.cancel.clone()
    }

    fn program(&self) -> Option<std::path::PathBuf> {
        std::env::current_exe().ok()
    }
}

/// Shows how a run comes on, from a thread of its own.
struct Progress {
    ended: CancelToken,
    thread: JoinHandle<()>,
}

impl Progress {
    fn start(run: &RunView) -> Option<Progress> {
        let live = LiveView::open(run.clone(), None).ok()?;
        let ended = CancelToken::new();
        let token = ended.clone();
        let show = if std::io::stderr().is_terminal() { show_bar } else { show_lines };
        let thread = std::thread::spawn(move || show(live, &token));
        Some(Progress { ended, thread })
    }

    fn end(self) {
        self.ended.cancel();
        let _ = self.thread.join();
    }
}

/// What the display needs of a run's status.
struct Numbers {
    total: u64,
    ended: u64,
    failed: u64,
    rate: Option<f64>,
    remaining: Option<f64>,
}

impl Numbers {
    fn of(status: &Value) -> Numbers {
        let count = |name: &str| status["counts"][name].as_u64().unwrap_or(0);
        Numbers {
            total: count("total"),
            ended: count("done") + count("skipped"),
            failed: count("failed"),
            rate: status["voxels_per_s"].as_f64(),
            remaining: status["remaining_s"].as_f64(),
        }
    }

    fn notes(&self) -> String {
        let mut notes = String::new();
        if self.failed > 0 {
            notes += &format!(", {} failed", self.failed);
        }
        if let Some(rate) = self.rate {
            notes += &format!(", {:.1} Mvoxel/s", rate / 1e6);
        }
        if let Some(seconds) = self.remaining {
            notes += &format!(", {seconds:.0} s left");
        }
        notes
    }
}

fn show_bar(mut live: LiveView, ended: &CancelToken) {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} blocks{msg}") {
        bar.set_style(style);
    }
    while !ended.is_cancelled() {
        if let Ok(tick) = live.poll()
            && let Some(status) = tick.status
        {
            let numbers = Numbers::of(&status);
            bar.set_length(numbers.total);
            bar.set_position(numbers.ended);
            bar.set_message(numbers.notes());
        }
        ended.sleep(Duration::from_millis(200));
    }
    bar.finish_and_clear();
}

/// A line every two seconds, for logs.
fn show_lines(mut live: LiveView, ended: &CancelToken) {
    const EVERY: Duration = Duration::from_secs(2);
    let mut last = Instant::now();
    while !ended.is_cancelled() {
        ended.sleep(Duration::from_millis(200));
        if last.elapsed() >= EVERY
            && let Ok(tick) = live.poll()
            && let Some(status) = tick.status
        {
            let numbers = Numbers::of(&status);
            eprintln!("{}/{} blocks{}", numbers.ended, numbers.total, numbers.notes());
            last = Instant::now();
        }
    }
}
