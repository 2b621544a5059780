//! What only the language that a run was started from can open or do: its arrays and functions.
//!
//! A front end registers itself under the name that stands in specs, such as `python`; processes in
//! which nobody has registered refuse such runs by name.

use super::folder::{PathMap, RunFolder};
use crate::error::{Error, Kind, Result};
use crate::op::{Operation, OperationSpec};
use crate::source::{Sink, Source};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, PoisonError, RwLock};

/// A language whose arrays and functions take part in runs.
pub trait Language: Send + Sync {
    /// Opens an array of the language for reading.
    ///
    /// # Errors
    /// `foreign` and whatever opening gives.
    fn open_source(&self, value: &Value) -> Result<Arc<dyn Source>>;

    /// Opens an array of the language for writing.
    ///
    /// # Errors
    /// As [`Language::open_source`].
    fn open_sink(&self, value: &Value) -> Result<Arc<dyn Sink>>;

    /// The function of a run, from the payload in its folder, to be called with these inputs; what it
    /// opens itself lies where `paths` say.
    ///
    /// # Errors
    /// `foreign` where it cannot be loaded.
    fn operation(
        &self,
        folder: &RunFolder,
        inputs: &[Arc<dyn Source>],
        paths: &[PathMap],
    ) -> Result<Arc<dyn Operation>>;

    /// The command line of a worker process that has the language; a task's options are appended.
    fn worker(&self, operation: &OperationSpec) -> Vec<OsString>;
}

static LANGUAGES: RwLock<BTreeMap<String, Arc<dyn Language>>> = RwLock::new(BTreeMap::new());

/// Makes a language known to this process.
pub fn register(name: &str, language: Arc<dyn Language>) {
    LANGUAGES.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), language);
}

/// The language with a name.
///
/// # Errors
/// `unsupported-format` where this process does not have it.
pub fn find(name: &str) -> Result<Arc<dyn Language>> {
    let languages = LANGUAGES.read().unwrap_or_else(PoisonError::into_inner);
    languages.get(name).cloned().ok_or_else(|| {
        Error::new(
            Kind::UnsupportedFormat,
            format!("a part of this run can only be opened in {name}, and this process has none"),
        )
        .fix(match name {
            "python" => "In Python: import bioimage_rs as bp; bp.attach(ID).resume().".to_owned(),
            _ => format!("Go on with it in {name}."),
        })
    })
}
