//! Median: the middle value of each voxel's neighbourhood, a box.
//!
//! The image is mirrored at its ends, with the end voxels repeated. Halo: the radius. Memory: the block
//! and the result, of floats three times the block in addition, and the rows of
//! a neighbourhood. NaN spreads as far as it is reached.

use super::ArrayShape;
use super::blockwise::{BlockOperation, only_block, only_input};
use super::kernel::median;
use super::parameters::PerAxis;
use crate::array::Array;
use crate::error::Result;
use crate::grid::Block;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the counts of a window take.
const COUNTS: u64 = 300 << 10;

/// Voxels of a row, as far as the rows of a window are concerned.
const ROW: u64 = 1024;

/// Parameters of a median.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Median {
    /// How far the neighbourhood reaches from its voxel, such as 1 or 0,2,2
    #[schemars(extend("unit" = "voxels"))]
    #[arg(long, value_name = "N[,N...]")]
    pub radius: PerAxis<u64>,
}

impl Median {
    fn kernel(&self, ndim: usize) -> Result<median::Median> {
        median::Median::new(&self.radius.for_axes("radius", ndim)?)
    }
}

impl BlockOperation for Median {
    const NAME: &'static str = "median";
    const PYTHON: Option<&'static str> = Some("bp.filters.median");

    fn halo(&self, ndim: usize) -> Vec<u64> {
        // What is no median has been refused with its outputs.
        self.kernel(ndim).map_or_else(|_| vec![0; ndim], |kernel| kernel.radius().to_vec())
    }

    fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape> {
        let input = only_input(Self::NAME, inputs)?;
        self.kernel(input.shape.len())?;
        Ok(input.clone())
    }

    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape]) -> u64 {
        let bytes = inputs.iter().map(|input| {
            let blocks = if input.dtype.is_float() { 5 } else { 2 };
            let radius = self.halo(input.shape.len());
            let rows: u64 = radius.iter().rev().skip(1).map(|radius| 2 * radius + 1).product();
            (blocks * outer_voxels + rows * ROW) * input.dtype.size() as u64
        });
        bytes.sum::<u64>() + COUNTS
    }

    fn compute(&self, blocks: Vec<Array>, block: &Block) -> Result<Array> {
        self.kernel(block.outer.ndim())?.apply(&only_block(blocks)?, &block.inner_in_outer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    #[test]
    fn the_radius_is_the_halo_and_is_checked() {
        let median = |radius| Median { radius };
        let input = [ArrayShape { shape: vec![5, 7], dtype: DType::I8 }];
        assert_eq!(median(PerAxis::Each(vec![0, 3])).halo(2), [0, 3]);
        assert_eq!(median(PerAxis::All(2)).output(&input).unwrap(), input[0]);
        let error = median(PerAxis::Each(vec![1])).output(&input).unwrap_err();
        assert!(error.message.contains("radius has 1 values"), "{}", error.message);
        assert!(median(PerAxis::All(1 << 40)).output(&input).is_err());
    }
}
