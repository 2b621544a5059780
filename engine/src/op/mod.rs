//! Operations: what is done to one block. One file each, by one template; nothing in here knows
//! where, how often or by whom a block is run.

pub mod arithmetic;
pub mod blockwise;
pub mod compare;
pub mod copy;
pub mod dice;
pub mod distance;
pub mod downsample;
pub mod expr;
pub mod filters;
pub mod grey;
pub mod histogram;
pub mod isin;
pub mod kernel;
pub mod label;
pub mod local_maxima;
pub mod map_points;
pub mod median;
pub mod morphology;
mod numbers;
pub mod parameters;
pub mod passes;
pub mod percentiles;
pub mod pyramid;
pub mod reduce;
pub mod regionprops;
pub mod registry;
pub mod relabel;
pub mod statistics;
pub mod table;
pub mod threshold;
pub mod unique;
pub mod watershed;

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::Block;
use crate::run::cancel::CancelToken;
use crate::run::folder::{PathMap, RunFolder};
use crate::run::language;
use crate::run::partials::Partials;
use crate::source::{Sink, Source};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Shape and type of an array that exists or is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayShape {
    /// Extents.
    pub shape: Vec<u64>,
    /// Data type.
    pub dtype: DType,
}

/// Bytes that a block moved, uncompressed on the reading side and as stored on the writing side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of voxels that were read.
    pub read: u64,
    /// Bytes that were written to outputs.
    pub written: u64,
}

/// What a block gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// Bytes that it moved.
    pub traffic: Traffic,
    /// Its partial result, where the operation is one that gives them.
    pub partial: Option<Vec<u8>>,
}

impl From<Traffic> for Product {
    fn from(traffic: Traffic) -> Self {
        Product { traffic, partial: None }
    }
}

/// Everything that an operation sees of the world while it works on one block.
pub struct BlockIo<'a> {
    /// Which block.
    pub block: &'a Block,
    /// The block that will probably be worked on next, by whichever worker, to be read ahead.
    pub upcoming: Option<&'a Block>,
    /// Arrays to read, of the shape of the grid's array.
    pub inputs: &'a [Arc<dyn Source>],
    /// Arrays to write.
    pub outputs: &'a [Arc<dyn Sink>],
    /// The mask on the block's inner region as `bool`, or on the outer one where the operation asks for
    /// that; none where every voxel counts.
    pub mask: Option<&'a Array>,
    /// Asks whether the user wants to stop; to be asked between the steps of a long block.
    pub cancel: &'a CancelToken,
}

impl BlockIo<'_> {
    /// Which voxels of the block's inner region count; none where all do.
    ///
    /// # Errors
    /// `internal` for a mask of another type than `bool`.
    pub fn counted(&self) -> Result<Option<&[bool]>> {
        self.mask.map(|mask| mask.values::<bool>()).transpose()
    }
}

/// Which outputs a pass over the blocks writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// All of them.
    All,
    /// None.
    Nothing,
    /// One, whose own blocks are then those of the pass.
    One(usize),
}

impl Writes {
    /// Whether an output is written.
    pub fn includes(self, output: usize) -> bool {
        match self {
            Writes::All => true,
            Writes::Nothing => false,
            Writes::One(one) => one == output,
        }
    }
}

/// An operation: plain parameters and four answers about them. One of several passes over the blocks
/// is a chain: each pass says which one is next.
pub trait Operation: Send + Sync {
    /// The name that commands, run folders and registries use.
    fn name(&self) -> &str;

    /// How far beyond a block it reads, for each axis.
    fn halo(&self, ndim: usize) -> Vec<u64> {
        vec![0; ndim]
    }

    /// Shape and type of its outputs for these inputs; of those that it leaves out, anything goes
    /// whose last axes are the grid's.
    ///
    /// # Errors
    /// `shape-mismatch` or `dtype-mismatch` for inputs that it does not take.
    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>>;

    /// Bytes that a block takes while it is worked on: what is read, what is written and everything in
    /// between. The planner adds what masks, write units and held data take.
    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64;

    /// Bytes that it would keep for the next pass over so many voxels, so as not to compute them again.
    fn kept_bytes(&self, voxels: u64) -> u64 {
        let _ = voxels;
        0
    }

    /// Says how many bytes it may keep from now on.
    fn keep_at_most(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Works on one block.
    ///
    /// # Errors
    /// Whatever reading and writing give; `cancelled` when it stopped because it was asked to.
    fn run(&self, io: &BlockIo) -> Result<Product>;

    /// Runs the whole work of a thread, which may be done in a context that is dear to enter and to
    /// leave, such as another language's lock.
    fn around(&self, work: &mut dyn FnMut()) {
        work();
    }

    /// Waits before a block is tried again.
    fn pause(&self, time: Duration, cancel: &CancelToken) {
        cancel.sleep(time);
    }

    /// Whether an output may be one of the inputs.
    fn may_run_in_place(&self) -> bool {
        false
    }

    /// Whether every block gives a partial result, without which it is not done.
    fn gives_partials(&self) -> bool {
        false
    }

    /// Puts the partial results of all blocks together. What it writes is for the next pass, or after
    /// the last one it is the run's result: a [`Table`](table::Table).
    ///
    /// # Errors
    /// Those of reading and writing; `no-values` and the like where there is no result.
    fn merge(&self, partials: &Partials, merged: &mut dyn Write) -> Result<()> {
        let _ = (partials, merged);
        Ok(())
    }

    /// The pass that comes when all blocks of this one are done: ready to work where `merged` names
    /// what the merge of this one wrote, else to be planned with only.
    ///
    /// # Errors
    /// `run-damaged` for a file that is not understood.
    fn next(&self, merged: Option<&Path>) -> Result<Option<Arc<dyn Operation>>> {
        let _ = merged;
        Ok(None)
    }

    /// What this pass does, for people to read.
    fn stage(&self) -> &str {
        self.name()
    }

    /// Checks the data type of an output that is there.
    ///
    /// # Errors
    /// `dtype-mismatch` for one that it cannot be written to.
    fn check_output(&self, output: DType) -> Result<()> {
        let _ = output;
        Ok(())
    }

    /// Whether voxels can be left out by a mask.
    fn takes_mask(&self) -> bool {
        true
    }

    /// Whether it is given the mask on the block's outer region instead of the inner one.
    fn masks_halo(&self) -> bool {
        false
    }

    /// Whether blocks outside the mask are worked on, too, for they are to be written.
    fn works_outside_mask(&self) -> bool {
        false
    }

    /// Which outputs this pass writes.
    fn writes(&self) -> Writes {
        Writes::All
    }
}

/// The outputs that a pass writes, with their numbers.
pub fn written<'a>(
    operation: &dyn Operation,
    outputs: &'a [Arc<dyn Sink>],
) -> impl Iterator<Item = (usize, &'a Arc<dyn Sink>)> {
    let writes = operation.writes();
    outputs.iter().enumerate().filter(move |(index, _)| writes.includes(*index))
}

/// A pass of an operation after the passes of a run before it.
///
/// # Errors
/// `internal` if it has not so many; as [`Operation::next`].
pub fn pass(
    first: Arc<dyn Operation>,
    stage: usize,
    folder: &RunFolder,
) -> Result<Arc<dyn Operation>> {
    (0..stage).try_fold(first, |operation, before| {
        operation
            .next(Some(&folder.merged(before)))?
            .ok_or_else(|| Error::internal(format!("'{}' is the last pass", operation.name())))
    })
}

/// An operation as it stands in a run folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationSpec {
    /// Its name.
    pub name: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: serde_json::Value,
    /// The language whose function it is; none for the engine's own operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

impl OperationSpec {
    /// The operation that this describes.
    ///
    /// # Errors
    /// `run-damaged` for an unknown name or parameters that do not fit; those of the language.
    pub fn build(
        &self,
        folder: &RunFolder,
        inputs: &[Arc<dyn Source>],
        paths: &[PathMap],
    ) -> Result<Arc<dyn Operation>> {
        if let Some(name) = &self.language {
            return language::find(name)?.operation(folder, inputs, paths);
        }
        registry::build(self).map_err(|error| {
            Error { kind: Kind::RunDamaged, ..error }.fix("The run may come from a newer version.")
        })
    }
}
