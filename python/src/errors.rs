//! The engine's errors as Python exceptions, and back.

use bioimage_engine::{Error, Kind};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;

/// The exception that `bioimage_rs.errors` makes of an error.
pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let made = py.import("bioimage_rs.errors")?.call_method1(
            "from_native",
            (error.kind.as_str(), &error.message, &error.fix, &error.traceback),
        )?;
        Ok(PyErr::from_value(made))
    };
    make().unwrap_or_else(|_| PyRuntimeError::new_err(error.report()))
}

/// An exception as an error of the engine: told as Python shows it, with its traceback.
pub fn exception(py: Python<'_>, error: &PyErr) -> Error {
    let told = error.value(py).repr().map_or_else(|_| error.to_string(), |text| text.to_string());
    let kind = kind_of(py, error).unwrap_or(Kind::Foreign);
    Error { kind, message: told, ..from_python(py, error, "") }
}

/// The kind of an error of this package that went through Python, such as a read that failed inside
/// a function: whether it is worth another try depends on it.
fn kind_of(py: Python<'_>, error: &PyErr) -> Option<Kind> {
    if error.is_instance_of::<PyMemoryError>(py) {
        return Some(Kind::OutOfMemory);
    }
    let known = py.import("bioimage_rs.errors").ok()?.getattr("BioimageError").ok()?;
    if !error.value(py).is_instance(&known).ok()? {
        return None;
    }
    let name: String = error.value(py).getattr("kind").ok()?.extract().ok()?;
    serde_json::from_value(serde_json::Value::String(name)).ok()
}

/// What a Python object raised while the engine used it, with its traceback.
pub fn from_python(py: Python<'_>, error: &PyErr, doing: &str) -> Error {
    let traceback = error
        .traceback(py)
        .and_then(|traceback| traceback.format().ok())
        .map(|text| format!("{text}{error}"));
    let mut made = Error::new(Kind::Foreign, format!("{doing}: {error}"));
    made.traceback = traceback;
    made
}

/// Turns an engine result into a Python one.
pub trait IntoPython<T> {
    /// The value, or the exception.
    fn into_python(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> IntoPython<T> for bioimage_engine::Result<T> {
    fn into_python(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| to_python(py, &error))
    }
}
