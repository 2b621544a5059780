//! Morphology: size, centre of mass and bounding box of each object of a label image.
//!
//! Halo: none. Memory: the block, and some 150 bytes for each of its objects; for the merge some 100
//! bytes for each object. Exact, also for labels above 2^53: coordinates are summed as integers.

use super::kernel::measure::objects::Partial;
use super::reduce::Reduction;
use super::table::{Table, axis_names, of_axis};
use super::{ArrayShape, BlockIo};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of morphology, of which there are none.
///
/// The result has a row for each label but 0, in ascending order: `label`; `size` in voxels; `com_z`
/// and so on, the centre of mass; `bb_min_z` and so on, the first voxel of the bounding box; `bb_max_z`
/// and so on, the voxel behind its last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Morphology {}

impl Reduction for Morphology {
    type Partial = Partial;

    const NAME: &'static str = "morphology";
    const PYTHON: Option<&'static str> = Some("bp.morphology.morphology");

    fn check(&self, inputs: &[ArrayShape]) -> Result<()> {
        match inputs.iter().find(|input| !input.dtype.is_integer() || input.dtype == DType::Bool) {
            None => Ok(()),
            Some(input) => Err(Error::new(
                Kind::DtypeMismatch,
                format!("morphology expects an integer label image, got dtype {}.", input.dtype),
            )
            .fix("Label the image first, or convert it to an integer type.")),
        }
    }

    fn block_bytes(&self, voxels: u64) -> u64 {
        // Objects of some voxels each.
        voxels * 8
    }

    fn of_block(&self, io: &BlockIo, blocks: &[Array]) -> Result<Partial> {
        Partial::of_block(&blocks[0], io.counted()?, &io.block.inner.start)
    }

    fn merge(&self, into: &mut Partial, other: Partial) {
        into.merge(other);
    }

    fn finish(&self, whole: Option<Partial>) -> Result<Table> {
        let Some(found) = whole.map(Partial::finish).transpose()? else {
            return Ok(Table::default());
        };
        let rows = found.sizes.len();
        if rows == 0 {
            return Ok(Table::default());
        }
        let ndim = found.centres.len() / rows;
        let axes = axis_names(ndim);
        let shape = [rows as u64];
        let mut table = Table::default()
            .with("label", found.labels)
            .with("size", Array::from_values(&shape, &found.sizes)?);
        for (axis, name) in axes.iter().enumerate() {
            let centres = of_axis(&found.centres, axis, ndim);
            table = table.with(&format!("com_{name}"), Array::from_values(&shape, &centres)?);
        }
        for (prefix, corners) in [("bb_min", &found.begins), ("bb_max", &found.ends)] {
            for (axis, name) in axes.iter().enumerate() {
                let values = Array::from_values(&shape, &of_axis(corners, axis, ndim))?;
                table = table.with(&format!("{prefix}_{name}"), values);
            }
        }
        Ok(table)
    }
}
