//! The run folder: where everything about a run is kept, and how its files come to be.

use super::process::ProcessId;
use super::slurm::SlurmSettings;
use super::{Backend, FORMAT};
use crate::error::{Error, Kind, Result};
use crate::grid::Region;
use crate::op::OperationSpec;
use crate::op::table::Table;
use crate::plan::{Plan, Task};
use crate::source::Spec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was asked for; `run.json`. Never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Version of the run folder's format.
    pub format: u32,
    /// Last part of the folder's name; enough to name the run.
    pub id: String,
    /// The operation.
    pub operation: OperationSpec,
    /// Inputs.
    pub inputs: Vec<ArrayRecord>,
    /// Outputs.
    pub outputs: Vec<ArrayRecord>,
    /// The mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<ArrayRecord>,
    /// The region that the blocks cover, in the arrays' coordinates.
    pub domain: Region,
    /// Extents of a block.
    pub block_shape: Vec<u64>,
    /// The language that some of the arrays or the operation need; none for what the engine knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The blocks asked for; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_ids: Option<Vec<u64>>,
    /// How often a transient failure is tried again.
    pub retries: u32,
    /// Names of the axes, where known.
    #[serde(default)]
    pub axes: Vec<String>,
    /// Version of the engine.
    pub engine: String,
    /// Host on which the run was made.
    pub host: String,
    /// Who made it.
    pub user: String,
    /// When, as RFC 3339.
    pub created: String,
    /// The request in the languages of the front ends.
    #[serde(default)]
    pub code: Code,
}

/// A request as a line that makes it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// In the `bp` language.
    pub bp: String,
    /// In Python.
    pub python: String,
    /// In Rust.
    pub rust: String,
}

/// An array that a run reads or writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrayRecord {
    /// How it is opened again; none for arrays in memory.
    pub spec: Option<Spec>,
    /// Extents.
    pub shape: Vec<u64>,
    /// Data type.
    pub dtype: crate::dtype::DType,
    /// For inputs: changes when the data may have changed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
}

/// One go at the blocks that are not done: `attempts/<number>.json`. Never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// Where the blocks are worked on.
    pub backend: Backend,
    /// How many work at the same time.
    pub workers: u64,
    /// Memory that may be used, in bytes.
    pub budget: u64,
    /// Division of the work.
    pub tasks: Vec<Task>,
    /// The process that leads it.
    pub driver: ProcessId,
    /// When it was begun, in seconds since 1970.
    pub started: f64,
    /// Checks that were passed over, by the kind of error that they gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<Kind>,
    /// What is asked of Slurm, on that backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slurm: Option<SlurmSettings>,
    /// Command line of a worker on a cluster, for whoever takes the lead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Where arrays lie now that the request names elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathMap>,
}

/// A journal in a run folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalFile {
    /// The attempt that it is of.
    pub attempt: u32,
    /// Where it is.
    pub path: PathBuf,
    /// The task, or the thread, that it is of.
    pub task: String,
}

/// A folder that has another name than when the run was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMap {
    /// Its name in the request.
    pub old: PathBuf,
    /// Its name now.
    pub new: PathBuf,
}

impl std::fmt::Display for PathMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.old.display(), self.new.display())
    }
}

impl std::str::FromStr for PathMap {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (old, new) = text
            .split_once('=')
            .filter(|(old, new)| !old.is_empty() && !new.is_empty())
            .ok_or_else(|| {
                Error::argument(format!("'{text}' maps no path")).fix("Write it as /old=/new.")
            })?;
        Ok(PathMap { old: old.into(), new: new.into() })
    }
}

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Removes the folder of a run between arrays in memory when nobody looks at it any more.
    ephemeral: Option<Arc<tempfile::TempDir>>,
}

impl RunFolder {
    /// A new folder in `root`, named after the time and the operation.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn create(root: &Path, operation: &str, id: &str) -> Result<Self> {
        // Thousandths of a second keep runs of a script in their order.
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
        let path = root.join(format!("{time}-{}-{id}", file_name(operation)));
        RunFolder { path, ephemeral: None }.with_subfolders()
    }

    /// A new folder that is gone with the last clone of its handle.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn ephemeral(operation: &str, id: &str) -> Result<Self> {
        let temporary = tempfile::Builder::new()
            .prefix(&format!("bp-{}-", file_name(operation)))
            .suffix(&format!("-{id}"))
            .tempdir()
            .map_err(|error| Error::write(&std::env::temp_dir(), &error))?;
        let path = temporary.path().to_owned();
        RunFolder { path, ephemeral: Some(Arc::new(temporary)) }.with_subfolders()
    }

    /// An existing folder.
    ///
    /// # Errors
    /// `run-not-found` if there is no run; `run-format-newer` if it is of a newer version.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = RunFolder { path: path.to_owned(), ephemeral: None };
        let file = folder.file("run.json");
        if !file.is_file() {
            return Err(Error::new(
                Kind::RunNotFound,
                format!("'{}' is not a run folder: it has no run.json", path.display()),
            )
            .fix("bp runs lists the runs."));
        }
        let format: serde_json::Value = folder.read("run.json")?;
        let format = format.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if format > u64::from(FORMAT) {
            return Err(Error::new(
                Kind::RunFormatNewer,
                format!(
                    "run '{}' has format {format}, this version reads up to {FORMAT}",
                    folder.name()
                ),
            )
            .fix("Use the version of bioimage-rs that made it, or a newer one."));
        }
        Ok(folder)
    }

    fn with_subfolders(self) -> Result<Self> {
        for name in ["attempts", "stages/0", "logs"] {
            let path = self.path.join(name);
            std::fs::create_dir_all(&path).map_err(|error| Error::write(&path, &error))?;
        }
        Ok(self)
    }

    /// Makes room for the journals of so many stages.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn make_stages(&self, stages: usize) -> Result<()> {
        (0..stages).map(|stage| self.file(&format!("stages/{stage}"))).try_for_each(|path| {
            std::fs::create_dir_all(&path).map_err(|error| Error::write(&path, &error))
        })
    }

    /// Whether the folder is gone with its last handle, as that of a run between arrays in memory.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral.is_some()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the folder.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The journal of a task of an attempt.
    pub fn journal(&self, stage: usize, task: &str, attempt: u32) -> PathBuf {
        self.path.join(format!("stages/{stage}/{task}.{attempt}.jsonl"))
    }

    /// What the partial results of a stage were put together to.
    pub fn merged(&self, stage: usize) -> PathBuf {
        self.path.join(format!("stages/{stage}/merged"))
    }

    /// The result of a run that measures.
    ///
    /// # Errors
    /// `run-damaged` if there is none, as before its end.
    pub fn table(&self) -> Result<Table> {
        let last = self.plan()?.stages.len() - 1;
        Table::read(&self.merged(last))
    }

    /// All journals of a stage, older attempts first.
    ///
    /// # Errors
    /// `read-failed` and the like.
    pub fn journals(&self, stage: usize) -> Result<Vec<JournalFile>> {
        let path = self.path.join(format!("stages/{stage}"));
        let entries = match path.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::read(&path, &error)),
        };
        let mut journals: Vec<JournalFile> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let (task, attempt) = name.strip_suffix(".jsonl")?.rsplit_once('.')?;
                let (attempt, task) = (attempt.parse().ok()?, task.to_owned());
                Some(JournalFile { attempt, path: entry.path(), task })
            })
            .collect();
        journals.sort_unstable();
        Ok(journals)
    }

    /// Where a task's output (`out`) or error output (`err`) goes.
    pub fn log(&self, task: &str, attempt: u32, stream: &str) -> PathBuf {
        self.path.join(format!("logs/{task}.{attempt}.{stream}"))
    }

    /// Writes a file that appears whole, by a rename.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        let text = serde_json::to_vec_pretty(value)
            .map_err(|error| Error::internal(format!("{name} cannot be written: {error}")))?;
        self.write_bytes(name, &text)
    }

    /// As [`RunFolder::write`], for bytes.
    ///
    /// # Errors
    /// As [`RunFolder::write`].
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.file(name);
        let folder = path.parent().unwrap_or(&self.path);
        let failed = |error: &std::io::Error| Error::write(&path, error);
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
        file.write_all(bytes).map_err(|error| failed(&error))?;
        file.persist(&path).map_err(|error| failed(&error.error))?;
        Ok(())
    }

    /// Reads a file that was written with [`RunFolder::write`].
    ///
    /// # Errors
    /// `run-damaged` if it is missing or does not parse.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.file(name);
        let damaged = |what: String| {
            Error::new(Kind::RunDamaged, format!("'{}' {what}", path.display()))
                .fix("The run cannot be resumed; start it again with a new output.")
        };
        let bytes =
            std::fs::read(&path).map_err(|error| damaged(format!("cannot be read: {error}")))?;
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("is damaged: {error}")))
    }

    /// The request.
    ///
    /// # Errors
    /// `run-damaged`.
    pub fn request(&self) -> Result<Request> {
        self.read("run.json")
    }

    /// The plan.
    ///
    /// # Errors
    /// `run-damaged`.
    pub fn plan(&self) -> Result<Plan> {
        self.read("plan.json")
    }

    /// The number of the latest attempt; 0 before the first.
    pub fn latest_attempt(&self) -> u32 {
        let mut latest = 0;
        while self.file(&format!("attempts/{}.json", latest + 1)).is_file() {
            latest += 1;
        }
        latest
    }

    /// An attempt.
    ///
    /// # Errors
    /// `run-damaged`.
    pub fn attempt(&self, number: u32) -> Result<Attempt> {
        self.read(&format!("attempts/{number}.json"))
    }

    /// The blocks that an attempt is to do; none if it is all of them.
    ///
    /// # Errors
    /// `run-damaged`.
    pub fn todo(&self, attempt: u32, blocks: u64) -> Result<Option<BlockSet>> {
        let path = self.file(&format!("attempts/{attempt}.todo"));
        match std::fs::read(&path) {
            Ok(bits) if bits.len() as u64 == blocks.div_ceil(8) => Ok(Some(BlockSet { bits })),
            Ok(_) => Err(Error::new(
                Kind::RunDamaged,
                format!("'{}' has not one bit for each block", path.display()),
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(&path, &error)),
        }
    }

    /// Whether somebody asked the run to stop.
    pub fn is_cancel_asked(&self) -> bool {
        self.is_attempt_cancelled(self.latest_attempt())
    }

    /// Whether somebody asked an attempt to stop. The file names the latest one that is meant: on some
    /// file systems it can still be seen for a while after it was removed for the next one.
    pub fn is_attempt_cancelled(&self, attempt: u32) -> bool {
        let text = std::fs::read_to_string(self.file("cancel"));
        text.is_ok_and(|text| text.trim().parse().map_or(true, |meant: u32| meant >= attempt))
    }

    /// Asks all workers to stop before their next block.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn ask_cancel(&self) -> Result<()> {
        self.write_bytes("cancel", self.latest_attempt().to_string().as_bytes())
    }
}

/// A name in which nothing has a meaning for the file system.
pub(super) fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '-' }).collect()
}

/// A set of block numbers, a bit for each block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSet {
    bits: Vec<u8>,
}

impl BlockSet {
    /// No block of so many.
    pub fn empty(blocks: u64) -> Self {
        BlockSet { bits: vec![0; blocks.div_ceil(8) as usize] }
    }

    /// Adds a block, which must be one of those that the set was made for.
    pub fn insert(&mut self, block: u64) {
        self.bits[(block / 8) as usize] |= 1 << (block % 8);
    }

    /// Whether the block is in the set.
    pub fn contains(&self, block: u64) -> bool {
        self.bits.get((block / 8) as usize).is_some_and(|byte| byte & (1 << (block % 8)) != 0)
    }

    /// Number of blocks in the set.
    pub fn len(&self) -> u64 {
        self.bits.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }

    /// Whether no block is in the set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The set as it is stored: bit `i % 8` of byte `i / 8` stands for block `i`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bits
    }
}

/// A short random name.
pub fn new_id() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    (0..6).map(|_| LETTERS[fastrand::usize(..LETTERS.len())] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "copy", "abcdef").unwrap();
        assert_eq!(RunFolder::open(folder.path()).unwrap_err().kind, Kind::RunNotFound);
        folder.write("run.json", &serde_json::json!({ "format": 99 })).unwrap();
        assert_eq!(RunFolder::open(folder.path()).unwrap_err().kind, Kind::RunFormatNewer);
    }

    #[test]
    fn a_set_of_blocks_survives_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "copy", &new_id()).unwrap();
        let mut set = BlockSet::empty(19);
        [0, 7, 8, 18].into_iter().for_each(|block| set.insert(block));
        folder.write_bytes("attempts/2.todo", set.as_bytes()).unwrap();
        let read = folder.todo(2, 19).unwrap().unwrap();
        assert_eq!((read.len(), read.contains(8), read.contains(9)), (4, true, false));
        assert_eq!(folder.todo(2, 200).unwrap_err().kind, Kind::RunDamaged);
        assert_eq!(folder.todo(3, 19).unwrap(), None);
    }
}
