//! Follows a run by what its workers write down, at a cost in proportion to what is new.

use super::folder::{JournalFile, RunFolder};
use super::journal::{DRIVER, Event, parse};
use super::process::ProcessId;
use crate::error::{Error, Kind, Result, RetryClass};
use crate::plan::Stage;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

/// State of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockState {
    /// Not begun.
    Pending,
    /// Being worked on.
    Running,
    /// Its output is complete.
    Done,
    /// Outside the mask.
    Skipped,
    /// Failed before and waiting for another try.
    WaitingAgain,
    /// Failed for good, as far as this attempt goes.
    Failed,
    /// Failed before and being worked on.
    RunningAgain,
}

/// Numbers of blocks by state. The first five add up to the total, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Counts {
    pub total: u64,
    pub pending: u64,
    pub running: u64,
    pub done: u64,
    pub skipped: u64,
    pub failed: u64,
    /// Blocks that failed at least once and were tried again.
    pub retried: u64,
}

impl Counts {
    fn of(&mut self, state: BlockState) -> &mut u64 {
        match state {
            BlockState::Pending | BlockState::WaitingAgain => &mut self.pending,
            BlockState::Running | BlockState::RunningAgain => &mut self.running,
            BlockState::Done => &mut self.done,
            BlockState::Skipped => &mut self.skipped,
            BlockState::Failed => &mut self.failed,
        }
    }

    /// Whether every block is done or skipped.
    pub fn is_complete(&self) -> bool {
        self.done + self.skipped == self.total
    }
}

/// A try at a block, as the journals tell it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Try {
    /// Attempt of the run.
    pub attempt: u32,
    /// Task that worked on it.
    pub task: String,
    /// `running`, `done`, `skipped` or `failed`.
    pub state: &'static str,
    /// When it began, in seconds since 1970.
    pub started: Option<f64>,
    /// How long it took.
    pub duration_s: Option<f64>,
    /// The failure.
    pub error: Option<Error>,
}

/// A block's latest failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What happened.
    pub error: Error,
    /// How often the block failed in this attempt of the run.
    pub attempts: u32,
}

/// A worker, as its journal tells.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    /// Its process.
    pub process: Option<ProcessId>,
    /// When it began, in seconds since 1970.
    pub began: f64,
    /// The block that it works on.
    pub block: Option<u64>,
    /// When it began that block, in seconds since 1970.
    pub since: f64,
    /// Whether it has ended in an orderly way.
    pub ended: bool,
}

/// A journal that is followed.
#[derive(Debug)]
struct Followed {
    stage: usize,
    task: String,
    offset: u64,
    ended: bool,
}

/// The state of a run, rebuilt from its folder and kept up to date by [`Monitor::poll`].
#[derive(Debug)]
pub struct Monitor {
    folder: RunFolder,
    attempt: u32,
    blocks: u64,
    states: Vec<BlockState>,
    counts: Counts,
    failures: BTreeMap<u64, Failure>,
    workers: BTreeMap<String, WorkerView>,
    files: HashMap<PathBuf, Followed>,
    stages: Vec<Range<u64>>,
    changed: Vec<u64>,
    read: u64,
    written: u64,
    peak_memory: Option<u64>,
    last_event: Option<f64>,
    finished_early: u32,
    failed_early: u32,
    fatal: Option<Error>,
}

/// The run stops when more than a fifth of so many first blocks fail for reasons that stay.
const EARLY_BLOCKS: u32 = 50;

impl Monitor {
    /// Starts to follow the latest attempt of a run, and reads what is there.
    ///
    /// # Errors
    /// `run-damaged`, `read-failed` and the like.
    pub fn open(folder: &RunFolder) -> Result<Monitor> {
        let plan = folder.plan()?;
        let blocks = plan.blocks();
        let mut monitor = Monitor {
            folder: folder.clone(),
            attempt: 0,
            blocks,
            states: Vec::new(),
            counts: Counts::default(),
            failures: BTreeMap::new(),
            workers: BTreeMap::new(),
            files: HashMap::new(),
            stages: plan.stages.iter().map(Stage::blocks).collect(),
            changed: Vec::new(),
            read: 0,
            written: 0,
            peak_memory: None,
            last_event: None,
            finished_early: 0,
            failed_early: 0,
            fatal: None,
        };
        monitor.begin_attempt(folder.latest_attempt().max(1))?;
        monitor.poll()?;
        Ok(monitor)
    }

    /// What an attempt finds: all blocks pending but those that earlier ones have dealt with.
    fn begin_attempt(&mut self, attempt: u32) -> Result<()> {
        self.attempt = attempt;
        let before = if attempt > 1 { BlockState::Done } else { BlockState::Skipped };
        let todo = self.folder.todo(attempt, self.blocks)?;
        self.states = match &todo {
            None => vec![BlockState::Pending; self.blocks as usize],
            Some(todo) => (0..self.blocks)
                .map(|block| if todo.contains(block) { BlockState::Pending } else { before })
                .collect(),
        };
        self.counts = Counts { total: self.blocks, ..Counts::default() };
        for state in &self.states {
            *self.counts.of(*state) += 1;
        }
        self.failures.clear();
        self.workers.clear();
        self.files.clear();
        self.changed.clear();
        (self.finished_early, self.failed_early, self.fatal) = (0, 0, None);
        if attempt > 1 {
            self.restore_skipped(attempt)?;
        }
        Ok(())
    }

    /// Blocks that no later attempt has to do were done or skipped by an earlier one; which of the
    /// two, their journals tell.
    fn restore_skipped(&mut self, attempt: u32) -> Result<()> {
        if let Some(first) = self.folder.todo(1, self.blocks)? {
            for block in 0..self.blocks {
                if !first.contains(block) {
                    self.set(block, BlockState::Skipped);
                }
            }
        }
        for (_, JournalFile { path, attempt: earlier, .. }) in self.journals()? {
            if earlier >= attempt {
                continue;
            }
            let bytes = std::fs::read(&path).map_err(|error| Error::read(&path, &error))?;
            for event in parse(&bytes).0 {
                match event {
                    Event::Skipped { block, .. }
                        if self.states.get(block as usize) == Some(&BlockState::Done) =>
                    {
                        self.set(block, BlockState::Skipped);
                    }
                    Event::Done { read, written, .. } => {
                        self.read += read;
                        self.written += written;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Reads what was written since the last time.
    ///
    /// # Errors
    /// `read-failed` and the like.
    pub fn poll(&mut self) -> Result<()> {
        let latest = self.folder.latest_attempt().max(1);
        if latest != self.attempt {
            (self.read, self.written) = (0, 0);
            self.begin_attempt(latest)?;
            self.changed.extend(0..self.blocks);
        }
        for (stage, JournalFile { attempt, path, task }) in self.journals()? {
            if attempt == self.attempt {
                let file = Followed { stage, task, offset: 0, ended: false };
                self.files.entry(path).or_insert(file);
            }
        }
        let mut files = std::mem::take(&mut self.files);
        // The driver's journal comes last: it tells of what became of other journals' workers.
        let mut files_in_order: Vec<_> = files.iter_mut().filter(|(_, file)| !file.ended).collect();
        files_in_order.sort_by_key(|(_, file)| (file.stage, file.task == DRIVER));
        let result = files_in_order.into_iter().try_for_each(|(path, file)| {
            let length = path.metadata().map_err(|error| Error::read(path, &error))?.len();
            if length <= file.offset {
                return Ok(());
            }
            let mut stored =
                std::fs::File::open(path).map_err(|error| Error::read(path, &error))?;
            let mut bytes = Vec::with_capacity((length - file.offset) as usize);
            stored
                .seek(SeekFrom::Start(file.offset))
                .and_then(|_| stored.read_to_end(&mut bytes))
                .map_err(|error| Error::read(path, &error))?;
            let (events, used) = parse(&bytes);
            let mut worker = self.workers.remove(&file.task).unwrap_or(WorkerView {
                process: None,
                began: 0.0,
                block: None,
                since: 0.0,
                ended: false,
            });
            for event in events {
                self.apply(file, &mut worker, event);
            }
            self.workers.insert(file.task.clone(), worker);
            file.offset += used as u64;
            Ok(())
        });
        self.files = files;
        result
    }

    /// The journals of all stages, each with its stage.
    fn journals(&self) -> Result<Vec<(usize, JournalFile)>> {
        let mut journals = Vec::new();
        for stage in 0..self.stages.len() {
            journals.extend(self.folder.journals(stage)?.into_iter().map(|file| (stage, file)));
        }
        Ok(journals)
    }

    fn apply(&mut self, file: &mut Followed, worker: &mut WorkerView, event: Event) {
        let time = event.time();
        self.last_event = Some(self.last_event.map_or(time, |last| last.max(time)));
        match event {
            Event::Worker { process, .. } => {
                // A thread has one journal in each stage.
                (worker.process, worker.began, worker.ended) = (Some(process), time, false);
            }
            Event::Start { block, .. } => {
                (worker.block, worker.since) = (Some(block), time);
                // Journals are read in any order: what has ended in this attempt is not begun again.
                if self.has_ended(block) {
                    return;
                }
                let state = match self.states.get(block as usize) {
                    Some(BlockState::WaitingAgain | BlockState::RunningAgain) => {
                        BlockState::RunningAgain
                    }
                    _ => BlockState::Running,
                };
                self.set(block, state);
            }
            Event::Done { block, read, written, .. } => {
                worker.block = None;
                if self.states.get(block as usize) != Some(&BlockState::Done) {
                    self.read += read;
                    self.written += written;
                    self.finished_early += 1;
                    self.set(block, BlockState::Done);
                    self.failures.remove(&block);
                }
            }
            Event::Skipped { block, .. } => {
                worker.block = None;
                self.finished_early += 1;
                self.set(block, BlockState::Skipped);
            }
            Event::Failed { block, error, again, .. } => {
                worker.block = None;
                if self.states.get(block as usize) == Some(&BlockState::Done) {
                    return;
                }
                if again && self.has_ended(block) {
                    self.counts.retried += 1;
                    return;
                }
                if again {
                    self.counts.retried += 1;
                    // Another worker may have begun it since.
                    let begun =
                        |worker: &WorkerView| worker.block == Some(block) && worker.since > time;
                    let running = self.workers.values().any(begun);
                    let state =
                        if running { BlockState::RunningAgain } else { BlockState::WaitingAgain };
                    self.set(block, state);
                } else {
                    self.note_final_failure(&error);
                    self.set(block, BlockState::Failed);
                }
                let attempts = self.failures.get(&block).map_or(0, |failure| failure.attempts) + 1;
                self.failures.insert(block, Failure { error, attempts });
            }
            Event::Durable { .. } => {}
            Event::End { peak_memory, .. } => {
                worker.block = None;
                worker.ended = true;
                file.ended = true;
                self.peak_memory = self.peak_memory.max(peak_memory);
            }
        }
    }

    fn has_ended(&self, block: u64) -> bool {
        let state = self.states.get(block as usize);
        matches!(state, Some(BlockState::Done | BlockState::Skipped | BlockState::Failed))
    }

    fn note_final_failure(&mut self, error: &Error) {
        let early = self.finished_early < EARLY_BLOCKS;
        self.finished_early += 1;
        if early && error.kind.retry_class() == RetryClass::Deterministic {
            self.failed_early += 1;
        }
        if matches!(error.kind, Kind::DiskFull) {
            self.fatal.get_or_insert_with(|| error.clone());
        }
    }

    fn set(&mut self, block: u64, state: BlockState) {
        let Some(current) = self.states.get_mut(block as usize) else { return };
        let before = std::mem::replace(current, state);
        if before != state {
            *self.counts.of(before) -= 1;
            *self.counts.of(state) += 1;
            self.changed.push(block);
        }
    }

    /// Why the run should not go on, if so.
    pub fn reason_to_stop(&self) -> Option<String> {
        if let Some(error) = &self.fatal {
            return Some(error.message.clone());
        }
        (self.failed_early > EARLY_BLOCKS / 5).then(|| {
            format!(
                "{} of the first {} blocks failed for a reason that does not pass by itself",
                self.failed_early,
                self.finished_early.min(EARLY_BLOCKS)
            )
        })
    }

    /// What running blocks become when nobody works on them any more.
    pub fn settle(&mut self) {
        for block in 0..self.blocks {
            if let BlockState::Running | BlockState::RunningAgain | BlockState::WaitingAgain =
                self.states[block as usize]
            {
                self.set(block, BlockState::Pending);
            }
        }
        for worker in self.workers.values_mut() {
            worker.block = None;
        }
    }

    /// Number of the attempt that is followed.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Numbers of blocks by state.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether every block of a stage is done or skipped.
    pub fn is_complete(&self, stage: usize) -> bool {
        let states =
            &self.states[self.stages[stage].start as usize..self.stages[stage].end as usize];
        states.iter().all(|state| matches!(state, BlockState::Done | BlockState::Skipped))
    }

    /// The stage that is worked on, or was at last: the first that is not complete.
    pub fn stage(&self) -> usize {
        let stages = 0..self.stages.len();
        let last = stages.end.saturating_sub(1);
        stages.into_iter().find(|&stage| !self.is_complete(stage)).unwrap_or(last)
    }

    /// State of every block.
    pub fn states(&self) -> &[BlockState] {
        &self.states
    }

    /// The blocks whose state changed since the last call.
    pub fn take_changed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.changed)
    }

    /// The latest failure of every block that failed and is not done.
    pub fn failures(&self) -> &BTreeMap<u64, Failure> {
        &self.failures
    }

    /// The workers by task.
    pub fn workers(&self) -> &BTreeMap<String, WorkerView> {
        &self.workers
    }

    /// Bytes read and written so far.
    pub fn bytes(&self) -> (u64, u64) {
        (self.read, self.written)
    }

    /// Largest memory of any worker that has ended.
    pub fn peak_memory(&self) -> Option<u64> {
        self.peak_memory
    }

    /// When a worker last wrote something, in seconds since 1970.
    pub fn last_event(&self) -> Option<f64> {
        self.last_event
    }

    /// Every try at a block, over all attempts.
    ///
    /// # Errors
    /// `read-failed` and the like.
    pub fn tries(&self, block: u64) -> Result<Vec<Try>> {
        let mut tries = Vec::new();
        let stage = self.stages.iter().position(|blocks| blocks.contains(&block));
        for file in self.folder.journals(stage.unwrap_or(0))? {
            let bytes =
                std::fs::read(&file.path).map_err(|error| Error::read(&file.path, &error))?;
            let mut begun = None;
            let made = |state, started, duration_s, error| Try {
                attempt: file.attempt,
                task: file.task.clone(),
                state,
                started,
                duration_s,
                error,
            };
            for event in parse(&bytes).0 {
                match event {
                    Event::Start { block: b, time } if b == block => begun = Some(time),
                    Event::Done { block: b, seconds, .. } if b == block => {
                        tries.push(made("done", begun.take(), Some(seconds), None));
                    }
                    Event::Skipped { block: b, .. } if b == block => {
                        tries.push(made("skipped", begun.take(), None, None));
                    }
                    Event::Failed { block: b, seconds, error, .. } if b == block => {
                        tries.push(made("failed", begun.take(), Some(seconds), Some(error)));
                    }
                    _ => {}
                }
            }
            if let Some(time) = begun {
                tries.push(made("running", Some(time), None, None));
            }
        }
        Ok(tries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folder(blocks: u64) -> (tempfile::TempDir, RunFolder) {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "copy", "abcdef").unwrap();
        let plan = crate::plan::tests::plan_of(blocks);
        folder.write("plan.json", &plan).unwrap();
        (root, folder)
    }

    fn event(kind: u8, block: u64) -> Event {
        let error = Error::new(Kind::CorruptData, "bad");
        match kind {
            0 => Event::Start { block, time: 0.0 },
            1 => Event::Done { block, time: 0.0, seconds: 0.0, read: 1, written: 1 },
            2 => Event::Skipped { block, time: 0.0 },
            3 => Event::Failed { block, time: 0.0, seconds: 0.0, error, again: true },
            _ => Event::Failed { block, time: 0.0, seconds: 0.0, error, again: false },
        }
    }

    proptest! {
        #[test]
        fn counts_add_up_whatever_is_written_and_however_it_is_read(
            events in prop::collection::vec((0u8..5, 0u64..6, 0usize..3), 0..40),
            cut in 0usize..4000,
        ) {
            let (_root, folder) = folder(6);
            let mut text = vec![String::new(); 3];
            for (kind, block, file) in events {
                text[file] += &serde_json::to_string(&event(kind, block)).unwrap();
                text[file].push('\n');
            }
            let sum = |c: Counts| c.pending + c.running + c.done + c.skipped + c.failed;
            for (task, text) in text.iter().enumerate() {
                let cut = cut.min(text.len());
                std::fs::write(folder.journal(0, &task.to_string(), 1), &text[..cut]).unwrap();
            }
            let mut monitor = Monitor::open(&folder).unwrap();
            prop_assert_eq!(sum(monitor.counts()), 6);
            for (task, text) in text.iter().enumerate() {
                std::fs::write(folder.journal(0, &task.to_string(), 1), text).unwrap();
            }
            monitor.poll().unwrap();
            prop_assert_eq!(sum(monitor.counts()), 6);
            monitor.settle();
            prop_assert_eq!((sum(monitor.counts()), monitor.counts().running), (6, 0));
        }
    }

    #[test]
    fn a_lost_worker_s_block_is_what_its_leader_says() {
        let (_root, folder) = folder(2);
        let line = |event: &Event| serde_json::to_string(event).unwrap() + "\n";
        let start = |time| line(&Event::Start { block: 1, time });
        let lost = |time, again| {
            let error = Error::new(Kind::WorkerLost, "gone");
            line(&Event::Failed { block: 1, time, seconds: 0.0, error, again })
        };
        let write = |task: &str, text: String| {
            std::fs::write(folder.journal(0, task, 1), text).unwrap();
        };
        let state = || Monitor::open(&folder).unwrap().states()[1];
        write("0", start(1.0));
        write(DRIVER, lost(2.0, true));
        assert_eq!(state(), BlockState::WaitingAgain);
        write("0-1", start(3.0));
        assert_eq!(state(), BlockState::RunningAgain);
        write(DRIVER, lost(2.0, true) + &lost(4.0, false));
        assert_eq!(state(), BlockState::Failed);
        // The later worker's own end of the block counts, whichever journal is read first.
        write(DRIVER, lost(2.0, true));
        let ended = |error: Option<Error>| match error {
            None => Event::Done { block: 1, time: 4.0, seconds: 0.0, read: 0, written: 0 },
            Some(error) => Event::Failed { block: 1, time: 4.0, seconds: 0.0, error, again: false },
        };
        write("0-1", start(3.0) + &line(&ended(None)));
        assert_eq!(state(), BlockState::Done);
        write("0-1", start(3.0) + &line(&ended(Some(Error::new(Kind::Foreign, "raised")))));
        let monitor = Monitor::open(&folder).unwrap();
        assert_eq!(monitor.states()[1], BlockState::Failed);
        assert_eq!(monitor.failures()[&1].error.kind, Kind::Foreign);
    }

    #[test]
    fn many_early_deterministic_failures_are_a_reason_to_stop() {
        let (_root, folder) = folder(100);
        let mut text = String::new();
        for block in 0..11 {
            text += &serde_json::to_string(&event(4, block)).unwrap();
            text.push('\n');
        }
        std::fs::write(folder.journal(0, "0", 1), &text).unwrap();
        assert!(Monitor::open(&folder).unwrap().reason_to_stop().is_some());
        let ten: String = text.lines().take(10).map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.journal(0, "0", 1), ten).unwrap();
        assert!(Monitor::open(&folder).unwrap().reason_to_stop().is_none());
    }
}
