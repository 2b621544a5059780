//! The runs that are on record.

use super::Backend;
use super::driver::{Outcome, RunState, state_of};
use super::folder::{Request, RunFolder, file_name};
use super::monitor::{Counts, Monitor};
use crate::error::{Error, Kind, Result, nearest};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where run folders are made when the config names no other place.
pub fn default_root() -> PathBuf {
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    std::env::var_os("XDG_STATE_HOME")
        .filter(|path| !path.is_empty())
        .map_or_else(|| home().join(".local/state"), PathBuf::from)
        .join("bioimage-rs/runs")
}

/// One line of the list of runs.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// Short name.
    pub id: String,
    /// The folder.
    pub folder: PathBuf,
    /// The operation.
    pub operation: String,
    /// Where it stands.
    pub state: RunState,
    /// Blocks by state.
    pub counts: Counts,
    /// Outputs.
    pub outputs: Vec<String>,
    /// Host.
    pub host: String,
    /// Who asked for it.
    pub user: String,
    /// Where blocks are worked on.
    pub backend: String,
    /// When it was made.
    pub created: String,
}

impl RunSummary {
    /// The summary of a run.
    ///
    /// # Errors
    /// `run-damaged` and the like.
    pub fn of(folder: &RunFolder) -> Result<RunSummary> {
        let request: Request = folder.request()?;
        let state = state_of(folder)?;
        let counts = if state.is_final() && folder.file("outcome.json").is_file() {
            folder.read::<Outcome>("outcome.json")?.counts
        } else {
            let mut monitor = Monitor::open(folder)?;
            if state.is_final() {
                monitor.settle();
            }
            monitor.counts()
        };
        let outputs = request
            .outputs
            .iter()
            .map(|output| output.spec.as_ref().map_or("memory".to_owned(), |spec| spec.display()));
        Ok(RunSummary {
            folder: folder.path().to_owned(),
            operation: request.operation.name,
            state,
            counts,
            outputs: outputs.collect(),
            host: request.host,
            user: request.user,
            backend: match folder.latest_attempt() {
                0 => String::new(),
                latest => folder.attempt(latest)?.backend.as_str().to_owned(),
            },
            created: request.created,
            id: request.id,
        })
    }
}

/// Puts a run on record whose folder lies outside the root.
///
/// # Errors
/// Those of the operating system.
pub fn record(root: &Path, folder: &Path) -> std::io::Result<()> {
    let folder = folder.canonicalize()?;
    std::fs::create_dir_all(root)?;
    std::os::unix::fs::symlink(&folder, root.join(folder.file_name().unwrap_or_default()))
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let paths = root.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    // Links are records of folders that lie elsewhere.
    let mut folders: Vec<PathBuf> = paths.map(|path| path.read_link().unwrap_or(path)).collect();
    folders.retain(|folder| folder.join("run.json").is_file());
    folders.sort_by(|a, b| b.file_name().cmp(&a.file_name()));
    folders
}

/// All runs in a root that can be read, the latest first.
pub fn list(root: &Path) -> Vec<RunSummary> {
    let summaries = folders(root).into_iter().map(|path| RunSummary::of(&RunFolder::open(&path)?));
    summaries.filter_map(Result::ok).collect()
}

/// Names of the runs, the latest first; for completion.
pub fn names(root: &Path) -> Vec<String> {
    folders(root).iter().filter_map(|path| Some(id_of(path)?.to_owned())).collect()
}

fn id_of(folder: &Path) -> Option<&str> {
    folder.file_name()?.to_str()?.rsplit('-').next()
}

/// The run with this name: its id, a beginning of it, the folder's name or its path; `last` is the
/// latest one.
///
/// # Errors
/// `run-not-found` with the nearest name; `run-ambiguous` with those that match.
pub fn find(root: &Path, name: &str) -> Result<RunFolder> {
    if name.contains('/') {
        return RunFolder::open(Path::new(name));
    }
    let folders = folders(root);
    let missing = || Error::new(Kind::RunNotFound, format!("there is no run '{name}'"));
    if name == "last" {
        let latest = folders.first().ok_or_else(|| missing().fix("No run is on record yet."))?;
        return RunFolder::open(latest);
    }
    let is_named = |folder: &&PathBuf| {
        id_of(folder) == Some(name) || folder.file_name().is_some_and(|whole| whole == name)
    };
    if let Some(folder) = folders.iter().find(is_named) {
        return RunFolder::open(folder);
    }
    let begins = |folder: &&PathBuf| id_of(folder).is_some_and(|id| id.starts_with(name));
    let matches: Vec<&PathBuf> = folders.iter().filter(begins).collect();
    match matches[..] {
        [folder] => RunFolder::open(folder),
        [] => Err(match nearest(name, folders.iter().filter_map(|folder| id_of(folder))) {
            Some(other) => missing().fix(format!("Did you mean '{other}'? bp runs lists them.")),
            None => missing().fix("bp runs lists the runs."),
        }),
        _ => {
            let ids: Vec<_> = matches.iter().filter_map(|folder| id_of(folder)).collect();
            Err(Error::new(
                Kind::RunAmbiguous,
                format!("'{name}' may be any of {}", ids.join(", ")),
            )
            .fix("Give more letters."))
        }
    }
}

/// How fast earlier runs were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Voxels a second and worker.
    pub voxels_per_s: f64,
    /// Number of runs that this comes from.
    pub runs: usize,
}

/// The median pace of the latest runs of an operation on a backend that went through in one attempt.
pub fn pace(root: &Path, operation: &str, backend: Backend) -> Option<Pace> {
    let named = format!("-{}-", file_name(operation));
    let pace_of = |path: &PathBuf| -> Option<f64> {
        // Thousands of runs may be on record, and most names tell that they are of no use here.
        path.file_name()?.to_str()?.contains(&named).then_some(())?;
        let folder = RunFolder::open(path).ok()?;
        let outcome: Outcome = folder.read("outcome.json").ok()?;
        let seconds = outcome.ended - outcome.started;
        let went_through =
            outcome.state == RunState::Succeeded && outcome.attempt == 1 && seconds > 0.0;
        went_through.then_some(())?;
        let attempt = folder.attempt(1).ok()?;
        (attempt.backend == backend).then_some(())?;
        (folder.request().ok()?.operation.name == operation).then_some(())?;
        let plan = folder.plan().ok()?;
        let share = outcome.counts.done as f64 / outcome.counts.total.max(1) as f64;
        let voxels = plan.voxels() as f64 * share;
        Some(voxels / seconds / attempt.workers.max(1) as f64)
    };
    const LATEST: usize = 5;
    let mut paces: Vec<f64> = folders(root).iter().filter_map(pace_of).take(LATEST).collect();
    paces.sort_by(f64::total_cmp);
    let voxels_per_s = *paces.get(paces.len() / 2)?;
    Some(Pace { voxels_per_s, runs: paces.len() })
}

/// Removes the folders of succeeded runs that are older than `age`, and returns their names.
///
/// # Errors
/// `write-failed` and the like.
pub fn collect_garbage(root: &Path, age: Duration) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for path in folders(root) {
        let folder = RunFolder::open(&path)?;
        let old = path
            .join("outcome.json")
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|past| past >= age));
        if old && state_of(&folder)? == RunState::Succeeded {
            remove(root, &folder)?;
            removed.push(folder.name());
        }
    }
    Ok(removed)
}

/// Removes a run's folder, whatever its outcome was, and the record of it; not while it goes on.
///
/// # Errors
/// `run-active`; `write-failed` and the like.
pub fn remove(root: &Path, folder: &RunFolder) -> Result<()> {
    if !state_of(folder)?.is_final() {
        return Err(Error::new(Kind::RunActive, format!("run '{}' is going on", folder.name()))
            .fix("Cancel it first."));
    }
    std::fs::remove_dir_all(folder.path()).map_err(|error| Error::write(folder.path(), &error))?;
    let link = root.join(folder.name());
    if link.is_symlink() {
        std::fs::remove_file(&link).map_err(|error| Error::write(&link, &error))?;
    }
    Ok(())
}
