//! Operations that write no array but measure: each block gives a partial result, all of which are
//! merged in the order of the blocks, so that the result depends neither on the backend nor on how many
//! work.

use super::parameters::{Input, ONE_INPUT, Parameters};
use super::table::Table;
use super::{ArrayShape, BlockIo, Operation, Product, Traffic, Writes};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::grid::Region;
use crate::run::partials::{Partials, decode, encode};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::io::Write;

/// A measurement: plain parameters, what it takes from a block and how that adds up.
pub trait Reduction:
    clap::Args + Serialize + DeserializeOwned + JsonSchema + Clone + Debug + PartialEq + Send + Sync
{
    /// What blocks give.
    type Partial: Serialize + DeserializeOwned;

    /// As [`Parameters::NAME`].
    const NAME: &'static str;

    /// As [`Parameters::INPUTS`].
    const INPUTS: &'static [Input] = ONE_INPUT;

    /// As [`Parameters::PYTHON`].
    const PYTHON: Option<&'static str> = None;

    /// Checks what it is to measure, of which there are as many as it takes.
    ///
    /// # Errors
    /// `dtype-mismatch` and `invalid-argument` for inputs that it does not take.
    fn check(&self, inputs: &[ArrayShape]) -> Result<()> {
        let _ = inputs;
        Ok(())
    }

    /// Bytes that the measuring of so many voxels takes besides the blocks themselves.
    fn block_bytes(&self, voxels: u64) -> u64 {
        let _ = voxels;
        0
    }

    /// Measures one block, of which `io` tells where it lies and `blocks` are the inputs' voxels.
    ///
    /// # Errors
    /// `corrupt-data` and the like.
    fn of_block(&self, io: &BlockIo, blocks: &[Array]) -> Result<Self::Partial>;

    /// Takes in the partial result of the next block.
    fn merge(&self, into: &mut Self::Partial, other: Self::Partial);

    /// The result; a table without rows where no voxel counted.
    ///
    /// # Errors
    /// `value-out-of-range` and the like.
    fn finish(&self, whole: Option<Self::Partial>) -> Result<Table>;
}

/// A measurement as an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Reduce<R: Reduction> {
    /// The measurement.
    #[serde(flatten, bound(deserialize = "R: Reduction"))]
    #[command(flatten)]
    #[allow(missing_docs)]
    pub measure: R,
}

impl<R: Reduction> Parameters for Reduce<R> {
    const NAME: &'static str = R::NAME;
    const INPUTS: &'static [Input] = R::INPUTS;
    const PYTHON: Option<&'static str> = R::PYTHON;
}

impl<R: Reduction> Operation for Reduce<R> {
    fn name(&self) -> &str {
        R::NAME
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        check_number(R::NAME, R::INPUTS, inputs)?;
        self.measure.check(inputs).map(|()| Vec::new())
    }

    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape], _: &[ArrayShape]) -> u64 {
        let read: u64 = inputs.iter().map(|array| array.dtype.size() as u64).sum();
        outer_voxels * read + self.measure.block_bytes(outer_voxels)
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        of_block(io, Some(&io.block.inner), |blocks| self.measure.of_block(io, blocks))
    }

    fn gives_partials(&self) -> bool {
        true
    }

    fn merge(&self, partials: &Partials, merged: &mut dyn Write) -> Result<()> {
        let whole = merged_all(partials, |into, other| self.measure.merge(into, other))?;
        self.measure.finish(whole)?.write(merged)
    }

    fn writes(&self) -> Writes {
        Writes::Nothing
    }
}

/// Checks that there are as many inputs as a measurement takes.
///
/// # Errors
/// `invalid-argument` for another number.
pub(super) fn check_number(name: &str, expected: &[Input], inputs: &[ArrayShape]) -> Result<()> {
    if inputs.len() == expected.len() {
        return Ok(());
    }
    let (expected, given) = (expected.len(), inputs.len());
    Err(Error::argument(format!("{name} takes {expected} input(s), not {given}")))
}

/// Reads a region of all inputs, if any, and measures it.
pub(super) fn of_block<P: Serialize>(
    io: &BlockIo,
    region: Option<&Region>,
    measure: impl FnOnce(&[Array]) -> Result<P>,
) -> Result<Product> {
    let mut blocks = Vec::with_capacity(io.inputs.len());
    if let Some(region) = region {
        for input in io.inputs {
            io.cancel.check()?;
            blocks.push(input.read(region)?);
        }
    }
    io.cancel.check()?;
    let partial = encode(&measure(&blocks)?)?;
    let read = blocks.iter().map(|block| block.byte_len() as u64).sum();
    Ok(Product { traffic: Traffic { read, written: 0 }, partial: Some(partial) })
}

/// The partial results of all blocks as one; none where no block has any.
pub(super) fn merged_all<P: DeserializeOwned>(
    partials: &Partials,
    merge: impl Fn(&mut P, P),
) -> Result<Option<P>> {
    let mut whole: Option<P> = None;
    for bytes in partials.iter() {
        let partial = decode(&bytes?)?;
        match &mut whole {
            None => whole = Some(partial),
            Some(whole) => merge(whole, partial),
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::statistics::Statistics;
    use crate::run::folder::Code;
    use crate::run::{Options, RunState, Setup};
    use crate::source::memory::MemoryArray;
    use std::sync::Arc;

    /// The table of a measurement, in blocks of a shape.
    fn measured(image: &Array, mask: Option<&Array>, block: &[u64], workers: u64) -> Table {
        let memory = |array: &Array| Arc::new(MemoryArray::from_array(array).unwrap());
        let setup = Setup {
            operation: Arc::new(Reduce { measure: Statistics::default() }),
            spec: Reduce { measure: Statistics::default() }.spec(),
            payload: None,
            inputs: vec![memory(image)],
            outputs: vec![],
            mask: mask.map(|mask| memory(mask) as _),
            domain: None,
            block_shape: Some(block.to_vec()),
            block_ids: None,
            options: Options { workers, ..Options::default() },
            code: Code::default(),
        };
        let run = setup.prepare().unwrap().start().unwrap();
        assert_eq!(run.wait().state, RunState::Succeeded);
        run.folder().table().unwrap()
    }

    #[test]
    fn a_measurement_is_the_same_in_any_blocks_and_by_any_number_of_workers() {
        let values: Vec<f32> = (0..63u64).map(|i| ((i * 2654435761) % 1000) as f32 / 7.0).collect();
        let image = Array::from_values(&[7, 9], &values).unwrap();
        let whole = measured(&image, None, &[7, 9], 1);
        assert_eq!(whole.column("count").unwrap().values::<u64>().unwrap(), [63]);
        for (workers, block) in [(1, [7, 9]), (2, [2, 4]), (5, [1, 1])] {
            let table = measured(&image, None, &block, workers);
            assert_eq!(table.column("max"), whole.column("max"));
            let mean = |table: &Table| table.column("mean").unwrap().values::<f64>().unwrap()[0];
            assert!((mean(&table) - mean(&whole)).abs() < 1e-9);
            assert_eq!(table, measured(&image, None, &block, 1), "the number of workers matters");
        }
    }

    #[test]
    fn where_no_voxel_counts_there_is_no_row() {
        let image = Array::from_values(&[4], &[1u8, 2, 3, 4]).unwrap();
        let nowhere = Array::zeros(crate::dtype::DType::Bool, &[4]);
        assert_eq!(measured(&image, Some(&nowhere), &[2], 2).rows(), 0);
        let mut inside = nowhere;
        inside.bytes_mut()[3] = 1;
        let table = measured(&image, Some(&inside), &[2], 2);
        assert_eq!(table.column("max").unwrap().values::<u8>().unwrap(), [4]);
    }
}
