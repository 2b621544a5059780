//! Measurements: numbers and tables that sum up images, block by block.
//!
//! Each has a partial result that one block gives (`of_block`), that takes in those of other blocks
//! (`merge`, called in ascending order of the blocks, so that sums of floats do not depend on who
//! computed what) and that becomes the result (`finish`). Partial results hold no bare floats, so that
//! they survive every encoding, and only vectors of integers where they are large.

pub mod evaluation;
pub mod histogram;
mod keys;
pub mod maxima;
pub mod objects;
pub mod overlaps;
pub mod percentiles;
mod rows;
mod runs;
pub mod shapes;
pub mod statistics;
pub mod surface;
pub mod unique;

use crate::array::Array;
use crate::dtype::Element;
use crate::error::{Error, Kind, Result};
use std::ops::Range;

/// Values that are worked on at once: few enough to stay in the fastest cache, and for sums of 8-bit
/// squares to fit in 32 bits.
const CHUNK: usize = 4096;

/// Calls `visit` with the values that count, a chunk at a time.
fn for_each_chunk<T: Copy + Default>(
    values: &[T],
    mask: Option<&[bool]>,
    mut visit: impl FnMut(&[T]),
) {
    let Some(mask) = mask else { return values.chunks(CHUNK).for_each(visit) };
    let mut counted = [T::default(); CHUNK];
    for (values, mask) in values.chunks(CHUNK).zip(mask.chunks(CHUNK)) {
        let mut len = 0;
        for (value, counts) in values.iter().zip(mask) {
            counted[len] = *value;
            len += usize::from(*counts);
        }
        visit(&counted[..len]);
    }
}

/// Ranges of at most a chunk that cover some values.
fn chunks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(CHUNK).map(move |start| start..len.min(start + CHUNK))
}

/// Some of the values of a block, of which no others are looked at.
fn part<T: Element>(block: &Array, range: Range<usize>) -> Result<&[T]> {
    let size = size_of::<T>();
    let bytes = &block.bytes()[range.start * size..range.end * size];
    bytemuck::checked::try_cast_slice(bytes).map_err(|error| {
        let dtype = block.dtype();
        Error::new(
            Kind::CorruptData,
            format!("a block of dtype {dtype} has invalid values: {error}"),
        )
    })
}

/// Checks that a mask has a value for each voxel of a block.
fn check_mask(block: &Array, mask: Option<&[bool]>) -> Result<()> {
    match mask {
        Some(mask) if mask.len() as u64 != block.voxels() => Err(Error::new(
            Kind::ShapeMismatch,
            format!("a mask has {} voxels, its block has {}", mask.len(), block.voxels()),
        )
        .fix("Pass a mask of the shape of the image.")),
        _ => Ok(()),
    }
}
