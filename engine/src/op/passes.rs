//! Measurements in several passes over the blocks, each of which knows what those before it found.

use super::parameters::{Input, ONE_INPUT, Parameters};
use super::reduce::{check_number, merged_all, of_block};
use super::table::Table;
use super::{ArrayShape, BlockIo, Operation, Product, Writes};
use crate::array::Array;
use crate::error::{Error, Kind, Result};
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

    /// Measures one block; without a state in the first pass.
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

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        self.first().outputs(inputs)
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        self.first().block_bytes(voxels, inputs, outputs)
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        self.first().run(io)
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

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        check_number(S::NAME, S::INPUTS, inputs)?;
        self.measure.check(inputs).map(|()| Vec::new())
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], _: &[ArrayShape]) -> u64 {
        let read: u64 = inputs.iter().map(|array| array.dtype.size() as u64).sum();
        voxels * read + self.measure.block_bytes(voxels)
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        let state = self.state()?;
        of_block(io, |blocks| self.measure.of_block(state, io, blocks))
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

fn read_state<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let damaged = |error: &dyn std::fmt::Display| {
        let message = format!("what a pass found, '{}', is damaged: {error}", path.display());
        Error::new(Kind::RunDamaged, message).fix("Measure again.")
    };
    let bytes = std::fs::read(path).map_err(|error| damaged(&error))?;
    postcard::from_bytes(&bytes).map_err(|error| damaged(&error))
}
