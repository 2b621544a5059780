//! Histogram: how many voxels lie in each of some bins of equal width.
//!
//! In one pass for bins between two given values, else in two, of which the first finds the least and
//! the greatest value. Halo: none. Memory: the block, the bins, and 2 MB for types of 16 bits. Edges
//! and counts are to the bit those of numpy.

use super::kernel::measure::histogram::{Bins, Partial};
use super::kernel::measure::statistics;
use super::passes::Successive;
use super::table::Table;
use super::{ArrayShape, BlockIo};
use crate::array::{Array, Scalar};
use crate::dtype::DType;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of a histogram.
///
/// The result has a row for each bin: `count`, and its edges `low` and `high`. A bin has its lower edge,
/// the last one both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Histogram {
    /// How many bins
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub bins: u64,
    /// First and last edge, such as 0,255 [default: the least and the greatest value]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',', allow_hyphen_values = true)]
    pub range: Vec<Scalar>,
}

fn ten() -> u64 {
    10
}

/// More bins than this are no summary.
const MOST_BINS: u64 = 1 << 24;

/// What blocks give.
#[derive(Serialize, Deserialize)]
pub enum Found {
    /// The extremes, in the first of two passes.
    Extremes(DType, statistics::Partial),
    /// The voxels in each bin.
    Counts(DType, Partial),
}

/// Data type, least and greatest value; none where no voxel counts.
type Extremes = Option<(DType, Scalar, Scalar)>;

impl Histogram {
    /// The bins of an image; none where no voxel counts, or they are not known yet.
    fn bins(&self, dtype: DType, state: Option<&Extremes>) -> Result<Option<Bins>> {
        let count = self.bins as usize;
        match (&*self.range, state) {
            ([low, high], _) => {
                Bins::uniform((low.as_f64(), high.as_f64()), count, dtype).map(Some)
            }
            (_, Some(Some((dtype, low, high)))) => {
                Bins::spanning(*low, *high, count, *dtype).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Successive for Histogram {
    type Partial = Found;
    type State = Extremes;

    const NAME: &'static str = "histogram";
    const PYTHON: Option<&'static str> = Some("bp.stats.histogram");

    fn check(&self, inputs: &[ArrayShape]) -> Result<()> {
        if !matches!(self.range.len(), 0 | 2) {
            let given = self.range.len();
            return Err(Error::argument(format!("range has {given} values"))
                .about("range")
                .fix("Give the lower edge of the first bin and the upper edge of the last."));
        }
        if !(1..=MOST_BINS).contains(&self.bins) {
            return Err(Error::argument(format!(
                "bins must be in [1, {MOST_BINS}], got {}",
                self.bins
            ))
            .about("bins"));
        }
        for input in inputs {
            self.bins(input.dtype, None)?;
        }
        Ok(())
    }

    fn passes(&self) -> usize {
        if self.range.is_empty() { 2 } else { 1 }
    }

    fn stage(&self, pass: usize) -> &'static str {
        if pass + 1 == self.passes() { "count voxels" } else { "find extremes" }
    }

    fn block_bytes(&self, _: u64) -> u64 {
        (2 << 20) + 16 * self.bins
    }

    fn of_block(&self, state: Option<&Extremes>, io: &BlockIo, blocks: &[Array]) -> Result<Found> {
        let (block, dtype) = (&blocks[0], blocks[0].dtype());
        match self.bins(dtype, state)? {
            Some(bins) => Ok(Found::Counts(dtype, Partial::of_block(block, io.counted()?, &bins)?)),
            None => {
                let extremes = statistics::Partial::of_block(block, io.counted()?)?;
                Ok(Found::Extremes(dtype, extremes))
            }
        }
    }

    fn merge(&self, into: &mut Found, other: Found) {
        match (into, other) {
            (Found::Extremes(_, into), Found::Extremes(_, other)) => into.merge(other),
            (Found::Counts(_, into), Found::Counts(_, other)) => into.merge(other),
            // Blocks of one pass give the same.
            _ => {}
        }
    }

    fn advance(&self, _: Option<&Extremes>, whole: Option<Found>) -> Result<Extremes> {
        let Some(Found::Extremes(dtype, extremes)) = whole else { return Ok(None) };
        let found = extremes.finish().map(|found| (dtype, found.min, found.max));
        // What cannot be divided into bins is told here, not for each block.
        self.bins(dtype, Some(&found))?;
        Ok(found)
    }

    fn finish(&self, state: Option<&Extremes>, whole: Option<Found>) -> Result<Table> {
        let Some(Found::Counts(dtype, counts)) = whole else { return Ok(Table::default()) };
        let Some(bins) = self.bins(dtype, state)? else { return Ok(Table::default()) };
        let (edges, shape) = (bins.edges(), [self.bins]);
        Ok(Table::default()
            .with("count", Array::from_values(&shape, &counts.finish())?)
            .with("low", Array::from_values(&shape, &edges[..edges.len() - 1])?)
            .with("high", Array::from_values(&shape, &edges[1..])?))
    }
}
