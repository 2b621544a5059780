//! One run at a time on an output.
//!
//! The lock is the operating system's (`flock`), so that it is gone with the last process that works
//! on the output, however that ends: whoever makes a run takes it alone, then shares it with the
//! run's workers. The file names the run, for the message that the next one gets.

use super::driver::{is_on_cluster, state_of};
use super::folder::RunFolder;
use crate::error::{Error, Kind, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Holds an output until it is dropped or the process ends.
#[derive(Debug)]
pub struct OutputLock {
    file: File,
    path: PathBuf,
}

impl OutputLock {
    /// Where the lock of an output lies: beside it, hidden.
    pub fn path_of(output: &Path) -> PathBuf {
        // By a symbolic link it is the same output.
        let output = output.canonicalize().unwrap_or_else(|_| output.to_owned());
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        output.with_file_name(format!(".{name}.bp-lock"))
    }

    /// Takes the output for the run in `folder`, waiting for `patience` for workers of a dead run to
    /// notice that they are alone.
    ///
    /// # Errors
    /// `output-locked`, naming the other run.
    pub fn acquire(output: &Path, folder: &Path, patience: Duration) -> Result<Self> {
        let path = OutputLock::path_of(output);
        let give_up = Instant::now() + patience;
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| Error::write(parent, &error))?;
        }
        loop {
            let mut file = open(&path)?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                // The file may have been removed by its last owner in the meantime.
                if !is_at(&file, &path) {
                    continue;
                }
                let owner = read(&mut file);
                if goes_on_in_cluster(&owner, folder) {
                    return Err(locked(output, &owner));
                }
                file.set_len(0)
                    .and_then(|()| file.write_all(folder.to_string_lossy().as_bytes()))
                    .map_err(|error| Error::write(&path, &error))?;
                return Ok(OutputLock { file, path });
            }
            if Instant::now() >= give_up {
                return Err(locked(output, &read(&mut file)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets workers of this run share the lock.
    ///
    /// # Errors
    /// `write-failed` if the file system has no locks.
    pub fn share(&self) -> Result<()> {
        flock(&self.file, FlockOperation::NonBlockingLockShared)
            .map_err(|error| Error::write(&self.path, &error.into()))
    }

    /// A worker's share of its run's lock.
    ///
    /// # Errors
    /// `output-locked` if the run has let go of the output.
    pub fn join(output: &Path) -> Result<Self> {
        let path = OutputLock::path_of(output);
        let file = open(&path)?;
        if flock(&file, FlockOperation::NonBlockingLockShared).is_err() || !is_at(&file, &path) {
            return Err(Error::new(
                Kind::OutputLocked,
                format!("'{}' is not held by this worker's run any more", output.display()),
            ));
        }
        Ok(OutputLock { file, path })
    }

    /// Removes the lock's file; for the run's own process, when no worker is left.
    pub fn release(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn read(file: &mut File) -> PathBuf {
    let mut owner = String::new();
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut owner));
    PathBuf::from(owner.trim())
}

/// Whether a run's jobs may still write although no process holds its lock: they may all be waiting.
fn goes_on_in_cluster(owner: &Path, asking: &Path) -> bool {
    let active = |folder: RunFolder| {
        Ok::<_, Error>(is_on_cluster(&folder)? && !state_of(&folder)?.is_final())
    };
    owner != asking && RunFolder::open(owner).and_then(active).unwrap_or(false)
}

fn locked(output: &Path, owner: &Path) -> Error {
    let run = owner.file_name().unwrap_or_default().to_string_lossy();
    Error::new(Kind::OutputLocked, format!("'{}' is being written by run {run}", output.display()))
        .fix(format!("Wait for it (bp watch {run}), or stop it first (bp cancel {run})."))
}

/// The lead of a run on a cluster, which one process has at a time.
#[derive(Debug)]
pub struct LeadLock {
    _file: File,
}

impl LeadLock {
    /// Takes the lead; none if another process, or thread, has it.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn take(folder: &RunFolder) -> Result<Option<LeadLock>> {
        let file = open(&folder.file("lead.lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(LeadLock { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(Error::write(&folder.file("lead.lock"), &error.into())),
        }
    }

    /// Takes the lead for a new attempt, before anybody else can see it: of a run that is, or was, on a
    /// cluster others may take the lead, too.
    ///
    /// # Errors
    /// `run-active` if a process leads; one that has just ended its attempt is waited for.
    pub fn for_attempt(folder: &RunFolder, on_cluster: bool) -> Result<Option<LeadLock>> {
        if !on_cluster {
            return Ok(None);
        }
        let give_up = Instant::now() + Duration::from_secs(3);
        loop {
            if let Some(held) = LeadLock::take(folder)? {
                return Ok(Some(held));
            }
            if Instant::now() >= give_up {
                let name = folder.name();
                return Err(Error::new(Kind::RunActive, format!("run {name} is led by a process"))
                    .fix("Watch it (bp watch) or cancel it (bp cancel)."));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| Error::write(path, &error))
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(there)) => held.ino() == there.ino() && held.dev() == there.dev(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_until_every_worker_of_the_first_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.zarr");
        let first = OutputLock::acquire(&output, Path::new("/runs/first"), Duration::ZERO).unwrap();
        first.share().unwrap();
        let worker = OutputLock::join(&output).unwrap();
        let refused = || {
            let error =
                OutputLock::acquire(&output, Path::new("/runs/b"), Duration::ZERO).unwrap_err();
            assert_eq!(error.kind, Kind::OutputLocked);
            assert!(error.message.contains("first"), "{error}");
        };
        refused();
        drop(first);
        refused();
        drop(worker);
        OutputLock::acquire(&output, Path::new("/runs/b"), Duration::ZERO).unwrap().release();
        assert!(!OutputLock::path_of(&output).exists());
    }
}
