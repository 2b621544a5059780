//! The `bp` language: one definition for the shell, for `%bp` in a Python notebook and for `%bp` in
//! the Rust kernel, with completion and help from the same source.
//!
//! A front end hands over the line and a [`Host`], and shows the [`Reply`] that comes back.

mod arrays;
mod code;
mod complete;
mod config;
mod detach;
mod doctor;
mod follow;
mod help;
mod info;
mod measure;
mod new_array;
mod operate;
mod options;
pub mod panel;
mod parse;
mod plan_text;
mod runs;
mod table;

pub use crate::run::live::RunView;
pub use complete::{Completion, Match, complete};
pub use detach::drive;
pub use doctor::kernel_program;
pub use help::help_at;
pub use panel::Panel;

use crate::error::{Error, Kind, Result};
use crate::run::Outcome;
use crate::run::cancel::CancelToken;
use crate::source::{Sink, Source};
use clap::{Parser, Subcommand};
use serde_json::Value as Json;
use std::path::PathBuf;
use std::sync::Arc;

/// What a command needs of the place where it was typed.
pub trait Host {
    /// Shows a note or lines of output while the command works.
    fn text(&mut self, text: &str);

    /// A run goes on: to be shown live until [`Host::run_ended`].
    fn run_started(&mut self, run: &RunView);

    /// The run that was shown has ended, or is not watched any more.
    fn run_ended(&mut self, run: &RunView, outcome: Option<&Outcome>) {
        let _ = (run, outcome);
    }

    /// Set when the user interrupts the command.
    fn cancel(&self) -> CancelToken;

    /// An array of the host language that may stand where a path to be read may.
    fn array(&self, name: &str) -> Option<Arc<dyn Source>> {
        let _ = name;
        None
    }

    /// An array of the host language that may stand where a path to be written may.
    fn sink(&self, name: &str) -> Option<Arc<dyn Sink>> {
        let _ = name;
        None
    }

    /// Whether it can show panels: a notebook with widgets.
    fn shows_panels(&self) -> bool {
        false
    }

    /// The `bp` program, for worker processes; the one beside this program or on the path by default.
    fn program(&self) -> Option<PathBuf> {
        None
    }
}

/// A host that shows nothing and is never interrupted, for commands from code.
#[derive(Debug, Default)]
pub struct Silent(CancelToken);

impl Host for Silent {
    fn text(&mut self, _text: &str) {}

    fn run_started(&mut self, _run: &RunView) {}

    fn cancel(&self) -> CancelToken {
        self.0.clone()
    }
}

/// What a command gives back.
pub enum Reply {
    /// Nothing: all that is to be said was said.
    Nothing,
    /// Lines of text.
    Text(String),
    /// A value that can be shown in several ways.
    Value(Value),
    /// A run, ended or detached.
    Run(RunView),
    /// What a notebook shows and keeps current.
    Panel(Box<dyn Panel>),
}

/// A value that can be shown in several ways.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Value {
    /// For a terminal.
    pub text: String,
    /// For a notebook.
    pub html: Option<String>,
    /// For programs.
    pub json: Json,
}

#[derive(Debug, Parser)]
#[command(
    name = "bp",
    bin_name = "bp",
    version,
    about = "Block-wise image analysis for volumes too large for memory",
    no_binary_name = true,
    disable_help_subcommand = true,
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs"
)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(flatten)]
    Operation(operate::OperationVerb),
    #[command(flatten)]
    Measurement(measure::MeasurementVerb),
    /// Show what a run has measured
    Result(measure::ResultArgs),
    /// Fill in an operation in a form, and see what follows (in a notebook)
    Ui(panel::UiArgs),
    /// Describe an array: shape, data type, chunks, codec, axes, voxel size, size on disk
    Info(info::InfoArgs),
    /// List the runs on record; collect or remove old ones
    Runs(runs::RunsArgs),
    /// Tell where a run stands
    Status(runs::RunArgs),
    /// Follow a run until it ends
    Watch(runs::RunArgs),
    /// Print what the workers of a run printed, or all attempts at a block
    Logs(runs::LogsArgs),
    /// Ask a run to stop
    Cancel(runs::RunArgs),
    /// Finish what is not done of a cancelled, failed or interrupted run
    Resume(Box<runs::ResumeArgs>),
    /// Try the failed blocks of a run again
    Retry(Box<runs::ResumeArgs>),
    /// Print a run as code that makes it again
    Script(runs::ScriptArgs),
    /// Show or set defaults
    Config(config::ConfigArgs),
    /// Check the installation, in words
    Doctor(doctor::DoctorArgs),
    /// Print help on a verb
    Help(help::HelpArgs),
    /// Manage the Jupyter kernel for Rust (in a shell)
    #[command(disable_help_flag = true)]
    Kernel(KernelArgs),
}

#[derive(Debug, clap::Args)]
struct KernelArgs {
    /// Arguments for bioimage-kernel, such as install
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// A line that was understood.
#[derive(Debug)]
pub struct Command(Action);

#[derive(Debug)]
enum Action {
    Help(String),
    Verb(Verb),
}

impl Command {
    /// Reads a line without the leading `bp`.
    ///
    /// # Errors
    /// `invalid-argument`, with the nearest verb, option or value.
    pub fn parse(line: &str) -> Result<Command> {
        Command::from_words(parse::split(line)?)
    }

    /// Reads a line that is already split into words.
    ///
    /// # Errors
    /// As [`Command::parse`].
    pub fn from_words(words: Vec<String>) -> Result<Command> {
        if words.is_empty() {
            return Ok(Command(Action::Help(help::overview())));
        }
        match Line::try_parse_from(&words) {
            Ok(line) => Ok(Command(Action::Verb(line.verb))),
            Err(error) if !error.use_stderr() => {
                Ok(Command(Action::Help(error.to_string().trim_end().to_owned())))
            }
            Err(error) => Err(parse::explain(&error, &words)),
        }
    }

    /// Whether the line asks for JSON instead of text.
    pub fn wants_json(&self) -> bool {
        self.output().is_some_and(|output| output.json)
    }

    /// Whether the line asks for no progress.
    pub fn is_quiet(&self) -> bool {
        self.output().is_some_and(|output| output.quiet)
    }

    fn output(&self) -> Option<&options::OutputOptions> {
        let Action::Verb(verb) = &self.0 else { return None };
        match verb {
            Verb::Operation(verb) => Some(&verb.common().output),
            Verb::Measurement(verb) => Some(&verb.common().output),
            Verb::Result(args) => Some(&args.output),
            Verb::Info(args) => Some(&args.output),
            Verb::Runs(args) => Some(&args.output),
            Verb::Status(args) | Verb::Watch(args) | Verb::Cancel(args) => Some(&args.output),
            Verb::Logs(args) => Some(&args.output),
            Verb::Resume(args) | Verb::Retry(args) => Some(&args.output),
            Verb::Script(args) => Some(&args.output),
            Verb::Config(args) => Some(&args.output),
            Verb::Doctor(args) => Some(&args.output),
            Verb::Ui(_) | Verb::Help(_) | Verb::Kernel(_) => None,
        }
    }

    /// Does what the line says.
    ///
    /// # Errors
    /// Every refusal of a request; `blocks-failed` and the like for a run that failed; `cancelled`
    /// for one that was stopped.
    pub fn run(self, host: &mut dyn Host) -> Result<Reply> {
        let (json, quiet) = (self.wants_json(), self.is_quiet());
        let verb = match self.0 {
            Action::Help(text) => return Ok(Reply::Text(text)),
            Action::Verb(verb) => verb,
        };
        let show = follow::Show { json, quiet };
        let reply = match verb {
            Verb::Operation(verb) => verb.run(show, host),
            Verb::Measurement(verb) => verb.run(show, host),
            Verb::Result(args) => measure::result(&args),
            Verb::Info(args) => info::info(&args, host),
            Verb::Ui(args) => panel::ui(args, host).map(Reply::Panel),
            Verb::Runs(args) => runs::runs(&args, host),
            Verb::Status(args) => runs::status(&args),
            Verb::Watch(args) => runs::watch(&args, show, host),
            Verb::Logs(args) => runs::logs(&args),
            Verb::Cancel(args) => runs::cancel(&args, host),
            Verb::Resume(args) => runs::resume("resume", *args, show, host),
            Verb::Retry(args) => runs::resume("retry", *args, show, host),
            Verb::Script(args) => runs::script(&args),
            Verb::Config(args) => config::config(&args, host),
            Verb::Doctor(args) => doctor::doctor(&args, host),
            Verb::Help(args) => help::help(&args),
            Verb::Kernel(_) => Err(Error::argument("bp kernel works in a shell only")
                .fix("Open a terminal and type the same line there.")),
        }?;
        match reply {
            Reply::Value(value) if json => Ok(Reply::Value(Value {
                text: format!("{:#}", value.json),
                html: None,
                json: value.json,
            })),
            other => Ok(other),
        }
    }
}

/// Runs a line and returns when it is done: for a run in the foreground, when that has ended.
///
/// # Errors
/// As [`Command::parse`] and [`Command::run`].
pub fn execute(line: &str, host: &mut dyn Host) -> Result<Reply> {
    Command::parse(line)?.run(host)
}

/// The exit status of the shell command for an error of this kind: 1 where work failed, 2 where the
/// request was refused, 130 where it was interrupted.
pub fn exit_status(kind: Kind) -> u8 {
    match kind {
        Kind::Cancelled => 130,
        Kind::CorruptData
        | Kind::ReadFailed
        | Kind::WriteFailed
        | Kind::DiskFull
        | Kind::ValueOutOfRange
        | Kind::RunDamaged
        | Kind::BlocksFailed
        | Kind::WorkerLost
        | Kind::TimedOut
        | Kind::OutOfMemory
        | Kind::TimeLimit
        | Kind::NodeFailed
        | Kind::Preempted
        | Kind::SchedulerFailed
        | Kind::Foreign
        | Kind::Internal => 1,
        _ => 2,
    }
}
