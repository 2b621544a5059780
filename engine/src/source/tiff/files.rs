//! The files of a stack, read at given offsets by any thread.

use crate::error::{Error, Result};
use crate::source::file::{self, OpenFile};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Files kept open at once: more than a band of slices, fewer than a process may open.
const KEPT_OPEN: usize = 128;

/// The files of a stack. A limited number of them is open at a time.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<PathBuf>,
    /// The most recently used last.
    open: Mutex<Vec<(u32, Arc<OpenFile>)>>,
}

impl Files {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Files { paths, open: Mutex::new(Vec::new()) }
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The file with that number.
    pub(super) fn get(&self, number: u32) -> Result<Arc<OpenFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().rposition(|(n, _)| *n == number) {
            let entry = open.remove(at);
            let file = entry.1.clone();
            open.push(entry);
            return Ok(file);
        }
        let path = self
            .paths
            .get(number as usize)
            .ok_or_else(|| Error::internal("a page names a file that its stack does not have"))?;
        let file = Arc::new(OpenFile::open(path)?);
        if open.len() == KEPT_OPEN {
            open.remove(0);
        }
        open.push((number, file.clone()));
        Ok(file)
    }

    /// A text that changes when one of the files may have changed.
    pub(super) fn state(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for path in &self.paths {
            let state = file::state(path)?;
            if self.paths.len() == 1 {
                return Ok(state);
            }
            // Their folder may have another name by the time of a resume.
            hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes());
            hasher.update(format!("\0{state}\0").as_bytes());
        }
        Ok(format!("{} files {}", self.paths.len(), hasher.finalize().to_hex()))
    }
}
