//! The worker loop, the same for every backend, and `run_block`, the only place that runs a block.

use super::cancel::CancelToken;
use super::folder::{BlockSet, PathMap, Request, RunFolder};
use super::journal::{Event, Journal, now, time_text};
use super::partials::PartialWriter;
use super::process::MemoryGauge;
use crate::array::Cast;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result, RetryClass};
use crate::op::blockwise::cropped;
use crate::op::{BlockIo, Operation, Product, pass, written};
use crate::plan::Plan;
use crate::source::{Held, Sink, Source};
use std::fs::File;
use std::io::Write;
use std::iter::Peekable;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A run with its arrays open.
#[derive(Clone)]
pub struct Job {
    /// Where it is kept.
    pub folder: RunFolder,
    /// What was asked for.
    pub request: Request,
    /// How it is done.
    pub plan: Plan,
    /// What this pass does to blocks.
    pub operation: Arc<dyn Operation>,
    /// Inputs.
    pub inputs: Vec<Arc<dyn Source>>,
    /// Outputs.
    pub outputs: Vec<Arc<dyn Sink>>,
    /// Mask.
    pub mask: Option<Arc<dyn Source>>,
}

impl Job {
    /// Opens the run in a folder and all its arrays, where they lie by now.
    ///
    /// # Errors
    /// Those of opening the arrays; `run-damaged`; `invalid-argument` where an array lived in the
    /// memory of another process.
    pub fn open(folder: RunFolder, paths: &[PathMap]) -> Result<Job> {
        let mut request = folder.request()?;
        let arrays = request.inputs.iter_mut().chain(&mut request.outputs).chain(&mut request.mask);
        for spec in arrays.filter_map(|record| record.spec.as_mut()) {
            *spec = spec.moved(paths)?;
        }
        let plan = folder.plan()?;
        let gone = || {
            Error::argument(format!(
                "run {} works on an array in the memory of another process",
                request.id
            ))
            .fix("Start it again where the array lives, or keep the array in a file.")
        };
        let inputs =
            request.inputs.iter().map(|record| record.spec.as_ref().ok_or_else(gone)?.open());
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let outputs =
            request.outputs.iter().map(|record| record.spec.as_ref().ok_or_else(gone)?.open_sink());
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let mask = match &request.mask {
            Some(record) => Some(record.spec.as_ref().ok_or_else(gone)?.open()?),
            None => None,
        };
        let operation = request.operation.build(&folder, &inputs, paths)?;
        Ok(Job { folder, request, plan, operation, inputs, outputs, mask })
    }

    /// The job in another of its passes, after those before it are complete.
    ///
    /// # Errors
    /// As [`pass`].
    pub fn in_stage(&self, stage: usize) -> Result<Job> {
        let operation = pass(self.operation.clone(), stage, &self.folder)?;
        Ok(Job { operation, ..self.clone() })
    }

    /// Lets the inputs hold what the plan allows for between blocks, and returns what they leave.
    pub fn set_held_memory(&self) -> u64 {
        let grid = self.plan.grid();
        let halo = self.operation.halo(grid.ndim());
        let again = halo.iter().any(|halo| *halo > 0);
        let held = self.inputs.iter().map(|input| input.held_bytes(&grid.block_shape, &halo));
        let for_inputs = self.plan.memory.held.min(held.sum::<Held>().most);
        for input in &self.inputs {
            input.hold_at_most(for_inputs / self.inputs.len() as u64, again);
        }
        self.plan.memory.held - for_inputs
    }

    /// Lets go of what inputs hold: their arrays may live on and change after the run.
    pub fn give_back_held_memory(&self) {
        self.inputs.iter().for_each(|input| input.hold_at_most(0, false));
        self.operation.keep_at_most(0);
    }

    /// Flushes what it wrote to stable storage.
    ///
    /// # Errors
    /// As [`flush`].
    pub fn commit(&self) -> Result<()> {
        flush(self.storages())
    }

    /// Where it writes: the outputs, and the run's folder for partial results.
    pub fn storages(&self) -> Vec<PathBuf> {
        let keeps_partials = self.operation.gives_partials() && !self.folder.is_ephemeral();
        let partials = keeps_partials.then(|| self.folder.path().to_owned());
        let outputs = self.outputs.iter().filter_map(|output| output.storage());
        outputs.chain(partials).collect()
    }
}

/// Flushes the file systems of these places to stable storage.
///
/// # Errors
/// `write-failed`, `disk-full` and the like: what was said to be written is not.
pub fn flush(mut storages: Vec<PathBuf>) -> Result<()> {
    storages.sort();
    storages.dedup();
    for storage in storages {
        let file = std::fs::File::open(&storage).map_err(|error| Error::read(&storage, &error))?;
        rustix::fs::syncfs(&file).map_err(|error| Error::write(&storage, &error.into()))?;
    }
    Ok(())
}

/// What became of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockResult {
    /// Its output is complete.
    Done(Product),
    /// It lies outside the mask.
    Skipped,
}

/// Runs one block. `clean` removes what an earlier attempt may have left beside its write units.
///
/// # Errors
/// What the operation and its arrays give; `internal` where one of them panicked.
pub fn run_block(
    job: &Job,
    id: u64,
    clean: bool,
    upcoming: Option<u64>,
    cancel: &CancelToken,
) -> Result<BlockResult> {
    let work = || -> Result<BlockResult> {
        let block = job.plan.block(id)?;
        let mask = match &job.mask {
            None => None,
            Some(mask) => {
                let masks_halo = job.operation.masks_halo();
                let region = if masks_halo { &block.outer } else { &block.inner };
                let mask = mask.read(region)?.cast(DType::Bool, Cast::Wrapping)?;
                let inner = masks_halo.then(|| cropped(&mask, &block.inner_in_outer()));
                let inner = inner.transpose()?;
                let is_outside = !inner.as_ref().unwrap_or(&mask).values::<bool>()?.contains(&true);
                if is_outside && !job.operation.works_outside_mask() {
                    return Ok(BlockResult::Skipped);
                }
                let is_partial = mask.values::<bool>()?.contains(&false);
                is_partial.then_some(mask)
            }
        };
        if clean {
            for (_, output) in written(&*job.operation, &job.outputs) {
                output.discard_leftovers(&block.inner.in_trailing_axes(output.shape()))?;
            }
        }
        let upcoming = upcoming.map(|id| job.plan.block(id)).transpose()?;
        let io = BlockIo {
            block: &block,
            upcoming: upcoming.as_ref(),
            inputs: &job.inputs,
            outputs: &job.outputs,
            mask: mask.as_ref(),
            cancel,
        };
        job.operation.run(&io).map(BlockResult::Done)
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Error::internal(format!("block {id} panicked: {text}")))
        }
    }
}

/// Opens a log, which a worker process and its own output may both add to.
///
/// # Errors
/// Those of the file system.
pub fn append(log: &Path) -> std::io::Result<File> {
    File::options().append(true).create(true).open(log)
}

/// What a worker goes by besides the job itself.
pub struct Orders<'a> {
    /// The blocks that are to be done; none for all.
    pub todo: Option<&'a BlockSet>,
    /// The blocks that earlier launches of this task have dealt with.
    pub dealt_with: Option<&'a BlockSet>,
    /// Whether blocks may have left-overs of earlier attempts.
    pub clean: bool,
    /// The block that will probably follow one, where threads take blocks in turn.
    pub upcoming: Option<&'a (dyn Fn(u64) -> Option<u64> + Sync)>,
    /// Asks to stop.
    pub cancel: &'a CancelToken,
    /// Measures the memory that the work takes.
    pub memory: &'a MemoryGauge,
    /// The task's log, which tells of each failure for people to read.
    pub log: PathBuf,
    /// Whether what was written is flushed to stable storage before the worker says that it ends.
    pub commit_at_end: bool,
}

impl Orders<'_> {
    fn includes(&self, block: u64) -> bool {
        self.todo.is_none_or(|todo| todo.contains(block))
            && !self.dealt_with.is_some_and(|done| done.contains(block))
    }

    fn tell(&self, job: &Job, block: u64, error: &Error, again: bool) {
        let region = job.plan.block(block).map(|block| block.inner.to_string());
        let traceback = error.traceback.as_deref().map(|it| format!("\n{}", it.trim_end()));
        let line = format!(
            "{} block {block} [{}] failed, {}: {}: {}{}\n",
            time_text(now()),
            region.unwrap_or_default(),
            if again { "tried again" } else { "left for a resume" },
            error.kind,
            error.report(),
            traceback.unwrap_or_default(),
        );
        // The journal, which is written next, is what counts: a log that cannot be written stops nothing.
        let _ = append(&self.log).and_then(|mut log| log.write_all(line.as_bytes()));
    }
}

/// Works on blocks until there are no more or it is asked to stop, and keeps the journal.
///
/// # Errors
/// Only where the journal cannot be written; a block's failure is an entry in it.
pub fn work(
    job: &Job,
    blocks: impl Iterator<Item = u64>,
    orders: &Orders,
    journal: &Mutex<Journal>,
) -> Result<()> {
    let mut blocks = blocks.filter(|block| orders.includes(*block)).peekable();
    let mut result = Ok(());
    job.operation.around(&mut || result = work_inside(job, &mut blocks, orders, journal));
    result
}

fn work_inside(
    job: &Job,
    blocks: &mut Peekable<impl Iterator<Item = u64>>,
    orders: &Orders,
    journal: &Mutex<Journal>,
) -> Result<()> {
    let mut partials = PartialWriter::new(lock(journal).path());
    let mut announced = None;
    while let Some(block) = blocks.next() {
        if orders.cancel.is_cancelled() {
            break;
        }
        if announced.take() != Some(block) {
            lock(journal).start(block)?;
        }
        announced =
            attempt_block(job, block, orders, journal, &mut partials, || blocks.peek().copied())?;
    }
    if orders.commit_at_end {
        job.commit()?;
        let done = lock(journal).done_lines();
        lock(journal).write(&Event::Durable { done, time: now() })?;
    }
    lock(journal).write(&Event::End { time: now(), peak_memory: orders.memory.peak() })
}

/// Tries a block until it is done, fails for good or is given up. Returns the block that was
/// announced together with its end.
fn attempt_block(
    job: &Job,
    block: u64,
    orders: &Orders,
    journal: &Mutex<Journal>,
    partials: &mut PartialWriter,
    mut next: impl FnMut() -> Option<u64>,
) -> Result<Option<u64>> {
    for tried in 0u32.. {
        let begun = Instant::now();
        // Where threads share the blocks, the next one is not this worker's before this one is done.
        let upcoming = orders.upcoming.map_or_else(&mut next, |upcoming| upcoming(block));
        let clean = orders.clean || tried > 0;
        let result = run_block(job, block, clean, upcoming, orders.cancel).and_then(|result| {
            if let BlockResult::Done(Product { partial: Some(bytes), .. }) = &result {
                partials.write(block, bytes)?;
            }
            Ok(result)
        });
        let seconds = begun.elapsed().as_secs_f64();
        match result {
            Ok(BlockResult::Done(Product { traffic, .. })) => {
                let next = if orders.cancel.is_cancelled() { None } else { next() };
                lock(journal).done(block, seconds, traffic, next)?;
                return Ok(next);
            }
            Ok(BlockResult::Skipped) => {
                lock(journal).write(&Event::Skipped { block, time: now() })?;
                return Ok(None);
            }
            Err(error) if error.kind == Kind::Cancelled => return Ok(None),
            Err(error) => {
                let again = error.kind.retry_class() == RetryClass::Transient
                    && tried < job.request.retries
                    && !orders.cancel.is_cancelled();
                orders.tell(job, block, &error, again);
                lock(journal).write(&Event::Failed {
                    block,
                    time: now(),
                    seconds,
                    error,
                    again,
                })?;
                if !again {
                    return Ok(None);
                }
                job.operation.pause(back_off(tried), orders.cancel);
                if orders.cancel.is_cancelled() {
                    return Ok(None);
                }
                lock(journal).start(block)?;
            }
        }
    }
    Ok(None)
}

/// 0.2 s, doubled with every try, at most 10 s.
fn back_off(tried: u32) -> Duration {
    Duration::from_millis(200u64.saturating_mul(1 << tried.min(6))).min(Duration::from_secs(10))
}

/// How often finished blocks are flushed to stable storage.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Flushes what journals say is done, in the background, until `finished` is set. One flush serves
/// many blocks, and no worker waits for it: it may take long where others write to the same disk.
///
/// # Errors
/// As [`Job::commit`].
pub fn commit_in_background(
    job: &Job,
    journals: &[Mutex<Journal>],
    finished: &CancelToken,
) -> Result<()> {
    let mut durable: Vec<u64> = vec![0; journals.len()];
    loop {
        finished.sleep(COMMIT_INTERVAL);
        if finished.is_cancelled() {
            return Ok(());
        }
        let done: Vec<u64> = journals.iter().map(|journal| lock(journal).done_lines()).collect();
        if done != durable {
            job.commit()?;
            for (journal, &done) in journals.iter().zip(&done) {
                lock(journal).write(&Event::Durable { done, time: now() })?;
            }
            durable = done;
        }
    }
}

/// A poisoned journal is still a journal: panics are caught around blocks, not around its lines.
fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}
