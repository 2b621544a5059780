//! The middle value of each voxel's neighbourhood.

use super::grey::{Extreme, Neighbourhood, Shape};
use super::ordered::{Key, Ordered};
use super::{is_nan, values_mut};
use crate::array::{Array, strides};
use crate::dispatch;
use crate::error::{Error, Result};
use crate::grid::{Region, shape_text, unravel};
use multiversion::multiversion;
use std::ops::Range;

/// Voxels of the largest window.
const LARGEST: u64 = 1 << 24;

/// The middle values of boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Median {
    radius: Vec<u64>,
}

impl Median {
    /// The middle values of boxes with the radius of each axis.
    ///
    /// # Errors
    /// `invalid-argument` for a box of more than 2^24 voxels.
    pub fn new(radius: &[u64]) -> Result<Median> {
        let side = |radius: &u64| radius.checked_mul(2)?.checked_add(1);
        let voxels = radius.iter().try_fold(1u64, |all, radius| all.checked_mul(side(radius)?));
        if voxels.is_none_or(|voxels| voxels > LARGEST) {
            return Err(Error::argument(format!(
                "the neighbourhood of radius {} has more than {LARGEST} voxels",
                shape_text(radius)
            ))
            .about("radius")
            .fix("Give a smaller radius, or downsample before."));
        }
        Ok(Median { radius: radius.to_vec() })
    }

    /// How far it reaches along each axis.
    pub fn radius(&self) -> &[u64] {
        &self.radius
    }

    /// The middle values for the `inner` region of a block; NaN where a box has any.
    ///
    /// Around the region the block has at least the [radius](Self::radius), except where it ends with
    /// the image, which is mirrored there with its end voxel repeated. Takes the result and the rows of
    /// a box; of floats with NaN three times the block in addition.
    ///
    /// # Errors
    /// `internal` if the block, the region and the radius differ in their axes or the region does not
    /// lie in the block; `corrupt-data` for a `bool` that is neither 0 nor 1.
    ///
    /// ```
    /// use bioimage_engine::array::Array;
    /// use bioimage_engine::grid::Region;
    /// use bioimage_engine::op::kernel::median::Median;
    /// let image = Array::from_values::<u8>(&[6], &[3, 9, 4, 5, 0, 6])?;
    /// let middle = Median::new(&[1])?.apply(&image, &Region::new([0], [6]))?;
    /// assert_eq!(middle.values::<u8>()?, [3, 4, 5, 4, 5, 6]);
    /// # Ok::<(), bioimage_engine::error::Error>(())
    /// ```
    pub fn apply(&self, block: &Array, inner: &Region) -> Result<Array> {
        let (ndim, outer) = (self.radius.len(), block.shape());
        if outer.len() != ndim || !inner.fits(outer) {
            return Err(Error::internal(format!(
                "a median of {ndim} axes was applied to {} at {} of a block of {}",
                shape_text(&inner.shape),
                shape_text(&inner.start),
                shape_text(outer)
            )));
        }
        if ndim == 0 {
            return Ok(block.clone());
        }
        let mut out = Array::zeros(block.dtype(), &inner.shape);
        if out.voxels() == 0 {
            return Ok(out);
        }
        dispatch!(block.dtype(), T => {
            let (from, to) = (block.values::<T>()?, values_mut::<T>(&mut out)?);
            self.run(from, outer, inner, to);
            if from.iter().any(|value| is_nan(*value)) {
                let element = Neighbourhood::new(Shape::Box, &self.radius)?;
                let least = element.extreme(block, inner, Extreme::Least)?;
                for (to, least) in to.iter_mut().zip(least.values::<T>()?) {
                    *to = if is_nan(*least) { *least } else { *to };
                }
            }
        });
        Ok(out)
    }

    fn run<T: Ordered>(&self, values: &[T], outer: &[u64], inner: &Region, to: &mut [T]) {
        let last = self.radius.len() - 1;
        let side = |radius: &u64| 2 * radius + 1;
        let sides: Vec<u64> = self.radius[..last].iter().map(side).collect();
        let (start, width) = (inner.start[last] as usize, outer[last] as usize);
        let columns = start..start + inner.shape[last] as usize;
        let along = self.radius[last] as usize;
        let strides = strides(outer);
        let mut rows = Rows {
            keys: Vec::new(),
            count: sides.iter().product::<u64>() as usize,
            len: columns.len().next_multiple_of(LANES) + 2 * along,
            side: 2 * along + 1,
        };
        rows.keys.resize(rows.count * rows.len, T::Key::default());
        let mut method = Method::new(rows.count * rows.side);
        let mut middle = vec![T::Key::default(); columns.len().next_multiple_of(LANES)];
        for (index, to) in to.chunks_exact_mut(columns.len()).enumerate() {
            let place = unravel(index as u64, &inner.shape[..last]);
            for (row, keys) in rows.keys.chunks_exact_mut(rows.len).enumerate() {
                let offset = unravel(row as u64, &sides);
                let at = |axis: usize| {
                    let at = (inner.start[axis] + place[axis] + offset[axis]) as i64;
                    mirrored(at - self.radius[axis] as i64, outer[axis]) as u64 * strides[axis]
                };
                let row = (0..last).map(at).sum::<u64>() as usize;
                load_row(&values[row..][..width], &columns, along, keys);
            }
            method.run(&rows, &mut middle, columns.len());
            for (to, key) in to.iter_mut().zip(&middle) {
                *to = T::of_key(*key);
            }
        }
    }
}

/// Where a coordinate comes to lie in an image that is mirrored at its ends.
fn mirrored(at: i64, extent: u64) -> usize {
    let at = at.rem_euclid(2 * extent as i64) as u64;
    at.min(2 * extent - 1 - at) as usize
}

/// The keys of a part of a row, with `reach` more on both sides.
fn load_row<T: Ordered>(row: &[T], columns: &Range<usize>, reach: usize, keys: &mut [T::Key]) {
    let (from, to) = (columns.start.saturating_sub(reach), row.len().min(columns.end + reach));
    let first = columns.start as i64 - reach as i64;
    let inside = (from as i64 - first) as usize;
    let end = inside + to - from;
    for (key, value) in keys[inside..end].iter_mut().zip(&row[from..to]) {
        *key = value.key();
    }
    for at in (0..inside).chain(end..columns.len() + 2 * reach) {
        keys[at] = row[mirrored(first + at as i64, row.len() as u64)].key();
    }
}

/// The rows of the windows along a row of results.
struct Rows<K> {
    keys: Vec<K>,
    count: usize,
    len: usize,
    /// Items of a row that a window has.
    side: usize,
}

impl<K: Key> Rows<K> {
    /// Those of one place in many windows, from a window on.
    #[inline(always)]
    fn items(&self, index: usize, first: usize) -> [K; LANES] {
        let at = index / self.side * self.len + index % self.side + first;
        let mut items = [K::MAX; LANES];
        items.copy_from_slice(&self.keys[at..][..LANES]);
        items
    }

    /// The column of a window's item.
    fn column(&self, at: usize) -> impl Iterator<Item = K> {
        self.keys.chunks_exact(self.len).map(move |row| row[at])
    }
}

/// Windows that are sorted together.
const LANES: usize = 32;

/// How middle values are found.
enum Method<K> {
    /// Many windows at a time, by comparisons that do not depend on the values.
    Together(Vec<[K; LANES]>),
    /// From the counts of all values, which change little from window to window.
    Counts(Counts),
    /// By selection in each window.
    Selection(Vec<K>),
}

impl<K: Key> Method<K> {
    fn new(voxels: usize) -> Self {
        // Found by measuring.
        let together = match size_of::<K>() {
            1 => 240,
            2 => 200,
            4 => 200,
            _ => 50,
        };
        if voxels <= together {
            Method::Together(vec![[K::MAX; LANES]; voxels / 2 + 2])
        } else if size_of::<K>() <= 2 {
            Method::Counts(Counts::new::<K>(voxels / 2))
        } else {
            Method::Selection(Vec::with_capacity(voxels))
        }
    }

    fn run(&mut self, rows: &Rows<K>, to: &mut [K], windows: usize) {
        let voxels = rows.count * rows.side;
        match self {
            _ if voxels == 1 => to.copy_from_slice(&rows.keys),
            Method::Together(kept) => middle_of_many(rows, kept, to),
            Method::Counts(counts) => counts.run(rows, &mut to[..windows]),
            Method::Selection(window) => {
                for (first, to) in to[..windows].iter_mut().enumerate() {
                    window.clear();
                    for row in rows.keys.chunks_exact(rows.len) {
                        window.extend_from_slice(&row[first..first + rows.side]);
                    }
                    *to = *window.select_nth_unstable(voxels / 2).1;
                }
            }
        }
    }
}

/// Puts the less of each pair on the left.
#[inline(always)]
fn exchange<K: Key>(left: &mut [K; LANES], right: &mut [K; LANES]) {
    for (left, right) in left.iter_mut().zip(right) {
        (*left, *right) = ((*left).min(*right), (*left).max(*right));
    }
}

/// Of one more than half of the items neither the least nor the greatest is in the middle of all: they
/// are dropped, and the next item is looked at with those that are kept, until one is left.
#[multiversion(targets("x86_64+avx2"))]
fn middle_of_many<K: Key>(rows: &Rows<K>, kept: &mut [[K; LANES]], to: &mut [K]) {
    let voxels = rows.count * rows.side;
    for (chunk, to) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let first = chunk * LANES;
        for (index, kept) in kept.iter_mut().enumerate() {
            *kept = rows.items(index, first);
        }
        let mut len = kept.len();
        for next in kept.len().. {
            if let Some((least, others)) = kept[..len].split_first_mut() {
                others.iter_mut().for_each(|other| exchange(least, other));
            }
            if let Some((greatest, others)) = kept[1..len].split_last_mut() {
                others.iter_mut().for_each(|other| exchange(other, greatest));
            }
            if next == voxels {
                break;
            }
            kept[0] = rows.items(next, first);
            len -= 1;
        }
        *to = kept[1];
    }
}

/// How often each value occurs in a window, and its middle value.
struct Counts {
    /// Counts of values, of 16 values each, and so on.
    levels: Vec<Vec<u32>>,
    /// Items before the middle one.
    half: u32,
    middle: usize,
    /// Items less than the middle value.
    below: u32,
}

/// Bits that two levels of counts differ in.
const LEVEL: usize = 4;

impl Counts {
    fn new<K: Key>(half: usize) -> Counts {
        let bits = 8 * size_of::<K>();
        let levels = (0..=size_of::<K>()).map(|level| vec![0; 1 << (bits - LEVEL * level)]);
        Counts { levels: levels.collect(), half: half as u32, middle: 0, below: 0 }
    }

    fn add(&mut self, key: usize) {
        for (level, counts) in self.levels.iter_mut().enumerate() {
            counts[key >> (LEVEL * level)] += 1;
        }
        self.below += u32::from(key < self.middle);
    }

    fn remove(&mut self, key: usize) {
        for (level, counts) in self.levels.iter_mut().enumerate() {
            counts[key >> (LEVEL * level)] -= 1;
        }
        self.below -= u32::from(key < self.middle);
    }

    /// How many values from the middle one on, or that come before it, can be passed at once, and how
    /// often they occur; one value in any case.
    fn step(&self, value: usize, fits: impl Fn(u32) -> bool) -> (usize, u32) {
        for (level, counts) in self.levels.iter().enumerate().skip(1).rev() {
            let bits = LEVEL * level;
            if self.middle.trailing_zeros() as usize >= bits && fits(counts[value >> bits]) {
                return (1 << bits, counts[value >> bits]);
            }
        }
        (1, self.levels[0][value])
    }

    /// Moves to the middle value.
    fn settle(&mut self) -> usize {
        while self.below > self.half {
            let fits = |count| self.below - count > self.half;
            let (values, count) = self.step(self.middle - 1, fits);
            self.middle -= values;
            self.below -= count;
        }
        while self.below + self.levels[0][self.middle] <= self.half {
            let fits = |count| self.below + count <= self.half;
            let (values, count) = self.step(self.middle, fits);
            self.middle += values;
            self.below += count;
        }
        self.middle
    }

    fn run<K: Key>(&mut self, rows: &Rows<K>, to: &mut [K]) {
        for at in 0..rows.side {
            rows.column(at).for_each(|key| self.add(key.index()));
        }
        let windows = to.len();
        for (first, to) in to.iter_mut().enumerate() {
            if first > 0 {
                rows.column(first - 1).for_each(|key| self.remove(key.index()));
                rows.column(first - 1 + rows.side).for_each(|key| self.add(key.index()));
            }
            *to = K::at(self.settle());
        }
        for at in windows - 1..windows - 1 + rows.side {
            rows.column(at).for_each(|key| self.remove(key.index()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::Scalar;
    use crate::dtype::DType;
    use crate::grid::{Grid, ravel};
    use proptest::prelude::*;

    fn naive(image: &[i64], shape: &[u64], radius: &[u64]) -> Vec<i64> {
        let sides: Vec<u64> = radius.iter().map(|radius| 2 * radius + 1).collect();
        (0..image.len() as u64)
            .map(|index| {
                let place = unravel(index, shape);
                let mut window: Vec<i64> = (0..sides.iter().product())
                    .map(|offset| {
                        let offset = unravel(offset, &sides);
                        let at = |axis: usize| {
                            let mut at = (place[axis] + offset[axis]) as i64 - radius[axis] as i64;
                            let n = shape[axis] as i64;
                            while !(0..n).contains(&at) {
                                at = if at < 0 { -1 - at } else { 2 * n - 1 - at };
                            }
                            at as u64
                        };
                        image[ravel(&(0..shape.len()).map(at).collect::<Vec<_>>(), shape) as usize]
                    })
                    .collect();
                window.sort_unstable();
                window[window.len() / 2]
            })
            .collect()
    }

    fn images() -> impl Strategy<Value = (Vec<u64>, Vec<u64>, Vec<i64>)> {
        (1usize..4).prop_flat_map(|ndim| {
            let shape = prop::collection::vec(0u64..=[60, 12, 7][ndim - 1], ndim);
            let radius = prop::collection::vec(0u64..[40, 7, 4][ndim - 1], ndim);
            (shape, radius).prop_flat_map(|(shape, radius)| {
                let voxels = shape.iter().product::<u64>() as usize;
                let value = prop_oneof![any::<i64>(), 0i64..4];
                (Just(shape), Just(radius), prop::collection::vec(value, voxels))
            })
        })
    }

    proptest! {
        #[test]
        fn sorted_windows_have_the_same_in_the_middle(
            (shape, radius, values) in images(),
            dtype in prop::sample::select(&DType::ALL[..]),
            block_shape in proptest::array::uniform3(1u64..50),
        ) {
            let ndim = shape.len();
            let image = Array::from_values(&shape, &values).unwrap();
            let image = image.cast(dtype, Default::default()).unwrap();
            // Floats that are whole numbers, so that they come back exactly.
            let back = |image: &Array| -> Vec<i64> {
                dispatch!(dtype, T => {
                    let values = image.values::<T>().unwrap().iter();
                    values.map(|value| match crate::cast::Number::widen(*value) {
                        Scalar::Integer(value) => value as i64,
                        Scalar::Float(value) => value as i64,
                    }).collect()
                })
            };
            let image = match dtype {
                DType::U64 => image.cast(DType::U32, Default::default()).unwrap().cast(dtype, Default::default()).unwrap(),
                _ => image,
            };
            let median = Median::new(&radius).unwrap();
            let expected = naive(&back(&image), &shape, &radius);
            let grid = Grid::new(Region::whole(&shape), &block_shape[..ndim]).unwrap();
            let grid = grid.with_halo(&radius).unwrap();
            let mut pasted = Array::zeros(dtype, &shape);
            for id in 0..grid.len() {
                let block = grid.block(id).unwrap();
                let mut outer = Array::zeros(dtype, &block.outer.shape);
                outer.paste(&vec![0; ndim], &image, &block.outer).unwrap();
                let part = median.apply(&outer, &block.inner_in_outer()).unwrap();
                pasted.paste(&block.inner.start, &part, &Region::whole(part.shape())).unwrap();
            }
            prop_assert_eq!(back(&pasted), expected);
        }
    }

    #[test]
    fn nan_spreads_as_far_as_the_box() {
        let mut values = [2.0f32; 12];
        values[3] = f32::NAN;
        values[9] = f32::INFINITY;
        let block = Array::from_values(&[12], &values).unwrap();
        let found = Median::new(&[1]).unwrap().apply(&block, &Region::new([1], [10])).unwrap();
        let found: Vec<bool> = found.values::<f32>().unwrap().iter().map(|v| v.is_nan()).collect();
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|at| (2..=4).contains(&at)));
    }

    #[test]
    fn a_box_that_is_too_large_is_refused() {
        for radius in [&[u64::MAX][..], &[1 << 20, 1 << 20], &[1 << 23, 1]] {
            let error = Median::new(radius).unwrap_err();
            assert!(error.message.contains("has more than 16777216 voxels"), "{}", error.message);
        }
    }
}
