//! The sentinels of one worker: a file that is only appended to, one line an event.

use crate::error::{Error, Kind, Result};
use crate::op::Traffic;
use crate::run::process::ProcessId;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The task under which whoever leads a run notes what workers could not note themselves.
pub const DRIVER: &str = "driver";

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Who writes this journal; the first line.
    Worker {
        /// Seconds since 1970.
        time: f64,
        /// The process.
        process: ProcessId,
    },
    /// A block is being worked on.
    Start {
        /// The block.
        block: u64,
        /// Seconds since 1970.
        time: f64,
    },
    /// A block's output is complete.
    Done {
        /// The block.
        block: u64,
        /// Seconds since 1970.
        time: f64,
        /// Seconds that it took.
        seconds: f64,
        /// Bytes of voxels read.
        read: u64,
        /// Bytes stored.
        written: u64,
    },
    /// A block lies outside the mask.
    Skipped {
        /// The block.
        block: u64,
        /// Seconds since 1970.
        time: f64,
    },
    /// A block failed.
    Failed {
        /// The block.
        block: u64,
        /// Seconds since 1970.
        time: f64,
        /// Seconds that it took.
        seconds: f64,
        /// What happened.
        error: Error,
        /// Whether this attempt tries it again.
        again: bool,
    },
    /// The first `done` lines of this file are on stable storage.
    Durable {
        /// Number of `done` lines.
        done: u64,
        /// Seconds since 1970.
        time: f64,
    },
    /// The worker ends.
    End {
        /// Seconds since 1970.
        time: f64,
        /// Largest resident memory of its process, in bytes.
        peak_memory: Option<u64>,
    },
}

impl Event {
    /// When it happened, in seconds since 1970.
    pub fn time(&self) -> f64 {
        match self {
            Event::Worker { time, .. }
            | Event::Start { time, .. }
            | Event::Done { time, .. }
            | Event::Skipped { time, .. }
            | Event::Failed { time, .. }
            | Event::Durable { time, .. }
            | Event::End { time, .. } => *time,
        }
    }
}

/// Now, in seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// A time of a journal for people and front ends, in RFC 3339.
pub fn time_text(seconds: f64) -> String {
    jiff::Timestamp::from_second(seconds as i64)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// Appends events to a worker's journal.
///
/// A line leaves with one `write`; the `start` of a block may wait for the line that precedes it or
/// follows it, so that a quick block costs one call.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    lines: Vec<u8>,
    done: u64,
    broken: bool,
}

impl Journal {
    /// Starts a journal, which must not exist yet.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::options()
            .create_new(true)
            .append(true)
            .open(path)
            .map_err(|error| Error::write(path, &error))?;
        Journal::begin(file, path)
    }

    /// Starts a journal, or goes on with one whose writer is gone.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn go_on(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::write(path, &error);
        let mut file =
            File::options().read(true).create(true).append(true).open(path).map_err(failed)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(-1)).is_ok() {
            file.read_exact(&mut last).map_err(failed)?;
        }
        if last != *b"\n" {
            // A torn line must not swallow the next one.
            file.write_all(b"\n").map_err(failed)?;
        }
        Journal::begin(file, path)
    }

    fn begin(file: File, path: &Path) -> Result<Self> {
        let mut journal = Journal {
            file,
            path: path.to_owned(),
            lines: Vec::with_capacity(512),
            done: 0,
            broken: false,
        };
        journal.write(&Event::Worker { time: now(), process: ProcessId::current() })?;
        Ok(journal)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line and hands it to the operating system.
    ///
    /// # Errors
    /// `disk-full`, `write-failed` and the like; from then on every call fails, since a torn line
    /// may only be a file's last.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        self.push(event)?;
        self.flush()
    }

    /// Notes that a block is begun.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub fn start(&mut self, block: u64) -> Result<()> {
        self.write(&Event::Start { block, time: now() })
    }

    /// Notes that a block is done, and that another one is begun with the same call.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub fn done(
        &mut self,
        block: u64,
        seconds: f64,
        traffic: Traffic,
        next: Option<u64>,
    ) -> Result<()> {
        let time = now();
        let Traffic { read, written } = traffic;
        self.push(&Event::Done { block, time, seconds, read, written })?;
        if let Some(block) = next {
            self.push(&Event::Start { block, time })?;
        }
        self.flush()?;
        self.done += 1;
        Ok(())
    }

    /// Number of `done` lines so far.
    pub fn done_lines(&self) -> u64 {
        self.done
    }

    fn push(&mut self, event: &Event) -> Result<()> {
        serde_json::to_writer(&mut self.lines, event)
            .map_err(|error| Error::internal(format!("a journal line: {error}")))?;
        self.lines.push(b'\n');
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.broken {
            return Err(Error::new(
                Kind::WriteFailed,
                format!("the journal '{}' could not be written before", self.path.display()),
            ));
        }
        let written = self.file.write_all(&self.lines);
        self.lines.clear();
        written.map_err(|error| {
            self.broken = true;
            Error::write(&self.path, &error)
        })
    }
}

/// The events in `bytes`, and how many bytes they take: a torn last line is left for later.
pub fn parse(bytes: &[u8]) -> (impl Iterator<Item = Event> + '_, usize) {
    let complete = memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1);
    let mut begin = 0;
    let lines = memchr::memchr_iter(b'\n', &bytes[..complete]).map(move |end| {
        let line = &bytes[begin..end];
        begin = end + 1;
        line
    });
    (lines.filter_map(|line| quick(line).or_else(|| serde_json::from_slice(line).ok())), complete)
}

/// The events of blocks that went well, which are nearly all, in the form in which [`Journal`] writes
/// them: a leader that reads a hundred thousand takes the time from its workers.
fn quick(line: &[u8]) -> Option<Event> {
    let line = std::str::from_utf8(line).ok()?;
    let done = line.strip_prefix(r#"{"event":"done""#);
    let mut rest = done.or_else(|| line.strip_prefix(r#"{"event":"start""#))?;
    let mut field = |name: &str| {
        let (value, after) =
            rest.strip_prefix(name).and_then(|it| it.split_at_checked(it.find([',', '}'])?))?;
        rest = after;
        Some(value)
    };
    let block = field(r#","block":"#)?.parse().ok()?;
    let time = field(r#","time":"#)?.parse().ok()?;
    let event = match done {
        None => Event::Start { block, time },
        Some(_) => Event::Done {
            block,
            time,
            seconds: field(r#","seconds":"#)?.parse().ok()?,
            read: field(r#","read":"#)?.parse().ok()?,
            written: field(r#","written":"#)?.parse().ok()?,
        },
    };
    (rest == "}").then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_waits_and_a_damaged_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.1.jsonl");
        let mut journal = Journal::create(&path).unwrap();
        journal.start(3).unwrap();
        journal.done(3, 0.5, Traffic { read: 8, written: 4 }, Some(4)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let (events, used) = parse(&bytes);
        let events: Vec<_> = events.collect();
        assert_eq!(used, bytes.len());
        assert!(matches!(events[0], Event::Worker { .. }));
        assert!(matches!(events[2], Event::Done { block: 3, read: 8, written: 4, .. }));
        assert!(matches!(events[3], Event::Start { block: 4, .. }));
        bytes.extend(b"garbage\n{\"event\":\"start\",\"blo");
        let (torn, torn_used) = parse(&bytes);
        assert_eq!((torn.count(), torn_used), (4, used + 8));
    }

    #[test]
    fn lines_of_blocks_that_went_well_are_read_the_quick_way() {
        let start = Event::Start { block: 7, time: 1.25 };
        let done = Event::Done { block: 8, time: 2.5e9, seconds: 1e-7, read: 3, written: u64::MAX };
        for event in [start, done] {
            let line = serde_json::to_vec(&event).unwrap();
            assert_eq!(quick(&line), Some(event));
            assert_eq!(quick(&line[..line.len() - 1]), None);
        }
    }

    #[test]
    fn a_leader_goes_on_behind_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("driver.1.jsonl");
        let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
        Journal::go_on(&path).unwrap();
        Journal::go_on(&path).unwrap();
        assert_eq!(lines(), 2);
        let torn = std::fs::read_to_string(&path).unwrap() + "{\"event\":\"fai";
        std::fs::write(&path, torn).unwrap();
        Journal::go_on(&path).unwrap().start(3).unwrap();
        assert_eq!((lines(), parse(&std::fs::read(&path).unwrap()).0.count()), (5, 4));
    }

    #[test]
    fn one_journal_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.1.jsonl");
        let _journal = Journal::create(&path).unwrap();
        assert!(Journal::create(&path).is_err());
    }
}
