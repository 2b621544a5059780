//! Going on with a run: everything that is not done, by whoever, wherever, with as many workers.

use super::cancel::CancelToken;
use super::driver::{Lead, Outcome, RunState, lock_outputs, places, state_of};
use super::folder::{ArrayRecord, Attempt, BlockSet, JournalFile, PathMap, Request, RunFolder};
use super::journal::{Event, parse};
use super::lock::LeadLock;
use super::partials::Partials;
use super::process::{ProcessId, boot_id};
use super::setup::{budget_option, cluster_command, default_budget};
use super::slurm::{self, SlurmSettings};
use super::subprocess::worker_command;
use super::worker::Job;
use super::{Backend, Run, journal};
use crate::config::parse_bytes;
use crate::config::slurm::SlurmDefaults;
use crate::error::{Error, Kind, Result};
use crate::op::written;
use crate::plan::{Plan, Stage, TASKS_PER_WORKER, divide};
use crate::source::Source;
use serde_json::Value;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a run is gone on with; what is not given stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// Where blocks are worked on.
    pub backend: Option<Backend>,
    /// How many work at the same time.
    pub workers: Option<u64>,
    /// Memory that may be used, in bytes.
    pub budget: Option<u64>,
    /// Goes on although the input or the engine changed; recorded in the run.
    pub force: bool,
    /// Also decodes what is said to be done.
    pub verify: bool,
    /// The `bp` program, for worker processes.
    pub program: Option<PathBuf>,
    /// The time a worker process may take for a task.
    pub task_timeout: Option<Duration>,
    /// Tasks that each worker process gets.
    pub tasks_per_worker: Option<u64>,
    /// What is asked of Slurm, on that backend; as before, else what the config says.
    pub slurm: Option<SlurmSettings>,
    /// Where folders are by now that the request names elsewhere.
    pub paths: Vec<PathMap>,
}

impl Resume {
    /// What a widget asks for: `workers`, `backend` and `memory`, each as it is typed; what is empty stays
    /// as it was.
    ///
    /// # Errors
    /// `invalid-argument`.
    pub fn asked_for(content: &Value, program: Option<PathBuf>) -> Result<Resume> {
        let typed = |key: &str| match &content[key] {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let backend = |name: String| {
            <Backend as clap::ValueEnum>::from_str(&name, false).map_err(|_| {
                Error::argument(format!("unknown backend '{name}'"))
                    .fix("Use local, subprocess or slurm.")
            })
        };
        let count = |text: String| {
            text.parse().ok().filter(|workers| *workers > 0).ok_or_else(|| {
                Error::argument(format!("'{text}' is not a number of workers"))
                    .fix("Give a whole number of at least 1.")
            })
        };
        Ok(Resume {
            backend: typed("backend").map(backend).transpose()?,
            workers: typed("workers").map(count).transpose()?,
            budget: typed("memory").map(|text| parse_bytes(&text)).transpose()?,
            program,
            ..Resume::default()
        })
    }
}

/// The next attempt, before anything is opened for it.
struct Asked {
    number: u32,
    before: Option<Attempt>,
    backend: Backend,
    slurm: Option<SlurmSettings>,
    paths: Vec<PathMap>,
}

/// How long workers of a killed run get to notice that they are alone.
const PATIENCE: Duration = Duration::from_secs(3);

impl Resume {
    /// Starts another attempt at a run.
    ///
    /// # Errors
    /// `run-active`, `run-changed`, `run-damaged`, `output-locked`; `invalid-argument` if nothing is
    /// left to do, or Slurm has not what is asked of it; `scheduler-failed` if it does not answer.
    pub fn start(&self, folder: &RunFolder) -> Result<Run> {
        let state = state_of(folder)?;
        let request = folder.request()?;
        if !state.is_final() {
            return Err(Error::new(
                Kind::RunActive,
                format!("run {} is {}", request.id, state.as_str()),
            )
            .fix(format!("Watch it (bp watch {0}) or cancel it (bp cancel {0}).", request.id)));
        }
        if state == RunState::Succeeded {
            return Err(Error::argument(format!(
                "run {} has succeeded: nothing is left to do",
                request.id
            )));
        }
        let mut forced = Vec::new();
        let mut check = |result: Result<()>| match result {
            Err(error) if self.force && error.kind == Kind::RunChanged => {
                forced.push(error.kind);
                Ok(())
            }
            other => other,
        };
        check(same_engine(&request))?;
        let Asked { number, before, backend, slurm, paths } = self.asked(folder)?;
        let on_cluster = backend == Backend::Slurm;
        slurm.as_ref().map_or(Ok(()), slurm::validate)?;
        let job = Job::open(folder.clone(), &paths)?;
        check(same_inputs(&job))?;
        let locks = lock_outputs(places(&job.outputs), folder, PATIENCE)?;
        let todo = self.what_is_left(&job)?;
        let workers = self.workers.or(before.as_ref().map(|a| a.workers)).unwrap_or(1);
        let plan = &job.plan;
        let tasks = workers.saturating_mul(self.tasks_per_worker.unwrap_or(TASKS_PER_WORKER));
        let tasks = plan.stages.iter().flat_map(|stage| {
            let left = stage.blocks().filter(|&block| todo.contains(block));
            let mut groups: Vec<u64> = left.map(|block| plan.group_of(block)).collect();
            groups.sort_unstable();
            groups.dedup();
            divide(groups.into_iter(), tasks, backend)
        });
        let attempt = Attempt {
            number,
            backend,
            workers,
            budget: self.checked_budget(plan, workers, backend, before.as_ref(), slurm.as_ref())?,
            tasks: tasks.filter(|task| !task.is_empty()).collect(),
            driver: ProcessId::current(),
            started: journal::now(),
            forced,
            command: if on_cluster {
                cluster_command(&request, &self.program)?
            } else {
                Vec::new()
            },
            slurm,
            paths,
        };
        let was_on_cluster = before.as_ref().is_some_and(|before| before.slurm.is_some());
        let held = LeadLock::for_attempt(folder, on_cluster || was_on_cluster)?;
        if folder.latest_attempt() + 1 != number {
            return Err(Error::new(
                Kind::RunActive,
                format!("run {} was resumed by another process meanwhile", request.id),
            )
            .fix(format!("Watch it: bp watch {}.", request.id)));
        }
        put_away_outcome(folder)?;
        forget_merged(job.plan.stages.iter().map(|stage| stage.blocks()), &todo, folder)?;
        folder.write_bytes(&format!("attempts/{number}.todo"), todo.as_bytes())?;
        folder.write(&format!("attempts/{number}.json"), &attempt)?;
        let lead = Lead {
            attempt,
            todo: Some(todo),
            locks,
            held,
            program: self.program.clone(),
            task_timeout: self.task_timeout,
        };
        Run::lead(job, lead)
    }

    /// Asks a compute node whether it sees all paths of the run and can run its worker program; a set
    /// `cancel` ends the waiting for it.
    ///
    /// # Errors
    /// `invalid-argument` with what the node does not have, or on another backend than Slurm;
    /// `scheduler-failed`; `cancelled`; `permission-denied` where this process cannot write, either.
    pub fn check_nodes(&self, folder: &RunFolder, cancel: &CancelToken) -> Result<()> {
        let request = folder.request()?;
        let Asked { slurm, paths, .. } = self.asked(folder)?;
        let places = |records: &mut dyn Iterator<Item = &ArrayRecord>| -> Result<Vec<PathBuf>> {
            let specs = records.filter_map(|record| record.spec.as_ref());
            let moved = specs.map(|spec| Ok(spec.moved(&paths)?.path().map(Path::to_owned)));
            Ok(moved.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        };
        let language = request.language.as_deref();
        let needs = slurm::Needs {
            command: worker_command(language, &request.operation, self.program.clone())?,
            folder: folder.path().to_owned(),
            reads: places(&mut request.inputs.iter().chain(&request.mask))?,
            writes: places(&mut request.outputs.iter())?,
        };
        slurm::check_nodes(slurm.as_ref(), &needs, cancel)
    }

    /// What holds for the next attempt, of what is asked for now and what was before.
    fn asked(&self, folder: &RunFolder) -> Result<Asked> {
        let number = folder.latest_attempt() + 1;
        let before = match number {
            1 => None,
            _ => Some(folder.attempt(number - 1)?),
        };
        let backend = self.backend.or(before.as_ref().map(|a| a.backend)).unwrap_or_default();
        let settings = self.slurm.clone().or(before.as_ref().and_then(|a| a.slurm.clone()));
        let slurm = match (backend, settings) {
            (Backend::Slurm, Some(settings)) => Some(settings),
            (Backend::Slurm, None) => Some(SlurmDefaults::load()?.settings),
            _ => None,
        };
        let mut paths = self.paths.clone();
        paths.extend(before.iter().flat_map(|before| before.paths.clone()));
        Ok(Asked { number, before, backend, slurm, paths })
    }

    fn checked_budget(
        &self,
        plan: &Plan,
        workers: u64,
        backend: Backend,
        before: Option<&Attempt>,
        slurm: Option<&SlurmSettings>,
    ) -> Result<u64> {
        if workers == 0 {
            return Err(Error::argument("0 workers cannot do anything")
                .about("workers")
                .fix("Use at least 1 worker."));
        }
        // What another backend was given says nothing of this one.
        let before = before.filter(|before| before.backend == backend);
        let budget = match slurm {
            Some(slurm) => slurm.memory()?.or(self.budget).unwrap_or(u64::MAX),
            None => self.budget.or(before.map(|a| a.budget)).unwrap_or_else(default_budget),
        };
        let total = plan.memory_for(workers, backend);
        if total > budget {
            let option = budget_option(slurm)?;
            return Err(Error::new(
                Kind::MemoryBudget,
                format!(
                    "{workers} workers need {}, the budget is {}",
                    crate::plan::bytes_text(total),
                    crate::plan::bytes_text(budget)
                ),
            )
            .about(option)
            .fix(format!("Use fewer workers, or raise the budget with {option}.")));
        }
        Ok(budget)
    }

    /// The blocks that no attempt did, or whose output is not there any more.
    fn what_is_left(&self, job: &Job) -> Result<BlockSet> {
        let blocks = job.plan.blocks();
        let mut done: Vec<Option<Written>> = vec![None; blocks as usize];
        for stage in 0..job.plan.stages.len() {
            for JournalFile { attempt, path, .. } in job.folder.journals(stage)? {
                let bytes = std::fs::read(&path).map_err(|error| Error::read(&path, &error))?;
                let todo = job.folder.todo(attempt, blocks)?;
                note_done(&bytes, &mut done, |block| {
                    todo.as_ref().is_none_or(|todo| todo.contains(block))
                });
            }
        }
        let asked = job.folder.todo(1, blocks)?;
        let mut left = BlockSet::empty(blocks);
        let mut operation = job.operation.clone();
        for (number, stage) in job.plan.stages.iter().enumerate() {
            let partials = match operation.gives_partials() {
                true => Some(Partials::of(&job.folder, number, stage)?),
                false => None,
            };
            for block in stage.blocks() {
                if asked.as_ref().is_some_and(|asked| !asked.contains(block)) {
                    continue;
                }
                let sound = match done[block as usize] {
                    None => false,
                    Some(Written::Skipped) => true,
                    Some(Written::Nothing) => self.has_partial(&partials, block, stage)?,
                    Some(Written::Something) => {
                        let region = job.plan.block(block)?.inner;
                        let mut sound = self.has_partial(&partials, block, stage)?;
                        for (_, output) in written(&*operation, &job.outputs) {
                            let region = region.in_trailing_axes(output.shape());
                            sound &= output.verify(&region, self.verify)?;
                        }
                        sound
                    }
                };
                if !sound {
                    left.insert(block);
                }
            }
            match operation.next(None)? {
                Some(next) => operation = next,
                None => break,
            }
        }
        Ok(left)
    }

    /// Whether a block that is said to be done has left its partial result, where it gives one.
    fn has_partial(&self, partials: &Option<Partials>, block: u64, stage: &Stage) -> Result<bool> {
        let Some(partials) = partials else { return Ok(true) };
        let block = block - stage.first_block;
        Ok(if self.verify { partials.get(block)?.is_some() } else { partials.has(block) })
    }
}

/// The merges of stages that are not complete are made again.
fn forget_merged(
    stages: impl Iterator<Item = Range<u64>>,
    todo: &BlockSet,
    folder: &RunFolder,
) -> Result<()> {
    for (number, mut blocks) in stages.enumerate() {
        let merged = folder.merged(number);
        if merged.is_file() && blocks.any(|block| todo.contains(block)) {
            std::fs::remove_file(&merged).map_err(|error| Error::write(&merged, &error))?;
        }
    }
    Ok(())
}

/// What a block that is done has left on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// Nothing: it was skipped.
    Skipped,
    /// Nothing, since all of it is empty.
    Nothing,
    /// Something that can be looked for.
    Something,
}

/// Notes the blocks that a journal says are done. After a crash of the machine only what was flushed
/// before the last `durable` line counts.
fn note_done(bytes: &[u8], done: &mut [Option<Written>], in_attempt: impl Fn(u64) -> bool) {
    let events: Vec<_> = parse(bytes).0.collect();
    let same_boot = events.iter().any(|event| match event {
        Event::Worker { process, .. } => process.is_alive().is_none() || process.boot == boot_id(),
        _ => false,
    });
    let durable = events.iter().rev().find_map(|event| match event {
        Event::Durable { done, .. } => Some(*done),
        _ => None,
    });
    let trusted = if same_boot { u64::MAX } else { durable.unwrap_or(0) };
    let mut lines = 0;
    for event in events {
        match event {
            Event::Done { block, written, .. } => {
                lines += 1;
                if lines <= trusted
                    && in_attempt(block)
                    && let Some(slot) = done.get_mut(block as usize)
                {
                    *slot = Some(if written == 0 { Written::Nothing } else { Written::Something });
                }
            }
            Event::Skipped { block, .. } => {
                if let Some(slot) = done.get_mut(block as usize) {
                    *slot = Some(Written::Skipped);
                }
            }
            _ => {}
        }
    }
}

fn same_engine(request: &Request) -> Result<()> {
    let major = |version: &str| {
        // Before 1.0 the second number is the one that breaks.
        let mut parts = version.split('.').map(str::to_owned);
        let first = parts.next().unwrap_or_default();
        if first == "0" { format!("0.{}", parts.next().unwrap_or_default()) } else { first }
    };
    let own = env!("CARGO_PKG_VERSION");
    if major(&request.engine) == major(own) {
        return Ok(());
    }
    Err(Error::new(
        Kind::RunChanged,
        format!("run {} was made by version {}, this is {own}", request.id, request.engine),
    )
    .fix("Use that version, or go on all the same with --force."))
}

fn same_inputs(job: &Job) -> Result<()> {
    let mut pairs: Vec<(&dyn Source, _)> = Vec::new();
    pairs.extend(job.inputs.iter().map(|input| &**input).zip(&job.request.inputs));
    pairs.extend(job.mask.iter().map(|mask| &**mask).zip(&job.request.mask));
    for (source, record) in pairs {
        let name = record.spec.as_ref().map_or("an input".to_owned(), |spec| spec.display());
        let what = if source.shape() != record.shape {
            Some("shape")
        } else if source.dtype() != record.dtype {
            Some("dtype")
        } else if source.fingerprint()? != record.fingerprint {
            Some("content")
        } else {
            None
        };
        if let Some(what) = what {
            return Err(Error::new(
                Kind::RunChanged,
                format!("the {what} of '{name}' changed since run {} was started", job.request.id),
            )
            .fix(
                "Start a new run, or go on all the same with --force: blocks that are done stay.",
            ));
        }
    }
    for (output, record) in job.outputs.iter().zip(&job.request.outputs) {
        if output.shape() != record.shape || output.dtype() != record.dtype {
            let name = record.spec.as_ref().map_or("the output".to_owned(), |spec| spec.display());
            return Err(Error::new(
                Kind::RunChanged,
                format!("'{name}' is another array than run {} wrote to", job.request.id),
            )
            .fix("Start a new run."));
        }
    }
    Ok(())
}

/// Keeps the last attempt's outcome beside it, and forgets that somebody asked to stop.
fn put_away_outcome(folder: &RunFolder) -> Result<()> {
    let outcome = folder.file("outcome.json");
    if outcome.is_file() {
        let attempt = folder.read::<Outcome>("outcome.json")?.attempt;
        let kept = folder.file(&format!("attempts/{attempt}.outcome.json"));
        std::fs::rename(&outcome, &kept).map_err(|error| Error::write(&kept, &error))?;
    }
    let cancel = folder.file("cancel");
    match std::fs::remove_file(&cancel) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::write(&cancel, &error))
        }
        _ => Ok(()),
    }
}
