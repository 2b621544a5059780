//! The cluster backend: a job array of `bp worker` tasks, led by whoever watches.
//!
//! Workers and leader meet in the run folder alone, as with worker processes. What Slurm says of a
//! task counts only where its sentinels say nothing.

mod asked;
mod client;
mod efficiency;
mod jobs;
mod leader;
mod limits;
mod nodes;
pub mod offers;
mod probe;
mod script;
mod settings;
mod state;
mod validate;

pub use client::is_there;
pub use efficiency::{Efficiency, Spread, Suggestion, Usage};
pub use jobs::{Jobs, Submission, cancel, has_jobs};
pub use leader::{Leader, SCHEDULE, Schedule, Scheduled};
pub use probe::{Answer, Needs, Place, Seen, check_nodes, probe};
pub use settings::{SlurmSettings, parse_memory, parse_time};
pub use validate::validate;
