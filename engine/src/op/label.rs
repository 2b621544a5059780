//! Label: connected components of an image of any size.
//!
//! Two passes, which both read the image and find the components of each block. The first keeps what
//! touches the block's faces; from all faces together every component gets its number; the second
//! writes the numbers. So the output is written once, and a block can be done again at any time.
//!
//! Halo: none. Memory: the block, its labels (4 bytes a voxel) and their numbers (8 bytes a voxel); for
//! the merge about that for faces of blocks, but those of three at least, besides what the labels take
//! that touch other blocks, and nothing for all others. Exact: the same components as in the whole
//! image, numbered 1, 2, 3, ... block by block, within a block in the order of their first voxels.

use super::kernel::components::{
    Components, Joined, check_connectivity, components, components_of_slices,
};
use super::kernel::merge::{BlockFaces, BlockNumbers, Merge, neighbour_steps, touching_labels};
use super::kernel::values_mut;
use super::numbers::{Numbers, write_numbers};
use super::parameters::{Input, ONE_INPUT, Parameters};
use super::{ArrayShape, BlockIo, Operation, Product, Traffic, Writes};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::{Block, Grid, Region, ravel, slab, unravel};
use crate::op::kernel::Voxel;
use crate::run::partials::{Partials, decode, encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parameters of labelling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Label {
    /// Only values above this are foreground [default: all that are not zero]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    pub threshold: Option<f64>,
    /// Along how many axes at once neighbours may differ: 1 for faces, up to the number of axes
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub connectivity: usize,
    /// Voxels of different values are never of one component
    #[serde(default)]
    #[arg(long)]
    pub multi_label: bool,
    /// Slices along the first axis are images by themselves
    #[serde(default)]
    #[arg(long)]
    pub per_slice: bool,
    /// The only block's components, from one pass to the next in the same process.
    #[serde(skip)]
    #[schemars(skip)]
    #[arg(skip)]
    kept: Kept,
}

fn one() -> usize {
    1
}

/// At most so many bytes of components are kept.
const KEPT: u64 = 512 << 20;

/// Components of blocks that are kept so that they need not be found again.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Blocks>>);

#[derive(Debug, Default)]
struct Blocks {
    components: BTreeMap<u64, Components>,
    bytes: u64,
    limit: u64,
}

impl PartialEq for Kept {
    /// It makes no difference to what is done.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps them if there is room, or if they are all that there will be.
    fn keep(&self, block: u64, mut components: Components, are_all: bool) {
        components.shrink();
        let mut blocks = self.lock();
        if are_all || blocks.bytes + components.bytes() <= blocks.limit {
            blocks.bytes += components.bytes();
            let of_failed_try = blocks.components.insert(block, components);
            blocks.bytes -= of_failed_try.map_or(0, |components| components.bytes());
        }
    }

    fn take(&self, block: u64) -> Option<Components> {
        let mut blocks = self.lock();
        let components = blocks.components.remove(&block)?;
        blocks.bytes -= components.bytes();
        Some(components)
    }

    fn limit(&self, bytes: u64) {
        let mut blocks = self.lock();
        blocks.limit = bytes;
        if bytes == 0 {
            blocks.components.clear();
            blocks.bytes = 0;
        }
    }
}

impl Parameters for Label {
    const NAME: &'static str = "label";
    const INPUTS: &'static [Input] = ONE_INPUT;
    const PYTHON: Option<&'static str> = Some("bp.segmentation.label");
}

/// The first pass's partial result: what the neighbours of a block need to know of it.
#[derive(Serialize, Deserialize)]
struct Border {
    count: u32,
    shape: Vec<u64>,
    labels: Vec<Vec<u32>>,
    values: Option<(DType, Vec<Vec<u8>>)>,
}

impl Border {
    fn faces(self) -> Result<BlockFaces> {
        let face = |dtype: DType, side: usize, bytes: &[u8]| {
            let mut shape = self.shape.clone();
            shape.remove(side / 2);
            Array::from_bytes(dtype, &shape, bytes)
        };
        let values = self.values.as_ref().map(|(dtype, faces)| {
            let faces = faces.iter().enumerate();
            faces.map(|(side, bytes)| face(*dtype, side, bytes)).collect::<Result<_>>()
        });
        let values = values.transpose()?;
        Ok(BlockFaces { values, shape: self.shape, labels: self.labels })
    }
}

impl Label {
    /// The components of a block.
    fn components(&self, values: &Array) -> Result<Components> {
        let shape = values.shape();
        let joined = if self.multi_label { Joined::EqualValues } else { Joined::Foreground };
        dispatch!(values.dtype(), T => {
            let values = values.values::<T>()?;
            let find = if self.per_slice { components_of_slices } else { components };
            find(values, shape, self.connectivity, joined)
        })
    }

    /// What is labelled of a block: zero outside the foreground and the mask.
    fn foreground(&self, io: &BlockIo) -> Result<(Array, u64)> {
        let mut values = io.inputs[0].read(&io.block.inner)?;
        let read = values.byte_len() as u64;
        io.cancel.check()?;
        if let Some(threshold) = self.threshold {
            let mut above = Array::zeros(DType::Bool, values.shape());
            dispatch!(values.dtype(), T => {
                let inside = values.values::<T>()?.iter().map(|value| value.to_f64() > threshold);
                let bytes = above.bytes_mut().iter_mut();
                bytes.zip(inside).for_each(|(byte, inside)| *byte = u8::from(inside));
            });
            values = above;
        }
        if let Some(mask) = io.counted()? {
            let size = values.dtype().size();
            for (voxel, inside) in values.bytes_mut().chunks_exact_mut(size).zip(mask) {
                if !inside {
                    voxel.fill(0);
                }
            }
        }
        Ok((values, read))
    }

    fn found(&self, io: &BlockIo) -> Result<(Array, Components, u64)> {
        let (values, read) = self.foreground(io)?;
        let components = self.components(&values)?;
        io.cancel.check()?;
        Ok((values, components, read))
    }

    fn border(&self, block: &Block, values: &Array, components: &Components) -> Result<Vec<u8>> {
        let faces =
            BlockFaces::new(&block.inner.shape, components, self.multi_label.then_some(values))?;
        let dtype = values.dtype();
        let border = Border {
            count: components.count(),
            shape: faces.shape,
            labels: faces.labels,
            values: faces
                .values
                .map(|values| (dtype, values.iter().map(|face| face.bytes().to_vec()).collect())),
        };
        encode(&border)
    }

    /// The labels of two blocks that are of one component.
    fn touching(&self, a: &BlockFaces, b: &BlockFaces, step: &[isize]) -> Result<Vec<(u32, u32)>> {
        if !self.per_slice {
            return touching_labels(a, b, step, self.connectivity);
        }
        let slices = (0..a.shape[0] as usize).map(|slice| {
            touching_labels(&slice_of(a, slice), &slice_of(b, slice), &step[1..], self.connectivity)
        });
        Ok(slices.collect::<Result<Vec<_>>>()?.concat())
    }

    /// The steps to neighbours that may have voxels of the same component.
    fn steps(&self, ndim: usize) -> Vec<Vec<isize>> {
        let mut steps = neighbour_steps(ndim, self.connectivity);
        if self.per_slice {
            steps.retain(|step| step[0] == 0);
        }
        steps
    }
}

/// The faces of one slice of a block.
fn slice_of(faces: &BlockFaces, slice: usize) -> BlockFaces {
    let slices = faces.shape[0] as usize;
    // Those across the first axis are no faces of slices.
    let sides = 2..faces.labels.len();
    let part = |len: usize| slice * (len / slices)..(slice + 1) * (len / slices);
    let labels = |side: usize| faces.labels[side][part(faces.labels[side].len())].to_vec();
    let values = |values: &Vec<Array>| {
        let of_side = |side: usize| {
            let face: &Array = &values[side];
            Array::from_bytes(
                face.dtype(),
                &face.shape()[1..],
                &face.bytes()[part(face.byte_len())],
            )
        };
        sides.clone().map(of_side).collect::<Result<Vec<_>>>().ok()
    };
    BlockFaces {
        shape: faces.shape[1..].to_vec(),
        labels: sides.clone().map(labels).collect(),
        values: faces.values.as_ref().and_then(values),
    }
}

impl Operation for Label {
    fn name(&self) -> &str {
        Label::NAME
    }

    fn stage(&self) -> &str {
        "find components"
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        let [input] = inputs else {
            return Err(Error::argument(format!("label takes one input, not {}", inputs.len())));
        };
        let ndim = input.shape.len();
        if ndim == 0 {
            return Err(Error::argument("label needs an array of one axis at least, not a value")
                .fix("Give an array."));
        }
        if self.per_slice && ndim < 2 {
            return Err(Error::argument("slices along the first axis need two axes at least")
                .about("per_slice")
                .fix("Leave --per-slice out."));
        }
        check_connectivity(self.connectivity, ndim - usize::from(self.per_slice))?;
        Ok(vec![ArrayShape { shape: input.shape.clone(), dtype: DType::U64 }])
    }

    fn check_output(&self, output: DType) -> Result<()> {
        if output == DType::U64 {
            return Ok(());
        }
        Err(Error::new(
            Kind::DtypeMismatch,
            format!("output must have dtype uint64, got {output}."),
        )
        .about("dtype"))
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], _: &[ArrayShape]) -> u64 {
        let read: u64 = inputs.iter().map(|array| array.dtype.size() as u64).sum();
        let binary = u64::from(self.threshold.is_some());
        voxels * (read + binary + PER_VOXEL)
    }

    fn kept_bytes(&self, voxels: u64) -> u64 {
        // Half of it for the places of runs, half for the runs of an image that is not mostly noise.
        voxels.min(KEPT)
    }

    fn keep_at_most(&self, bytes: u64) {
        self.kept.limit(bytes);
    }

    fn works_outside_mask(&self) -> bool {
        true
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        let (values, components, read) = self.found(io)?;
        let partial = Some(self.border(io.block, &values, &components)?);
        self.kept.keep(io.block.id, components, io.block.inner.shape == io.inputs[0].shape());
        Ok(Product { traffic: Traffic { read, written: 0 }, partial })
    }

    fn gives_partials(&self) -> bool {
        true
    }

    fn merge(&self, partials: &Partials, merged: &mut dyn Write) -> Result<()> {
        let shape = partials.grid().blocks_per_axis();
        let steps = self.steps(shape.len());
        let mut counts = vec![0; partials.grid().len() as usize];
        let mut merge = Merge::default();
        let mut near: BTreeMap<u64, BlockFaces> = BTreeMap::new();
        let mut room = 0;
        let mut faces_of = |id: u64| -> Result<Option<BlockFaces>> {
            let Some(bytes) = partials.get(id)? else { return Ok(None) };
            let border: Border = decode(&bytes)?;
            counts[id as usize] = border.count;
            border.faces().map(Some)
        };
        for block in partials.blocks() {
            let of_block =
                near.remove(&block).map_or_else(|| faces_of(block), |it| Ok(Some(it)))?;
            let Some(faces) = of_block else { continue };
            room = room.max(faces.shape.iter().product::<u64>() * PER_VOXEL);
            let position = unravel(block, &shape);
            for step in &steps {
                let Some(at) = beside(&position, step, &shape) else { continue };
                let id = ravel(&at, &shape);
                if !near.contains_key(&id)
                    && let Some(other) = faces_of(id)?
                {
                    near.insert(id, other);
                }
                if let Some(other) = near.get(&id) {
                    merge.add(block, id, &self.touching(&faces, other, step)?)?;
                }
                // The next blocks along the last axis are needed first; further ones are read again.
                while near.len() > 1 && near.values().map(BlockFaces::bytes).sum::<u64>() > room {
                    near.pop_last();
                }
            }
        }
        write_numbers(&merge.finish(&counts)?, &counts, merged)
    }

    fn next(&self, merged: Option<&Path>) -> Result<Option<Arc<dyn Operation>>> {
        let numbers = merged.map(Numbers::open).transpose()?;
        Ok(Some(Arc::new(Number { label: self.clone(), numbers })))
    }

    fn writes(&self) -> Writes {
        Writes::Nothing
    }
}

/// Labels, the runs that they are found by, and their numbers. No block is worked on during a merge:
/// as much is held of faces of blocks, besides those in hand.
const PER_VOXEL: u64 = 4 + 4 + 8;

/// The position one step further, where it is in the grid.
fn beside(position: &[u64], step: &[isize], grid: &[u64]) -> Option<Vec<u64>> {
    let axes = position.iter().zip(step).zip(grid);
    axes.map(|((at, step), n)| at.checked_add_signed(*step as i64).filter(|at| at < n)).collect()
}

/// The second pass: writes the numbers of components.
struct Number {
    label: Label,
    numbers: Option<Numbers>,
}

impl Operation for Number {
    fn name(&self) -> &str {
        Label::NAME
    }

    fn stage(&self) -> &str {
        "number components"
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        self.label.outputs(inputs)
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        self.label.block_bytes(voxels, inputs, outputs)
    }

    fn works_outside_mask(&self) -> bool {
        true
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        let numbers = self.numbers.as_ref();
        let numbers = numbers.ok_or_else(|| Error::internal("components without numbers"))?;
        let (components, read) = match self.label.kept.take(io.block.id) {
            Some(components) => (components, 0),
            None => {
                let (_, components, read) = self.label.found(io)?;
                (components, read)
            }
        };
        let (base, merged) = numbers.of_block(io.block.id)?;
        let table = BlockNumbers { base, merged: &merged }.table(components.count())?;
        let (inner, output) = (&io.block.inner, &io.outputs[0]);
        let pieces = match output.write_unit() {
            Some(_) => vec![Region::whole(&inner.shape)],
            None => pieces(&inner.shape, components.row_len()),
        };
        let (mut first, mut written) = (0, 0);
        for piece in pieces {
            let mut numbered = Array::zeros(DType::U64, &piece.shape);
            components.write(first, |label| table[label as usize], values_mut(&mut numbered)?);
            io.cancel.check()?;
            first += numbered.voxels() as usize;
            let start =
                piece.start.iter().zip(&inner.start).map(|(at, start)| at + start).collect();
            written += output.write(&Region { start, shape: piece.shape }, &numbered)?;
        }
        Ok(Traffic { read, written }.into())
    }
}

/// Voxels of a piece, whose numbers then stay in a core's cache until they are written.
const PIECE: u64 = 1 << 17;

/// Parts of a block that follow each other in memory and consist of whole rows.
fn pieces(shape: &[u64], row_len: usize) -> Vec<Region> {
    let whole = || vec![Region::whole(shape)];
    if shape.last().is_none_or(|&extent| extent != row_len as u64) {
        return whole();
    }
    let part = slab(shape, PIECE.max(row_len as u64));
    let Ok(grid) = Grid::new(Region::whole(shape), &part) else { return whole() };
    (0..grid.len()).filter_map(|id| grid.block(id).ok()).map(|block| block.inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_kept_while_there_is_room_and_counted_once() {
        let found = || {
            let mut found = components(&[1u8, 0, 1], &[3], 1, Joined::Foreground).unwrap();
            found.shrink();
            found
        };
        let (kept, bytes) = (Kept::default(), found().bytes());
        kept.keep(0, found(), false);
        assert!(kept.take(0).is_none(), "without room nothing is kept");
        kept.limit(2 * bytes);
        // A block that is tried again replaces what was found before.
        for block in [0, 0, 1, 2] {
            kept.keep(block, found(), false);
        }
        assert_eq!(kept.take(0).unwrap().labels(), [1, 0, 2]);
        assert!(kept.take(0).is_none() && kept.take(2).is_none());
        assert_eq!(kept.lock().bytes, bytes);
        kept.limit(0);
        assert!(kept.take(1).is_none());
        kept.keep(5, found(), true);
        assert!(kept.take(5).is_some(), "all that there is");
    }
    use crate::run::folder::Code;
    use crate::run::{Options, Output, RunState, Setup};
    use crate::source::memory::MemoryArray;
    use crate::source::{Sink, Source};
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn labelled(label: &Label, image: &Array, mask: Option<&Array>, block: &[u64]) -> Vec<u64> {
        let memory = |array: &Array| Arc::new(MemoryArray::from_array(array).unwrap());
        let output = Arc::new(MemoryArray::zeros(DType::U64, image.shape()));
        let filled = vec![99u64; image.voxels() as usize];
        let whole = Region::whole(image.shape());
        output.write(&whole, &Array::from_values(image.shape(), &filled).unwrap()).unwrap();
        let setup = Setup {
            operation: Arc::new(label.clone()),
            spec: label.spec(),
            payload: None,
            inputs: vec![memory(image)],
            outputs: vec![Output::Existing(output.clone())],
            mask: mask.map(|mask| memory(mask) as Arc<dyn Source>),
            domain: None,
            block_shape: Some(block.to_vec()),
            block_ids: None,
            options: Options { workers: 2, ..Options::default() },
            code: Code::default(),
        };
        let outcome = setup.prepare().unwrap().start().unwrap().wait();
        assert_eq!(outcome.state, RunState::Succeeded, "{:?}", outcome.error);
        output.read(&whole).unwrap().values::<u64>().unwrap().to_vec()
    }

    /// Whether two labellings are the same but for the names, and the first is compact.
    fn same(found: &[u64], expected: &[u64]) -> bool {
        let (mut there, mut back) = (HashMap::new(), HashMap::new());
        let consistent = found.iter().zip(expected).all(|(a, b)| {
            *there.entry(a).or_insert(b) == b
                && *back.entry(b).or_insert(a) == a
                && (*a == 0) == (*b == 0)
        });
        let count = there.keys().filter(|label| ***label != 0).count() as u64;
        consistent && found.iter().all(|label| *label <= count)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn blocks_together_are_labelled_like_the_whole(
            extents in prop::collection::vec(1u64..7, 2..4),
            block in prop::collection::vec(1u64..5, 3),
            kinds in 1u8..4,
            seed in 0u64..1000,
            connectivity in 1usize..4,
            multi_label: bool,
            per_slice: bool,
            masked: bool,
        ) {
            let random = |i: u64| {
                (i + 1).wrapping_mul(seed.wrapping_mul(2_654_435_761) | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
            };
            let voxels: u64 = extents.iter().product();
            let values: Vec<u8> = (0..voxels).map(|i| (random(i) % u64::from(kinds + 1)) as u8).collect();
            let image = Array::from_values(&extents, &values).unwrap();
            let inside: Vec<u8> = (0..voxels).map(|i| u8::from(random(i + 7777) % 4 != 0)).collect();
            let mask = masked.then(|| Array::from_values(&extents, &inside).unwrap());
            let most = extents.len() - usize::from(per_slice);
            let label = Label { connectivity: connectivity.min(most), multi_label, per_slice, ..Label::default() };
            let whole = labelled(&label, &image, mask.as_ref(), &extents);
            let blocks = labelled(&label, &image, mask.as_ref(), &block[..extents.len()]);
            prop_assert!(same(&blocks, &whole), "{blocks:?} {whole:?}");
            prop_assert!(same(&whole, &whole));
            for (at, label) in whole.iter().enumerate() {
                let foreground = values[at] != 0 && (!masked || inside[at] != 0);
                prop_assert_eq!(*label != 0, foreground);
            }
        }
    }

    #[test]
    fn slices_are_apart_and_a_threshold_makes_the_foreground() {
        let values = [1.0f32, 0.2, f32::NAN, 1.0, 1.0, 0.2];
        let image = Array::from_values(&[2, 1, 3], &values).unwrap();
        let label =
            Label { threshold: Some(0.5), connectivity: 1, per_slice: true, ..Label::default() };
        assert_eq!(labelled(&label, &image, None, &[2, 1, 3]), [1, 0, 0, 2, 2, 0]);
        let connected = Label { per_slice: false, ..label };
        assert_eq!(labelled(&connected, &image, None, &[1, 1, 1]), [1, 0, 0, 1, 1, 0]);
    }
}
