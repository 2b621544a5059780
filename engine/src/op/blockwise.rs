//! The template of an operation that makes one array out of the blocks of others. Its file tells the
//! halo, the output, the memory and the computation; reading, cast, mask and writing are done here.

use super::parameters::{Input, ONE_INPUT, Parameters};
use super::{ArrayShape, BlockIo, Operation, Product, Traffic};
use crate::array::{Array, Cast};
use crate::error::{Error, Result};
use crate::grid::{Block, Region};
use crate::source::{Sink, Source};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::Arc;

/// An operation by the template; see [`Parameters`] for what the front ends make of it.
pub trait BlockOperation:
    clap::Args + Serialize + DeserializeOwned + JsonSchema + Clone + Debug + PartialEq + Send + Sync
{
    /// As [`Parameters::NAME`].
    const NAME: &'static str;

    /// As [`Parameters::INPUTS`].
    const INPUTS: &'static [Input] = ONE_INPUT;

    /// As [`Parameters::PYTHON`].
    const PYTHON: Option<&'static str> = None;

    /// Whether the output may be an input: only where a block depends on its own voxels alone.
    const IN_PLACE: bool = false;

    /// As [`Parameters::over`].
    ///
    /// # Errors
    /// `invalid-argument` for parameters that do not fit the inputs.
    fn over(&self, inputs: Vec<Arc<dyn Source>>) -> Result<Vec<Arc<dyn Source>>> {
        Ok(inputs)
    }

    /// How far beyond a block it reads, for each axis.
    fn halo(&self, ndim: usize) -> Vec<u64> {
        vec![0; ndim]
    }

    /// Shape and type of the output, whose last axes are those of the inputs.
    ///
    /// # Errors
    /// `invalid-argument`, `shape-mismatch` or `dtype-mismatch` for inputs that it does not take.
    fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape>;

    /// Bytes that a block takes while it is computed: what was read and everything until the result.
    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape]) -> u64;

    /// The output's inner region, from the outer regions of the inputs.
    ///
    /// # Errors
    /// Whatever the values give.
    fn compute(&self, blocks: Vec<Array>, block: &Block) -> Result<Array>;
}

/// An operation by the template, with how its values are carried over to the output's type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Blockwise<T: BlockOperation> {
    /// The operation.
    #[serde(flatten, bound(deserialize = "T: BlockOperation"))]
    #[command(flatten)]
    #[allow(missing_docs)]
    pub operation: T,
    /// What happens to values that the output's data type cannot hold.
    #[serde(default)]
    #[arg(long, value_name = "HOW", default_value_t, value_enum, help_heading = "Output")]
    pub cast: Cast,
}

impl<T: BlockOperation> Parameters for Blockwise<T> {
    const NAME: &'static str = T::NAME;
    const INPUTS: &'static [Input] = T::INPUTS;
    const PYTHON: Option<&'static str> = T::PYTHON;

    fn over(&self, inputs: Vec<Arc<dyn Source>>) -> Result<Vec<Arc<dyn Source>>> {
        self.operation.over(inputs)
    }
}

impl<T: BlockOperation> Operation for Blockwise<T> {
    fn name(&self) -> &str {
        T::NAME
    }

    fn halo(&self, ndim: usize) -> Vec<u64> {
        self.operation.halo(ndim)
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        Ok(vec![self.operation.output(inputs)?])
    }

    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        let computed = self.operation.output(inputs).map(|array| array.dtype);
        let cast = outputs.first().filter(|array| computed != Ok(array.dtype));
        let channels = |array: &ArrayShape| {
            let ndim = inputs.first().map_or(0, |input| input.shape.len());
            array.shape.iter().rev().skip(ndim).product::<u64>()
        };
        let cast = cast.map_or(0, |array| channels(array) * array.dtype.size() as u64);
        self.operation.block_bytes(outer_voxels, inputs) + outer_voxels * cast
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        let mut blocks = Vec::with_capacity(io.inputs.len());
        for input in io.inputs {
            blocks.push(input.read(&io.block.outer)?);
            io.cancel.check()?;
        }
        let read = blocks.iter().map(|block| block.byte_len() as u64).sum();
        let result = self.operation.compute(blocks, io.block)?;
        io.cancel.check()?;
        let written = write_block(io, result, self.cast)?;
        Ok(Traffic { read, written }.into())
    }

    fn may_run_in_place(&self) -> bool {
        T::IN_PLACE
    }
}

/// The input of an operation that takes one.
///
/// # Errors
/// `invalid-argument` for another number.
pub fn only_input<'a>(operation: &str, inputs: &'a [ArrayShape]) -> Result<&'a ArrayShape> {
    match inputs {
        [input] => Ok(input),
        _ => Err(Error::argument(format!("{operation} takes one input, not {}", inputs.len()))),
    }
}

/// The block of an operation that takes one input.
///
/// # Errors
/// `internal` where there is none.
pub fn only_block(blocks: Vec<Array>) -> Result<Array> {
    let block = blocks.into_iter().next();
    block.ok_or_else(|| Error::internal("an operation was given no input"))
}

/// A part of a block.
///
/// # Errors
/// `internal` for a region that does not lie inside.
pub fn cropped(whole: &Array, region: &Region) -> Result<Array> {
    let mut part = Array::zeros(whole.dtype(), &region.shape);
    part.paste(&vec![0; region.ndim()], whole, region)?;
    Ok(part)
}

/// Writes what was computed of a block's inner region: in the output's type, and under a mask only
/// where that is true. Axes before those of the block are written whole. Gives the number of bytes.
///
/// # Errors
/// `value-out-of-range` from the cast; whatever reading and writing give.
pub fn write_block(io: &BlockIo, result: Array, cast: Cast) -> Result<u64> {
    let [output] = io.outputs else {
        return Err(Error::internal("a block was to be written to other than one output"));
    };
    write_to(io, &**output, result, cast)
}

/// As [`write_block`], to one of several outputs.
///
/// # Errors
/// As [`write_block`].
pub fn write_to(io: &BlockIo, output: &dyn Sink, mut result: Array, cast: Cast) -> Result<u64> {
    let inner = &io.block.inner;
    if result.dtype() != output.dtype() {
        result = result.cast(output.dtype(), cast).map_err(|error| in_region(error, inner))?;
    }
    let region = with_leading_axes(inner, output);
    if let Some(mask) = io.mask {
        let mut kept = output.read(&region)?;
        take_masked(&mut kept, &result, mask)?;
        result = kept;
    }
    io.cancel.check()?;
    output.write(&region, &result)
}

fn in_region(error: Error, region: &Region) -> Error {
    Error { message: format!("{} (in region {region})", error.message), ..error }
}

/// The region with the output's leading axes, whole.
fn with_leading_axes(inner: &Region, output: &dyn Sink) -> Region {
    let leading = &output.shape()[..output.shape().len().saturating_sub(inner.ndim())];
    let start = vec![0; leading.len()];
    Region {
        start: start.into_iter().chain(inner.start.iter().copied()).collect(),
        shape: leading.iter().chain(&inner.shape).copied().collect(),
    }
}

/// Takes the voxels of `block` where `mask`, whose axes are the last, is true.
fn take_masked(kept: &mut Array, block: &Array, mask: &Array) -> Result<()> {
    if kept.dtype() != block.dtype()
        || kept.shape() != block.shape()
        || !block.shape().ends_with(mask.shape())
    {
        return Err(Error::internal("a masked block does not fit its mask"));
    }
    let size = block.dtype().size();
    let mask = mask.values::<bool>()?;
    let source = block.bytes().chunks_exact(size);
    let inside = mask.iter().cycle();
    for ((target, source), &inside) in
        kept.bytes_mut().chunks_exact_mut(size).zip(source).zip(inside)
    {
        if inside {
            target.copy_from_slice(source);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::grid::Grid;
    use crate::op::registry::build;
    use crate::run::cancel::CancelToken;
    use crate::source::memory::MemoryArray;

    /// Each voxel and the one before it, as two channels.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
    struct WithPrevious {}

    impl BlockOperation for WithPrevious {
        const NAME: &'static str = "with-previous";

        fn halo(&self, ndim: usize) -> Vec<u64> {
            vec![1; ndim]
        }

        fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape> {
            let input = only_input(Self::NAME, inputs)?;
            Ok(ArrayShape { shape: vec![2, input.shape[0]], dtype: DType::U8 })
        }

        fn block_bytes(&self, outer_voxels: u64, _inputs: &[ArrayShape]) -> u64 {
            3 * outer_voxels
        }

        fn compute(&self, blocks: Vec<Array>, block: &Block) -> Result<Array> {
            let outer = only_block(blocks)?;
            let values = outer.values::<u8>()?;
            let inner = block.inner_in_outer();
            let at = inner.start[0] as usize..inner.end()[0] as usize;
            let previous = at.clone().map(|i| if i == 0 { 0 } else { values[i - 1] });
            let channels: Vec<u8> = values[at].iter().copied().chain(previous).collect();
            Array::from_values(&[2, inner.shape[0]], &channels)
        }
    }

    #[test]
    fn channels_come_first_are_cast_and_masked_by_the_axes_of_space() {
        let operation = Blockwise { operation: WithPrevious {}, cast: Cast::Wrapping };
        let input = Array::from_values::<u8>(&[5], &[1, 2, 3, 4, 5]).unwrap();
        let inputs: Vec<Arc<dyn Source>> = vec![Arc::new(MemoryArray::from_array(&input).unwrap())];
        let output = Arc::new(MemoryArray::zeros(DType::F32, &[2, 5]));
        let outputs: Vec<Arc<dyn Sink>> = vec![output.clone()];
        let grid = Grid::new(Region::whole(&[5]), &[2]).unwrap().with_halo(&[1]).unwrap();
        for id in 0..grid.len() {
            let block = grid.block(id).unwrap();
            let inside: Vec<bool> =
                (block.inner.start[0]..block.inner.end()[0]).map(|i| i != 3).collect();
            let mask = Array::from_values(&block.inner.shape, &inside).unwrap();
            let io = BlockIo {
                block: &block,
                upcoming: None,
                inputs: &inputs,
                outputs: &outputs,
                mask: Some(&mask),
                cancel: &CancelToken::new(),
            };
            operation.run(&io).unwrap();
        }
        let written = output.read(&Region::whole(&[2, 5])).unwrap();
        let expected = [1.0, 2.0, 3.0, 0.0, 5.0, 0.0, 1.0, 2.0, 0.0, 4.0];
        assert_eq!(written.values::<f32>().unwrap(), expected);
        let shapes = [
            ArrayShape { shape: vec![5], dtype: DType::U8 },
            ArrayShape { shape: vec![2, 5], dtype: DType::F32 },
        ];
        // The block, its two channels, and both once more as floats.
        assert_eq!(operation.block_bytes(4, &shapes[..1], &shapes[1..]), 4 * (3 + 2 * 4));
        assert!(build(&operation.spec()).is_err(), "it is in no list");
    }
}
