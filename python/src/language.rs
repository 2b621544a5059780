//! Python as a language of runs: its arrays and functions opened from run folders.

use crate::arrays::Array;
use crate::errors::{IntoPython, exception};
use crate::function::Function;
use bioimage_engine::op::{Operation, OperationSpec};
use bioimage_engine::run::folder::{PathMap, RunFolder};
use bioimage_engine::run::language::{Language, register};
use bioimage_engine::run::work_as_process;
use bioimage_engine::source::{Sink, Source};
use bioimage_engine::{Error, Result};
use pyo3::prelude::*;
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

struct PythonLanguage;

/// The name that specs and requests hold.
pub const NAME: &str = "python";

/// Where Python does its part.
const MODULE: &str = "bioimage_rs._functions";

/// Makes Python known to the engine.
pub fn make_known() {
    register(NAME, Arc::new(PythonLanguage));
}

fn open(value: &Value, writable: bool) -> Result<Py<Array>> {
    Python::attach(|py| {
        let opened = || -> PyResult<Py<Array>> {
            let array =
                py.import(MODULE)?.call_method1("open_array", (value.to_string(), writable))?;
            Ok(array.cast_into::<Array>().map_err(PyErr::from)?.unbind())
        };
        opened().map_err(|error| exception(py, &error))
    })
}

impl Language for PythonLanguage {
    fn open_source(&self, value: &Value) -> Result<Arc<dyn Source>> {
        Ok(open(value, false)?.get().source.clone())
    }

    fn open_sink(&self, value: &Value) -> Result<Arc<dyn Sink>> {
        let array = open(value, true)?;
        array.get().sink.clone().ok_or_else(|| Error::argument("the array is read-only"))
    }

    fn operation(
        &self,
        folder: &RunFolder,
        inputs: &[Arc<dyn Source>],
        paths: &[PathMap],
    ) -> Result<Arc<dyn Operation>> {
        Python::attach(|py| {
            let loaded = || -> PyResult<Py<Function>> {
                let inputs: Vec<Py<Array>> = inputs
                    .iter()
                    .map(|input| Py::new(py, Array::opened(input.clone())))
                    .collect::<PyResult<_>>()?;
                let paths: Vec<_> = paths.iter().map(|map| (&map.old, &map.new)).collect();
                let load = py.import(MODULE)?.getattr("load")?;
                let function = load.call1((folder.path(), inputs, paths))?;
                Ok(function.cast_into::<Function>().map_err(PyErr::from)?.unbind())
            };
            let function = loaded().map_err(|error| exception(py, &error))?;
            Ok(function.get().operation.clone() as Arc<dyn Operation>)
        })
    }

    fn worker(&self, operation: &OperationSpec) -> Vec<OsString> {
        let given = operation.parameters.get("python").and_then(Value::as_str);
        let own = || {
            Python::attach(|py| {
                py.import("sys").and_then(|sys| sys.getattr("executable")?.extract::<String>())
            })
        };
        let python =
            given.map_or_else(|| own().unwrap_or_else(|_| "python3".into()), str::to_owned);
        [&python, "-m", "bioimage_rs.worker"].map(OsString::from).to_vec()
    }
}

/// Works on one task of a run, as a worker process.
#[pyfunction]
#[pyo3(signature = (folder, task, attempt, launch=None))]
pub fn work(
    py: Python<'_>,
    folder: PathBuf,
    task: usize,
    attempt: u32,
    launch: Option<u32>,
) -> PyResult<()> {
    py.detach(|| work_as_process(&folder, task, attempt, launch)).into_python(py)
}
