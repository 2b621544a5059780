//! The verbs that run an operation: `bp copy`, and every other one by the same template.

use super::arrays::{Arrays, Grain};
use super::follow::{Show, follow};
use super::new_array::NewArrayOptions;
use super::options::{BlockShape, RunOptions, Shape, asked_workers, cores};
use super::plan_text::Planned;
use super::{Host, Reply, RunView, detach};
use crate::config::Config;
use crate::config::slurm::SlurmDefaults;
use crate::error::{Error, Kind, Result};
use crate::op::parameters::{Input, Parameters};
use crate::op::registry::operations;
use crate::run::folder::Code;
use crate::run::{Backend, Options, Prepared, Setup};
use clap::{Arg, ArgMatches};
use std::marker::PhantomData;
use std::sync::Arc;

/// What the verb of an operation takes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct Operate<P: Parameters> {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub places: Places<P>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub new_array: NewArrayOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub parameters: P,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: RunOptions,
}

/// The arrays that a verb names: its inputs, then the output.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct Places<P: Parameters> {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub inputs: Inputs<P>,
    /// Array to write: out.zarr, out.zarr/s0; made if it is missing
    #[arg(value_name = "DST", value_hint = clap::ValueHint::AnyPath)]
    pub output: String,
}

/// The arrays that a verb reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs<P> {
    /// Their paths.
    pub paths: Vec<String>,
    operation: PhantomData<P>,
}

impl<P: Parameters> clap::Args for Inputs<P> {
    fn augment_args(verb: clap::Command) -> clap::Command {
        verb.args(P::INPUTS.iter().map(|one| {
            Arg::new(one.name)
                .value_name(one.name)
                .help(one.help)
                .required(true)
                .value_hint(clap::ValueHint::AnyPath)
        }))
    }

    fn augment_args_for_update(verb: clap::Command) -> clap::Command {
        Self::augment_args(verb)
    }
}

impl<P: Parameters> clap::FromArgMatches for Inputs<P> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let path = |one: &Input| {
            let found = matches.get_one::<String>(one.name).cloned();
            found.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument))
        };
        let paths = P::INPUTS.iter().map(path).collect::<Result<_, _>>()?;
        Ok(Inputs { paths, operation: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<P> Inputs<P> {
    /// Takes those paths that are known to be others.
    pub fn set(&mut self, known: &[Option<String>]) {
        for (path, known) in self.paths.iter_mut().zip(known) {
            if let Some(known) = known {
                path.clone_from(known);
            }
        }
    }
}

macro_rules! verbs {
    ($($(#[$help:meta])* $verb:ident($parameters:ty),)*) => {
        /// The operations that have a verb.
        #[derive(Debug, clap::Subcommand)]
        pub enum OperationVerb {
            $($(#[$help])* $verb(Box<Operate<$parameters>>),)*
        }

        impl OperationVerb {
            /// How and where the run is done.
            pub fn common(&self) -> &RunOptions {
                match self { $(OperationVerb::$verb(request) => &request.common,)* }
            }

            /// Does, shows or hands over the run.
            pub fn run(self, show: Show, host: &mut dyn Host) -> Result<Reply> {
                match self { $(OperationVerb::$verb(request) => carry_out(*request, show, host),)* }
            }

            /// What the request comes to; nothing is written.
            pub fn outlook(&self, host: &dyn Host) -> Outlook {
                match self { $(OperationVerb::$verb(request) => outlook(&**request, host),)* }
            }

            /// Plans the run; what comes back starts it.
            pub fn start(self, host: &dyn Host) -> Result<Start> {
                match self { $(OperationVerb::$verb(request) => start(*request, host),)* }
            }

            /// The same request in the languages of the front ends.
            pub fn code(&self) -> Code {
                match self { $(OperationVerb::$verb(request) => request.code(),)* }
            }

            /// The same request with those of its arrays elsewhere that are known there.
            pub fn with_paths(mut self, inputs: &[Option<String>], output: Option<String>) -> Self {
                match &mut self {
                    $(OperationVerb::$verb(request) => request.places.set(inputs, output),)*
                }
                self
            }
        }
    };
}
operations!(verbs);

impl<P: Parameters> Places<P> {
    fn set(&mut self, inputs: &[Option<String>], output: Option<String>) {
        self.inputs.set(inputs);
        // Of a group the first array is known.
        let output = if P::MAKES_GROUP { output.map(|array| above(&array)) } else { output };
        self.output = output.unwrap_or(std::mem::take(&mut self.output));
    }
}

/// The group that an array in a store lies in.
fn above(array: &str) -> String {
    let at = array.rfind(['/', ':']).unwrap_or(array.len());
    array[..at].trim_end_matches(':').to_owned()
}

/// A request for a run.
pub trait Request: Clone {
    /// What is asked for.
    type Parameters: Parameters + 'static;

    /// The parameters.
    fn parameters(&self) -> &Self::Parameters;

    /// How and where the run is done.
    fn common(&self) -> &RunOptions;

    /// The same, to be changed.
    fn common_mut(&mut self) -> &mut RunOptions;

    /// Opens or describes the arrays. What the request leaves to them is decided in it.
    ///
    /// # Errors
    /// Those of the formats, and every refusal of the arrays.
    fn open(&mut self, host: &dyn Host) -> Result<Arrays>;

    /// The request as words of the language.
    fn words(&self) -> Vec<String>;

    /// The request in the languages of the front ends.
    fn code(&self) -> Code;
}

impl<P: Parameters + 'static> Request for Operate<P> {
    type Parameters = P;

    fn parameters(&self) -> &P {
        &self.parameters
    }

    fn common(&self) -> &RunOptions {
        &self.common
    }

    fn common_mut(&mut self) -> &mut RunOptions {
        &mut self.common
    }

    fn open(&mut self, host: &dyn Host) -> Result<Arrays> {
        match P::MAKES_GROUP {
            true => Arrays::of_group(self, host),
            false => Arrays::open(self, host),
        }
    }

    fn words(&self) -> Vec<String> {
        Operate::words(self)
    }

    fn code(&self) -> Code {
        Operate::code(self)
    }
}

/// Does, shows or hands over a run.
pub fn carry_out<R: Request>(mut request: R, show: Show, host: &mut dyn Host) -> Result<Reply> {
    let arrays = request.open(host)?;
    let planned = plan(&request, &arrays, host, true)?;
    let common = request.common();
    if common.check_nodes {
        planned.prepared.check_nodes(&host.cancel())?;
    }
    if common.dry_run {
        return Ok(Reply::Value(planned.value()));
    }
    if common.detach {
        return hand_over(request, &planned, show, host);
    }
    if !show.quiet {
        host.text(&planned.note);
    }
    follow(planned.prepared.start()?, show, host)
}

/// Leaves the run to a process of its own.
fn hand_over<R: Request>(
    mut request: R,
    planned: &Planned,
    show: Show,
    host: &dyn Host,
) -> Result<Reply> {
    if !planned.prepared.is_reopenable() {
        return Err(Error::argument("a detached run cannot reach an array in this process")
            .about("detach")
            .fix("Use arrays in files, or leave --detach out."));
    }
    // The process that leads the run may see another config.
    request.common_mut().workers = Some(planned.prepared.workers());
    detach::start(&request.words(), show, &planned.config, host)
}

/// What a request comes to, as far as that can be told.
pub struct Outlook {
    /// The request in the languages of the front ends.
    pub code: Code,
    /// What is written or else read in one piece: chunk and shard.
    pub grain: Grain,
    /// The plan, or why there is none.
    pub planned: Result<Planned>,
}

/// Plans a request, quickly: whether a cluster takes what it asks for is left open.
pub fn outlook<R: Request>(request: &R, host: &dyn Host) -> Outlook {
    let mut request = request.clone();
    let opened = request.open(host);
    let (grain, planned) = match opened {
        Ok(arrays) => (arrays.grain(), plan(&request, &arrays, host, false)),
        Err(error) => (Grain::default(), Err(error)),
    };
    Outlook { code: request.code(), grain, planned }
}

/// What is left to do for a run to start, which may take a while: a cluster and its nodes are asked.
pub type Start = Box<dyn FnOnce(&dyn Host) -> Result<RunView> + Send>;

/// Plans a run that is to go on behind the caller, in a process of its own where that is asked for.
pub fn start<R: Request + Send + 'static>(mut request: R, host: &dyn Host) -> Result<Start> {
    let arrays = request.open(host)?;
    let planned = plan(&request, &arrays, host, false)?;
    Ok(Box::new(move |host| {
        let go_on = || match host.cancel().is_cancelled() {
            true => Err(Error::new(Kind::Cancelled, "the start was stopped; nothing is written")),
            false => Ok(()),
        };
        planned.prepared.ask_cluster()?;
        go_on()?;
        if request.common().check_nodes {
            planned.prepared.check_nodes(&host.cancel())?;
            go_on()?;
        }
        if !request.common().detach {
            return Ok(RunView::of(planned.prepared.start()?));
        }
        match hand_over(request, &planned, Show { json: false, quiet: true }, host)? {
            Reply::Run(run) => Ok(run),
            _ => Err(Error::internal("a detached run is no run")),
        }
    }))
}

fn plan<R: Request>(
    request: &R,
    arrays: &Arrays,
    host: &dyn Host,
    asks_cluster: bool,
) -> Result<Planned> {
    let config = Config::load()?;
    let prepared = prepare(request, arrays, &config, host, asks_cluster)?;
    // Python's functions know nothing of the config, have one worker unless told otherwise, and choose
    // blocks of their own, or none.
    let mut told = request.clone();
    let common = told.common_mut();
    let is_local = prepared.backend() == Backend::Local && config.backend.is_none();
    common.block_shape = Some(BlockShape::Given(Shape(prepared.plan.grid().block_shape.clone())));
    common.workers = Some(prepared.workers());
    common.backend = common.backend.or((!is_local).then_some(prepared.backend()));
    common.memory = common.memory.or(prepared.budget());
    let retries = Some(prepared.retries()).filter(|retries| *retries != Options::default().retries);
    common.retries = common.retries.or(retries);
    Ok(Planned {
        operation: R::Parameters::NAME,
        code: Code { python: told.code().python, ..request.code() },
        note: arrays.note.clone(),
        axes: arrays.axes(),
        config,
        prepared,
    })
}

/// Plans with as many workers as were asked for, or else with as many as the memory allows.
fn prepare<R: Request>(
    request: &R,
    arrays: &Arrays,
    config: &Config,
    host: &dyn Host,
    asks_cluster: bool,
) -> Result<Prepared> {
    let asked = asked_workers(request.common().workers, config);
    let mut workers = asked.unwrap_or_else(cores);
    loop {
        let options = run_options(request.common(), config, workers, host)?;
        let options = Options { asks_cluster, ..options };
        match setup(request, arrays, options).prepare() {
            Err(error) if error.kind == Kind::MemoryBudget && asked.is_none() && workers > 1 => {
                workers /= 2;
            }
            result => return result,
        }
    }
}

fn setup<R: Request>(request: &R, arrays: &Arrays, options: Options) -> Setup {
    Setup {
        spec: request.parameters().spec(),
        operation: Arc::new(request.parameters().clone()),
        payload: None,
        inputs: arrays.inputs.clone(),
        outputs: arrays.outputs.clone(),
        mask: arrays.mask.clone(),
        domain: arrays.domain.clone(),
        block_shape: match &request.common().block_shape {
            Some(BlockShape::Given(shape)) => Some(shape.0.clone()),
            _ => None,
        },
        block_ids: None,
        options,
        code: request.code(),
    }
}

/// How the run is done: the options, then the config, then the machine.
fn run_options(
    options: &RunOptions,
    config: &Config,
    workers: u64,
    host: &dyn Host,
) -> Result<Options> {
    let default = Options::default();
    let backend = options.backend.or(config.backend).unwrap_or_default();
    // A table that is not understood stops only what is meant for Slurm.
    let stored = match backend {
        Backend::Slurm => SlurmDefaults::load()?,
        _ => SlurmDefaults::default(),
    };
    Ok(Options {
        backend,
        workers,
        budget: options.memory.or(stored.memory).or(config.memory),
        retries: options.retries.or(stored.retries).or(config.retries).unwrap_or(default.retries),
        run_root: config.run_root(),
        program: host.program(),
        tasks_per_worker: stored.tasks_per_worker.unwrap_or(default.tasks_per_worker),
        slurm: options.slurm.over(&stored.settings),
        ..default
    })
}
