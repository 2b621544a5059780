//! Partial results: what blocks give besides their outputs, kept in the run folder.
//!
//! A file for each journal, appended to by its worker: a block's record is flushed before its `done`
//! line. A record is the block's number, the length of its bytes and their CRC-32, each little-endian
//! (8, 8 and 4 bytes), then the bytes.

use super::folder::RunFolder;
use crate::error::{Error, Kind, Result};
use crate::grid::Grid;
use crate::plan::Stage;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const HEADER: usize = 20;

/// Tables of counts and faces of blocks are mostly zeros or long runs, which the fastest compression
/// makes small.
const COMPRESSION: i32 = 1;

/// A partial result as it is kept.
///
/// # Errors
/// None that a caller can cause.
pub fn encode<T: Serialize>(partial: &T) -> Result<Vec<u8>> {
    let failed = |error: &dyn Display| Error::internal(format!("a partial result: {error}"));
    let bytes = postcard::to_stdvec(partial).map_err(|error| failed(&error))?;
    zstd::bulk::compress(&bytes, COMPRESSION).map_err(|error| failed(&error))
}

/// The partial result of [`encode`].
///
/// # Errors
/// `run-damaged` for anything else.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let damaged = |error: &dyn Display| {
        Error::new(Kind::RunDamaged, format!("a partial result is damaged: {error}"))
            .fix("Do the run again.")
    };
    let bytes = zstd::stream::decode_all(bytes).map_err(|error| damaged(&error))?;
    postcard::from_bytes(&bytes).map_err(|error| damaged(&error))
}

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

/// The partial results of a stage: where they are, by block. They are read one at a time, since all of
/// them may be more than memory holds.
#[derive(Debug)]
pub struct Partials {
    grid: Grid,
    files: Vec<(PathBuf, File)>,
    places: BTreeMap<u64, Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    file: u32,
    at: u64,
    len: u64,
    crc: u32,
}

impl Partials {
    /// Finds those of a stage. A block that was tried again has several, of which the last counts.
    ///
    /// # Errors
    /// `read-failed` and the like.
    pub fn of(folder: &RunFolder, number: usize, stage: &Stage) -> Result<Partials> {
        let mut partials =
            Partials { grid: stage.grid.clone(), files: Vec::new(), places: BTreeMap::new() };
        for journal in folder.journals(number)? {
            let path = beside(&journal.path);
            match File::open(&path) {
                Ok(file) => {
                    partials.add(file, &path, stage).map_err(|error| Error::read(&path, &error))?
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::read(&path, &error)),
            }
        }
        Ok(partials)
    }

    fn add(&mut self, file: File, path: &Path, stage: &Stage) -> std::io::Result<()> {
        let end = file.metadata()?.len();
        let mut reader = BufReader::new(&file);
        let (mut at, mut header) = (0, [0; HEADER]);
        while at + HEADER as u64 <= end {
            reader.read_exact(&mut header)?;
            let (block, len, crc) = fields(&header);
            at += HEADER as u64;
            if at + len > end {
                break;
            }
            if stage.blocks().contains(&block) {
                let place = Place { file: self.files.len() as u32, at, len, crc };
                self.places.insert(block - stage.first_block, place);
            }
            reader.seek_relative(len as i64)?;
            at += len;
        }
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    /// The blocks of the stage.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The blocks that have one, by their numbers in the stage, in order.
    pub fn blocks(&self) -> impl Iterator<Item = u64> + '_ {
        self.places.keys().copied()
    }

    /// Whether a block has one, by its number in the stage.
    pub fn has(&self, block: u64) -> bool {
        self.places.contains_key(&block)
    }

    /// The partial result of a block, by its number in the stage; none for one that was skipped.
    ///
    /// # Errors
    /// `run-damaged` if it is not what was written; `read-failed` and the like.
    pub fn get(&self, block: u64) -> Result<Option<Vec<u8>>> {
        let Some(place) = self.places.get(&block) else { return Ok(None) };
        let (path, file) = &self.files[place.file as usize];
        let mut bytes = vec![0; place.len as usize];
        file.read_exact_at(&mut bytes, place.at).map_err(|error| Error::read(path, &error))?;
        if crc32fast::hash(&bytes) != place.crc {
            return Err(Error::new(
                Kind::RunDamaged,
                format!("the partial result of block {block} in '{}' is damaged", path.display()),
            )
            .fix("Resume the run, which does that block again."));
        }
        Ok(Some(bytes))
    }

    /// All of them, in the order of the blocks.
    pub fn iter(&self) -> impl Iterator<Item = Result<Vec<u8>>> + '_ {
        self.blocks().filter_map(|block| self.get(block).transpose())
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
        for journal in self.folder.journals(0)? {
            let path = beside(&journal.path);
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

/// Block, length and checksum.
fn fields(header: &[u8; HEADER]) -> (u64, u64, u32) {
    let number = |range: std::ops::Range<usize>| {
        header[range].iter().rev().fold(0, |value: u64, &byte| value << 8 | u64::from(byte))
    };
    (number(0..8), number(8..16), number(16..20) as u32)
}

/// Takes whole records from the start of `bytes`; returns how many bytes they took.
fn parse(bytes: &[u8], records: &mut Vec<(u64, Vec<u8>)>) -> usize {
    let mut at = 0;
    while let Some((header, rest)) = bytes[at..].split_first_chunk::<HEADER>() {
        let (block, len, crc) = fields(header);
        match rest.get(..len as usize) {
            Some(record) if crc32fast::hash(record) == crc => {
                records.push((block, record.to_vec()));
                at += HEADER + len as usize;
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
        let journal = folder.journal(0, "0", 1);
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
