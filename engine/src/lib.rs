//! Plans, runs and records block-wise analysis of volumes that do not fit in memory.
//!
//! No Jupyter and no Python in here: the shell command, the Rust kernel and the Python package are
//! front ends of this crate.

pub mod array;
mod cast;
pub mod command;
pub mod config;
pub mod dtype;
pub mod error;
pub mod grid;
pub mod op;
mod pages;
pub mod plan;
pub mod run;
pub mod source;

pub use error::{Error, Kind, Result, RetryClass};
