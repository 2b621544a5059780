//! Arrays that the engine changes while they are read, and sampling at coordinates.

use crate::arrays::Array;
use crate::errors::{IntoPython, to_python};
use bioimage_engine::Error;
use bioimage_engine::array::Scalar;
use bioimage_engine::source::wrap::{Wrap, sample_at};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

/// An array with a wrapper around it, which is given as JSON: `{"wrapper": "threshold", ...}`. It can
/// be written where the array can and the wrapper is a region or a change of axes.
#[pyfunction]
pub fn wrap(py: Python<'_>, wrapper: &str, inner: &Array) -> PyResult<Array> {
    let wrap: Wrap = serde_json::from_str(wrapper)
        .map_err(|error| to_python(py, &Error::argument(format!("not a wrapper: {error}"))))?;
    let made = py.detach(|| {
        let sink = match &inner.sink {
            Some(sink) => wrap.clone().over_sink(sink.clone())?,
            None => None,
        };
        match sink {
            Some(sink) => Ok(Array::of_sink(sink, inner.kind)),
            None => {
                let source = wrap.over(inner.source.clone())?;
                Ok(Array::of_source(source, inner.kind))
            }
        }
    });
    made.into_python(py)
}

/// The values of an array at coordinates, which are flat: all of the first axis, then all of the
/// next. Gives the bytes in C order, as a flat array of `uint8`.
#[pyfunction]
pub fn sample<'py>(
    py: Python<'py>,
    array: &Array,
    coordinates: PyReadonlyArray1<'py, f64>,
    shape: Vec<u64>,
    order: u8,
    fill: &str,
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let fill: Scalar = fill.parse().into_python(py)?;
    let coordinates = coordinates.as_slice()?;
    let block = py
        .detach(|| sample_at(&*array.source, coordinates, &shape, order, fill))
        .into_python(py)?;
    Ok(PyArray1::from_slice(py, block.bytes()))
}
