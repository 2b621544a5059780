//! The config file's table of settings for Slurm, of which `SlurmConfig` is made.

use crate::errors::{IntoPython, to_python};
use bioimage_engine::Error;
use bioimage_engine::config::slurm;
use pyo3::prelude::*;
use std::path::PathBuf;

/// The file that the table is written to.
#[pyfunction]
#[pyo3(signature = (path=None))]
pub fn slurm_config_file(path: Option<PathBuf>) -> PathBuf {
    slurm::file(path.as_deref())
}

/// The file that the table comes from, and what is there, as JSON.
#[pyfunction]
#[pyo3(signature = (path=None))]
pub fn stored_slurm_config(py: Python<'_>, path: Option<PathBuf>) -> PyResult<(PathBuf, String)> {
    let stored = slurm::stored(path.as_deref()).into_python(py)?;
    let value = serde_json::to_string(&stored.value)
        .map_err(|error| to_python(py, &Error::internal(error.to_string())))?;
    Ok((stored.file, value))
}

/// Sets keys of the table, which are pairs of a name and a value, as JSON; returns the file.
#[pyfunction]
pub fn write_slurm_config(
    py: Python<'_>,
    path: Option<PathBuf>,
    replace: bool,
    values: &str,
) -> PyResult<PathBuf> {
    let write = || {
        let values: Vec<(String, Option<_>)> = serde_json::from_str(values)
            .map_err(|error| Error::argument(format!("settings for Slurm: {error}")))?;
        slurm::write(path.as_deref(), replace, &values)
    };
    write().into_python(py)
}
