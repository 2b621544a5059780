//! The file that tells each block the numbers of its components.
//!
//! Little-endian words: the number of blocks, for each block how many components belong to earlier ones,
//! for each block where its merged labels start (counted from the first) and where the last ones end,
//! then pairs of a label and its number. A block reads its own few alone, however many there are.

use super::kernel::merge::Numbering;
use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const WORD: u64 = 8;

/// Writes the numbers of the components of so many blocks.
///
/// # Errors
/// `write-failed` and the like.
pub fn write_numbers(numbering: &Numbering, counts: &[u32], to: &mut dyn Write) -> Result<()> {
    let mut write = |word: u64| {
        to.write_all(&word.to_le_bytes())
            .map_err(|error| Error::write(Path::new("numbers of components"), &error))
    };
    let blocks = counts.len() as u64;
    write(blocks)?;
    for block in 0..blocks {
        write(numbering.block(block)?.base)?;
    }
    let mut first = 0;
    write(first)?;
    for block in 0..blocks {
        first += numbering.block(block)?.merged.len() as u64;
        write(first)?;
    }
    for block in 0..blocks {
        for (label, number) in numbering.block(block)?.merged {
            write(u64::from(*label))?;
            write(*number)?;
        }
    }
    Ok(())
}

/// The numbers of components, read block by block.
#[derive(Debug)]
pub struct Numbers {
    path: PathBuf,
    file: File,
    blocks: u64,
}

impl Numbers {
    /// Opens the file.
    ///
    /// # Errors
    /// `read-failed` and the like; `run-damaged` for a file that is too short.
    pub fn open(path: &Path) -> Result<Numbers> {
        let file = File::open(path).map_err(|error| Error::read(path, &error))?;
        let mut numbers = Numbers { path: path.to_owned(), file, blocks: 0 };
        numbers.blocks = numbers.words(0, 1)?[0];
        Ok(numbers)
    }

    /// How many components belong to blocks before a block, and those of its labels whose components
    /// belong to other blocks, with their numbers.
    ///
    /// # Errors
    /// `run-damaged` for a block that is not in the file, or a file that is too short.
    pub fn of_block(&self, block: u64) -> Result<(u64, Vec<(u32, u64)>)> {
        if block >= self.blocks {
            return Err(self.damaged(&format!("ends before block {block}")));
        }
        let base = self.words(1 + block, 1)?[0];
        let place = self.words(1 + self.blocks + block, 2)?;
        let (first, end) = (place[0], place[1]);
        let pairs = 2 + 2 * self.blocks;
        let words = self.words(pairs + 2 * first, 2 * end.saturating_sub(first))?;
        Ok((base, words.chunks_exact(2).map(|pair| (pair[0] as u32, pair[1])).collect()))
    }

    fn words(&self, first: u64, count: u64) -> Result<Vec<u64>> {
        let mut bytes = vec![0; (count * WORD) as usize];
        self.file
            .read_exact_at(&mut bytes, first * WORD)
            .map_err(|error| self.damaged(&format!("cannot be read: {error}")))?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }

    fn damaged(&self, what: &str) -> Error {
        Error::new(Kind::RunDamaged, format!("'{}' {what}", self.path.display()))
            .fix("Label again.")
    }
}
