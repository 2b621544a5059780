//! From arrays and options to a run: prepared (planned, nothing written), then started.

use super::cancel::CancelToken;
use super::driver::{Lead, lock_outputs, places};
use super::folder::{ArrayRecord, Attempt, BlockSet, Code, Request, RunFolder, new_id};
use super::journal::{now, time_text};
use super::lock::{LeadLock, OutputLock};
use super::process::{ProcessId, available_memory, host_name, user_name};
use super::slurm::{self, SlurmSettings};
use super::subprocess::worker_command;
use super::worker::Job;
use super::{Backend, FORMAT, Run, journal, registry};
use crate::error::{Error, Result};
use crate::grid::{Region, same_shape};
use crate::op::{ArrayShape, Operation, OperationSpec};
use crate::plan::{Plan, PlanInput, TASKS_PER_WORKER, WriteUnit, auto_block_shape};
use crate::source::zarr::{GroupDescription, NewArray, ZarrArray, describe_group_above};
use crate::source::{Held, Sink, Source, Spec};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// An output: an array that exists, or one that is made when the plan is accepted.
#[derive(Clone)]
pub enum Output {
    /// An array that exists.
    Existing(Arc<dyn Sink>),
    /// A Zarr array to be made.
    New {
        /// The store's folder.
        path: PathBuf,
        /// Path inside the store.
        array: String,
        /// What it is to be.
        new: Box<NewArray>,
        /// Whether an array that is there may be removed.
        overwrite: bool,
        /// What the group above it is to say, where that is made with it.
        group: Option<GroupDescription>,
    },
}

impl Output {
    /// Refuses what cannot be made, before anything is.
    fn check(&self) -> Result<()> {
        match self {
            Output::Existing(_) => Ok(()),
            Output::New { path, array, new, overwrite, .. } => {
                ZarrArray::check_new(path, array, new, *overwrite)
            }
        }
    }

    fn make(self) -> Result<Arc<dyn Sink>> {
        match self {
            Output::Existing(sink) => Ok(sink),
            Output::New { path, array, new, overwrite, group } => {
                let made = ZarrArray::create(&path, &array, &new, overwrite)?;
                if let Some(description) = group {
                    describe_group_above(&path, &array, description)?;
                }
                Ok(Arc::new(made))
            }
        }
    }

    fn shape(&self) -> ArrayShape {
        match self {
            Output::Existing(sink) => {
                ArrayShape { shape: sink.shape().to_vec(), dtype: sink.dtype() }
            }
            Output::New { new, .. } => ArrayShape { shape: new.shape.clone(), dtype: new.dtype },
        }
    }

    fn spec(&self) -> Option<Spec> {
        match self {
            Output::Existing(sink) => sink.spec(),
            Output::New { path, array, .. } => {
                Some(Spec::Zarr { path: path.clone(), array: array.clone() })
            }
        }
    }

    /// The write unit along the last `ndim` axes, which are the grid's.
    fn write_unit(&self, ndim: usize) -> Option<WriteUnit> {
        let mut unit = match self {
            Output::Existing(sink) => {
                let (shard, origin) = (sink.has_shards(), sink.write_origin());
                sink.write_unit().map(|shape| WriteUnit { shape, shard, origin })?
            }
            Output::New { new, .. } => match &new.shards {
                Some(shards) => WriteUnit { shape: shards.clone(), shard: true, origin: None },
                None => WriteUnit { shape: new.chunks.clone(), shard: false, origin: None },
            },
        };
        let leading = unit.shape.len().saturating_sub(ndim);
        unit.shape.drain(..leading);
        if let Some(origin) = &mut unit.origin {
            origin.drain(..leading);
        }
        Some(unit)
    }
}

/// What is needed to make a run.
pub struct Setup {
    /// The operation.
    pub operation: Arc<dyn Operation>,
    /// The operation as other processes read it.
    pub spec: OperationSpec,
    /// What the language of the operation needs to make it again in another process.
    pub payload: Option<Vec<u8>>,
    /// Inputs; the first one's shape is the grid's.
    pub inputs: Vec<Arc<dyn Source>>,
    /// Outputs, whose trailing axes are the grid's.
    pub outputs: Vec<Output>,
    /// Mask of the grid's shape.
    pub mask: Option<Arc<dyn Source>>,
    /// The region that is worked on; all by default.
    pub domain: Option<Region>,
    /// Extents of a block; chosen from the arrays' grids by default.
    pub block_shape: Option<Vec<u64>>,
    /// The blocks that are worked on; all by default.
    pub block_ids: Option<Vec<u64>>,
    /// How and where it is done.
    pub options: Options,
    /// The request as code.
    pub code: Code,
}

/// How and where a run is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where blocks are worked on.
    pub backend: Backend,
    /// How many work at the same time.
    pub workers: u64,
    /// Memory that may be used, in bytes; what is available by default.
    pub budget: Option<u64>,
    /// How often a transient failure is tried again.
    pub retries: u32,
    /// Folder that run folders are made in.
    pub run_root: PathBuf,
    /// The `bp` program, for worker processes.
    pub program: Option<PathBuf>,
    /// The time a worker process may take for a task.
    pub task_timeout: Option<Duration>,
    /// Tasks that each worker process gets.
    pub tasks_per_worker: u64,
    /// What is asked of Slurm, on that backend.
    pub slurm: SlurmSettings,
    /// Whether the cluster is asked if it takes that, which may take a while.
    pub asks_cluster: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            backend: Backend::Local,
            workers: 1,
            budget: None,
            retries: 3,
            run_root: registry::default_root(),
            program: None,
            task_timeout: None,
            tasks_per_worker: TASKS_PER_WORKER,
            slurm: SlurmSettings::default(),
            asks_cluster: true,
        }
    }
}

/// The option that the memory is raised with: what a task on a cluster asks for is its budget.
pub(super) fn budget_option(slurm: Option<&SlurmSettings>) -> Result<&'static str> {
    let asks = slurm.map(SlurmSettings::memory).transpose()?.flatten();
    Ok(if asks.is_some() { "--mem" } else { "--memory" })
}

impl Options {
    fn on_cluster(&self) -> Option<&SlurmSettings> {
        (self.backend == Backend::Slurm).then_some(&self.slurm)
    }

    /// The memory that may be used: on a cluster what a task asks for.
    fn memory(&self) -> Result<u64> {
        Ok(match self.backend {
            Backend::Slurm => self.slurm.memory()?.or(self.budget).unwrap_or(u64::MAX),
            _ => self.budget.unwrap_or_else(default_budget),
        })
    }

    /// Where the run folder is made.
    fn folder_root(&self) -> &Path {
        match (&self.backend, &self.slurm.tmp_root) {
            (Backend::Slurm, Some(root)) => root,
            _ => &self.run_root,
        }
    }
}

/// The file in a run folder that holds the payload of a language's operation.
pub const PAYLOAD: &str = "payload";

/// Share of the available memory that a run takes for itself when no budget is given.
const BUDGET_SHARE: f64 = 0.8;

/// The budget that is meant where none is given.
pub fn default_budget() -> u64 {
    (available_memory() as f64 * BUDGET_SHARE) as u64
}

/// A run that is planned and accepted, and of which nothing is written yet.
pub struct Prepared {
    setup: Setup,
    /// The plan.
    pub plan: Plan,
    block_shape: Vec<u64>,
    domain: Region,
}

impl Setup {
    /// Plans the run.
    ///
    /// # Errors
    /// Every refusal: `shape-mismatch`, `dtype-mismatch`, `unsafe-block-shape`, `memory-budget`,
    /// `invalid-argument`; `scheduler-failed` where Slurm is to be used and does not answer.
    pub fn prepare(self) -> Result<Prepared> {
        let inputs: Vec<ArrayShape> = self.inputs.iter().map(|input| shape_of(&**input)).collect();
        let outputs: Vec<ArrayShape> = self.outputs.iter().map(Output::shape).collect();
        let shape = match (inputs.first(), outputs.first(), &self.domain) {
            (Some(first), ..) | (None, Some(first), _) => first.shape.clone(),
            (None, None, Some(domain)) => domain.end(),
            (None, None, None) => {
                return Err(Error::argument("a run needs an input, an output or a domain"));
            }
        };
        for (index, input) in inputs.iter().enumerate() {
            same_shape(&format!("input {}", index + 1), &input.shape, "the first input", &shape)?;
        }
        if let Some(mask) = &self.mask {
            same_shape("the mask", mask.shape(), "the input", &shape)
                .map_err(|error| error.about("mask"))?;
            if !self.operation.takes_mask() {
                let name = self.operation.name();
                return Err(Error::argument(format!("{name} takes no mask"))
                    .about("mask")
                    .fix("Set the voxels to 0 first that are not to count."));
            }
        }
        let expected = self.operation.outputs(&inputs).map_err(|error| error.about("input"))?;
        for (index, (output, expected)) in outputs.iter().zip(&expected).enumerate() {
            let name = match &self.outputs[index].spec() {
                Some(spec) => format!("output '{}'", spec.display()),
                None => "the output".to_owned(),
            };
            let about_it = |error: Error| error.about("output");
            same_shape(&name, &output.shape, "what is written", &expected.shape)
                .map_err(about_it)?;
            self.operation.check_output(output.dtype).map_err(about_it)?;
        }
        self.check_overlap()?;
        let checked = self.outputs.iter().try_for_each(Output::check);
        checked.map_err(|error| error.about("output"))?;
        let domain = self.domain.clone().unwrap_or_else(|| Region::whole(&shape));
        if !domain.fits(&shape) {
            return Err(Error::argument(format!(
                "roi {domain} does not lie inside the array of shape {}",
                crate::grid::shape_text(&shape)
            ))
            .about("roi")
            .fix("Give start:end for each axis, with end <= extent."));
        }
        let write_units: Vec<Option<WriteUnit>> =
            self.outputs.iter().map(|output| output.write_unit(shape.len())).collect();
        let block_shape = match &self.block_shape {
            Some(block_shape) => block_shape.clone(),
            None => {
                let item_size = inputs.iter().chain(&outputs).map(|array| array.dtype.size()).max();
                let read = self.inputs.first().and_then(|input| input.chunks());
                let unit = write_units.iter().flatten().next().map(|unit| unit.shape.as_slice());
                let with_halo = self.operation.halo(shape.len()).iter().any(|halo| *halo > 0);
                auto_block_shape(&shape, item_size.unwrap_or(1), read.as_deref(), unit, with_halo)
            }
        };
        let halo = self.operation.halo(shape.len());
        // Worker processes know nothing of each other's blocks.
        let kept = match self.options.backend {
            Backend::Local => self.operation.kept_bytes(domain.voxels()),
            Backend::Subprocess | Backend::Slurm => 0,
        };
        let held = |block_shape: &[u64]| {
            let of_inputs = self.inputs.iter().map(|input| input.held_bytes(block_shape, &halo));
            of_inputs.chain([Held::up_to(kept)]).sum()
        };
        let reading = |block_shape: &[u64]| {
            self.inputs.iter().map(|input| input.read_bytes(block_shape)).sum()
        };
        let plan = Plan::make(&PlanInput {
            operation: &*self.operation,
            inputs: &inputs,
            outputs: &outputs,
            domain: domain.clone(),
            block_shape: &block_shape,
            write_units: &write_units,
            held: &held,
            reading: &reading,
            masked: self.mask.is_some(),
            workers: self.options.workers,
            tasks_per_worker: self.options.tasks_per_worker,
            backend: self.options.backend,
            budget: self.options.memory()?,
            budget_option: budget_option(self.options.on_cluster())?,
        })?;
        if let Some(bad) = self.block_ids.iter().flatten().find(|&&id| id >= plan.blocks()) {
            return Err(Error::argument(format!(
                "block {bad} does not exist: the grid has {} blocks",
                plan.blocks()
            ))
            .about("block_ids")
            .fix("Block ids run from 0."));
        }
        if self.options.backend != Backend::Local && !self.is_reopenable() {
            return Err(Error::argument(
                "worker processes cannot reach an array in this process's memory",
            )
            .about("backend")
            .fix("Use file-backed arrays (zarr), or the local backend."));
        }
        let asks_cluster = self.options.asks_cluster;
        let prepared = Prepared { setup: self, plan, block_shape, domain };
        if asks_cluster {
            prepared.ask_cluster()?;
        }
        Ok(prepared)
    }

    /// The language that is needed to open the run again.
    fn language(&self) -> Option<String> {
        let inputs = self.inputs.iter().chain(&self.mask).map(|input| input.spec());
        let specs: Vec<Spec> =
            inputs.chain(self.outputs.iter().map(Output::spec)).flatten().collect();
        let of_arrays = specs.iter().find_map(Spec::language);
        self.spec.language.as_deref().or(of_arrays).map(str::to_owned)
    }

    fn is_reopenable(&self) -> bool {
        (self.spec.language.is_none() || self.payload.is_some())
            && self.inputs.iter().all(|input| input.spec().is_some())
            && self.outputs.iter().all(|output| output.spec().is_some())
            && self.mask.as_ref().is_none_or(|mask| mask.spec().is_some())
    }

    fn check_overlap(&self) -> Result<()> {
        match self.read_and_written() {
            Some(spec) if !self.operation.may_run_in_place() => {
                let name = spec.whole().display();
                Err(Error::argument(format!("'{name}' is both read and written"))
                    .about("output")
                    .fix("Give the output another name."))
            }
            _ => Ok(()),
        }
    }

    /// An array that is read and changed by the run.
    fn read_and_written(&self) -> Option<Spec> {
        let outputs: Vec<Spec> = self.outputs.iter().filter_map(Output::spec).collect();
        let read = self.inputs.iter().chain(&self.mask).filter_map(|input| input.spec());
        read.into_iter().find(|spec| outputs.iter().any(|output| output.may_overlap(spec)))
    }
}

/// The command line of a worker on any node, from any folder.
pub(super) fn cluster_command(request: &Request, program: &Option<PathBuf>) -> Result<Vec<String>> {
    let language = request.language.as_deref();
    let words = worker_command(language, &request.operation, program.clone())?;
    Ok(words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect())
}

fn shape_of(source: &dyn Source) -> ArrayShape {
    ArrayShape { shape: source.shape().to_vec(), dtype: source.dtype() }
}

fn record(source: &dyn Source) -> Result<ArrayRecord> {
    let fingerprint = source.fingerprint()?;
    Ok(ArrayRecord {
        spec: source.spec(),
        shape: source.shape().to_vec(),
        dtype: source.dtype(),
        fingerprint,
    })
}

impl Prepared {
    /// The arrays that will be made, for messages.
    pub fn outputs(&self) -> Vec<String> {
        let specs = self.setup.outputs.iter().map(Output::spec);
        specs.map(|spec| spec.map_or("memory".to_owned(), |spec| spec.display())).collect()
    }

    /// How many are to work at the same time.
    pub fn workers(&self) -> u64 {
        self.setup.options.workers
    }

    /// Where blocks are to be worked on.
    pub fn backend(&self) -> Backend {
        self.setup.options.backend
    }

    /// What is asked of Slurm, where that is to do the work.
    pub fn slurm(&self) -> Option<&SlurmSettings> {
        (self.backend() == Backend::Slurm).then_some(&self.setup.options.slurm)
    }

    /// The memory that was asked for, or is the default of a user.
    pub fn budget(&self) -> Option<u64> {
        self.setup.options.budget
    }

    /// How often a transient failure is tried again.
    pub fn retries(&self) -> u32 {
        self.setup.options.retries
    }

    /// Whether other processes can open all arrays.
    pub fn is_reopenable(&self) -> bool {
        self.setup.is_reopenable()
    }

    /// Asks the cluster whether it takes what is asked of it, where one is to do the work.
    ///
    /// # Errors
    /// `invalid-argument` with what there is; `scheduler-failed` where it does not answer.
    pub fn ask_cluster(&self) -> Result<()> {
        self.slurm().map_or(Ok(()), slurm::validate)
    }

    /// Asks a compute node whether it sees all paths of the run and can run its worker program; a set
    /// `cancel` ends the waiting for it.
    ///
    /// # Errors
    /// `invalid-argument` with what the node does not have, or on another backend than Slurm;
    /// `scheduler-failed`; `cancelled`; `permission-denied` where this process cannot write, either.
    pub fn check_nodes(&self, cancel: &CancelToken) -> Result<()> {
        let Setup { inputs, mask, outputs, spec, options, .. } = &self.setup;
        let language = self.setup.language();
        let reads = inputs.iter().chain(mask).filter_map(|input| input.spec());
        let writes = outputs.iter().filter_map(Output::spec);
        let needs = slurm::Needs {
            command: worker_command(language.as_deref(), spec, options.program.clone())?,
            folder: options.folder_root().to_owned(),
            reads: reads.filter_map(|spec| spec.path().map(Path::to_owned)).collect(),
            writes: writes.filter_map(|spec| spec.path().map(Path::to_owned)).collect(),
        };
        let settings = (options.backend == Backend::Slurm).then_some(&options.slurm);
        slurm::check_nodes(settings, &needs, cancel)
    }

    /// Makes outputs and run folder, and starts to work.
    ///
    /// # Errors
    /// `output-locked`, `already-exists`, `write-failed` and the like; then nothing was started.
    pub fn start(self) -> Result<Run> {
        let Prepared { setup, plan, block_shape, domain } = self;
        let id = new_id();
        let name = setup.operation.name().to_owned();
        let run_root = setup.options.run_root.clone();
        let folder_root = setup.options.folder_root().to_owned();
        let folder = if setup.is_reopenable() {
            RunFolder::create(&folder_root, &name, &id)?
        } else {
            RunFolder::ephemeral(&name, &id)?
        };
        let started = Prepared::start_in(&folder, id, setup, plan, block_shape, domain);
        if started.is_err() {
            // Nothing has been done yet, and a folder without a run would only be in the way.
            let _ = std::fs::remove_dir_all(folder.path());
        } else if run_root != folder_root && !folder.is_ephemeral() {
            // Without it the run is found by its folder only.
            let _ = registry::record(&run_root, folder.path());
        }
        started
    }

    fn start_in(
        folder: &RunFolder,
        id: String,
        setup: Setup,
        plan: Plan,
        block_shape: Vec<u64>,
        domain: Region,
    ) -> Result<Run> {
        let new_places = setup.outputs.iter().filter_map(|output| match output {
            Output::Existing(sink) => sink.storage(),
            Output::New { path, array, .. } => Some(path.join(array)),
        });
        let locks = lock_outputs(new_places, folder, Duration::ZERO)?;
        let language = setup.language();
        // Of a block that has changed its own input, another try would change it again.
        let retries = if setup.read_and_written().is_some() { 0 } else { setup.options.retries };
        let made = setup.outputs.into_iter().map(Output::make).collect::<Result<Vec<_>>>();
        let outputs = match made {
            Ok(outputs) => outputs,
            Err(error) => {
                locks.into_iter().for_each(OutputLock::release);
                return Err(error);
            }
        };
        debug_assert!(places(&outputs).count() == locks.len());
        let request = Request {
            format: FORMAT,
            id,
            language,
            operation: setup.spec.clone(),
            inputs: setup.inputs.iter().map(|input| record(&**input)).collect::<Result<_>>()?,
            outputs: outputs
                .iter()
                .map(|output| ArrayRecord {
                    spec: output.spec(),
                    shape: output.shape().to_vec(),
                    dtype: output.dtype(),
                    fingerprint: String::new(),
                })
                .collect(),
            mask: setup.mask.as_ref().map(|mask| record(&**mask)).transpose()?,
            domain,
            block_shape,
            block_ids: setup.block_ids.clone(),
            retries,
            axes: setup
                .inputs
                .first()
                .map(|input| input.metadata().axes.into_iter().map(|axis| axis.name).collect())
                .unwrap_or_default(),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            host: host_name(),
            user: user_name(),
            created: time_text(now()),
            code: setup.code,
        };
        let options = &setup.options;
        let on_cluster = options.backend == Backend::Slurm;
        let todo = setup.block_ids.as_ref().map(|ids| {
            let mut todo = BlockSet::empty(plan.blocks());
            ids.iter().for_each(|&id| todo.insert(id));
            todo
        });
        let attempt = Attempt {
            number: 1,
            backend: setup.options.backend,
            workers: setup.options.workers,
            budget: plan.memory.budget,
            tasks: plan.tasks.clone(),
            driver: ProcessId::current(),
            started: journal::now(),
            forced: Vec::new(),
            slurm: on_cluster.then(|| options.slurm.clone()),
            command: if on_cluster {
                cluster_command(&request, &options.program)?
            } else {
                Vec::new()
            },
            paths: Vec::new(),
        };
        let held = LeadLock::for_attempt(folder, on_cluster)?;
        if let Some(payload) = &setup.payload {
            folder.write_bytes(PAYLOAD, payload)?;
        }
        folder.make_stages(plan.stages.len())?;
        folder.write("plan.json", &plan)?;
        folder.write("run.json", &request)?;
        if let Some(todo) = &todo {
            folder.write_bytes("attempts/1.todo", todo.as_bytes())?;
        }
        folder.write("attempts/1.json", &attempt)?;
        let job = Job {
            folder: folder.clone(),
            request,
            plan,
            operation: setup.operation,
            inputs: setup.inputs,
            outputs,
            mask: setup.mask,
        };
        let lead = Lead {
            attempt,
            todo,
            locks,
            held,
            program: setup.options.program,
            task_timeout: setup.options.task_timeout,
        };
        Run::lead(job, lead)
    }
}
