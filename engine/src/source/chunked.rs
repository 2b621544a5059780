//! What formats with one file for each chunk have in common.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::{Region, ravel, unravel};
use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files that are looked at for a fingerprint.
const MOST_FINGERPRINTED: usize = 4_000;
/// Files that are looked at for the size on disk.
const MOST_MEASURED: usize = 100_000;

/// A rectangular grid of cells from the origin on: chunks, or shards.
pub(super) struct Cells<'a> {
    /// Extents of the array.
    pub(super) array: &'a [u64],
    /// Extents of a cell.
    pub(super) cell: &'a [u64],
}

impl<'a> Cells<'a> {
    /// Positions of the cells that a region touches, in C order.
    pub(super) fn touching(&self, region: &Region) -> impl Iterator<Item = Vec<u64>> + use<'a> {
        let first: Vec<u64> = region.start.iter().zip(self.cell).map(|(s, c)| s / c).collect();
        let counts: Vec<u64> = (0..self.cell.len())
            .map(|axis| match region.shape[axis] {
                0 => 0,
                n => (region.start[axis] + n - 1) / self.cell[axis] - first[axis] + 1,
            })
            .collect();
        (0..counts.iter().product()).map(move |number| {
            unravel(number, &counts).iter().zip(&first).map(|(i, first)| i + first).collect()
        })
    }

    /// The position of the cell whose region this is exactly.
    pub(super) fn position(&self, region: &Region) -> Result<Vec<u64>> {
        let position: Vec<u64> = region.start.iter().zip(self.cell).map(|(s, c)| s / c).collect();
        if self.region(&position).as_ref() == Some(region) {
            return Ok(position);
        }
        Err(Error::internal(format!("region {region} is no whole chunk or shard")))
    }

    /// The part of a cell that lies inside the array; none if none does.
    pub(super) fn region(&self, position: &[u64]) -> Option<Region> {
        let start: Vec<u64> = position.iter().zip(self.cell).map(|(i, n)| i * n).collect();
        Region::new(start, self.cell).intersection(&Region::whole(self.array))
    }

    /// Number of a cell in C order.
    pub(super) fn number(&self, position: &[u64]) -> u64 {
        let counts: Vec<u64> =
            self.array.iter().zip(self.cell).map(|(n, cell)| n.div_ceil(*cell)).collect();
        ravel(position, &counts)
    }
}

/// Bytes of the chunks that blocks cover in part, until their neighbours have read the rest: along
/// the first axis on which blocks cut chunks, that is a layer of chunks over all later axes.
///
/// With a halo neighbours need whole chunks of each other's: all that blocks touch along the first axis
/// on which there are several, or where that is much, along a later one.
pub(super) fn layer_bytes(
    shape: &[u64],
    chunk: &[u64],
    dtype: DType,
    block_shape: &[u64],
    halo: &[u64],
) -> u64 {
    if halo.iter().any(|halo| *halo > 0) {
        return touched_bytes(shape, chunk, dtype, block_shape, halo);
    }
    let cuts = |axis: usize| {
        block_shape[axis] < shape[axis] && !block_shape[axis].is_multiple_of(chunk[axis])
    };
    let Some(first) = (0..shape.len().min(block_shape.len())).find(|&axis| cuts(axis)) else {
        return 0;
    };
    let extent = |axis: usize| {
        let covered = match axis.cmp(&first) {
            std::cmp::Ordering::Less => block_shape[axis].min(shape[axis]),
            std::cmp::Ordering::Equal => 1,
            std::cmp::Ordering::Greater => shape[axis],
        };
        covered.next_multiple_of(chunk[axis])
    };
    (0..shape.len()).map(extent).product::<u64>() * dtype.size() as u64
}

/// More than this is not held for the sake of a halo.
const HELD_FOR_HALO: u64 = 256 << 20;

fn touched_bytes(
    shape: &[u64],
    chunk: &[u64],
    dtype: DType,
    block_shape: &[u64],
    halo: &[u64],
) -> u64 {
    let ndim = shape.len().min(block_shape.len());
    let bytes_from = |first: usize| {
        let extent = |axis: usize| {
            let whole = shape[axis].next_multiple_of(chunk[axis]);
            let touched = (block_shape[axis] + 2 * halo[axis]).div_ceil(chunk[axis]) + 1;
            if axis > first { whole } else { whole.min(touched * chunk[axis]) }
        };
        let bytes = (0..ndim).map(extent).product::<u64>() * dtype.size() as u64;
        // Blocks that are worked on at the same time are not at the same place.
        bytes + bytes / 8
    };
    let divided = (0..ndim).filter(|&axis| block_shape[axis] < shape[axis]);
    let levels: Vec<u64> = divided.map(bytes_from).collect();
    let fitting = levels.iter().find(|bytes| **bytes <= HELD_FOR_HALO);
    fitting.or(levels.last()).copied().unwrap_or(0)
}

/// A text that changes with the metadata, and with the names, sizes and times of the first few
/// thousand chunk files and folders. Chunks that are added, removed or replaced by rename change the
/// time of their folder; one that is rewritten in place behind those thousands goes unnoticed.
pub(super) fn fingerprint(folder: &Path, metadata_file: &Path) -> Result<String> {
    let mut hash = blake3::Hasher::new();
    let metadata =
        std::fs::read(metadata_file).map_err(|error| Error::read(metadata_file, &error))?;
    hash.update(&metadata);
    walk(folder, MOST_FINGERPRINTED, |path, file| {
        // The folder itself may have another name by the time of a resume.
        let inside = path.strip_prefix(folder).unwrap_or(path);
        hash.update(inside.as_os_str().as_encoded_bytes());
        for number in [file.len() as i64, file.mtime(), file.mtime_nsec()] {
            hash.update(&number.to_le_bytes());
        }
    })?;
    Ok(hash.finalize().to_hex().to_string())
}

/// Bytes of all files below a folder; none if there are too many to look at.
pub(super) fn stored_bytes(folder: &Path) -> Option<u64> {
    let mut bytes = 0;
    let whole = walk(folder, MOST_MEASURED, |_, file| {
        if file.is_file() {
            bytes += file.len();
        }
    });
    whole.ok()?.then_some(bytes)
}

/// Visits the files and folders below a folder in order of their names, breadth first, up to `most`.
/// Gives whether that was all.
fn walk(
    folder: &Path,
    most: usize,
    mut visit: impl FnMut(&Path, &std::fs::Metadata),
) -> Result<bool> {
    let mut folders = VecDeque::from([folder.to_owned()]);
    let mut seen = 0;
    while let Some(folder) = folders.pop_front() {
        let entries = folder.read_dir().map_err(|error| Error::read(&folder, &error))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if seen == most {
                return Ok(false);
            }
            seen += 1;
            // Temporary files come and go.
            let Ok(file) = path.symlink_metadata() else { continue };
            visit(&path, &file);
            if file.is_dir() {
                folders.push_back(path);
            }
        }
    }
    Ok(true)
}
