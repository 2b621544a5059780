//! The folder that Rust cells are built in.
//!
//! It is gone with the kernel, and may be large. A kernel that is killed cannot remove it: the next
//! one does. Whether a folder's kernel lives is told by a lock, which the operating system takes back.

use bioimage_engine::run::process::host_name;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PREFIX: &str = "bioimage-kernel-";

/// Whose kernel builds in a folder: on other hosts that see it, its lock may not hold.
fn lock_in(folder: &Path) -> PathBuf {
    folder.join(format!("kernel.{}.lock", host_name()))
}

/// A folder that is removed with this value, or by [`remove_abandoned`] after the kernel was killed.
pub struct BuildFolder {
    folder: TempDir,
    #[expect(dead_code, reason = "held, not read")]
    lock: File,
}

impl BuildFolder {
    /// A new folder among the temporary ones.
    ///
    /// # Errors
    /// Those of making it.
    pub fn make() -> io::Result<BuildFolder> {
        BuildFolder::make_in(&std::env::temp_dir())
    }

    fn make_in(root: &Path) -> io::Result<BuildFolder> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(root)?;
        let unlocked = folder.path().join("new.lock");
        let lock = File::create(&unlocked)?;
        // Where files cannot be locked nobody else gets the lock either, and the folder is safe.
        let _ = lock.try_lock();
        // By its name it is seen only now that it is locked.
        std::fs::rename(unlocked, lock_in(folder.path()))?;
        Ok(BuildFolder { folder, lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes what is there now; what cannot be removed stays, as after a kernel that was killed.
    pub fn remove(&self) {
        let _ = std::fs::remove_dir_all(self.path());
    }
}

/// Removes the folders of kernels that are gone.
pub fn remove_abandoned() {
    remove_abandoned_in(&std::env::temp_dir());
}

fn remove_abandoned_in(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Those of other users cannot be opened.
        if let Ok(lock) = File::open(lock_in(&entry.path()))
            && lock.try_lock().is_ok()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_without_a_living_kernel_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let living = BuildFolder::make_in(root.path()).unwrap();
        let dead = {
            let killed = BuildFolder::make_in(root.path()).unwrap();
            std::fs::create_dir(killed.path().join("target")).unwrap();
            killed.folder.keep()
        };
        let (other, unlocked) = (root.path().join("other"), root.path().join("bioimage-kernel-x"));
        for folder in [&other, &unlocked] {
            std::fs::create_dir(folder).unwrap();
        }
        File::create(lock_in(&other)).unwrap();
        File::create(unlocked.join("kernel.elsewhere.lock")).unwrap();
        remove_abandoned_in(root.path());
        assert!(!dead.exists());
        assert!(living.path().is_dir() && other.is_dir() && unlocked.is_dir());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
