//! Panels, for the widgets that draw them.

use crate::commands::PythonHost;
use crate::errors::{IntoPython, to_python};
use crate::runs::Run;
use bioimage_engine::command::Panel as Shown;
use bioimage_engine::command::panel::{News, OperationForm, RunsTable, SlurmForm};
use bioimage_engine::run::live::{LiveView, Message};
use bioimage_engine::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a widget shows and keeps current; see `docs/design/live-view.md` and `docs/design/forms.md`.
#[pyclass(frozen)]
pub struct Panel {
    shown: Mutex<Box<dyn Shown>>,
    view: &'static str,
    ends: bool,
}

type Said<'py> = (String, Vec<Bound<'py, PyBytes>>);
type Told<'py> = (String, Vec<Said<'py>>, bool);

fn told(py: Python<'_>, news: News) -> Told<'_> {
    let said = |message: Message| {
        let buffers = message.buffers.iter().map(|bytes| PyBytes::new(py, bytes)).collect();
        (message.content.to_string(), buffers)
    };
    let state = serde_json::Value::from(news.state).to_string();
    (state, news.messages.into_iter().map(said).collect(), news.finished)
}

impl Panel {
    pub fn of(shown: Box<dyn Shown>) -> Self {
        Panel { view: shown.view(), ends: shown.ends(), shown: Mutex::new(shown) }
    }

    fn made<P: Shown + 'static>(
        py: Python<'_>,
        make: impl FnOnce() -> Result<P> + Send,
    ) -> PyResult<Self> {
        let made = py.detach(make).into_python(py)?;
        Ok(Panel::of(Box::new(made)))
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Panel {
    /// The live view of a run.
    #[staticmethod]
    #[pyo3(signature = (run, program=None))]
    fn of_run(py: Python<'_>, run: &Run, program: Option<PathBuf>) -> PyResult<Self> {
        let view = run.view.clone();
        Panel::made(py, || LiveView::open(view, program))
    }

    /// The form of an operation, with what is filled in as JSON.
    #[staticmethod]
    fn operation_form(py: Python<'_>, operation: &str, values: &str) -> PyResult<Self> {
        let values = serde_json::from_str(values).map_err(|error| {
            to_python(py, &Error::internal(format!("values that are no JSON object: {error}")))
        })?;
        Panel::made(py, || OperationForm::new(operation, values))
    }

    /// The table of the runs on record.
    #[staticmethod]
    fn runs_table(py: Python<'_>) -> PyResult<Self> {
        Panel::made(py, RunsTable::new)
    }

    /// The form of the defaults for a cluster.
    #[staticmethod]
    fn slurm_form(py: Python<'_>) -> PyResult<Self> {
        Panel::made(py, SlurmForm::new)
    }

    /// Which widget draws it.
    #[getter]
    fn view(&self) -> &'static str {
        self.view
    }

    /// Whether it is complete at some time.
    #[getter]
    fn ends(&self) -> bool {
        self.ends
    }

    /// The run that it shows.
    fn run(&self, py: Python<'_>) -> Option<Run> {
        py.detach(|| self.lock().run()).map(|view| Run { view })
    }

    /// The state that changed as JSON, messages as JSON with buffers, and whether nothing more is to
    /// be expected.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Told<'py>> {
        let news = py.detach(|| self.lock().poll()).into_python(py)?;
        Ok(told(py, news))
    }

    /// What follows from a message of the widget, as `poll` tells it. The host gives the arrays that
    /// stand where paths may.
    fn receive<'py>(
        &self,
        py: Python<'py>,
        content: &str,
        host: Py<PyAny>,
        program: Option<PathBuf>,
    ) -> Told<'py> {
        let content = serde_json::from_str(content).unwrap_or_default();
        let host = PythonHost::new(host, program);
        let news = py.detach(|| self.lock().receive(&content, &host));
        told(py, news)
    }

    fn html(&self, py: Python<'_>) -> String {
        py.detach(|| self.lock().html())
    }

    fn text(&self, py: Python<'_>) -> String {
        py.detach(|| self.lock().text())
    }
}
