//! The live view of a run, for the widget.

use crate::errors::IntoPython;
use crate::runs::Run;
use bioimage_engine::run::live;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Follows a run for one widget; see `docs/design/live-view.md`.
#[pyclass(frozen)]
pub struct LiveView {
    live: Mutex<live::LiveView>,
}

type Message<'py> = (String, Vec<Bound<'py, PyBytes>>);
type Tick<'py> = (Option<String>, Option<String>, Vec<Message<'py>>, bool);

fn messages<'py>(py: Python<'py>, messages: Vec<live::Message>) -> Vec<Message<'py>> {
    messages
        .into_iter()
        .map(|message| {
            let buffers = message.buffers.iter().map(|bytes| PyBytes::new(py, bytes)).collect();
            (message.content.to_string(), buffers)
        })
        .collect()
}

impl LiveView {
    fn lock(&self) -> MutexGuard<'_, live::LiveView> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl LiveView {
    #[new]
    #[pyo3(signature = (run, program=None))]
    fn new(py: Python<'_>, run: &Run, program: Option<PathBuf>) -> PyResult<Self> {
        let view = run.view.clone();
        let live = py.detach(|| live::LiveView::open(view, program)).into_python(py)?;
        Ok(LiveView { live: Mutex::new(live) })
    }

    /// The states that changed as JSON, messages as JSON with buffers, and whether the run is over.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Tick<'py>> {
        let tick = py.detach(|| self.lock().poll()).into_python(py)?;
        let text = |value: Option<serde_json::Value>| value.map(|value| value.to_string());
        Ok((text(tick.run), text(tick.status), messages(py, tick.messages), tick.finished))
    }

    /// The answers to a message of the widget.
    fn receive<'py>(&self, py: Python<'py>, content: &str) -> Vec<Message<'py>> {
        let content = serde_json::from_str(content).unwrap_or_default();
        let answers = py.detach(|| self.lock().receive(&content));
        messages(py, answers)
    }

    fn html(&self, py: Python<'_>) -> String {
        py.detach(|| self.lock().html())
    }

    fn text(&self, py: Python<'_>) -> String {
        py.detach(|| self.lock().text())
    }
}
