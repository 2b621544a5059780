//! How the components of blocks become components of the whole: which labels touch across the faces,
//! edges and corners of neighbouring blocks, and what number each component has in the end.

use super::components::{Components, steps};
use crate::array::{Array, for_each_run};
use crate::dispatch;
use crate::dtype::Element;
use crate::error::{Error, Result};

/// The outermost voxels of a labelled block, which is all that its neighbours need to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockFaces {
    /// Extents of the block.
    pub shape: Vec<u64>,
    /// The labels of the first and of the last voxels along each axis, axis after axis: arrays of one
    /// axis less.
    pub labels: Vec<Vec<u32>>,
    /// The values at the same places, where only equal values are joined.
    pub values: Option<Vec<Array>>,
}

impl BlockFaces {
    /// Takes the faces of a block; give its values if components are of equal values.
    ///
    /// Takes 4 bytes for each voxel of a face, and those of its value.
    ///
    /// # Errors
    /// `corrupt-data` for values that are not of this shape.
    pub fn new(shape: &[u64], components: &Components, values: Option<&Array>) -> Result<Self> {
        let sides = || (0..shape.len()).flat_map(|axis| [(axis, 0), (axis, shape[axis] - 1)]);
        if shape.contains(&0) {
            let empty = BlockFaces { shape: shape.to_vec(), labels: Vec::new(), values: None };
            return Ok(empty);
        }
        let labels = sides().map(|side| {
            let mut labels = Vec::new();
            pieces(shape, side).for_each(|(first, len)| components.append(first, len, &mut labels));
            labels
        });
        let labels = labels.collect();
        let values = values.map(|values| {
            let take = |side: (usize, u64)| {
                let extents: Vec<u64> = without(shape, side.0).collect();
                dispatch!(values.dtype(), T => {
                    Array::from_values(&extents, &face(shape, values.values::<T>()?, side))
                })
            };
            sides().map(take).collect::<Result<_>>()
        });
        Ok(BlockFaces { shape: shape.to_vec(), labels, values: values.transpose()? })
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        let labels = self.labels.iter().map(|face| size_of_val(face.as_slice())).sum::<usize>();
        let values = self.values.iter().flatten().map(Array::byte_len).sum::<usize>();
        (labels + values) as u64
    }

    /// The number of the face that looks into a direction along an axis.
    fn towards(axis: usize, direction: isize) -> usize {
        2 * axis + usize::from(direction > 0)
    }
}

/// The voxels at one position along an axis.
fn face<T: Copy>(shape: &[u64], voxels: &[T], (axis, at): (usize, u64)) -> Vec<T> {
    pieces(shape, (axis, at))
        .flat_map(|(first, len)| &voxels[first..first + len])
        .copied()
        .collect()
}

/// Where the voxels at one position along an axis lie together, and how many.
fn pieces(shape: &[u64], (axis, at): (usize, u64)) -> impl Iterator<Item = (usize, usize)> {
    let inner = shape[axis + 1..].iter().product::<u64>() as usize;
    let first = at as usize * inner;
    let plane = inner * shape[axis] as usize;
    let planes = shape[..axis].iter().product::<u64>() as usize;
    (0..planes).map(move |nth| (nth * plane + first, inner))
}

fn without(values: &[u64], axis: usize) -> impl Iterator<Item = u64> {
    values.iter().enumerate().filter(move |(other, _)| *other != axis).map(|(_, value)| *value)
}

/// The steps from a block to those of its neighbours that come after it and can hold neighbours of
/// its voxels. Over all blocks that is every pair of neighbours once.
///
/// ```
/// use bioimage_engine::op::kernel::merge::neighbour_steps;
/// assert_eq!(neighbour_steps(2, 1), [[0, 1], [1, 0]]);
/// assert_eq!(neighbour_steps(2, 2), [[0, 1], [1, 0], [1, -1], [1, 1]]);
/// ```
pub fn neighbour_steps(ndim: usize, connectivity: usize) -> Vec<Vec<isize>> {
    let along = |step: &[isize]| step.iter().filter(|&&step| step != 0).count();
    let is_after =
        |step: &[isize]| step.iter().find(|&&step| step != 0).is_some_and(|&step| step > 0);
    let mut steps = steps(ndim);
    steps.retain(|step| is_after(step) && along(step) <= connectivity);
    steps
}

/// The labels of two blocks that touch, each pair once and in order, where the second block is one
/// `step` of -1, 0 or 1 along each axis from the first.
///
/// # Errors
/// `internal` for blocks that cannot lie so.
pub fn touching_labels(
    a: &BlockFaces,
    b: &BlockFaces,
    step: &[isize],
    connectivity: usize,
) -> Result<Vec<(u32, u32)>> {
    let ndim = step.len();
    let across = (0..ndim).filter(|&axis| step[axis] != 0).count();
    let misplaced = a.shape.len() != ndim
        || b.shape.len() != ndim
        || (0..ndim).any(|axis| step[axis] == 0 && a.shape[axis] != b.shape[axis])
        || a.values.is_some() != b.values.is_some();
    let Some(axis) = step.iter().position(|&step| step != 0).filter(|_| !misplaced) else {
        return Err(Error::internal("blocks that are no neighbours were compared"));
    };
    let mut pairs = Vec::new();
    if across > connectivity || a.labels.is_empty() || b.labels.is_empty() {
        return Ok(pairs);
    }
    let (a_side, b_side) =
        (BlockFaces::towards(axis, step[axis]), BlockFaces::towards(axis, -step[axis]));
    let (a_shape, b_shape): (Vec<u64>, Vec<u64>) =
        (without(&a.shape, axis).collect(), without(&b.shape, axis).collect());
    let mut along = step.to_vec();
    along.remove(axis);
    for shift in steps(ndim - 1) {
        let shifted = shift.iter().filter(|&&shift| shift != 0).count();
        // Across a border between blocks there is one way only.
        let twice = (0..ndim - 1).any(|axis| along[axis] != 0 && shift[axis] != 0);
        if twice || across + shifted > connectivity {
            continue;
        }
        let (mut a_start, mut b_start, mut extents) = (Vec::new(), Vec::new(), Vec::new());
        for axis in 0..ndim - 1 {
            let (a_extent, b_extent) = (a_shape[axis], b_shape[axis]);
            let (a_first, b_first, extent) = match (along[axis], shift[axis]) {
                (1, _) => (a_extent - 1, 0, 1),
                (-1, _) => (0, b_extent - 1, 1),
                (_, shift) => (
                    u64::from(shift < 0),
                    u64::from(shift > 0),
                    a_extent - shift.unsigned_abs() as u64,
                ),
            };
            a_start.push(a_first);
            b_start.push(b_first);
            extents.push(extent);
        }
        let overlap = Overlap { a: (&a_shape, &a_start), b: (&b_shape, &b_start), extents };
        let labels = (a.labels[a_side].as_slice(), b.labels[b_side].as_slice());
        match (&a.values, &b.values) {
            (Some(a), Some(b)) => overlap.equal(labels, &a[a_side], &b[b_side], &mut pairs)?,
            _ => overlap.pairs(labels, |_, _| true, &mut pairs)?,
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

/// A part of two faces whose voxels are neighbours: their shapes, and where the part starts.
struct Overlap<'a> {
    a: (&'a [u64], &'a [u64]),
    b: (&'a [u64], &'a [u64]),
    extents: Vec<u64>,
}

impl Overlap<'_> {
    fn pairs(
        &self,
        (a, b): (&[u32], &[u32]),
        same: impl Fn(usize, usize) -> bool,
        pairs: &mut Vec<(u32, u32)>,
    ) -> Result<()> {
        for_each_run(self.a, self.b, &self.extents, 1, |a_first, b_first, len| {
            for nth in 0..len {
                let (at_a, at_b) = (a_first + nth, b_first + nth);
                let pair = (a[at_a], b[at_b]);
                let joined = pair.0 != 0 && pair.1 != 0 && same(at_a, at_b);
                if joined && pairs.last() != Some(&pair) {
                    pairs.push(pair);
                }
            }
        })
    }

    fn equal(
        &self,
        labels: (&[u32], &[u32]),
        a: &Array,
        b: &Array,
        pairs: &mut Vec<(u32, u32)>,
    ) -> Result<()> {
        fn compare<T: Element>(
            overlap: &Overlap,
            labels: (&[u32], &[u32]),
            (a, b): (&Array, &Array),
            pairs: &mut Vec<(u32, u32)>,
        ) -> Result<()> {
            let (a, b) = (a.values::<T>()?, b.values::<T>()?);
            overlap.pairs(labels, |at_a, at_b| a[at_a] == b[at_b], pairs)
        }
        dispatch!(a.dtype(), T => compare::<T>(self, labels, (a, b), pairs))
    }
}

/// The labels of blocks that touch, on their way to components of the whole.
///
/// Only labels that touch are kept, so that the number of all labels is of no account: a pair takes 16
/// bytes, and while [`Merge::finish`] runs each label of a pair up to 36 more.
#[derive(Clone, Debug, Default)]
pub struct Merge {
    pairs: Vec<[u64; 2]>,
}

impl Merge {
    /// Adds labels of block `a` and of block `b` that are one component.
    ///
    /// # Errors
    /// `invalid-argument` for a block id that needs more than 32 bits.
    pub fn add(&mut self, a: u64, b: u64, pairs: &[(u32, u32)]) -> Result<()> {
        let (a, b) = (prefix(a)?, prefix(b)?);
        self.pairs.extend(pairs.iter().map(|pair| [a | u64::from(pair.0), b | u64::from(pair.1)]));
        Ok(())
    }

    /// Numbers all components from 1 on, where `counts` holds the number of labels of each block.
    ///
    /// A component belongs to the first block that has a part of it, and there to its lowest label;
    /// components are numbered block by block and in the order of these labels.
    ///
    /// # Errors
    /// `internal` for pairs that name a block or label that there is not.
    pub fn finish(self, counts: &[u32]) -> Result<Numbering> {
        let mut labels: Vec<u64> = self.pairs.iter().flatten().copied().collect();
        labels.sort_unstable();
        labels.dedup();
        let unknown = |label: &u64| {
            let count = counts.get((label >> 32) as usize);
            count.is_none_or(|&count| *label as u32 > count) || *label as u32 == 0
        };
        if labels.iter().any(unknown) || labels.len() > u32::MAX as usize {
            return Err(Error::internal("labels were merged that are in no block"));
        }
        let first: Vec<usize> = (0..=counts.len() as u64)
            .scan(0, |at, block| {
                *at += labels[*at..].partition_point(|label| label >> 32 < block);
                Some(*at)
            })
            .collect();
        let mut owners = Owners { parents: (0..labels.len() as u32).collect() };
        let place = |label: u64| {
            let block = (label >> 32) as usize;
            let start = first[block];
            let of_block = &labels[start..first[block + 1]];
            start + of_block.partition_point(|other| *other < label)
        };
        for [a, b] in self.pairs {
            owners.join(place(a), place(b));
        }
        let mut numbering =
            Numbering { base: Vec::new(), first: vec![0], merged: Vec::new(), count: 0 };
        let mut ids: Vec<u64> = vec![0; labels.len()];
        for (block, &count) in counts.iter().enumerate() {
            let base = numbering.count;
            let mut foreign = 0;
            for at in first[block]..first[block + 1] {
                let owner = owners.root(at);
                let label = labels[at] as u32;
                if owner == at {
                    ids[at] = base + u64::from(label) - foreign;
                } else {
                    ids[at] = ids[owner];
                    numbering.merged.push((label, ids[at]));
                    foreign += 1;
                }
            }
            numbering.base.push(base);
            numbering.first.push(numbering.merged.len());
            numbering.count += u64::from(count) - foreign;
        }
        Ok(numbering)
    }
}

/// The high half of the keys of a block's labels.
fn prefix(block: u64) -> Result<u64> {
    u32::try_from(block).map(|block| u64::from(block) << 32).map_err(|_| {
        Error::argument(format!("there are more than {} blocks", u32::MAX))
            .fix("Use a larger block shape.")
    })
}

/// Union-find whose representatives are the lowest members.
struct Owners {
    parents: Vec<u32>,
}

impl Owners {
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b) as u32;
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parents[at] as usize != at {
            let above = self.parents[self.parents[at] as usize];
            self.parents[at] = above;
            at = above as usize;
        }
        at
    }
}

/// The numbers of all components, block by block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    base: Vec<u64>,
    /// For each block where its part of `merged` starts, and the end.
    first: Vec<usize>,
    merged: Vec<(u32, u64)>,
    count: u64,
}

impl Numbering {
    /// Number of components.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The numbers of a block's components.
    ///
    /// # Errors
    /// `internal` if there is no such block.
    pub fn block(&self, block: u64) -> Result<BlockNumbers<'_>> {
        let block = block as usize;
        let base = self.base.get(block).ok_or_else(|| Error::internal("no such block"))?;
        let merged = &self.merged[self.first[block]..self.first[block + 1]];
        Ok(BlockNumbers { base: *base, merged })
    }
}

/// What turns a block's labels into numbers of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockNumbers<'a> {
    /// Number of components that belong to earlier blocks.
    pub base: u64,
    /// The labels whose components belong to others, in order, and the numbers of these.
    pub merged: &'a [(u32, u64)],
}

impl BlockNumbers<'_> {
    /// The number of each of a block's labels, of which there are `count`.
    ///
    /// # Errors
    /// `internal` for other components than those that were merged.
    pub fn table(&self, count: u32) -> Result<Vec<u64>> {
        let mut table = Vec::with_capacity(count as usize + 1);
        table.push(0);
        let mut merged = self.merged.iter().peekable();
        let mut next = self.base;
        for label in 1..=count {
            match merged.next_if(|(foreign, _)| *foreign == label) {
                Some((_, number)) => table.push(*number),
                None => {
                    next += 1;
                    table.push(next);
                }
            }
        }
        if merged.next().is_some() {
            return Err(Error::internal("a block's components are not those that were merged"));
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::super::components::tests::blocks;
    use super::super::components::{Joined, components};
    use super::*;
    use crate::dtype::DType;
    use crate::grid::{Grid, Region, ravel, unravel};
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// Labels an array block by block.
    fn block_wise(
        values: &Array,
        block_shape: &[u64],
        connectivity: usize,
        joined: Joined,
    ) -> (Vec<u64>, u64) {
        let shape = values.shape();
        let grid = Grid::new(Region::whole(shape), block_shape).unwrap();
        let (mut blocks, mut faces) = (Vec::new(), Vec::new());
        for id in 0..grid.len() {
            let region = grid.block(id).unwrap().inner;
            let mut block = Array::zeros(DType::U8, &region.shape);
            block.paste(&vec![0; shape.len()], values, &region).unwrap();
            let found =
                components(block.values::<u8>().unwrap(), &region.shape, connectivity, joined)
                    .unwrap();
            let kept = Some(&block).filter(|_| joined == Joined::EqualValues);
            faces.push(BlockFaces::new(&region.shape, &found, kept).unwrap());
            blocks.push((region, found));
        }
        let mut merge = Merge::default();
        for id in 0..grid.len() {
            for step in neighbour_steps(shape.len(), connectivity) {
                let position: Option<Vec<u64>> = (0..shape.len())
                    .map(|axis| {
                        let at = grid.position(id)[axis].checked_add_signed(step[axis] as i64)?;
                        (at < grid.blocks_per_axis()[axis]).then_some(at)
                    })
                    .collect();
                let Some(position) = position else { continue };
                let other = grid.id_at(&position);
                let pairs = touching_labels(
                    &faces[id as usize],
                    &faces[other as usize],
                    &step,
                    connectivity,
                )
                .unwrap();
                // The order of the pairs must not matter.
                let turned: Vec<_> = pairs.iter().map(|&(a, b)| (b, a)).collect();
                merge.add(other, id, &turned).unwrap();
            }
        }
        let counts: Vec<u32> = blocks.iter().map(|(_, found)| found.count()).collect();
        let numbering = merge.finish(&counts).unwrap();
        let mut whole = vec![0; values.voxels() as usize];
        let mut next = 1;
        for (id, (region, found)) in blocks.iter().enumerate() {
            let numbers = numbering.block(id as u64).unwrap();
            let table = numbers.table(found.count()).unwrap();
            let labels = found.labels();
            let mut block = vec![0; labels.len()];
            found.write(0, |label| table[label as usize], &mut block);
            let mut of_label: Vec<(u32, u64)> =
                labels.into_iter().zip(block.iter().copied()).collect();
            of_label.sort_unstable();
            for (_, number) in of_label {
                assert!(number <= next, "components are numbered by their first labels");
                next = next.max(number + 1);
            }
            for (at, number) in block.iter().enumerate() {
                let position = unravel(at as u64, &region.shape);
                let position: Vec<u64> =
                    position.iter().zip(&region.start).map(|(a, b)| a + b).collect();
                whole[ravel(&position, shape) as usize] = *number;
            }
        }
        assert_eq!(next - 1, numbering.count());
        (whole, numbering.count())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn blocks_together_have_the_components_of_the_whole(
            (shape, values) in blocks(7),
            block_shape in prop::collection::vec(1u64..=5, 4),
        ) {
            let block_shape = &block_shape[..shape.len()];
            let array = Array::from_values(&shape, &values).unwrap();
            for connectivity in 1..=shape.len() {
                for joined in [Joined::Foreground, Joined::EqualValues] {
                    let (found, count) = block_wise(&array, block_shape, connectivity, joined);
                    let expected = components(&values, &shape, connectivity, joined).unwrap();
                    prop_assert_eq!(count, u64::from(expected.count()));
                    let (mut there, mut back) = (HashMap::new(), HashMap::new());
                    for (a, b) in found.iter().zip(&expected.labels()) {
                        prop_assert_eq!(*there.entry(*a).or_insert(*b), *b);
                        prop_assert_eq!(*back.entry(*b).or_insert(*a), *a);
                        prop_assert_eq!(*a == 0, *b == 0);
                    }
                }
            }
        }
    }

    #[test]
    fn labels_touch_across_corners_only_where_connectivity_allows() {
        let one = components(&[1u8; 8], &[2, 2, 2], 1, Joined::Foreground).unwrap();
        let value = |value: f32| Array::from_values(&[2, 2, 2], &[value; 8]).unwrap();
        let faces = |label, at: Option<f32>| {
            let mut faces = BlockFaces::new(&[2, 2, 2], &one, at.map(value).as_ref()).unwrap();
            faces.labels.iter_mut().for_each(|face| face.fill(label));
            faces
        };
        let touching = |a: &BlockFaces, b: &BlockFaces, connectivity| {
            touching_labels(a, b, &[1, -1, 1], connectivity).unwrap()
        };
        assert_eq!(touching(&faces(3, None), &faces(5, None), 3), [(3, 5)]);
        assert!(touching(&faces(3, None), &faces(5, None), 2).is_empty());
        assert!(touching(&faces(3, None), &faces(0, None), 3).is_empty());
        assert_eq!(touching(&faces(3, Some(0.5)), &faces(5, Some(0.5)), 3), [(3, 5)]);
        assert!(touching(&faces(3, Some(0.5)), &faces(5, Some(0.25)), 3).is_empty());
        assert!(touching_labels(&faces(3, None), &faces(5, None), &[0, 0, 0], 3).is_err());
        assert!(touching_labels(&faces(3, None), &faces(5, Some(1.0)), &[0, 0, 1], 3).is_err());
    }

    #[test]
    fn labels_that_touch_nothing_need_no_memory() {
        let mut merge = Merge::default();
        merge.add(0, 2, &[(1_000_000_000, 7), (3, u32::MAX)]).unwrap();
        let numbering = merge.finish(&[1_000_000_000, 0, u32::MAX]).unwrap();
        assert_eq!(numbering.count(), 1_000_000_000 + u64::from(u32::MAX) - 2);
        let last = numbering.block(2).unwrap();
        assert_eq!(
            (last.base, last.merged),
            (1_000_000_000, &[(7, 1_000_000_000), (u32::MAX, 3)][..])
        );
        assert!(numbering.block(3).is_err());
    }

    #[test]
    fn pairs_of_labels_that_do_not_exist_are_refused() {
        for (other, pair) in [(1, (2, 1)), (1, (0, 1)), (9, (1, 1))] {
            let mut merge = Merge::default();
            merge.add(0, other, &[pair]).unwrap();
            assert!(merge.finish(&[1, 1]).is_err());
        }
        assert!(Merge::default().add(1 << 32, 0, &[(1, 1)]).is_err());
    }
}
