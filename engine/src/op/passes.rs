//! Measurements in several passes over the blocks, each of which knows what those before it found.

use super::parameters::{Input, ONE_INPUT, Parameters};
use super::reduce::{check_number, merged_all, of_block};
use super::table::Table;
use super::{ArrayShape, BlockIo, Operation, Product, Writes};
use crate::array::Array;
use crate::error::{Error, Kind, Result};
use crate::grid::{Block, Region};
use crate::run::partials::Partials;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// A measurement in several passes: plain parameters, what each pass takes from a block, and what the
/// next one is to know.
pub trait Successive:
    clap::Args
    + Serialize
    + DeserializeOwned
    + JsonSchema
    + Clone
    + Debug
    + PartialEq
    + Send
    + Sync
    + 'static
{
    /// What blocks give.
    type Partial: Serialize + DeserializeOwned;

    /// What a pass knows of those before it.
    type State: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// As [`Parameters::NAME`].
    const NAME: &'static str;

    /// As [`Parameters::INPUTS`].
    const INPUTS: &'static [Input] = ONE_INPUT;

    /// As [`Parameters::PYTHON`].
    const PYTHON: Option<&'static str> = None;

    /// As [`Operation::takes_mask`].
    const TAKES_MASK: bool = true;

    /// Checks what it is to measure.
    ///
    /// # Errors
    /// `dtype-mismatch` and `invalid-argument` for inputs that it does not take.
    fn check(&self, inputs: &[ArrayShape]) -> Result<()>;

    /// How many passes it takes.
    fn passes(&self) -> usize;

    /// What a pass does, for people to read.
    fn stage(&self, pass: usize) -> &'static str;

    /// Bytes that the measuring of so many voxels takes besides the blocks themselves.
    fn block_bytes(&self, voxels: u64) -> u64;

    /// How far beyond a block a pass looks, for each axis.
    fn halo(&self, pass: usize, ndim: usize) -> Vec<u64> {
        let _ = pass;
        vec![0; ndim]
    }

    /// What is read for a block; none where nothing of it matters.
    fn region(&self, state: Option<&Self::State>, block: &Block) -> Option<Region> {
        let _ = state;
        Some(block.outer.clone())
    }

    /// Measures one block; without a state in the first pass, and without voxels where nothing was to
    /// be read.
    ///
    /// # Errors
    /// `corrupt-data` and the like.
    fn of_block(
        &self,
        state: Option<&Self::State>,
        io: &BlockIo,
        blocks: &[Array],
    ) -> Result<Self::Partial>;

    /// Takes in the partial result of the next block.
    fn merge(&self, into: &mut Self::Partial, other: Self::Partial);

    /// What the next pass is to know; without a partial result where no voxel counted.
    ///
    /// # Errors
    /// `invalid-argument` and the like.
    fn advance(
        &self,
        state: Option<&Self::State>,
        whole: Option<Self::Partial>,
    ) -> Result<Self::State>;

    /// The result of the last pass; a table without rows where no voxel counted.
    ///
    /// # Errors
    /// `invalid-argument` and the like.
    fn finish(&self, state: Option<&Self::State>, whole: Option<Self::Partial>) -> Result<Table>;
}

/// A measurement in several passes as an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Passes<S: Successive> {
    /// The measurement.
    #[serde(flatten, bound(deserialize = "S: Successive"))]
    #[command(flatten)]
    #[allow(missing_docs)]
    pub measure: S,
}

impl<S: Successive> Parameters for Passes<S> {
    const NAME: &'static str = S::NAME;
    const INPUTS: &'static [Input] = S::INPUTS;
    const PYTHON: Option<&'static str> = S::PYTHON;
}

/// One of the passes.
struct Pass<S: Successive> {
    measure: S,
    pass: usize,
    state: Option<S::State>,
}

impl<S: Successive> Passes<S> {
    fn first(&self) -> Pass<S> {
        Pass { measure: self.measure.clone(), pass: 0, state: None }
    }
}

impl<S: Successive> Operation for Passes<S> {
    fn name(&self) -> &str {
        S::NAME
    }

    fn halo(&self, ndim: usize) -> Vec<u64> {
        self.measure.halo(0, ndim)
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        self.first().outputs(inputs)
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        self.first().block_bytes(voxels, inputs, outputs)
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        work(&self.measure, None, io)
    }

    fn gives_partials(&self) -> bool {
        true
    }

    fn merge(&self, partials: &Partials, merged: &mut dyn Write) -> Result<()> {
        self.first().merge(partials, merged)
    }

    fn next(&self, merged: Option<&Path>) -> Result<Option<Arc<dyn Operation>>> {
        self.first().next(merged)
    }

    fn stage(&self) -> &str {
        self.measure.stage(0)
    }

    fn takes_mask(&self) -> bool {
        S::TAKES_MASK
    }

    fn writes(&self) -> Writes {
        Writes::Nothing
    }
}

impl<S: Successive> Pass<S> {
    fn is_last(&self) -> bool {
        self.pass + 1 == self.measure.passes()
    }

    /// What the pass knows, without which only the first can work.
    fn state(&self) -> Result<Option<&S::State>> {
        if self.pass > 0 && self.state.is_none() {
            return Err(Error::internal("a pass knows nothing of the one before it"));
        }
        Ok(self.state.as_ref())
    }
}

impl<S: Successive> Operation for Pass<S> {
    fn name(&self) -> &str {
        S::NAME
    }

    fn halo(&self, ndim: usize) -> Vec<u64> {
        self.measure.halo(self.pass, ndim)
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        check_number(S::NAME, S::INPUTS, inputs)?;
        self.measure.check(inputs).map(|()| Vec::new())
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], _: &[ArrayShape]) -> u64 {
        let read: u64 = inputs.iter().map(|array| array.dtype.size() as u64).sum();
        voxels * read + self.measure.block_bytes(voxels)
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        work(&self.measure, self.state()?, io)
    }

    fn gives_partials(&self) -> bool {
        true
    }

    fn merge(&self, partials: &Partials, merged: &mut dyn Write) -> Result<()> {
        let whole = merged_all(partials, |into, other| self.measure.merge(into, other))?;
        if self.is_last() {
            return self.measure.finish(self.state()?, whole)?.write(merged);
        }
        let next = self.measure.advance(self.state()?, whole)?;
        let bytes = postcard::to_stdvec(&next)
            .map_err(|error| Error::internal(format!("what a pass found: {error}")))?;
        merged
            .write_all(&bytes)
            .map_err(|error| Error::write(Path::new("what a pass found"), &error))
    }

    fn next(&self, merged: Option<&Path>) -> Result<Option<Arc<dyn Operation>>> {
        if self.is_last() {
            return Ok(None);
        }
        let state = merged.map(read_state).transpose()?;
        Ok(Some(Arc::new(Pass { measure: self.measure.clone(), pass: self.pass + 1, state })))
    }

    fn stage(&self) -> &str {
        self.measure.stage(self.pass)
    }

    fn writes(&self) -> Writes {
        Writes::Nothing
    }
}

fn work<S: Successive>(measure: &S, state: Option<&S::State>, io: &BlockIo) -> Result<Product> {
    let region = measure.region(state, io.block);
    of_block(io, region.as_ref(), |blocks| measure.of_block(state, io, blocks))
}

fn read_state<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let damaged = |error: &dyn std::fmt::Display| {
        let message = format!("what a pass found, '{}', is damaged: {error}", path.display());
        Error::new(Kind::RunDamaged, message).fix("Measure again.")
    };
    let bytes = std::fs::read(path).map_err(|error| damaged(&error))?;
    postcard::from_bytes(&bytes).map_err(|error| damaged(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Scalar;
    use crate::dtype::DType;
    use crate::op::histogram::Histogram;
    use crate::op::percentiles::Percentiles;
    use crate::run::folder::Code;
    use crate::run::{Options, RunState, Setup};
    use crate::source::memory::MemoryArray;

    /// The table of a measurement, in blocks of a shape.
    fn measured<S: Successive>(measure: S, image: &Array, mask: &Array, block: &[u64]) -> Table {
        let memory = |array: &Array| Arc::new(MemoryArray::from_array(array).unwrap());
        let operation = Passes { measure };
        let setup = Setup {
            spec: operation.spec(),
            operation: Arc::new(operation),
            payload: None,
            inputs: vec![memory(image)],
            outputs: vec![],
            mask: Some(memory(mask)),
            domain: None,
            block_shape: Some(block.to_vec()),
            block_ids: None,
            options: Options { workers: 2, ..Options::default() },
            code: Code::default(),
        };
        let run = setup.prepare().unwrap().start().unwrap();
        let outcome = run.wait();
        assert_eq!(outcome.state, RunState::Succeeded, "{:?}", outcome.error);
        run.folder().table().unwrap()
    }

    fn image() -> (Vec<i64>, Array, Array) {
        let values: Vec<i64> =
            (0..63i64).map(|i| (i * 2_654_435_761 % 1009 - 500) << (i % 40)).collect();
        let inside: Vec<bool> = (0..63).map(|i| i % 5 != 0).collect();
        let image = Array::from_values(&[7, 9], &values).unwrap();
        let counted = values.into_iter().zip(&inside).filter(|(_, inside)| **inside);
        let counted = counted.map(|(value, _)| value).collect();
        (counted, image, Array::from_values(&[7, 9], &inside).unwrap())
    }

    #[test]
    fn four_passes_over_blocks_find_the_percentiles_of_the_whole() {
        let (mut values, image, mask) = image();
        values.sort_unstable();
        let middle = (values.len() - 1) / 2;
        let median = (values[middle] as f64 + values[values.len() / 2] as f64) / 2.0;
        let percents = [0.0, 50.0, 100.0].map(Scalar::Float).to_vec();
        let percentiles = Percentiles { percents, dtype: DType::I64 };
        assert_eq!(percentiles.passes(), 4);
        for block in [[7, 9], [2, 4], [1, 1]] {
            let table = measured(percentiles.clone(), &image, &mask, &block);
            let found = table.column("value").unwrap().values::<f64>().unwrap();
            let last = values[values.len() - 1] as f64;
            assert_eq!(found, [values[0] as f64, median, last]);
        }
    }

    #[test]
    fn the_bins_of_the_second_pass_span_what_the_first_has_found() {
        let (values, image, mask) = image();
        let histogram = Histogram { bins: 6, range: vec![] };
        let whole = measured(histogram.clone(), &image, &mask, &[7, 9]);
        let edges = whole.column("low").unwrap().values::<f64>().unwrap();
        assert_eq!(edges[0], *values.iter().min().unwrap() as f64);
        let counts = whole.column("count").unwrap().values::<u64>().unwrap();
        assert_eq!(counts.iter().sum::<u64>(), values.len() as u64);
        assert_eq!(measured(histogram, &image, &mask, &[3, 2]), whole);
    }

    #[test]
    fn where_no_voxel_counts_there_is_no_row_after_any_number_of_passes() {
        let (_, image, _) = image();
        let nowhere = Array::zeros(DType::Bool, &[7, 9]);
        let percentiles = Percentiles { percents: vec![Scalar::Float(1.0)], dtype: DType::I64 };
        assert_eq!(measured(percentiles, &image, &nowhere, &[3, 3]).rows(), 0);
        for range in [vec![], vec![Scalar::Integer(0), Scalar::Integer(9)]] {
            let histogram = Histogram { bins: 2, range };
            assert_eq!(measured(histogram, &image, &nowhere, &[3, 3]).rows(), 0);
        }
    }
}
