//! Copy: every voxel as it is, into another grid, codec or data type.
//!
//! Halo: none. Memory: the block, and once more the block in the output's type where that differs.
//! Where both arrays store the same bytes for the same voxels, chunks are copied without decoding,
//! also into shards and out of them.

use super::blockwise::{only_input, write_block};
use super::parameters::{Input, ONE_INPUT, Parameters};
use super::{ArrayShape, BlockIo, Operation, Product, Traffic};
use crate::array::Cast;
use crate::error::{Error, Result};
use crate::grid::{Region, unravel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of a copy.
///
/// ```
/// use bioimage_engine::op::{Operation, ArrayShape, copy::Copy};
/// use bioimage_engine::dtype::DType;
/// let input = ArrayShape { shape: vec![4, 5], dtype: DType::U16 };
/// assert_eq!(Copy::default().outputs(&[input.clone()]).unwrap(), [input]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Copy {
    /// What happens to values that the output's data type cannot hold.
    #[serde(default)]
    #[arg(long, value_name = "HOW", default_value_t, value_enum, help_heading = "Output")]
    pub cast: Cast,
}

impl Parameters for Copy {
    const NAME: &'static str = "copy";
    const INPUTS: &'static [Input] = ONE_INPUT;
    const PYTHON: Option<&'static str> = Some("bp.copy");
}

impl Operation for Copy {
    fn name(&self) -> &str {
        Copy::NAME
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        Ok(vec![only_input(Copy::NAME, inputs)?.clone()])
    }

    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        let read = inputs.first().map(|array| array.dtype);
        let cast = outputs.first().map(|array| array.dtype).filter(|dtype| Some(*dtype) != read);
        let bytes_per_voxel: usize = read.into_iter().chain(cast).map(|dtype| dtype.size()).sum();
        outer_voxels * bytes_per_voxel as u64
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        let (Some(input), Some(output)) = (io.inputs.first(), io.outputs.first()) else {
            return Err(Error::internal("copy was given no input or no output"));
        };
        let region = &io.block.inner;
        if io.mask.is_none()
            && let Some(unit) = output.write_unit()
            && output.takes_encoded()
            && output.encoding().is_some_and(|encoding| input.encoding() == Some(encoding))
            && covers_whole_units(region, &unit, output.shape())
        {
            return Ok(copy_encoded(io, &unit)?.into());
        }
        let block = input.read(region)?;
        io.cancel.check()?;
        let read = block.byte_len() as u64;
        let written = write_block(io, block, self.cast)?;
        Ok(Traffic { read, written }.into())
    }
}

fn covers_whole_units(region: &Region, unit: &[u64], shape: &[u64]) -> bool {
    let end = region.end();
    (0..unit.len()).all(|axis| {
        region.start[axis].is_multiple_of(unit[axis])
            && (end[axis].is_multiple_of(unit[axis]) || end[axis] == shape[axis])
    })
}

fn copy_encoded(io: &BlockIo, unit: &[u64]) -> Result<Traffic> {
    let (input, output) = (&io.inputs[0], &io.outputs[0]);
    let region = &io.block.inner;
    let counts: Vec<u64> = region.shape.iter().zip(unit).map(|(n, u)| n.div_ceil(*u)).collect();
    let mut traffic = Traffic::default();
    for index in 0..counts.iter().product() {
        let start: Vec<u64> = unravel(index, &counts)
            .iter()
            .zip(unit)
            .zip(&region.start)
            .map(|((i, u), start)| start + i * u)
            .collect();
        let whole = Region { start, shape: unit.to_vec() };
        let Some(unit) = whole.intersection(region) else { continue };
        let mut read = |chunk: &Region, bytes: &mut Vec<u8>| {
            io.cancel.check()?;
            let stored = input.read_encoded(chunk, bytes)?;
            traffic.read += if stored { bytes.len() as u64 } else { 0 };
            Ok(stored)
        };
        traffic.written += output.write_encoded(&unit, &mut read)?;
    }
    Ok(traffic)
}
