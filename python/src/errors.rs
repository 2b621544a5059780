//! The engine's errors as Python exceptions, and back.

use bioimage_engine::{Error, Kind};
use pyo3::exceptions::PyRuntimeError;
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
