//! Unique: the values of an image and how often each occurs.
//!
//! Halo: none. Memory: the block; 512 kB for types of up to 16 bits, else some 40 bytes for each
//! different value, and 8 bytes a voxel where most voxels differ; for the merge 16 bytes for each value.
//! Exact for all types. NaNs count as one value, and both zeros as one.

use super::BlockIo;
use super::kernel::measure::unique::Partial;
use super::reduce::Reduction;
use super::table::Table;
use crate::array::Array;
use crate::error::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of unique values, of which there are none.
///
/// The result has a row for each value in ascending order: `value`, of the image's type, and `count`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Unique {}

impl Reduction for Unique {
    type Partial = Partial;

    const NAME: &'static str = "unique";

    fn block_bytes(&self, voxels: u64) -> u64 {
        // Where most voxels differ, their values are sorted.
        voxels * 16
    }

    fn of_block(&self, io: &BlockIo, blocks: &[Array]) -> Result<Partial> {
        Partial::of_block(&blocks[0], io.counted()?)
    }

    fn merge(&self, into: &mut Partial, other: Partial) {
        into.merge(other);
    }

    fn finish(&self, whole: Option<Partial>) -> Result<Table> {
        let Some(whole) = whole else { return Ok(Table::default()) };
        let found = whole.finish()?;
        let counts = Array::from_values(&[found.counts.len() as u64], &found.counts)?;
        Ok(Table::default().with("value", found.values).with("count", counts))
    }
}
