//! Blocks whose workers could not say themselves what became of them: noted by whoever leads the run.

use super::folder::RunFolder;
use super::journal::{DRIVER, Event, Journal, now, parse};
use crate::error::{Error, Result, RetryClass};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The leader's own journal of an attempt.
pub struct Losses {
    path: PathBuf,
    retries: u32,
    journal: Option<Journal>,
    counts: BTreeMap<u64, u32>,
}

impl Losses {
    /// Of a stage of an attempt, with what an earlier leader has noted.
    pub fn of(folder: &RunFolder, stage: usize, attempt: u32, retries: u32) -> Losses {
        let path = folder.journal(stage, DRIVER, attempt);
        let mut counts = BTreeMap::new();
        if let Ok(bytes) = std::fs::read(&path) {
            for event in parse(&bytes).0 {
                if let Event::Failed { block, .. } = event {
                    *counts.entry(block).or_default() += 1;
                }
            }
        }
        Losses { path, retries, journal: None, counts }
    }

    /// Notes what a block was lost of. Returns whether it is tried again.
    ///
    /// # Errors
    /// Those of writing the journal.
    pub fn note(&mut self, block: u64, error: Error) -> Result<bool> {
        self.note_at(now(), block, error)
    }

    /// As [`Losses::note`], for what happened earlier.
    ///
    /// # Errors
    /// Those of writing the journal.
    pub fn note_at(&mut self, time: f64, block: u64, error: Error) -> Result<bool> {
        let count = self.counts.entry(block).or_default();
        *count += 1;
        let most = match error.kind.retry_class() {
            RetryClass::Transient => self.retries,
            RetryClass::Resource => self.retries.min(1),
            RetryClass::Deterministic => 0,
        };
        let again = *count <= most;
        self.write(&Event::Failed { block, time, seconds: 0.0, error, again })?;
        Ok(again)
    }

    /// Notes that a block is not worth another try. Returns `false`.
    ///
    /// # Errors
    /// Those of writing the journal.
    pub fn give_up(&mut self, block: u64, error: Error) -> Result<bool> {
        let again = false;
        self.write(&Event::Failed { block, time: now(), seconds: 0.0, error, again })?;
        Ok(again)
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        if self.journal.is_none() {
            self.journal = Some(Journal::go_on(&self.path)?);
        }
        match &mut self.journal {
            Some(journal) => journal.write(event),
            None => Err(Error::internal("the leader has no journal")),
        }
    }
}

/// The block that a journal says is begun and not ended, and since when.
pub fn in_hand(journal: &Path) -> Option<(u64, f64)> {
    let mut in_hand = None;
    for event in parse(&std::fs::read(journal).ok()?).0 {
        match event {
            Event::Start { block, time } => in_hand = Some((block, time)),
            Event::Done { .. } | Event::Skipped { .. } | Event::Failed { .. } => in_hand = None,
            _ => {}
        }
    }
    in_hand
}
