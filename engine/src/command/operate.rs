//! The verbs that run an operation: `bp copy`, and every other one by the same template.

use super::arrays::Arrays;
use super::follow::{Show, follow};
use super::new_array::NewArrayOptions;
use super::options::{BlockShape, RunOptions, asked_workers, cores};
use super::plan_text::plan_value;
use super::{Host, Reply, detach};
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
#[derive(Clone, Debug, PartialEq)]
pub struct Places<P> {
    /// The inputs.
    pub inputs: Vec<String>,
    /// The output.
    pub output: String,
    operation: PhantomData<P>,
}

const OUTPUT: Input =
    Input { name: "DST", help: "Array to write: out.zarr, out.zarr/s0; made if it is missing" };

impl<P: Parameters> clap::Args for Places<P> {
    fn augment_args(verb: clap::Command) -> clap::Command {
        let place = |one: &Input| {
            Arg::new(one.name)
                .value_name(one.name)
                .help(one.help)
                .required(true)
                .value_hint(clap::ValueHint::AnyPath)
        };
        verb.args(P::INPUTS.iter().map(place)).arg(place(&OUTPUT))
    }

    fn augment_args_for_update(verb: clap::Command) -> clap::Command {
        Self::augment_args(verb)
    }
}

impl<P: Parameters> clap::FromArgMatches for Places<P> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let place = |one: &Input| {
            let found = matches.get_one::<String>(one.name).cloned();
            found.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument))
        };
        Ok(Places {
            inputs: P::INPUTS.iter().map(place).collect::<Result<_, _>>()?,
            output: place(&OUTPUT)?,
            operation: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
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
                match self { $(OperationVerb::$verb(request) => operate(*request, show, host),)* }
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

impl<P> Places<P> {
    fn set(&mut self, inputs: &[Option<String>], output: Option<String>) {
        for (place, known) in self.inputs.iter_mut().zip(inputs) {
            if let Some(known) = known {
                place.clone_from(known);
            }
        }
        self.output = output.unwrap_or(std::mem::take(&mut self.output));
    }
}

fn operate<P: Parameters + 'static>(
    request: Operate<P>,
    show: Show,
    host: &mut dyn Host,
) -> Result<Reply> {
    let config = Config::load()?;
    let (prepared, note) = prepare(&request, &config, host)?;
    let common = &request.common;
    if common.check_nodes {
        prepared.check_nodes(&host.cancel())?;
    }
    if common.dry_run {
        let plan = plan_value(P::NAME, &request.code(), &config, &prepared, &note);
        return Ok(Reply::Value(plan));
    }
    if common.detach {
        if !prepared.is_reopenable() {
            return Err(Error::argument("a detached run cannot reach an array in this process")
                .fix("Use arrays in files, or leave --detach out."));
        }
        // The process that leads the run may see another config.
        let mut detached = request.clone();
        detached.common.workers = Some(prepared.workers());
        return detach::start(&detached.words(), show, &config, host);
    }
    if !show.quiet {
        host.text(&note);
    }
    follow(prepared.start()?, show, host)
}

/// Plans with as many workers as were asked for, or else with as many as the memory allows.
fn prepare<P: Parameters + 'static>(
    request: &Operate<P>,
    config: &Config,
    host: &dyn Host,
) -> Result<(Prepared, String)> {
    let arrays = Arrays::open(request, host)?;
    let asked = asked_workers(request.common.workers, config);
    let mut workers = asked.unwrap_or_else(cores);
    loop {
        let options = run_options(&request.common, config, workers, host)?;
        match setup(request, &arrays, options).prepare() {
            Err(error) if error.kind == Kind::MemoryBudget && asked.is_none() && workers > 1 => {
                workers /= 2;
            }
            result => return Ok((result?, arrays.note)),
        }
    }
}

fn setup<P: Parameters + 'static>(
    request: &Operate<P>,
    arrays: &Arrays,
    options: Options,
) -> Setup {
    Setup {
        spec: request.parameters.spec(),
        operation: Arc::new(request.parameters.clone()),
        payload: None,
        inputs: arrays.inputs.clone(),
        outputs: vec![arrays.output.clone()],
        mask: arrays.mask.clone(),
        domain: arrays.domain.clone(),
        block_shape: match &request.common.block_shape {
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
