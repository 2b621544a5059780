//! Statistics of an image in one pass: number of voxels, extremes, sum, mean, standard deviation.
//!
//! Halo: none. Memory: the block. Exact for integers of all widths; sums of floats are compensated and
//! deviations merged stably (Chan, Golub and LeVeque 1979). NaN spreads as in NumPy.

use super::BlockIo;
use super::kernel::filled;
use super::kernel::measure::statistics::Partial;
use super::reduce::Reduction;
use super::table::Table;
use crate::array::{Array, Scalar};
use crate::dtype::DType;
use crate::error::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of statistics, of which there are none.
///
/// The result has one row, or none where no voxel counts: `count`; `min` and `max`, of the image's
/// type; `sum`, `mean` and `std`, the last over all voxels and not estimated from a sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Statistics {}

impl Reduction for Statistics {
    type Partial = (DType, Partial);

    const NAME: &'static str = "statistics";

    fn of_block(&self, io: &BlockIo, blocks: &[Array]) -> Result<Self::Partial> {
        let partial = Partial::of_block(&blocks[0], io.counted()?)?;
        Ok((blocks[0].dtype(), partial))
    }

    fn merge(&self, into: &mut Self::Partial, other: Self::Partial) {
        into.1.merge(other.1);
    }

    fn finish(&self, whole: Option<Self::Partial>) -> Result<Table> {
        let Some((dtype, Some(found))) = whole.map(|(dtype, whole)| (dtype, whole.finish())) else {
            return Ok(Table::default());
        };
        let one = |dtype, value| filled(dtype, &[1], value);
        let float = |value| one(DType::F64, Scalar::Float(value));
        Ok(Table::default()
            .with("count", Array::from_values(&[1], &[found.count])?)
            .with("min", one(dtype, found.min)?)
            .with("max", one(dtype, found.max)?)
            .with("sum", float(found.sum.as_f64())?)
            .with("mean", float(found.mean)?)
            .with("std", float(found.std)?))
    }
}
