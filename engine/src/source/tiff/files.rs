//! The files of a stack, read at given offsets by any thread.

use super::corrupt;
use crate::error::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

/// Files kept open at once: more than a band of slices, fewer than a process may open.
const KEPT_OPEN: usize = 128;

/// A file that is read at given offsets.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl OpenFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::read(path, &error);
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        Ok(OpenFile { path: path.to_owned(), file, len })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether that many bytes lie inside the file, so that they may be allocated.
    pub(super) fn holds(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.len)
    }

    /// Fills `buffer` from `offset` on.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if !self.holds(offset, buffer.len() as u64) {
            return Err(corrupt(
                &self.path,
                format!(
                    "ends at byte {}, but bytes {offset} to {} were to be read",
                    self.len,
                    offset.saturating_add(buffer.len() as u64)
                ),
            ));
        }
        self.file.read_exact_at(buffer, offset).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                corrupt(&self.path, "became shorter while it was read".to_owned())
            } else {
                Error::read(&self.path, &error)
            }
        })
    }
}

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
            let failed = |error| Error::read(path, &error);
            let metadata = path.metadata().map_err(failed)?;
            let modified = metadata.modified().map_err(failed)?;
            // A time before 1970 is as good a sign of change as any other.
            let nanoseconds = match modified.duration_since(UNIX_EPOCH) {
                Ok(after) => after.as_nanos().to_string(),
                Err(before) => format!("-{}", before.duration().as_nanos()),
            };
            let state = format!("{} {nanoseconds}", metadata.len());
            if self.paths.len() == 1 {
                return Ok(state);
            }
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(format!("\0{state}\0").as_bytes());
        }
        Ok(format!("{} files {}", self.paths.len(), hasher.finalize().to_hex()))
    }
}
