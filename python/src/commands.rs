//! The `bp` language for IPython: lines run in the engine, the notebook is their host.

use crate::arrays::Array;
use crate::errors::{IntoPython, to_python};
use crate::panels::Panel;
use crate::runs::Run;
use bioimage_engine::command::{self, Host};
use bioimage_engine::run::Outcome;
use bioimage_engine::run::cancel::CancelToken;
use bioimage_engine::run::live::RunView;
use bioimage_engine::source::{Sink, Source};
use bioimage_engine::{Error, Result};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A Python object with `text`, `run_started`, `run_ended`, `array` and `shows_panels`.
pub struct PythonHost {
    object: Py<PyAny>,
    program: Option<PathBuf>,
    cancel: CancelToken,
}

impl PythonHost {
    /// The host that a Python object is.
    pub fn new(object: Py<PyAny>, program: Option<PathBuf>) -> Self {
        PythonHost { object, program, cancel: CancelToken::new() }
    }

    /// What the host shows is not worth failing a run for: Python reports the error, the run goes on.
    fn tell<A>(&self, method: &str, arguments: impl FnOnce(Python<'_>) -> PyResult<A>)
    where
        A: for<'py> pyo3::call::PyCallArgs<'py>,
    {
        Python::attach(|py| {
            let told = arguments(py)
                .and_then(|arguments| self.object.bind(py).call_method1(method, arguments));
            if let Err(error) = told {
                error.write_unraisable(py, Some(self.object.bind(py)));
            }
        });
    }

    fn lookup(&self, name: &str, writable: bool) -> Option<Py<Array>> {
        Python::attach(|py| {
            let found = self.object.bind(py).call_method1("array", (name, writable)).ok()?;
            found.extract::<Option<Py<Array>>>().ok()?
        })
    }
}

impl Host for PythonHost {
    fn text(&mut self, text: &str) {
        self.tell("text", |_| Ok((text.to_owned(),)));
    }

    fn run_started(&mut self, run: &RunView) {
        self.tell("run_started", |py| Ok((Py::new(py, Run { view: run.clone() })?,)));
    }

    fn run_ended(&mut self, run: &RunView, _outcome: Option<&Outcome>) {
        self.tell("run_ended", |py| Ok((Py::new(py, Run { view: run.clone() })?,)));
    }

    fn cancel(&self) -> CancelToken {
        self.cancel.clone()
    }

    fn array(&self, name: &str) -> Option<Arc<dyn Source>> {
        Some(self.lookup(name, false)?.get().source.clone())
    }

    fn sink(&self, name: &str) -> Option<Arc<dyn Sink>> {
        self.lookup(name, true)?.get().sink.clone()
    }

    fn program(&self) -> Option<PathBuf> {
        self.program.clone()
    }

    fn shows_panels(&self) -> bool {
        Python::attach(|py| {
            let shows = self.object.bind(py).getattr("shows_panels");
            shows.and_then(|shows| shows.extract()).unwrap_or(false)
        })
    }
}

/// What a line gave back.
#[pyclass(frozen, get_all)]
pub struct Reply {
    /// `nothing`, `text`, `value`, `run` or `panel`.
    kind: &'static str,
    text: String,
    html: Option<String>,
    json: String,
    run: Option<Py<Run>>,
    panel: Option<Py<Panel>>,
}

fn to_reply(py: Python<'_>, reply: command::Reply) -> PyResult<Reply> {
    let plain =
        |kind, text| Reply { kind, text, html: None, json: "null".into(), run: None, panel: None };
    Ok(match reply {
        command::Reply::Nothing => plain("nothing", String::new()),
        command::Reply::Text(text) => plain("text", text),
        command::Reply::Value(value) => {
            Reply { html: value.html, json: value.json.to_string(), ..plain("value", value.text) }
        }
        command::Reply::Run(view) => {
            Reply { run: Some(Py::new(py, Run { view })?), ..plain("run", String::new()) }
        }
        command::Reply::Panel(panel) => {
            let panel = Some(Py::new(py, Panel::of(panel))?);
            Reply { panel, ..plain("panel", String::new()) }
        }
    })
}

/// Runs a line. An interrupt cancels what goes on, waits for its end (about a second at most) and
/// comes back as the engine's `cancelled` error, which says how to resume.
#[pyfunction]
pub fn execute(
    py: Python<'_>,
    line: &str,
    host: Py<PyAny>,
    program: Option<PathBuf>,
) -> PyResult<Reply> {
    let mut host = PythonHost::new(host, program);
    let cancel = host.cancel.clone();
    let line = line.to_owned();
    let (send, receive) = channel::<Result<command::Reply>>();
    let worker = std::thread::Builder::new()
        .name("bp".into())
        .spawn(move || {
            let reply = command::execute(&line, &mut host);
            // The receiver is gone only if the interpreter is.
            drop(send.send(reply));
        })
        .map_err(|error| to_python(py, &Error::internal(format!("no thread: {error}"))))?;
    let receive = Mutex::new(receive);
    let wait = || {
        let receive = receive.lock().unwrap_or_else(PoisonError::into_inner);
        receive.recv_timeout(Duration::from_millis(50))
    };
    let mut interrupted = None;
    let reply = loop {
        match py.detach(wait) {
            Ok(reply) => break reply,
            Err(RecvTimeoutError::Disconnected) => {
                break Err(Error::internal("a command ended without a reply"));
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = py.check_signals() {
                    cancel.cancel();
                    interrupted.get_or_insert(error);
                }
            }
        }
    };
    py.detach(|| drop(worker.join()));
    match (reply, interrupted) {
        // Without a run there is nothing that the engine could tell about.
        (Ok(_), Some(interrupt)) => Err(interrupt),
        (reply, _) => to_reply(py, reply.into_python(py)?),
    }
}

/// Where the completed word starts and ends, and `(text, kind, help)` of everything that fits.
#[pyfunction]
pub fn complete(line: &str, cursor: usize) -> (usize, usize, Vec<(String, String, String)>) {
    let completion = command::complete(line, cursor);
    let matches = completion
        .matches
        .into_iter()
        .map(|one| (one.text.to_string(), one.kind.to_string(), one.help.to_string()))
        .collect();
    (completion.start, completion.end, matches)
}

/// Help on what stands at the cursor.
#[pyfunction]
pub fn help_at(line: &str, cursor: usize) -> Option<String> {
    command::help_at(line, cursor)
}
