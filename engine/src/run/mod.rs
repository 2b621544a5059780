//! Runs: the folder, the journal, the worker loop, backends, resume, cancel and the live view.

pub mod cancel;
mod driver;
pub mod folder;
pub mod journal;
pub mod language;
pub mod live;
pub mod lock;
mod losses;
pub mod monitor;
pub mod partials;
pub mod process;
pub mod registry;
mod resume;
mod setup;
pub mod slurm;
mod subprocess;
mod task;
mod threads;
pub mod worker;

pub use driver::{Outcome, Run, RunState, is_on_cluster, state_of};
pub use resume::Resume;
pub use setup::{Options, Output, PAYLOAD, Prepared, Setup, default_budget};
pub use subprocess::{find_program, tail};
pub use task::work_as_process;

use serde::{Deserialize, Serialize};

/// Version of the run folder's format that this engine writes.
pub const FORMAT: u32 = 1;

/// Where blocks are worked on.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// On threads of this process.
    #[default]
    Local,
    /// In worker processes on this machine.
    Subprocess,
    /// In job arrays on a cluster.
    Slurm,
}

impl Backend {
    /// The name that commands and run folders use.
    pub fn as_str(self) -> &'static str {
        match self {
            Backend::Local => "local",
            Backend::Subprocess => "subprocess",
            Backend::Slurm => "slurm",
        }
    }
}
