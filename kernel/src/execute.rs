//! Runs cells, one after the other, on a thread of their own.

use crate::cell::{self, Step, Topic};
use crate::kernel::Kernel;
use crate::magics;
use crate::rust::{Bundle, Event, Failure, Sink};
use crate::session::{child_of, media};
use crate::sockets::Replies;
use bioimage_engine::run::cancel::CancelToken;
use jupyter_protocol::{
    ClearOutput, DisplayData, ErrorOutput, ExecuteInput, ExecuteReply, ExecuteRequest,
    ExecuteResult, ExecutionCount, ExpressionResult, JupyterMessage, JupyterMessageContent, Media,
    MediaType, Payload, ReplyError, ReplyStatus, Status, Stdio, StreamContent, Transient,
};
use serde_json::Map;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Printed text is sent at least this often while a cell prints without pause.
const STREAM: Duration = Duration::from_millis(50);
/// Or as soon as there is this much of it.
const STREAM_BYTES: usize = 1 << 16;
/// Requests that were on their way when a cell failed arrive within this time.
const ON_THEIR_WAY: Duration = Duration::from_millis(30);

const HELP: &str = "\
Rust (bioimage): cells hold Rust, %bp commands, or both; a cell's parts run in order.

%bp VERB ...      a command of the bp language; %bp help lists them, %bp VERB? explains one
%%bp              first line of a cell of bp commands
?name             documentation of a Rust name

:dep serde = \"1\"  use a crate; :offline 1 takes crates from the local registry cache only
:vars             variables and their types
:clear            forget everything; :restart forgets variables only
:doc, :explain, :opt, :timing, :cache, :env, ... are the other commands of evcxr

notebook::svg(&text), html, markdown, png(&bytes), display(mime_type, &text)   show now
notebook::input(prompt), password(prompt)                                      ask
notebook::clear_output(wait)                                                   start over
";

/// Runs what comes, until the process ends.
pub fn serve(kernel: &Kernel, queue: &Receiver<(JupyterMessage, Replies)>) {
    let mut count = 0;
    while let Ok((message, replies)) = queue.recv() {
        let JupyterMessageContent::ExecuteRequest(request) = &message.content else { continue };
        kernel.iopub.send(&message, Status::busy());
        let (reply, failed) = run_request(kernel, &message, request, &mut count);
        let late = if failed && request.stop_on_error { waiting(queue) } else { Vec::new() };
        // The thread that sends lives as long as the process.
        let _ = replies.send(child_of(&message, reply));
        kernel.iopub.send(&message, Status::idle());
        for (message, replies) in late {
            kernel.iopub.send(&message, Status::busy());
            let aborted = ExecuteReply {
                status: ReplyStatus::Aborted,
                execution_count: ExecutionCount::new(count),
                user_expressions: Some(HashMap::new()),
                ..ExecuteReply::default()
            };
            let _ = replies.send(child_of(&message, aborted));
            kernel.iopub.send(&message, Status::idle());
        }
    }
}

/// The requests that were sent before their client could know that a cell failed.
fn waiting(queue: &Receiver<(JupyterMessage, Replies)>) -> Vec<(JupyterMessage, Replies)> {
    let end = Instant::now() + ON_THEIR_WAY;
    let mut waiting = Vec::new();
    loop {
        match queue.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(request) => waiting.push(request),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return waiting,
        }
    }
}

fn run_request(
    kernel: &Kernel,
    message: &JupyterMessage,
    request: &ExecuteRequest,
    count: &mut usize,
) -> (ExecuteReply, bool) {
    let stored = request.store_history && !request.silent;
    if stored {
        *count += 1;
    }
    let execution_count = ExecutionCount::new(*count);
    let mut output = Output::new(kernel, message, request, execution_count);
    output.publish(ExecuteInput { code: request.code.clone(), execution_count });
    let result = output.run_cell(&request.code);
    output.flush();
    let user_expressions = match &result {
        Ok(()) => output.evaluate(request.user_expressions.iter().flatten()),
        Err(_) => HashMap::new(),
    };
    let (pages, last) = (std::mem::take(&mut output.pages), std::mem::take(&mut output.last));
    kernel.interrupt.end();
    if stored {
        kernel.remember(*count, &request.code, last);
    }
    let reply = ExecuteReply {
        execution_count,
        payload: pages.into_iter().map(|data| Payload::Page { data, start: 0 }).collect(),
        user_expressions: Some(user_expressions),
        ..ExecuteReply::default()
    };
    let Err(failure) = result else { return (reply, false) };
    let Failure { name: ename, value: evalue, traceback } = failure;
    output.publish(ErrorOutput {
        ename: ename.clone(),
        evalue: evalue.clone(),
        traceback: traceback.clone(),
    });
    let error = Some(Box::new(ReplyError { ename, evalue, traceback }));
    (ExecuteReply { status: ReplyStatus::Error, payload: Vec::new(), error, ..reply }, true)
}

/// What a running cell shows, and whom it can ask.
pub struct Output<'a> {
    kernel: &'a Kernel,
    message: &'a JupyterMessage,
    cancel: CancelToken,
    count: ExecutionCount,
    silent: bool,
    may_ask: bool,
    /// Printed and not yet sent.
    text: String,
    stream: Stdio,
    since: Instant,
    pages: Vec<Media>,
    /// The last result as text, for the history.
    last: String,
}

impl<'a> Output<'a> {
    fn new(
        kernel: &'a Kernel,
        message: &'a JupyterMessage,
        request: &ExecuteRequest,
        count: ExecutionCount,
    ) -> Self {
        Output {
            kernel,
            message,
            cancel: kernel.interrupt.begin(),
            count,
            silent: request.silent,
            may_ask: request.allow_stdin,
            text: String::new(),
            stream: Stdio::Stdout,
            since: Instant::now(),
            pages: Vec::new(),
            last: String::new(),
        }
    }

    /// The kernel that the cell runs in.
    pub fn kernel(&self) -> &'a Kernel {
        self.kernel
    }

    /// The request that the cell came with.
    pub fn message(&self) -> &'a JupyterMessage {
        self.message
    }

    /// Set when the cell is interrupted.
    pub fn cancel(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Publishes something after what was printed before it.
    pub fn publish(&mut self, content: impl Into<JupyterMessageContent>) {
        self.flush();
        if !self.silent {
            self.kernel.iopub.send(self.message, content);
        }
    }

    /// Prints text; it is sent a little later, together with what follows.
    pub fn print(&mut self, stream: Stdio, text: &str) {
        let same = matches!(
            (&self.stream, &stream),
            (Stdio::Stdout, Stdio::Stdout) | (Stdio::Stderr, Stdio::Stderr)
        );
        if !same {
            self.flush();
        }
        if self.text.is_empty() {
            self.since = Instant::now();
            self.stream = stream;
        }
        self.text.push_str(text);
        if self.since.elapsed() > STREAM || self.text.len() > STREAM_BYTES {
            self.flush();
        }
    }

    /// Sends what was printed.
    pub fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && !self.silent {
            let content = StreamContent { name: self.stream.clone(), text };
            self.kernel.iopub.send(self.message, content);
        }
    }

    fn run_cell(&mut self, code: &str) -> Result<(), Failure> {
        let steps = cell::steps(code).map_err(|text| Failure::new("NoSuchMagic", text))?;
        let last = steps.len().saturating_sub(1);
        for (index, step) in steps.iter().enumerate() {
            let result = match step {
                Step::Rust(code) => self.kernel.rust.run(code, &self.cancel.clone(), self)?,
                Step::Bp(line) => magics::run(line, self)?,
                Step::Help(topic) => {
                    let page = self.help(topic)?;
                    self.pages.push(page);
                    Bundle::new()
                }
            };
            self.result(result, index == last)?;
        }
        Ok(())
    }

    /// Shows a step's value: the last one is the cell's result.
    fn result(&mut self, bundle: Bundle, last: bool) -> Result<(), Failure> {
        if bundle.is_empty() {
            return Ok(());
        }
        let plain = bundle.get("text/plain").and_then(|text| text.as_str());
        let plain = plain.unwrap_or_default().to_owned();
        let data = media(bundle).map_err(|error| Failure::new("Display", error.to_string()))?;
        if last {
            self.last = plain;
            let transient = Some(Transient::default());
            let execution_count = self.count;
            self.publish(ExecuteResult { execution_count, data, metadata: Map::new(), transient });
        } else {
            self.publish(DisplayData::new(data));
        }
        Ok(())
    }

    fn help(&self, topic: &Topic) -> Result<Media, Failure> {
        let unknown = |name: &str| Failure::new("NoHelp", format!("Nothing is known of '{name}'."));
        match topic {
            Topic::Kernel => Ok(Media::new(vec![MediaType::Plain(HELP.to_owned())])),
            Topic::Rust(name) => {
                self.kernel.rust.inspect(name, name.len()).ok_or_else(|| unknown(name))
            }
            Topic::Bp(line) => {
                let text = magics::help_at(line, line.len()).ok_or_else(|| unknown(line))?;
                Ok(Media::new(vec![MediaType::Plain(text)]))
            }
        }
    }

    fn evaluate<'e>(
        &mut self,
        expressions: impl Iterator<Item = (&'e String, &'e String)>,
    ) -> HashMap<String, ExpressionResult> {
        let results = expressions.map(|(name, code)| {
            let result = self.kernel.rust.run(code, &self.cancel.clone(), &mut Unheard);
            let failed = |Failure { name, value, traceback }| ExpressionResult::Error {
                ename: name,
                evalue: value,
                traceback,
            };
            let result = match result {
                Ok(bundle) => match media(bundle) {
                    Ok(data) => ExpressionResult::Ok { data, metadata: Map::new() },
                    Err(error) => failed(Failure::new("Display", error.to_string())),
                },
                Err(failure) => failed(failure),
            };
            (name.clone(), result)
        });
        results.collect()
    }
}

impl Sink for Output<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Stdout(text) => self.print(Stdio::Stdout, &text),
            Event::Stderr(text) => self.print(Stdio::Stderr, &text),
            Event::ClearOutput(wait) => self.publish(ClearOutput { wait }),
            Event::Display { mime_type, data } => {
                let bundle = Map::from_iter([(mime_type, data.into())]);
                match media(bundle) {
                    Ok(data) => self.publish(DisplayData::new(data)),
                    Err(error) => self.print(Stdio::Stderr, &format!("cannot show it: {error}\n")),
                }
            }
            // These end the cell: `RustCells::run` makes its result of them.
            Event::Panicked(_) | Event::Failed => {}
        }
    }

    fn idle(&mut self) {
        self.flush();
    }

    fn ask(&mut self, prompt: String, password: bool) -> Option<String> {
        self.flush();
        if !self.may_ask {
            self.print(Stdio::Stderr, "This front end cannot ask for input.\n");
            return None;
        }
        let answer = self.kernel.stdin.ask(self.message, prompt, password);
        loop {
            match answer.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => return Some(line),
                Err(RecvTimeoutError::Timeout) if !self.cancel.is_cancelled() => {}
                Err(_) => return None,
            }
        }
    }
}

/// Takes the output of user expressions, which nobody is to see.
struct Unheard;

impl Sink for Unheard {
    fn event(&mut self, _: Event) {}

    fn idle(&mut self) {}

    fn ask(&mut self, _: String, _: bool) -> Option<String> {
        None
    }
}
