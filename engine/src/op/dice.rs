//! Dice: how much two foregrounds have in common.
//!
//! Halo: none. Memory: the blocks. Numerics: sums in double precision, block by block in their order.

use super::compare::{SEGMENTATION_AND_REFERENCE, check_shapes};
use super::kernel::measure::evaluation::DicePartial;
use super::parameters::Input;
use super::reduce::Reduction;
use super::table::Table;
use super::{ArrayShape, BlockIo};
use crate::array::{Array, Scalar};
use crate::error::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of a Dice score. The result has one row: `dice`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Dice {
    /// Values of the segmentation above this are foreground [default: values are weights]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub threshold_seg: Option<Scalar>,
    /// Values of the reference above this are foreground [default: values are weights]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub threshold_gt: Option<Scalar>,
}

impl Reduction for Dice {
    type Partial = DicePartial;

    const NAME: &'static str = "dice";
    const INPUTS: &'static [Input] = SEGMENTATION_AND_REFERENCE;

    fn check(&self, inputs: &[ArrayShape]) -> Result<()> {
        check_shapes(inputs)
    }

    fn of_block(&self, io: &BlockIo, blocks: &[Array]) -> Result<DicePartial> {
        let thresholds = [self.threshold_seg, self.threshold_gt].map(|one| one.map(Scalar::as_f64));
        DicePartial::of_block(&blocks[0], &blocks[1], thresholds, io.counted()?)
    }

    fn merge(&self, into: &mut DicePartial, other: DicePartial) {
        into.merge(other);
    }

    fn finish(&self, whole: Option<DicePartial>) -> Result<Table> {
        let Some(whole) = whole else { return Ok(Table::default()) };
        Ok(Table::default().with("dice", Array::from_values(&[1], &[whole.finish()])?))
    }
}
