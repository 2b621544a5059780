//! Runs: made, followed, cancelled and resumed from Python.

use crate::arrays::{Array, Bytes, lent};
use crate::errors::{IntoPython, to_python};
use crate::function::Function;
use crate::language;
use bioimage_engine::array::Array as Block;
use bioimage_engine::config::Config;
use bioimage_engine::config::slurm::SlurmDefaults;
use bioimage_engine::dtype::DType;
use bioimage_engine::grid::Region;
use bioimage_engine::op::registry::build;
use bioimage_engine::op::table::Table;
use bioimage_engine::op::{ArrayShape, Operation, OperationSpec};
use bioimage_engine::run::folder::{Code, PathMap};
use bioimage_engine::run::live::RunView;
use bioimage_engine::run::monitor::{BlockState, Monitor};
use bioimage_engine::run::slurm::{SlurmSettings, has_jobs};
use bioimage_engine::run::{
    Backend, Options, Output, Resume, Setup, is_on_cluster, registry, state_of,
};
use bioimage_engine::{Error, Result};
use pyo3::prelude::*;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A run: led by this process, by another one, or by nobody any more.
#[pyclass(frozen)]
pub struct Run {
    pub view: RunView,
}

/// A value from its name in the engine's own spelling.
fn named<T: DeserializeOwned>(what: &str, name: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
        .map_err(|error| Error::argument(format!("unknown {what} '{name}': {error}")))
}

#[pymethods]
impl Run {
    #[getter]
    fn folder(&self) -> PathBuf {
        self.view.folder.path().to_owned()
    }

    /// The request, as JSON.
    fn request(&self, py: Python<'_>) -> PyResult<String> {
        let request = self.view.folder.request().into_python(py)?;
        serde_json::to_string(&request)
            .map_err(|error| to_python(py, &Error::internal(error.to_string())))
    }

    /// `running`, `succeeded` and so on.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        state_of(&self.view.folder).map(|state| state.as_str()).into_python(py)
    }

    /// Whether this process leads the run.
    #[getter]
    fn is_led_here(&self) -> bool {
        self.view.run().is_some()
    }

    /// Whether the latest attempt is worked on by a cluster, which goes on without this process.
    #[getter]
    fn is_on_cluster(&self, py: Python<'_>) -> PyResult<bool> {
        is_on_cluster(&self.view.folder).into_python(py)
    }

    /// The run as led by this process from now on: one on a cluster that nobody leads any more.
    fn adopt(&self, py: Python<'_>) -> PyResult<Option<Run>> {
        let led = py.detach(|| bioimage_engine::run::Run::adopt(&self.view.folder));
        Ok(led.into_python(py)?.map(|run| Run { view: RunView::of(run) }))
    }

    /// The blocks that failed, with their errors, as JSON.
    fn failures(&self, py: Python<'_>) -> PyResult<String> {
        let read = || -> Result<serde_json::Value> {
            let mut monitor = Monitor::open(&self.view.folder)?;
            monitor.poll()?;
            let failed = monitor
                .failures()
                .iter()
                .filter(|(block, _)| monitor.states()[**block as usize] == BlockState::Failed);
            let failures = failed.map(
                |(block, failure)| serde_json::json!({ "block": block, "error": failure.error }),
            );
            Ok(failures.collect())
        };
        Ok(py.detach(read).into_python(py)?.to_string())
    }

    /// The blocks that were asked for and are neither done nor skipped.
    fn not_done(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        let read = || -> Result<Vec<u64>> {
            let mut monitor = Monitor::open(&self.view.folder)?;
            monitor.poll()?;
            let blocks = monitor.states().len() as u64;
            let asked = self.view.folder.todo(1, blocks)?;
            let open = |id: &u64| {
                !matches!(monitor.states()[*id as usize], BlockState::Done | BlockState::Skipped)
                    && asked.as_ref().is_none_or(|asked| asked.contains(*id))
            };
            Ok((0..blocks).filter(open).collect())
        };
        py.detach(read).into_python(py)
    }

    /// The summary that lists show, as JSON.
    fn summary(&self, py: Python<'_>) -> PyResult<String> {
        let summary = py.detach(|| registry::RunSummary::of(&self.view.folder)).into_python(py)?;
        serde_json::to_string(&summary)
            .map_err(|error| to_python(py, &Error::internal(error.to_string())))
    }

    /// What a pass has measured, by default the last: name, data type and bytes of each column.
    #[pyo3(signature = (stage=None))]
    fn table<'py>(
        &self,
        py: Python<'py>,
        stage: Option<usize>,
    ) -> PyResult<Vec<(String, &'static str, Bytes<'py>)>> {
        let folder = &self.view.folder;
        let table = py
            .detach(|| match stage {
                Some(stage) => Table::read(&folder.merged(stage)),
                None => folder.table(),
            })
            .into_python(py)?;
        let column = |(name, values): (String, Block)| {
            let dtype = values.dtype().name();
            Ok((name, dtype, lent(py, values)?))
        };
        table.into_columns().into_iter().map(column).collect()
    }

    /// Waits at most so many seconds for the end of a run that this process leads; the outcome as
    /// JSON once there is one.
    fn wait(&self, py: Python<'_>, seconds: f64) -> Option<String> {
        let run = self.view.run()?;
        let outcome = py.detach(|| run.wait_for(Duration::from_secs_f64(seconds)))?;
        serde_json::to_string(&outcome).ok()
    }

    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.view.cancel()).into_python(py)
    }

    /// Stops a run that this process leads, and notes on the exception that is the reason how to
    /// go on. A second interrupt does not wait for the end. Jobs on a cluster are left alone.
    fn stop(&self, py: Python<'_>, interrupt: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.is_on_cluster(py)? && has_jobs(&self.view.folder).into_python(py)? {
            let id = self.view.folder.request().into_python(py)?.id;
            let note = format!(
                "The jobs of this run go on in Slurm. bp.attach('{id}').wait() or %bp watch {id} \
                 waits for them, bp.attach('{id}').cancel() or %bp cancel {id} stops them."
            );
            return interrupt.call_method1("add_note", (note,)).map(drop);
        }
        let Some(run) = self.view.run() else { return Ok(()) };
        self.cancel(py)?;
        while py.detach(|| run.wait_for(Duration::from_millis(50))).is_none() {
            py.check_signals()?;
        }
        let note = match self.view.folder.request() {
            Ok(request) if !self.view.folder.is_ephemeral() => format!(
                "The run was stopped; what is done is kept. bp.attach('{id}').resume() or \
                 %bp resume {id} finishes the rest.",
                id = request.id
            ),
            _ => {
                "The run was stopped. Its arrays live in memory: what is done is in them, and the \
                  rest can only be started again."
                    .to_owned()
            }
        };
        interrupt.call_method1("add_note", (note,))?;
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "keywords on the Python side")]
    #[pyo3(signature = (*, workers=None, backend=None, budget=None, force=false, verify=false, program=None, task_timeout=None, tasks_per_worker=None, slurm=None, paths=None))]
    fn resume(
        &self,
        py: Python<'_>,
        workers: Option<u64>,
        backend: Option<&str>,
        budget: Option<u64>,
        force: bool,
        verify: bool,
        program: Option<PathBuf>,
        task_timeout: Option<f64>,
        tasks_per_worker: Option<u64>,
        slurm: Option<&str>,
        paths: Option<BTreeMap<PathBuf, PathBuf>>,
    ) -> PyResult<()> {
        let backend: Option<Backend> =
            backend.map(|name| named("backend", name)).transpose().into_python(py)?;
        let resume = Resume {
            backend,
            workers,
            budget,
            force,
            verify,
            program,
            task_timeout: task_timeout.map(Duration::from_secs_f64),
            tasks_per_worker,
            slurm: slurm.map(slurm_settings).transpose().into_python(py)?,
            paths: paths.into_iter().flatten().map(|(old, new)| PathMap { old, new }).collect(),
        };
        py.detach(|| self.view.resume(&resume)).into_python(py)?;
        Ok(())
    }
}

/// How and where a run is done, in Python's words.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct HowTo {
    block_shape: Option<Vec<u64>>,
    block_ids: Option<Vec<u64>>,
    backend: String,
    workers: u64,
    budget: Option<u64>,
    retries: u32,
    program: Option<PathBuf>,
    task_timeout: Option<f64>,
    tasks_per_worker: u64,
    run_root: Option<PathBuf>,
    /// What is asked of Slurm, as JSON; the config's by default.
    slurm: Option<String>,
    code: String,
}

impl HowTo {
    fn options(&self) -> Result<Options> {
        let run_root = match &self.run_root {
            Some(root) => root.clone(),
            None => Config::load()?.run_root(),
        };
        Ok(Options {
            backend: named("backend", &self.backend)?,
            workers: self.workers,
            budget: self.budget,
            retries: self.retries,
            run_root,
            program: self.program.clone(),
            tasks_per_worker: self.tasks_per_worker,
            task_timeout: self.task_timeout.map(Duration::from_secs_f64),
            slurm: match &self.slurm {
                Some(settings) => slurm_settings(settings)?,
                None if self.backend == Backend::Slurm.as_str() => SlurmDefaults::load()?.settings,
                None => SlurmSettings::default(),
            },
            asks_cluster: true,
        })
    }

    fn code(&self) -> Result<Code> {
        serde_json::from_str(&self.code)
            .map_err(|error| Error::internal(format!("code of a request: {error}")))
    }
}

fn slurm_settings(json: &str) -> Result<SlurmSettings> {
    let settings: SlurmSettings = serde_json::from_str(json)
        .map_err(|error| Error::argument(format!("settings for Slurm: {error}")))?;
    settings.memory()?;
    settings.time_limit()?;
    Ok(settings)
}

fn sink_of(output: &Array) -> Result<Output> {
    let sink = output
        .sink
        .clone()
        .ok_or_else(|| Error::argument("the output is read-only").fix("Open it for writing."))?;
    Ok(Output::Existing(sink))
}

fn start(py: Python<'_>, setup: Result<Setup>) -> PyResult<Run> {
    let setup = setup.into_python(py)?;
    let run = py.detach(|| setup.prepare()?.start()).into_python(py)?;
    let run = Run { view: RunView::of(run) };
    // An interrupt that came while the run was prepared would else be raised before anyone holds
    // the run that it is meant for.
    py.check_signals().or_else(|interrupt| {
        run.stop(py, interrupt.value(py).as_any())?;
        Err(interrupt)
    })?;
    Ok(run)
}

/// An operation of the engine, from JSON: `{"name": "copy", "parameters": {"cast": "wrapping"}}`.
fn operation_of(json: &str) -> Result<(OperationSpec, Arc<dyn Operation>)> {
    let spec: OperationSpec = serde_json::from_str(json)
        .map_err(|error| Error::internal(format!("an operation: {error}")))?;
    let operation = build(&spec)?;
    Ok((spec, operation))
}

/// Starts an operation on what it reads, which is not always what the user gave: an operation that
/// is done while an array is read gets that array wrapped.
#[pyfunction]
pub fn run_operation(
    py: Python<'_>,
    operation: &str,
    inputs: Vec<PyRef<'_, Array>>,
    outputs: Vec<PyRef<'_, Array>>,
    mask: Option<&Array>,
    how: HowTo,
) -> PyResult<Run> {
    let make = || -> Result<Setup> {
        let (spec, operation) = operation_of(operation)?;
        Ok(Setup {
            spec,
            operation,
            payload: None,
            inputs: inputs.iter().map(|input| input.source.clone()).collect(),
            outputs: outputs.iter().map(|output| sink_of(output)).collect::<Result<_>>()?,
            mask: mask.map(|mask| mask.source.clone()),
            domain: None,
            options: how.options()?,
            code: how.code()?,
            block_shape: how.block_shape.clone(),
            block_ids: how.block_ids.clone(),
        })
    };
    start(py, make())
}

/// Shape and data type of the arrays that an operation makes of inputs of these shapes and types.
#[pyfunction]
pub fn operation_outputs(
    py: Python<'_>,
    operation: &str,
    inputs: Vec<(Vec<u64>, String)>,
) -> PyResult<Vec<(Vec<u64>, &'static str)>> {
    let make = || -> Result<Vec<ArrayShape>> {
        let (_, operation) = operation_of(operation)?;
        let array = |(shape, dtype): (Vec<u64>, String)| {
            Ok(ArrayShape { shape, dtype: DType::parse(&dtype)? })
        };
        operation.outputs(&inputs.into_iter().map(array).collect::<Result<Vec<_>>>()?)
    };
    let outputs = make().into_python(py)?;
    Ok(outputs.into_iter().map(|array| (array.shape, array.dtype.name())).collect())
}

/// Starts a run of a Python function over the blocks, or items, of a domain.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "what a run is made of")]
pub fn run_function(
    py: Python<'_>,
    function: &Function,
    inputs: Vec<PyRef<'_, Array>>,
    outputs: Vec<PyRef<'_, Array>>,
    domain: (Vec<u64>, Vec<u64>),
    parameters: &str,
    payload: Option<Vec<u8>>,
    how: HowTo,
) -> PyResult<Run> {
    let make = || -> Result<Setup> {
        let parameters = serde_json::from_str(parameters)
            .map_err(|error| Error::internal(format!("parameters of a request: {error}")))?;
        Ok(Setup {
            spec: OperationSpec {
                name: function.operation.name().to_owned(),
                parameters,
                language: Some(language::NAME.to_owned()),
            },
            operation: function.operation.clone() as Arc<dyn Operation>,
            payload,
            inputs: inputs.iter().map(|input| input.source.clone()).collect(),
            outputs: outputs.iter().map(|output| sink_of(output)).collect::<Result<_>>()?,
            mask: None,
            domain: Some(Region { start: domain.0, shape: domain.1 }),
            options: how.options()?,
            code: how.code()?,
            block_shape: how.block_shape.clone(),
            block_ids: how.block_ids.clone(),
        })
    };
    start(py, make())
}

/// A number of bytes from how people write it, such as `4GB`.
#[pyfunction]
pub fn parse_bytes(py: Python<'_>, text: &str) -> PyResult<u64> {
    bioimage_engine::config::parse_bytes(text).into_python(py)
}

/// The runs on record, the latest first.
#[pyfunction]
pub fn list_runs(py: Python<'_>) -> PyResult<Vec<Run>> {
    let root = Config::load().into_python(py)?.run_root();
    let folders = py.detach(|| registry::list(&root));
    Ok(folders
        .into_iter()
        .filter_map(|summary| {
            let folder = bioimage_engine::run::folder::RunFolder::open(&summary.folder).ok()?;
            Some(Run { view: RunView::attached(folder) })
        })
        .collect())
}

/// The run with a name: its id, a beginning of it, its folder, or `last`.
#[pyfunction]
pub fn find_run(py: Python<'_>, name: &str) -> PyResult<Run> {
    let root = Config::load().into_python(py)?.run_root();
    let folder = registry::find(&root, name).into_python(py)?;
    Ok(Run { view: RunView::attached(folder) })
}
