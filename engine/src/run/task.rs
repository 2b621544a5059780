//! The body of a worker process: one task of a run, on this machine or on a node of a cluster.

use super::Backend;
use super::cancel::CancelToken;
use super::folder::{Attempt, BlockSet, RunFolder};
use super::journal::{DRIVER, Event, Journal, now, parse};
use super::lock::OutputLock;
use super::process::MemoryGauge;
use super::subprocess::task_name;
use super::worker::{Job, Orders, commit_in_background, work};
use crate::error::{Error, Result, RetryClass};
use crate::plan::Plan;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// How often a worker on a cluster looks whether its run was cancelled.
const LOOK: Duration = Duration::from_secs(1);

/// Works on one task of a run. With the number of its launch the worker stops when its standard input
/// ends; without one, as on a cluster, when the run is cancelled.
///
/// # Errors
/// Those of opening the run and its arrays, and of writing the journal.
pub fn work_as_process(
    folder: &Path,
    task: usize,
    attempt: u32,
    launch: Option<u32>,
) -> Result<()> {
    let cancel = CancelToken::new();
    let folder = RunFolder::open(folder)?;
    let (run, plan) = (folder.plan()?, folder.attempt(attempt)?);
    let groups = plan.tasks.get(task).ok_or_else(|| {
        Error::argument(format!("attempt {attempt} has {} tasks, not {task}", plan.tasks.len()))
    })?;
    let stage = run.stage_of_task(groups);
    let (launch, journal) = match launch {
        Some(launch) => {
            stop_with_parent(cancel.clone());
            (launch, Journal::create(&folder.journal(stage, &task_name(task, launch), attempt))?)
        }
        None => {
            if is_over(&folder, attempt) {
                return Ok(());
            }
            stop_when_over(folder.clone(), attempt, cancel.clone());
            next_launch(&folder, stage, task, attempt)?
        }
    };
    let name = task_name(task, launch);
    if plan.backend == Backend::Slurm {
        adopt_logs(&folder, &name, attempt);
    }
    let opened = Job::open(folder.clone(), &plan.paths).and_then(|job| job.in_stage(stage));
    let job = match opened {
        Ok(job) => job,
        // It would fail the same way again: the task's first block is said to fail of it, and the
        // others are left for a resume.
        Err(error) if error.kind.retry_class() == RetryClass::Deterministic => {
            return note_refusal(&folder, &run, &plan, task, launch, journal, error);
        }
        Err(error) => return Err(error),
    };
    let held = job
        .outputs
        .iter()
        .filter_map(|output| output.storage())
        .map(|storage| OutputLock::join(&storage))
        .collect::<Result<Vec<_>>>()?;
    let blocks = job.plan.blocks();
    let todo = job.folder.todo(attempt, blocks)?;
    let dealt_with = dealt_with(&job.folder, stage, task, attempt, launch, blocks)?;
    let journals = [Mutex::new(journal)];
    job.set_held_memory();
    let finished = CancelToken::new();
    let orders = Orders {
        todo: todo.as_ref(),
        dealt_with: Some(&dealt_with),
        clean: attempt > 1 || launch > 0,
        upcoming: None,
        cancel: &cancel,
        memory: &MemoryGauge::whole_process(),
        log: job.folder.log(&name, attempt, "err"),
        // The leader, on another machine, cannot flush what this one holds back.
        commit_at_end: plan.backend == Backend::Slurm,
    };
    let blocks = groups.iter().flat_map(|group| job.plan.blocks_of(group));
    let result = std::thread::scope(|scope| {
        let committer = scope.spawn(|| commit_in_background(&job, &journals, &finished));
        let result = work(&job, blocks, &orders, &journals[0]);
        finished.cancel();
        let committed = committer.join();
        result.and(committed.unwrap_or_else(|_| Err(Error::internal("the committer panicked"))))
    });
    drop(held);
    job.give_back_held_memory();
    result
}

/// Claims the first launch of a task that nobody has: the scheduler may start a task again by itself.
fn next_launch(
    folder: &RunFolder,
    stage: usize,
    task: usize,
    attempt: u32,
) -> Result<(u32, Journal)> {
    for launch in 0.. {
        let path = folder.journal(stage, &task_name(task, launch), attempt);
        if path.exists() {
            continue;
        }
        match Journal::create(&path) {
            Ok(journal) => return Ok((launch, journal)),
            Err(error) if !path.exists() => return Err(error),
            Err(_) => {}
        }
    }
    Err(Error::internal("every launch is taken"))
}

/// The log of a launch is what Slurm writes for its task.
fn adopt_logs(folder: &RunFolder, name: &str, attempt: u32) {
    let of = |name| std::env::var(name).ok();
    let (Some(job), Some(index)) = (of("SLURM_ARRAY_JOB_ID"), of("SLURM_ARRAY_TASK_ID")) else {
        return;
    };
    for stream in ["out", "err"] {
        // A file system without links only makes logs harder to find.
        let _ = std::os::unix::fs::symlink(
            format!("slurm-{job}_{index}.{stream}"),
            folder.log(name, attempt, stream),
        );
    }
}

fn note_refusal(
    folder: &RunFolder,
    plan: &Plan,
    attempt: &Attempt,
    task: usize,
    launch: u32,
    mut journal: Journal,
    error: Error,
) -> Result<()> {
    let stage = plan.stage_of_task(&attempt.tasks[task]);
    let todo = folder.todo(attempt.number, plan.blocks())?;
    let dealt_with = dealt_with(folder, stage, task, attempt.number, launch, plan.blocks())?;
    let mut blocks = attempt.tasks[task].iter().flat_map(|group| plan.blocks_of(group));
    let open = |block: &u64| {
        todo.as_ref().is_none_or(|todo| todo.contains(*block)) && !dealt_with.contains(*block)
    };
    let Some(block) = blocks.find(open) else {
        return Err(error);
    };
    journal.start(block)?;
    let time = now();
    journal.write(&Event::Failed { block, time, seconds: 0.0, error, again: false })?;
    journal.write(&Event::End { time, peak_memory: None })
}

/// Whoever started this worker holds the other end of its standard input for as long as it lives.
fn stop_with_parent(cancel: CancelToken) {
    std::thread::spawn(move || {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(n) if n > 0) {}
        cancel.cancel();
    });
}

fn stop_when_over(folder: RunFolder, attempt: u32, cancel: CancelToken) {
    std::thread::spawn(move || {
        while !is_over(&folder, attempt) {
            std::thread::sleep(LOOK);
        }
        cancel.cancel();
    });
}

/// Whether nobody wants an attempt's blocks any more: it was cancelled, or another one has begun.
fn is_over(folder: &RunFolder, attempt: u32) -> bool {
    folder.is_attempt_cancelled(attempt)
        || folder.file(&format!("attempts/{}.json", attempt + 1)).is_file()
}

/// The blocks that earlier launches of a task ended, or that were given up for killing workers.
fn dealt_with(
    folder: &RunFolder,
    stage: usize,
    task: usize,
    attempt: u32,
    launch: u32,
    blocks: u64,
) -> Result<BlockSet> {
    let mut set = BlockSet::empty(blocks);
    let earlier = (0..launch).map(|launch| task_name(task, launch)).chain([DRIVER.to_owned()]);
    for name in earlier {
        let Ok(bytes) = std::fs::read(folder.journal(stage, &name, attempt)) else { continue };
        for event in parse(&bytes).0 {
            if let Event::Done { block, .. }
            | Event::Skipped { block, .. }
            | Event::Failed { block, again: false, .. } = event
                && block < blocks
            {
                set.insert(block);
            }
        }
    }
    Ok(set)
}
