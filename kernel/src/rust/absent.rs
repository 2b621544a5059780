//! Stands in for Rust cells in a build without them.

use super::{Bundle, Failure, Sink};
use crate::completion::Candidates;
use bioimage_engine::run::cancel::CancelToken;
use jupyter_protocol::Media;

/// No Rust cells.
pub struct RustCells;

impl RustCells {
    /// Nothing to start.
    pub fn start() -> Self {
        RustCells
    }

    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn run(&self, _: &str, _: &CancelToken, _: &mut dyn Sink) -> Result<Bundle, Failure> {
        Err(Failure::new(
            "NoRustCells",
            "This kernel was built without Rust cells (feature `rust-cells`); %bp works.",
        ))
    }

    /// Knows no names.
    pub fn complete(&self, _: &str, position: usize) -> Candidates {
        Candidates { start: position, end: position, matches: Vec::new() }
    }

    /// Knows nothing.
    pub fn inspect(&self, _: &str, _: usize) -> Option<Media> {
        None
    }

    /// Nothing to remove.
    pub fn close(&self) {}
}
