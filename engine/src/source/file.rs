//! Files that are read at given offsets by any thread.

use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

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

/// A text that changes when a file may have changed.
pub(super) fn state(path: &Path) -> Result<String> {
    let failed = |error| Error::read(path, &error);
    let metadata = path.metadata().map_err(failed)?;
    let modified = metadata.modified().map_err(failed)?;
    // A time before 1970 is as good a sign of change as any other.
    let nanoseconds = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos().to_string(),
        Err(before) => format!("-{}", before.duration().as_nanos()),
    };
    Ok(format!("{} {nanoseconds}", metadata.len()))
}

/// A file that does not hold what it says.
pub(super) fn corrupt(path: &Path, what: String) -> Error {
    Error::new(Kind::CorruptData, format!("'{}' {what}", path.display()))
        .fix("Copy or write the file again.")
}
