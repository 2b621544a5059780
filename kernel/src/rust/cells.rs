//! Rust cells through evcxr. One thread owns evcxr's context; it is built in the background as soon
//! as the kernel starts.

use super::build_folder::{BuildFolder, remove_abandoned};
use super::event::COLON;
use super::{Bundle, Event, Failure, Sink, errors, processes, toolchain};
use crate::completion::{Candidates, Match};
use crate::lock;
use bioimage_engine::run::cancel::CancelToken;
use evcxr::{CommandContext, EvalCallbacks, EvalContext, EvalContextOutputs, EvalOutputs};
use jupyter_protocol::{Media, MediaType};
use serde_json::Value;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const PRELUDE: &str = include_str!("prelude.rs");

/// How long an interrupt waits for a build to show up before it takes the cell for running.
const BUILD_APPEARS: Duration = Duration::from_millis(200);
/// How long evcxr may take to notice that its build was killed.
const BUILD_ENDS: Duration = Duration::from_millis(500);
/// How long completion and inspection may take before names have to do.
const ANALYSIS: Duration = Duration::from_secs(3);

const LOST: &str = "Variables are lost; functions and types are kept.";

/// A handle to the thread that owns the context.
pub struct RustCells {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
    folder: Option<BuildFolder>,
}

#[derive(Default)]
struct Shared {
    /// Where evcxr builds.
    build_folder: PathBuf,
    process: Mutex<Option<Arc<Mutex<Child>>>>,
    /// The context is built and runs no cell.
    idle: AtomicBool,
    names: Mutex<Vec<Match>>,
}

enum Job {
    Run { code: String, claim: Arc<Claim>, progress: Sender<Progress> },
    Complete { code: String, position: usize, reply: Sender<Candidates> },
    Inspect { code: String, position: usize, reply: Sender<Option<Media>> },
}

enum Progress {
    Event(Event),
    Ask { prompt: String, password: bool, answer: Sender<String> },
    Done(Result<EvalOutputs, Failed>),
}

enum Failed {
    Evcxr(evcxr::Error),
    /// The context could not be built, or evcxr itself panicked.
    Context(String),
}

/// Settles who has a job: the thread that runs it, or the caller who gave it up before it started.
#[derive(Default)]
struct Claim(AtomicU8);

impl Claim {
    const STARTED: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn take(&self, state: u8) -> bool {
        self.0.compare_exchange(0, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl RustCells {
    /// Starts to build the context; returns at once. Called before there are other threads.
    pub fn start() -> Self {
        let (jobs, queue) = channel();
        let own = std::env::var_os("EVCXR_TMPDIR").filter(|folder| !folder.is_empty());
        let mut folder = None;
        let build_folder = match own {
            Some(own) => Ok(PathBuf::from(own)),
            None => BuildFolder::make().map(|made| {
                let path = made.path().to_owned();
                folder = Some(made);
                // SAFETY: there are no other threads yet.
                unsafe { std::env::set_var("EVCXR_TMPDIR", &path) };
                path
            }),
        };
        let toolchain = toolchain::find();
        if let Ok(Some(bin)) = &toolchain {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(bin.clone()).chain(std::env::split_paths(&path));
            if let Ok(path) = std::env::join_paths(folders) {
                // SAFETY: there are no other threads yet.
                unsafe { std::env::set_var("PATH", path) };
            }
        }
        let ready = match (toolchain, &build_folder) {
            (Err(missing), _) => Err(missing.to_owned()),
            (_, Err(error)) => Err(format!("Rust cells need a temporary folder: {error}")),
            (Ok(_), Ok(_)) => Ok(()),
        };
        // The kernel's own child processes report their folder without symbolic links.
        let build_folder = build_folder.unwrap_or_default();
        let build_folder = build_folder.canonicalize().unwrap_or(build_folder);
        let shared = Arc::new(Shared { build_folder, ..Shared::default() });
        let worker = Arc::clone(&shared);
        std::thread::spawn(remove_abandoned);
        std::thread::spawn(move || match ready {
            Ok(()) => serve(&worker, &queue),
            Err(message) => refuse(&queue, &message),
        });
        RustCells { jobs, shared, folder }
    }

    /// Runs `code` to its end.
    ///
    /// # Errors
    /// It does not compile, it failed, it was interrupted, or there is no toolchain.
    pub fn run(
        &self,
        code: &str,
        cancel: &CancelToken,
        sink: &mut dyn Sink,
    ) -> Result<Bundle, Failure> {
        let claim = Arc::new(Claim::default());
        let (sender, progress) = channel();
        let job = Job::Run { code: code.to_owned(), claim: Arc::clone(&claim), progress: sender };
        if self.jobs.send(job).is_err() {
            return Err(ended());
        }
        let mut run = Run::default();
        let mut stop = Stop::default();
        let result = loop {
            match progress.recv_timeout(Duration::from_millis(20)) {
                Ok(Progress::Event(event)) => run.take(event, sink),
                Ok(Progress::Ask { prompt, password, answer }) => {
                    run.release(sink);
                    let line = sink.ask(prompt, password);
                    if line.is_none() && cancel.is_cancelled() {
                        // Before the answer, on which the cell would go on.
                        stop.kill_process(&self.shared);
                    }
                    let _ = answer.send(line.unwrap_or_default());
                }
                Ok(Progress::Done(result)) => break result,
                Err(RecvTimeoutError::Timeout) => {
                    run.release(sink);
                    sink.idle();
                }
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
            if cancel.is_cancelled() {
                if claim.take(Claim::GIVEN_UP) {
                    return Err(interrupted("The cell was interrupted before it started."));
                }
                stop.press(&self.shared);
            }
        };
        run.finish(result, &stop, sink)
    }

    /// What may stand at the byte `position` of `code`.
    pub fn complete(&self, code: &str, position: usize) -> Candidates {
        let (reply, answer) = channel();
        let job = Job::Complete { code: code.to_owned(), position, reply };
        self.analyse(job, &answer)
            .unwrap_or_else(|| by_name(&lock(&self.shared.names), code, position))
    }

    /// Documentation of what ends at the byte `position` of `code`.
    pub fn inspect(&self, code: &str, position: usize) -> Option<Media> {
        let (reply, answer) = channel();
        self.analyse(Job::Inspect { code: code.to_owned(), position, reply }, &answer).flatten()
    }

    /// Ends the processes and removes what was built. evcxr itself goes on until the kernel ends, and
    /// may build again.
    pub fn close(&self) {
        self.shared.kill_process();
        processes::kill_builds(&self.shared.build_folder);
        if let Some(folder) = &self.folder {
            folder.remove();
        }
    }

    /// While a cell runs, evcxr can tell nothing.
    fn analyse<T>(&self, job: Job, answer: &Receiver<T>) -> Option<T> {
        if !self.shared.idle.load(Ordering::Acquire) {
            return None;
        }
        self.jobs.send(job).ok()?;
        answer.recv_timeout(ANALYSIS).ok()
    }
}

impl Shared {
    fn kill_process(&self) {
        if let Some(process) = &*lock(&self.process) {
            // Fails only for a process that has ended.
            let _ = process.lock().unwrap_or_else(PoisonError::into_inner).kill();
        }
    }
}

fn interrupted(text: &str) -> Failure {
    Failure::new("Interrupted", text)
}

fn ended() -> Failure {
    Failure::new("Internal", "The thread that runs Rust cells has ended: restart the kernel.")
}

/// An interrupt on its way: first a build is looked for and killed, which costs the user nothing;
/// a cell that goes on is ended with its process.
#[derive(Default)]
struct Stop {
    pressed: Option<Instant>,
    build_killed: Option<Instant>,
    process_killed: bool,
}

impl Stop {
    fn press(&mut self, shared: &Shared) {
        let since = *self.pressed.get_or_insert_with(Instant::now);
        if self.process_killed {
            return;
        }
        if processes::kill_builds(&shared.build_folder) {
            self.build_killed = Some(Instant::now());
        }
        let over = match self.build_killed {
            Some(killed) => killed.elapsed() > BUILD_ENDS,
            None => since.elapsed() > BUILD_APPEARS,
        };
        if over {
            self.kill_process(shared);
        }
    }

    fn kill_process(&mut self, shared: &Shared) {
        shared.kill_process();
        self.process_killed = true;
    }
}

/// What is known of a running cell.
#[derive(Default)]
struct Run {
    /// The last text on the error output, kept for a moment: if the cell ends by `?`, it is the
    /// error's message.
    held: Option<String>,
    /// The last text on the error output that was not kept any longer.
    released: String,
    panicked: Option<String>,
    failed: Option<String>,
}

impl Run {
    fn take(&mut self, event: Event, sink: &mut dyn Sink) {
        match event {
            // The error output has no buffer: one line may come in several pieces.
            Event::Stderr(text) => self.held.get_or_insert_default().push_str(&text),
            Event::Panicked(message) => {
                self.release(sink);
                self.panicked = Some(message);
            }
            Event::Failed => {
                let text = self.held.take().unwrap_or_default();
                let (before, message) =
                    text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
                let message = if message.is_empty() { self.released.trim_end() } else { message };
                self.failed = Some(message.to_owned());
                if !before.is_empty() {
                    sink.event(Event::Stderr(format!("{before}\n")));
                }
            }
            other => {
                self.release(sink);
                sink.event(other);
            }
        }
    }

    fn release(&mut self, sink: &mut dyn Sink) {
        if let Some(text) = self.held.take() {
            if !text.trim().is_empty() {
                self.released.clone_from(&text);
            }
            sink.event(Event::Stderr(text));
        }
    }

    fn finish(
        mut self,
        result: Result<EvalOutputs, Failed>,
        stop: &Stop,
        sink: &mut dyn Sink,
    ) -> Result<Bundle, Failure> {
        self.release(sink);
        match result {
            Ok(_) if self.panicked.is_some() => {
                Err(Failure::new("panic", self.panicked.unwrap_or_default()))
            }
            Ok(_) if self.failed.is_some() => {
                let text = self.failed.unwrap_or_default();
                Err(Failure::new("Error", text))
            }
            Ok(outputs) => Ok(bundle(outputs)),
            Err(_) if stop.process_killed => {
                Err(interrupted(&format!("The cell was interrupted. {LOST}")))
            }
            Err(_) if stop.build_killed.is_some() => Err(interrupted(
                "The cell was interrupted while it was compiled. Variables are kept.",
            )),
            Err(Failed::Context(message)) => Err(Failure::new("NoRustCells", message)),
            Err(Failed::Evcxr(error)) => Err(failure(error)),
        }
    }
}

fn failure(error: evcxr::Error) -> Failure {
    match error {
        evcxr::Error::CompilationErrors(found) => {
            Failure::detailed("CompileError", errors::headline(&found), &errors::render(&found))
        }
        evcxr::Error::SubprocessTerminated(text) => {
            Failure::new("ProcessEnded", format!("{}\n{LOST}", text.trim_end()))
        }
        other => Failure::new("Error", other.to_string().trim_end()),
    }
}

fn bundle(outputs: EvalOutputs) -> Bundle {
    let text = |(mime_type, text): (String, String)| {
        let text = match mime_type.as_str() {
            "text/plain" => text.trim_end_matches('\n').to_owned(),
            _ => text,
        };
        (mime_type, Value::String(text))
    };
    outputs.content_by_mime_type.into_iter().map(text).collect()
}

/// Answers every cell with why there are none.
fn refuse(queue: &Receiver<Job>, message: &str) {
    for job in queue {
        if let Job::Run { claim, progress, .. } = job
            && claim.take(Claim::STARTED)
        {
            // The caller may have been interrupted.
            let _ = progress.send(Progress::Done(Err(Failed::Context(message.to_owned()))));
        }
    }
}

/// The thread's work: builds the context, then does one job after the other.
fn serve(shared: &Shared, queue: &Receiver<Job>) {
    let mut context = match Context::build(shared) {
        Ok(context) => context,
        Err(message) => return refuse(queue, &message),
    };
    shared.idle.store(true, Ordering::Release);
    for job in queue {
        let done = catch_unwind(AssertUnwindSafe(|| context.work(shared, job)));
        if done.is_err() {
            // A panic in evcxr leaves a context that nothing is known of.
            context = match Context::build(shared) {
                Ok(context) => context,
                Err(message) => return refuse(queue, &message),
            };
        }
    }
}

struct Context {
    evcxr: CommandContext,
    outputs: EvalContextOutputs,
    /// The process that has run the prelude.
    prepared: u32,
}

impl Context {
    fn build(shared: &Shared) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("Rust cells cannot start: {error}");
        let mut command = Command::new(std::env::current_exe().map_err(|error| failed(&error))?);
        if let Some(libraries) = toolchain::library_folder(None) {
            command.env("LD_LIBRARY_PATH", search_path(libraries));
        }
        let (context, outputs) =
            EvalContext::with_subprocess_command(command).map_err(|error| failed(&error))?;
        let evcxr = CommandContext::with_eval_context(context);
        *lock(&shared.process) = Some(evcxr.process_handle());
        let mut context = Context { evcxr, outputs, prepared: 0 };
        context.prepare(shared)?;
        Ok(context)
    }

    /// Runs the prelude in a process that has not seen it.
    fn prepare(&mut self, shared: &Shared) -> Result<(), String> {
        // What it reports is for evcxr's ears only.
        let (quiet, _) = channel();
        let failed = |error: evcxr::Error| format!("Rust cells cannot start: {error}");
        if self.has_ended() {
            self.evaluate(":restart", &quiet).map_err(failed)?;
        }
        if self.process_id() != self.prepared {
            self.evaluate(PRELUDE, &quiet).map_err(failed)?;
            self.prepared = self.process_id();
        }
        self.remember_names(shared);
        Ok(())
    }

    fn process_id(&self) -> u32 {
        self.evcxr.process_handle().lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    fn has_ended(&self) -> bool {
        let handle = self.evcxr.process_handle();
        let mut process = handle.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(process.try_wait(), Ok(None))
    }

    fn work(&mut self, shared: &Shared, job: Job) {
        // Nobody waits for an answer that came too late or was given up.
        match job {
            Job::Run { code, claim, progress } => {
                if !claim.take(Claim::STARTED) {
                    return;
                }
                shared.idle.store(false, Ordering::Release);
                let result = catch_unwind(AssertUnwindSafe(|| self.evaluate(&code, &progress)));
                let panicked = result.is_err();
                let result = match result {
                    Ok(result) => result.map_err(Failed::Evcxr),
                    Err(_) => Err(Failed::Context(format!(
                        "evcxr failed on this cell and is started anew. {LOST}"
                    ))),
                };
                // Before the cell is known to be done: the next question may come at once.
                shared.idle.store(true, Ordering::Release);
                let _ = progress.send(Progress::Done(result));
                if panicked {
                    std::panic::resume_unwind(Box::new("evcxr panicked"));
                }
                if let Err(error) = self.prepare(shared) {
                    eprintln!("bioimage-kernel: {error}");
                }
            }
            Job::Complete { code, position, reply } => {
                let found = self.evcxr.completions(&code, position);
                let _ = reply.send(found.map_or_else(
                    |_| by_name(&lock(&shared.names), &code, position),
                    |found| candidates(found, &code, position),
                ));
            }
            Job::Inspect { code, position, reply } => {
                let found = self.evcxr.hover_at(&code, position).ok();
                let found = found.filter(|(text, _)| text != "No documentation found");
                let _ = reply.send(found.map(|(text, html)| {
                    Media::new(vec![MediaType::Plain(text), MediaType::Html(html)])
                }));
            }
        }
    }

    /// Evaluates `code`; what it prints has been sent when this returns.
    fn evaluate(
        &mut self,
        code: &str,
        progress: &Sender<Progress>,
    ) -> Result<EvalOutputs, evcxr::Error> {
        let lines = &self.outputs.stdout;
        let evcxr = &mut self.evcxr;
        let done = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    match lines.recv_timeout(Duration::from_millis(5)) {
                        // The caller may have gone; the lines must be taken all the same.
                        Ok(line) => drop(progress.send(Progress::Event(Event::of_line(&line)))),
                        Err(_) if done.load(Ordering::Acquire) => return,
                        Err(_) => {}
                    }
                }
            });
            let result = catch_unwind(AssertUnwindSafe(|| {
                let mut callbacks = EvalCallbacks {
                    input_reader: &|request| {
                        let prompt = request.prompt.replace(COLON, ":");
                        ask(progress, prompt, request.is_password)
                    },
                };
                evcxr.execute_with_callbacks(code, &mut callbacks)
            }));
            done.store(true, Ordering::Release);
            result
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn remember_names(&self, shared: &Shared) {
        let named = |text: &str, kind: &str, help: &str| Match {
            text: text.to_owned(),
            kind: kind.to_owned(),
            help: help.to_owned(),
        };
        let variables = self.evcxr.variables_and_types();
        let items = self.evcxr.defined_item_names();
        let mut names: Vec<Match> =
            variables.map(|(name, kind)| named(name, "instance", kind)).collect();
        names.extend(items.map(|name| named(name, "item", "")));
        *lock(&shared.names) = names;
    }
}

fn ask(progress: &Sender<Progress>, prompt: String, password: bool) -> String {
    let (answer, given) = channel();
    match progress.send(Progress::Ask { prompt, password, answer }) {
        Ok(()) => given.recv().unwrap_or_default(),
        Err(_) => String::new(),
    }
}

fn search_path(first: PathBuf) -> OsString {
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let rest = std::env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty());
    std::env::join_paths(std::iter::once(first.clone()).chain(rest))
        .unwrap_or_else(|_| first.into_os_string())
}

fn candidates(found: evcxr::Completions, code: &str, position: usize) -> Candidates {
    let typed = code.get(found.start_offset..position).unwrap_or_default().to_lowercase();
    let matches = found.completions.into_iter();
    let matches = matches.filter(|found| found.code.to_lowercase().starts_with(&typed));
    let matches = matches.map(|found| Match {
        text: found.code,
        kind: found.kind.to_owned(),
        help: found.label,
    });
    Candidates { start: found.start_offset, end: found.end_offset, matches: matches.collect() }
}

const KEYWORDS: [&str; 24] = [
    "as", "async", "await", "break", "const", "continue", "else", "enum", "false", "fn", "for",
    "impl", "let", "loop", "match", "mut", "pub", "return", "struct", "trait", "true", "type",
    "use", "while",
];

/// Completes the word before `position` from names alone.
fn by_name(names: &[Match], code: &str, position: usize) -> Candidates {
    let before = &code[..position];
    let word = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
    let (start, typed) = (word.len(), &before[word.len()..]);
    let mut matches = Vec::new();
    // Behind a dot or `::` names of the cell do not help.
    if !typed.is_empty() && !word.ends_with(['.', ':']) {
        let keywords = KEYWORDS.iter().map(|keyword| Match {
            text: (*keyword).to_owned(),
            kind: "keyword".to_owned(),
            help: String::new(),
        });
        matches.extend(names.iter().cloned().chain(keywords));
        matches.retain(|found: &Match| found.text.starts_with(typed));
    }
    Candidates { start, end: position, matches }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Heard(Vec<Event>);

    impl Sink for Heard {
        fn event(&mut self, event: Event) {
            self.0.push(event);
        }
        fn idle(&mut self) {}
        fn ask(&mut self, _: String, _: bool) -> Option<String> {
            None
        }
    }

    fn finished(events: &[Event]) -> (Vec<Event>, Result<Bundle, Failure>) {
        let mut heard = Heard(Vec::new());
        let mut run = Run::default();
        for event in events {
            run.take(event.clone(), &mut heard);
        }
        let result = run.finish(Ok(EvalOutputs::new()), &Stop::default(), &mut heard);
        (heard.0, result)
    }

    #[test]
    fn a_failing_question_mark_is_an_error_with_its_text() {
        let stderr = |text: &str| Event::Stderr(text.to_owned());
        let pieces = [stderr("note\n"), stderr("Broken"), stderr("\n"), Event::Failed];
        let (heard, result) = finished(&pieces);
        assert_eq!(heard, [stderr("note\n")]);
        assert_eq!(result.unwrap_err().value, "Broken");
    }

    #[test]
    fn the_error_is_known_even_if_its_text_was_shown_before() {
        let mut heard = Heard(Vec::new());
        let mut run = Run::default();
        run.take(Event::Stderr("Broken".to_owned()), &mut heard);
        run.release(&mut heard);
        run.take(Event::Stderr("\n".to_owned()), &mut heard);
        run.take(Event::Failed, &mut heard);
        let result = run.finish(Ok(EvalOutputs::new()), &Stop::default(), &mut heard);
        assert_eq!(result.unwrap_err().value, "Broken");
    }

    #[test]
    fn error_output_of_a_cell_that_succeeds_is_shown() {
        let (heard, result) = finished(&[Event::Stderr("careful\n".to_owned())]);
        assert_eq!(heard, [Event::Stderr("careful\n".to_owned())]);
        assert!(result.is_ok());
    }

    #[test]
    fn a_panic_is_an_error() {
        let (_, result) = finished(&[Event::Panicked("index out of bounds".to_owned())]);
        assert_eq!(result.unwrap_err().name, "panic");
    }

    #[test]
    fn names_complete_words_but_not_members() {
        let names = [Match { text: "stack".into(), kind: "instance".into(), help: String::new() }];
        let found = by_name(&names, "let y = st", 10);
        assert_eq!((found.start, found.end), (8, 10));
        let texts: Vec<_> = found.matches.into_iter().map(|found| found.text).collect();
        assert_eq!(texts, ["stack", "struct"].map(str::to_owned));
        assert!(by_name(&names, "a.st", 4).matches.is_empty());
    }

    #[test]
    fn a_job_has_one_owner() {
        let claim = Claim::default();
        assert!(claim.take(Claim::STARTED));
        assert!(!claim.take(Claim::GIVEN_UP));
    }
}
