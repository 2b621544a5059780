//! Threshold: each voxel compared with a number.
//!
//! It is done while the input is read. Halo: none. Memory: the block of the input, and its result.

use super::ArrayShape;
use super::blockwise::{BlockOperation, only_block, only_input};
use crate::array::{Array, Scalar};
use crate::error::Result;
use crate::grid::Block;
use crate::source::Source;
use crate::source::wrap::{self, Comparison, Wrap};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Parameters of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Threshold {
    /// The number that voxels are compared with
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub threshold: Scalar,
    /// Which voxels become true: those that are ... than the threshold
    #[serde(default)]
    #[arg(long, value_name = "HOW", default_value_t, value_enum)]
    pub operator: Comparison,
}

impl BlockOperation for Threshold {
    const NAME: &'static str = "threshold";

    fn over(&self, inputs: Vec<Arc<dyn Source>>) -> Result<Vec<Arc<dyn Source>>> {
        let Threshold { threshold, operator } = *self;
        let wrap = Wrap::Threshold(wrap::Threshold { threshold, operator });
        inputs.into_iter().map(|input| wrap.clone().over(input)).collect()
    }

    fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape> {
        only_input(Self::NAME, inputs).cloned()
    }

    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape]) -> u64 {
        outer_voxels * inputs.iter().map(|input| input.dtype.size() as u64).sum::<u64>()
    }

    fn compute(&self, blocks: Vec<Array>, _block: &Block) -> Result<Array> {
        only_block(blocks)
    }
}
