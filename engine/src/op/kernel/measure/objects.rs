//! Size, centre of mass and bounding box of each object of a label image.

use super::check_mask;
use super::rows::{LabelMap, Rows, Tables, label_bits};
use super::runs::Changes;
use crate::array::Array;
use crate::cast::Number;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// The objects of some blocks, exactly: for each its label, its size and, along each axis, the sum of
/// its coordinates, the least and the greatest. 16 bytes and 32 for each axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    ndim: usize,
    /// Whether labels are stored with their sign bit turned around, so that negative ones come first.
    signed: bool,
    tables: Tables,
}

/// Objects in ascending order of their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// The labels, as `uint64`; as `int64` where one is negative.
    pub labels: Array,
    /// The number of voxels of each.
    pub sizes: Vec<u64>,
    /// The centre of mass of each: as many values as there are axes.
    pub centres: Vec<f64>,
    /// The first voxel of the bounding box of each.
    pub begins: Vec<u64>,
    /// The voxel behind the last of the bounding box of each.
    pub ends: Vec<u64>,
}

/// The bit by which signed integers are ordered unlike unsigned ones.
const SIGN: u64 = 1 << 63;

impl Partial {
    /// The objects of a block, whose first voxel lies at `offset` in the image, in the voxels that
    /// a mask does not exclude. Label 0 is background. Takes some 150 bytes for each object.
    ///
    /// # Errors
    /// `dtype-mismatch` for anything but integers; `shape-mismatch` for a mask of another size or an
    /// offset of another number of axes.
    pub fn of_block(block: &Array, mask: Option<&[bool]>, offset: &[u64]) -> Result<Partial> {
        let dtype = block.dtype();
        if matches!(dtype, DType::Bool | DType::F32 | DType::F64) {
            return Err(Error::new(
                Kind::DtypeMismatch,
                format!("morphology expects an integer label image, got dtype {dtype}."),
            )
            .fix("Label the image first, or convert it to an integer type."));
        }
        if offset.len() != block.shape().len() {
            return Err(Error::new(
                Kind::ShapeMismatch,
                format!("a block of shape {:?} lies at {offset:?}", block.shape()),
            ));
        }
        check_mask(block, mask)?;
        let mut found = Found::new(block.shape());
        dispatch!(dtype, T => found.scan(block.values::<T>()?, mask));
        let signed = matches!(dtype, DType::I8 | DType::I16 | DType::I32 | DType::I64);
        let tables = Tables::of(found.rows(offset, signed));
        Ok(Partial { ndim: offset.len(), signed, tables })
    }

    /// Takes in the objects of the next block.
    pub fn merge(&mut self, other: Partial) {
        self.tables.merge(other.tables, add);
    }

    /// The objects of all blocks.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn finish(self) -> Result<Objects> {
        let rows = self.tables.finish(add);
        let flip = if self.signed { SIGN } else { 0 };
        let labels: Vec<u64> = rows.iter().map(|row| row[0] ^ flip).collect();
        let shape = [labels.len() as u64];
        let labels = if self.signed && labels.iter().any(|label| label & SIGN != 0) {
            let labels: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
            Array::from_values(&shape, &labels)?
        } else {
            Array::from_values(&shape, &labels)?
        };
        let (mut centres, mut begins, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows.iter() {
            for axis in row[2..].chunks_exact(AXIS) {
                centres.push(sum_of(axis) as f64 / row[1] as f64);
                begins.push(axis[2]);
                ends.push(axis[3] + 1);
            }
        }
        let sizes = rows.iter().map(|row| row[1]).collect();
        Ok(Objects { labels, sizes, centres, begins, ends })
    }
}

/// Cells of an axis in a row: low and high half of the sum of coordinates, the least, the greatest.
const AXIS: usize = 4;

fn sum_of(axis: &[u64]) -> u128 {
    u128::from(axis[0]) | u128::from(axis[1]) << 64
}

fn add(to: &mut [u64], from: &[u64]) {
    to[0] += from[0];
    for (to, from) in to[1..].chunks_exact_mut(AXIS).zip(from[1..].chunks_exact(AXIS)) {
        let sum = sum_of(to) + sum_of(from);
        to[0] = sum as u64;
        to[1] = (sum >> 64) as u64;
        to[2] = to[2].min(from[2]);
        to[3] = to[3].max(from[3]);
    }
}

/// The objects of a block in its own coordinates.
struct Found {
    shape: Vec<u64>,
    /// The place of each label in `labels`, and of its cells in `cells`.
    slots: LabelMap<u64>,
    labels: Vec<u64>,
    /// For each object its size and, for each axis, the sum of coordinates, the least, the greatest.
    cells: Vec<u64>,
}

impl Found {
    fn new(shape: &[u64]) -> Found {
        Found {
            shape: shape.to_vec(),
            slots: LabelMap::default(),
            labels: Vec::new(),
            cells: Vec::new(),
        }
    }

    fn width(&self) -> usize {
        1 + 3 * self.shape.len()
    }

    /// Goes through the rows of a block, a run of equal labels at a time.
    fn scan<T: Number>(&mut self, values: &[T], mask: Option<&[bool]>) {
        let len = self.shape.last().map_or(1, |extent| *extent as usize);
        if values.is_empty() {
            return;
        }
        let mut position = vec![0; self.shape.len().saturating_sub(1)];
        let mut changes = Changes::default();
        for (row, values) in values.chunks_exact(len).enumerate() {
            let mask = mask.map(|mask| &mask[row * len..][..len]);
            changes.reset(len);
            changes.mark(values);
            if let Some(mask) = mask {
                changes.mark(mask);
            }
            changes.for_each_run(|start, end| {
                let counts = mask.is_none_or(|mask| mask[start]);
                if counts && values[start] != T::default() {
                    let label = label_bits(values[start]);
                    self.add_run(label, &position, start as u64, end as u64);
                }
            });
            for (place, extent) in position.iter_mut().zip(&self.shape).rev() {
                *place += 1;
                if *place < *extent {
                    break;
                }
                *place = 0;
            }
        }
    }

    fn add_run(&mut self, label: u64, position: &[u64], start: u64, end: u64) {
        let width = self.width();
        let slot = *self.slots.entry(label).or_insert_with(|| {
            self.labels.push(label);
            self.cells.push(0);
            self.shape.iter().for_each(|_| self.cells.extend([0, u64::MAX, 0]));
            self.labels.len() - 1
        });
        let cells = &mut self.cells[slot * width..][..width];
        let len = end - start;
        cells[0] += len;
        let (first, last) = (start, end - 1);
        let mut axes = cells[1..].chunks_exact_mut(3);
        for (place, axis) in position.iter().zip(axes.by_ref()) {
            axis[0] += place * len;
            axis[1] = axis[1].min(*place);
            axis[2] = axis[2].max(*place);
        }
        if let Some(axis) = axes.next() {
            axis[0] += (first + last) * len / 2;
            axis[1] = axis[1].min(first);
            axis[2] = axis[2].max(last);
        }
    }

    /// The objects in the coordinates of the image.
    fn rows(&self, offset: &[u64], signed: bool) -> Rows {
        let width = 2 + AXIS * self.shape.len();
        let flip = if signed { SIGN } else { 0 };
        let mut rows = Vec::with_capacity(self.labels.len() * width);
        for (label, cells) in self.labels.iter().zip(self.cells.chunks_exact(self.width())) {
            let size = cells[0];
            rows.extend([label ^ flip, size]);
            for (axis, offset) in cells[1..].chunks_exact(3).zip(offset) {
                let sum = u128::from(axis[0]) + u128::from(size) * u128::from(*offset);
                rows.extend([sum as u64, (sum >> 64) as u64, axis[1] + offset, axis[2] + offset]);
            }
        }
        Rows::sorted(width, 1, rows.chunks_exact(width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Region;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn objects(block: &Array, mask: Option<&[bool]>) -> Objects {
        let offset = vec![0; block.shape().len()];
        Partial::of_block(block, mask, &offset).unwrap().finish().unwrap()
    }

    #[test]
    fn an_image_of_two_objects() {
        let image = Array::from_values(&[2, 4], &[0u8, 7, 7, 0, 3, 7, 0, 0]).unwrap();
        let all = objects(&image, None);
        assert_eq!(all.labels.values::<u64>().unwrap(), [3, 7]);
        assert_eq!(all.sizes, [1, 3]);
        assert_eq!(all.centres, [1.0, 0.0, 1.0 / 3.0, 4.0 / 3.0]);
        assert_eq!(all.begins, [1, 0, 0, 1]);
        assert_eq!(all.ends, [2, 1, 2, 3]);
        let mask = [true, true, false, true, false, true, true, true];
        let masked = objects(&image, Some(&mask));
        assert_eq!((masked.sizes, masked.begins), (vec![2], vec![0, 1]));
    }

    #[test]
    fn labels_are_exact_to_their_last_bit_and_may_be_negative() {
        let big = 1u64 << 53;
        let image = Array::from_values(&[4], &[u64::MAX, big + 1, big, u64::MAX]).unwrap();
        assert_eq!(objects(&image, None).labels.values::<u64>().unwrap(), [big, big + 1, u64::MAX]);
        let image = Array::from_values(&[3], &[i64::MAX, i64::MIN, -1]).unwrap();
        let labels = objects(&image, None).labels;
        assert_eq!(labels.values::<i64>().unwrap(), [i64::MIN, -1, i64::MAX]);
        let image = Array::from_values(&[2], &[5i8, 3]).unwrap();
        assert_eq!(objects(&image, None).labels.values::<u64>().unwrap(), [3, 5]);
    }

    #[test]
    fn far_blocks_do_not_overflow() {
        let image = Array::from_values(&[2], &[1u8, 1]).unwrap();
        let all = Partial::of_block(&image, None, &[u64::MAX - 8]).unwrap().finish().unwrap();
        assert_eq!((all.begins[0], all.ends[0]), (u64::MAX - 8, u64::MAX - 6));
        assert_eq!(all.centres[0], u64::MAX as f64);
    }

    #[test]
    fn what_is_no_label_image_is_refused_and_nothing_gives_nothing() {
        let error = Partial::of_block(&Array::zeros(DType::F32, &[2]), None, &[0]).unwrap_err();
        assert_eq!(error.kind, Kind::DtypeMismatch);
        let error = Partial::of_block(&Array::zeros(DType::U8, &[2]), None, &[]).unwrap_err();
        assert_eq!(error.kind, Kind::ShapeMismatch);
        assert!(objects(&Array::zeros(DType::U32, &[3, 0]), None).sizes.is_empty());
        assert!(objects(&Array::zeros(DType::U32, &[3, 2]), None).sizes.is_empty());
    }

    proptest! {
        #[test]
        fn blocks_add_up_to_the_image(
            shape in proptest::collection::vec(1u64..5, 1..5),
            seed in any::<u64>(),
            cut in 0u64..5,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let count: u64 = shape.iter().product();
            let values: Vec<i16> = (0..count).map(|_| random.i16(-1..3)).collect();
            let image = Array::from_values(&shape, &values).unwrap();
            let mut expected: BTreeMap<i16, Vec<Vec<u64>>> = BTreeMap::new();
            for (index, label) in values.iter().enumerate().filter(|(_, label)| **label != 0) {
                let at = crate::grid::unravel(index as u64, &shape);
                expected.entry(*label).or_default().push(at);
            }
            let cut = cut.min(shape[0]);
            let part = |from: u64, to: u64| {
                let mut region = Region::whole(&shape);
                region.start[0] = from;
                region.shape[0] = to - from;
                let mut block = Array::zeros(DType::I16, &region.shape);
                block.paste(&vec![0; shape.len()], &image, &region).unwrap();
                Partial::of_block(&block, None, &region.start).unwrap()
            };
            let mut merged = part(0, cut);
            merged.merge(part(cut, shape[0]));
            let all = merged.finish().unwrap();
            prop_assert_eq!(&all, &objects(&image, None));
            prop_assert_eq!(all.sizes.len(), expected.len());
            for (object, voxels) in expected.values().enumerate() {
                prop_assert_eq!(all.sizes[object], voxels.len() as u64);
                for axis in 0..shape.len() {
                    let along: Vec<u64> = voxels.iter().map(|at| at[axis]).collect();
                    let cell = object * shape.len() + axis;
                    let sum: u64 = along.iter().sum();
                    prop_assert_eq!(all.centres[cell], sum as f64 / along.len() as f64);
                    prop_assert_eq!(all.begins[cell], *along.iter().min().unwrap());
                    prop_assert_eq!(all.ends[cell], along.iter().max().unwrap() + 1);
                }
            }
        }
    }
}
