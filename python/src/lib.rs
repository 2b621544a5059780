//! Python bindings of the engine: the private module `bioimage_rs._native`.
//! The public functions are Python, in `python/bioimage_rs/`.

mod arrays;
mod blocking;
mod commands;
mod config;
mod errors;
mod evaluation;
mod foreign;
mod function;
mod language;
mod panels;
mod read_ahead;
mod runs;
mod wrapped;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // NumPy's C interface is loaded now: at its first use, an interrupt would end in a panic.
    let _ = numpy::dtype::<u8>(module.py());
    language::make_known();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("KINDS", bioimage_engine::Kind::ALL.map(bioimage_engine::Kind::as_str).to_vec())?;
    module.add_class::<arrays::Array>()?;
    module.add_class::<blocking::PyBlock>()?;
    module.add_class::<blocking::PyBlockWithHalo>()?;
    module.add_class::<blocking::Blocking>()?;
    module.add_class::<function::Function>()?;
    module.add_class::<function::PartialReader>()?;
    module.add_class::<runs::Run>()?;
    module.add_class::<panels::Panel>()?;
    module.add_class::<commands::Reply>()?;
    module.add_class::<evaluation::Contingency>()?;
    module.add_function(wrap_pyfunction!(evaluation::coordinate_matching, module)?)?;
    module.add_function(wrap_pyfunction!(evaluation::otsu, module)?)?;
    module.add_function(wrap_pyfunction!(evaluation::li, module)?)?;
    module.add_function(wrap_pyfunction!(wrapped::wrap, module)?)?;
    module.add_function(wrap_pyfunction!(wrapped::sample, module)?)?;
    module.add_function(wrap_pyfunction!(runs::run_operation, module)?)?;
    module.add_function(wrap_pyfunction!(runs::operation_outputs, module)?)?;
    module.add_function(wrap_pyfunction!(runs::run_function, module)?)?;
    module.add_function(wrap_pyfunction!(runs::parse_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(config::slurm_config_file, module)?)?;
    module.add_function(wrap_pyfunction!(config::stored_slurm_config, module)?)?;
    module.add_function(wrap_pyfunction!(config::write_slurm_config, module)?)?;
    module.add_function(wrap_pyfunction!(language::work, module)?)?;
    module.add_function(wrap_pyfunction!(runs::list_runs, module)?)?;
    module.add_function(wrap_pyfunction!(runs::find_run, module)?)?;
    module.add_function(wrap_pyfunction!(commands::execute, module)?)?;
    module.add_function(wrap_pyfunction!(commands::complete, module)?)?;
    module.add_function(wrap_pyfunction!(commands::help_at, module)?)
}
