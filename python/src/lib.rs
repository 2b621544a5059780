//! Python bindings of the engine: the private module `bioimage_rs._native`.
//! The public functions are Python, in `python/bioimage_rs/`.

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
