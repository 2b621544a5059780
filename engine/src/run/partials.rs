//! Partial results: what blocks give besides their outputs, kept in the run folder.
//!
//! A file for each journal, appended to by its worker: a block's record is flushed before its `done`
//! line. A record is the block's number, the length of its bytes and their CRC-32, each little-endian
//! (8, 8 and 4 bytes), then the bytes.

use super::folder::RunFolder;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const HEADER: usize = 20;

/// The file of partial results beside a journal.
pub fn beside(journal: &Path) -> PathBuf {
    journal.with_extension("bin")
}

/// Appends the partial results of one worker.
#[derive(Debug)]
pub struct PartialWriter {
    path: PathBuf,
    file: Option<File>,
}

impl PartialWriter {
    /// The writer of a worker; its file is made with the first record.
    pub fn new(journal: &Path) -> Self {
        PartialWriter { path: beside(journal), file: None }
    }

    /// Appends a block's record and hands it to the operating system.
    ///
    /// # Errors
    /// `disk-full`, `write-failed` and the like.
    pub fn write(&mut self, block: u64, bytes: &[u8]) -> Result<()> {
        let failed = |error: &std::io::Error| Error::write(&self.path, error);
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(
                File::options()
                    .create_new(true)
                    .append(true)
                    .open(&self.path)
                    .map_err(|error| failed(&error))?,
            ),
        };
        let mut record = Vec::with_capacity(HEADER + bytes.len());
        record.extend(block.to_le_bytes());
        record.extend((bytes.len() as u64).to_le_bytes());
        record.extend(crc32fast::hash(bytes).to_le_bytes());
        record.extend(bytes);
        let whole = file.metadata().map(|data| data.len()).map_err(|error| failed(&error))?;
        file.write_all(&record).map_err(|error| {
            // What follows a torn record could not be read.
            drop(file.set_len(whole));
            failed(&error)
        })
    }
}

/// Reads partial results while they are written: each look gives what is new.
#[derive(Debug)]
pub struct PartialReader {
    folder: RunFolder,
    read: HashMap<PathBuf, u64>,
}

impl PartialReader {
    /// The reader of a run.
    pub fn new(folder: &RunFolder) -> Self {
        PartialReader { folder: folder.clone(), read: HashMap::new() }
    }

    /// The whole records that were appended since the last look, older attempts first. A block that
    /// was tried again has several, of which the last counts.
    ///
    /// # Errors
    /// `read-failed` and the like.
    pub fn poll(&mut self) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut records = Vec::new();
        for (_, journal) in self.folder.journals()? {
            let path = beside(&journal);
            let from = self.read.entry(path.clone()).or_insert(0);
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::read(&path, &error)),
            };
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(*from))
                .and_then(|_| file.read_to_end(&mut bytes))
                .map_err(|error| Error::read(&path, &error))?;
            *from += parse(&bytes, &mut records) as u64;
        }
        Ok(records)
    }
}

/// Takes whole records from the start of `bytes`; returns how many bytes they took.
fn parse(bytes: &[u8], records: &mut Vec<(u64, Vec<u8>)>) -> usize {
    let mut at = 0;
    while let Some((header, rest)) = bytes[at..].split_first_chunk::<HEADER>() {
        let number = |range: std::ops::Range<usize>| {
            header[range].iter().rev().fold(0, |value: u64, &byte| value << 8 | u64::from(byte))
        };
        let (block, len, crc) = (number(0..8), number(8..16) as usize, number(16..20));
        match rest.get(..len) {
            Some(record) if u64::from(crc32fast::hash(record)) == crc => {
                records.push((block, record.to_vec()));
                at += HEADER + len;
            }
            _ => break,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_record_waits_until_it_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "count", "abcdef").unwrap();
        let journal = folder.journal("0", 1);
        std::fs::write(&journal, "").unwrap();
        let mut reader = PartialReader::new(&folder);
        assert_eq!(reader.poll().unwrap(), []);
        let mut writer = PartialWriter::new(&journal);
        writer.write(7, b"seven").unwrap();
        writer.write(8, b"").unwrap();
        assert_eq!(reader.poll().unwrap(), [(7, b"seven".to_vec()), (8, Vec::new())]);
        writer.write(9, b"nine").unwrap();
        let whole = std::fs::read(beside(&journal)).unwrap();
        std::fs::write(beside(&journal), &whole[..whole.len() - 1]).unwrap();
        assert_eq!(reader.poll().unwrap(), []);
        std::fs::write(beside(&journal), &whole).unwrap();
        assert_eq!(reader.poll().unwrap(), [(9, b"nine".to_vec())]);
        assert_eq!(reader.poll().unwrap(), []);
    }
}
