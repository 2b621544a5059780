//! Files that are read whole or in parts, and replaced in one step.
//!
//! A file is written under a temporary name beside it and then renamed, so that a reader, or a later
//! attempt, sees the old or the new content and never a part. The temporary name follows from the
//! file's: what a dead writer left is found without listing the folder. Nothing is flushed here;
//! that is done for many files at once (see [`Sink::storage`](crate::source::Sink::storage)).

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Reads a whole file, reusing the buffer's memory. Gives whether there is such a file.
pub fn read_whole(path: &Path, buffer: &mut Vec<u8>) -> Result<bool> {
    buffer.clear();
    let Some(mut file) = open(path)? else { return Ok(false) };
    file.read_to_end(buffer).map_err(|error| Error::read(path, &error))?;
    Ok(true)
}

/// Opens a file, if it exists.
pub fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::read(path, &error)),
    }
}

/// Removes a file, if it exists.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if !is_absent(&error) => Err(Error::write(path, &error)),
        _ => Ok(()),
    }
}

/// Removes what a dead writer of this file may have left.
pub fn remove_leftover(path: &Path) -> Result<()> {
    remove(&temporary(path))
}

/// Writes a file in one step, with the folders above it.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = Replacement::begin(path)?;
    file.append(content)?;
    file.commit()
}

/// The name under which a file is written: hidden, so that no reader takes it for data.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.bp-tmp"))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The new content of a file, which takes the old one's place on [`Replacement::commit`] and
/// vanishes when it is dropped before.
pub struct Replacement<'a> {
    path: &'a Path,
    temporary: PathBuf,
    file: File,
    len: u64,
    committed: bool,
}

impl<'a> Replacement<'a> {
    /// Starts to write; makes the folders above the file.
    pub fn begin(path: &'a Path) -> Result<Self> {
        let temporary = temporary(path);
        let file = create(&temporary).map_err(|error| Error::write(path, &error))?;
        Ok(Replacement { path, temporary, file, len: 0, committed: false })
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Writes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::write(self.path, &error))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Writes over what was appended first.
    pub fn overwrite_start(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| Error::write(self.path, &error))
    }

    /// Puts the new content in the place of the old.
    pub fn commit(mut self) -> Result<()> {
        std::fs::rename(&self.temporary, self.path)
            .map_err(|error| Error::write(self.path, &error))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if !self.committed {
            // The failure that led here is the one to report.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// A new file. One that a dead writer left is unlinked, not truncated: should that writer be alive
/// after all, the two never write into one file.
fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let first = options.open(path);
    let Err(error) = first else { return first };
    match error.kind() {
        ErrorKind::AlreadyExists => std::fs::remove_file(path)?,
        ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
        }
        _ => return Err(error),
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap().flatten();
        let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_replacement_that_fails_half_way_leaves_the_old_content_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c/0");
        replace(&path, b"old").unwrap();
        let mut file = Replacement::begin(&path).unwrap();
        file.append(b"new, but").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(path.parent().unwrap()), ["0"]);
    }

    #[test]
    fn what_a_dead_writer_left_does_not_stand_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0");
        std::mem::forget(Replacement::begin(&path).unwrap());
        assert_eq!(names(folder.path()), [".0.bp-tmp"]);
        replace(&path, b"new").unwrap();
        assert_eq!(names(folder.path()), ["0"]);
        std::mem::forget(Replacement::begin(&path).unwrap());
        remove_leftover(&path).unwrap();
        assert_eq!(names(folder.path()), ["0"]);
    }

    #[test]
    fn of_two_writers_of_one_file_neither_leaves_a_mixture() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0");
        let mut late = Replacement::begin(&path).unwrap();
        late.append(b"late").unwrap();
        let mut retry = Replacement::begin(&path).unwrap();
        retry.append(b"ret").unwrap();
        late.append(b" and long").unwrap();
        retry.append(b"ry").unwrap();
        retry.commit().unwrap();
        assert!(late.commit().is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"retry");
    }
}
