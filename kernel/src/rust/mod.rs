//! Rust cells: state between cells, errors, output, completion.

#[cfg(not(feature = "rust-cells"))]
mod absent;
#[cfg(feature = "rust-cells")]
mod build_folder;
#[cfg(feature = "rust-cells")]
mod cells;
#[cfg(feature = "rust-cells")]
pub mod child;
#[cfg(feature = "rust-cells")]
mod errors;
mod event;
#[cfg(feature = "rust-cells")]
mod processes;
#[cfg(feature = "rust-cells")]
pub mod toolchain;

#[cfg(not(feature = "rust-cells"))]
pub use absent::RustCells;
#[cfg(feature = "rust-cells")]
pub use cells::RustCells;
pub use event::Event;

use serde_json::{Map, Value};

/// A result in several representations, by MIME type.
pub type Bundle = Map<String, Value>;

/// Why a step of a cell failed, as Jupyter tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub name: String,
    /// One line about it.
    pub value: String,
    /// What the front end shows, line by line.
    pub traceback: Vec<String>,
}

impl Failure {
    /// A failure whose text says all.
    pub fn new(name: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        let value = text.lines().next().unwrap_or_default().to_owned();
        Failure::detailed(name, value, &format!("{name}: {text}"))
    }

    /// A failure with a line about it and a longer text.
    pub fn detailed(name: &str, value: String, text: &str) -> Self {
        let traceback = text.lines().map(str::to_owned).collect();
        Failure { name: name.to_owned(), value, traceback }
    }
}

/// What a running cell needs from its kernel.
pub trait Sink {
    /// Something happened.
    fn event(&mut self, event: Event);
    /// Nothing has happened for a moment.
    fn idle(&mut self);
    /// The cell asks its user; `None` where that is not possible or was interrupted.
    fn ask(&mut self, prompt: String, password: bool) -> Option<String>;
}
