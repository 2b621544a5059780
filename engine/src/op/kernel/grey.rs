//! The least and the greatest value of each voxel's neighbourhood, from which grey morphology is made.

use super::ordered::{Key, Ordered};
use super::{is_nan, values_mut};
use crate::array::{Array, for_each_run, strides};
use crate::dispatch;
use crate::error::{Error, Result};
use crate::grid::{Region, shape_text, unravel};
use multiversion::multiversion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::slice::ChunksExact;

/// Which voxels within the radius are neighbours.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// All of them.
    #[default]
    Box,
    /// Those in the ellipsoid that has the radius of each axis as its half axes, its surface included.
    Ball,
    /// Those along the axes.
    Cross,
}

/// Which value of a neighbourhood is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    /// The least: erosion.
    Least,
    /// The greatest: dilation.
    Greatest,
}

/// A neighbourhood: a structuring element that is the same on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbourhood {
    shape: Shape,
    radius: Vec<u64>,
}

impl Neighbourhood {
    /// A neighbourhood with the radius of each axis.
    ///
    /// # Errors
    /// `invalid-argument` for a radius above 2^32, and for a ball whose surface would take more than 128
    /// bits to find.
    pub fn new(shape: Shape, radius: &[u64]) -> Result<Neighbourhood> {
        let is_large = radius.iter().any(|radius| *radius > 1 << 32);
        if is_large || shape == Shape::Ball && product_of_squares(radius).is_none() {
            let radius = shape_text(radius);
            return Err(Error::argument(format!(
                "a neighbourhood of radius {radius} is too large"
            ))
            .about("radius")
            .fix("Give a radius in voxels."));
        }
        Ok(Neighbourhood { shape, radius: radius.to_vec() })
    }

    /// How far it reaches along each axis.
    pub fn radius(&self) -> &[u64] {
        &self.radius
    }

    /// The least or greatest value of the neighbourhood of each voxel in the `inner` region of a block;
    /// NaN where a neighbourhood has any, and -0 is less than 0.
    ///
    /// Around the region the block has at least the [radius](Self::radius), except where it ends with
    /// the image; there is nothing outside. Takes the result once more, of a box the block, and at
    /// most a few hundred bytes for each voxel along an axis. The time that a box takes grows with the
    /// logarithm of its radius, that of a ball with the rows that it has.
    ///
    /// # Errors
    /// `internal` if the block, the region and the neighbourhood differ in their axes or the region
    /// does not lie in the block; `corrupt-data` for a `bool` that is neither 0 nor 1.
    ///
    /// ```
    /// use bioimage_engine::array::Array;
    /// use bioimage_engine::grid::Region;
    /// use bioimage_engine::op::kernel::grey::{Extreme, Neighbourhood, Shape};
    /// let image = Array::from_values::<u8>(&[7], &[3, 9, 7, 5, 6, 6, 8])?;
    /// let three = Neighbourhood::new(Shape::Box, &[1])?;
    /// let least = three.extreme(&image, &Region::new([0], [7]), Extreme::Least)?;
    /// assert_eq!(least.values::<u8>()?, [3, 3, 5, 5, 5, 6, 6]);
    /// # Ok::<(), bioimage_engine::error::Error>(())
    /// ```
    pub fn extreme(&self, block: &Array, inner: &Region, extreme: Extreme) -> Result<Array> {
        let (ndim, outer) = (self.radius.len(), block.shape());
        if outer.len() != ndim || !inner.fits(outer) {
            return Err(Error::internal(format!(
                "a neighbourhood of {ndim} axes was applied to {} at {} of a block of {}",
                shape_text(&inner.shape),
                shape_text(&inner.start),
                shape_text(outer)
            )));
        }
        let Some(last) = ndim.checked_sub(1) else { return Ok(block.clone()) };
        let mut out = Array::zeros(block.dtype(), &inner.shape);
        if out.voxels() == 0 {
            return Ok(out);
        }
        // What reaches beyond the block reaches no farther than its other end.
        let reach: Vec<usize> =
            self.radius.iter().zip(outer).map(|(r, n)| *r.min(&(n - 1)) as usize).collect();
        dispatch!(block.dtype(), T => {
            // The greatest of values is the least of reversed keys.
            let reversed: <T as Ordered>::Key = match extreme {
                Extreme::Least => Default::default(),
                Extreme::Greatest => Key::MAX,
            };
            let (from, to) = (block.values::<T>()?, values_mut::<T>(&mut out)?);
            let values = Values { values: from, outer, inner };
            let load = |values: &[T], keys: &mut [_]| to_keys(values, keys, reversed);
            if self.shape == Shape::Box {
                let keys = in_box(&values, &reach, &load);
                let (mut rows, mut start) = (outer.to_vec(), inner.start.clone());
                (rows[last], start[last]) = (inner.shape[last], 0);
                let target = (&inner.shape[..], &vec![0; ndim][..]);
                for_each_run((&rows, &start), target, &inner.shape, 1, |source, target, run| {
                    of_keys(&keys[source..][..run], &mut to[target..][..run], reversed);
                })?;
            } else {
                of_keys(&along_chords(&values, &self.chords(outer), &load), to, reversed);
            }
        });
        Ok(out)
    }

    /// The rows of which a ball or a cross consists, those that reach least first, as far as they can
    /// lie in a block.
    fn chords(&self, outer: &[u64]) -> Vec<Chord> {
        let Some((width, lengths)) = outer.split_last() else { return Vec::new() };
        let reach: Vec<u64> =
            self.radius.iter().zip(lengths).map(|(r, n)| *r.min(&(n - 1))).collect();
        let sides: Vec<u64> = reach.iter().map(|r| 2 * r + 1).collect();
        let mut chords: Vec<Chord> = (0..sides.iter().product::<u64>())
            .filter_map(|index| {
                let offset: Vec<i64> = unravel(index, &sides)
                    .iter()
                    .zip(&reach)
                    .map(|(at, r)| *at as i64 - *r as i64)
                    .collect();
                let reach = self.reach_of_row(&offset)?.min(width - 1) as usize;
                Some(Chord { offset, reach })
            })
            .collect();
        chords.sort_by_key(|chord| chord.reach);
        chords
    }

    /// How far the row at an offset along the other axes reaches.
    fn reach_of_row(&self, offset: &[i64]) -> Option<u64> {
        let (last, others) = self.radius.split_last()?;
        match self.shape {
            Shape::Box => Some(*last),
            Shape::Cross => match offset.iter().filter(|at| **at != 0).count() {
                0 => Some(*last),
                1 => Some(0),
                _ => None,
            },
            // The sum of the squares of offset over radius is at most 1, in whole numbers.
            Shape::Ball => {
                let one = product_of_squares(&self.radius)?;
                let part = |radius: u64| one / square(radius.max(1));
                let squares = offset.iter().zip(others);
                let far: u128 =
                    squares.map(|(at, radius)| square(at.unsigned_abs()) * part(*radius)).sum();
                Some((one.checked_sub(far)? / part(*last)).isqrt().min((*last).into()) as u64)
            }
        }
    }
}

fn square(value: u64) -> u128 {
    u128::from(value) * u128::from(value)
}

/// The product of the squares of those that are not 0. Times the number of axes it fits, too.
fn product_of_squares(radius: &[u64]) -> Option<u128> {
    let product = radius.iter().try_fold(1u128, |all, r| all.checked_mul(square((*r).max(1))))?;
    product.checked_mul(radius.len().max(1) as u128)?;
    Some(product)
}

/// A row of a neighbourhood.
struct Chord {
    /// Where it lies along the axes before the last.
    offset: Vec<i64>,
    /// How far it reaches along the last.
    reach: usize,
}

/// The values of a block, and the region in it that is asked for.
struct Values<'a, T> {
    values: &'a [T],
    outer: &'a [u64],
    inner: &'a Region,
}

impl<T> Values<'_, T> {
    /// The part of each row that is asked for.
    fn columns(&self) -> Range<usize> {
        let last = self.outer.len() - 1;
        let start = self.inner.start[last] as usize;
        start..start + self.inner.shape[last] as usize
    }

    /// Extents along the axes before the last.
    fn lengths(&self) -> &[u64] {
        &self.outer[..self.outer.len() - 1]
    }

    /// The rows.
    fn rows(&self) -> ChunksExact<'_, T> {
        self.values.chunks_exact(self.outer[self.outer.len() - 1] as usize)
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn to_keys<T: Ordered>(values: &[T], keys: &mut [T::Key], reversed: T::Key) {
    for (key, value) in keys.iter_mut().zip(values) {
        // NaN is less than all others, in both orders.
        *key = if is_nan(*value) { T::Key::default() } else { value.key().xor(reversed) };
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn of_keys<T: Ordered>(keys: &[T::Key], values: &mut [T], reversed: T::Key) {
    for (value, key) in values.iter_mut().zip(keys) {
        *value = T::of_key(key.xor(reversed));
    }
}

/// Items that become the least of themselves and those after them.
struct Sliding<K> {
    items: Vec<K>,
    spare: Vec<K>,
    len: usize,
    /// Number of items that each is the least of.
    covered: usize,
}

impl<K: Key> Sliding<K> {
    fn new() -> Self {
        Sliding { items: Vec::new(), spare: Vec::new(), len: 0, covered: 1 }
    }

    /// So many items to be written.
    fn begin(&mut self, len: usize) -> &mut [K] {
        if self.items.len() < len {
            self.items.resize(len, K::MAX);
            self.spare.resize(len, K::MAX);
        }
        (self.len, self.covered) = (len, 1);
        &mut self.items[..len]
    }

    /// Takes in more, each `step` items after the last, until there are `window` in each.
    ///
    /// Windows are doubled, since that is done many items at a time along any axis.
    fn widen(&mut self, step: usize, window: usize) -> &[K] {
        while self.covered < window {
            let more = self.covered.min(window - self.covered);
            self.len -= more * step;
            let (near, far) = (&self.items[..self.len], &self.items[more * step..]);
            least(near, far, &mut self.spare[..self.len]);
            std::mem::swap(&mut self.items, &mut self.spare);
            self.covered += more;
        }
        &self.items[..self.len]
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn least<K: Key>(left: &[K], right: &[K], to: &mut [K]) {
    for (to, (left, right)) in to.iter_mut().zip(left.iter().zip(right)) {
        *to = *left.min(right);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn fold_into<K: Key>(row: &[K], into: &mut [K]) {
    for (into, key) in into.iter_mut().zip(row) {
        *into = *key.min(into);
    }
}

/// The part of a row with `reach` more on both sides, of which what is not there is neutral.
fn load_row<T, K: Key>(
    row: &[T],
    columns: &Range<usize>,
    reach: usize,
    sliding: &mut Sliding<K>,
    load: &impl Fn(&[T], &mut [K]),
) {
    let keys = sliding.begin(columns.len() + 2 * reach);
    let (from, to) = (columns.start.saturating_sub(reach), row.len().min(columns.end + reach));
    let missing = reach - (columns.start - from);
    keys[..missing].fill(K::MAX);
    load(&row[from..to], &mut keys[missing..missing + to - from]);
    keys[missing + to - from..].fill(K::MAX);
}

/// Bytes of a row of columns that are worked on together.
const TILE: usize = 256;

/// The least keys of boxes, as far as they are asked for: of all rows, cut to the columns that are
/// asked for.
fn in_box<T, K: Key>(
    values: &Values<T>,
    reach: &[usize],
    load: &impl Fn(&[T], &mut [K]),
) -> Vec<K> {
    let (columns, lengths) = (values.columns(), values.lengths());
    let mut sliding = Sliding::new();
    let mut keys = vec![K::MAX; values.rows().len() * columns.len()];
    let along = reach[lengths.len()];
    for (row, to) in values.rows().zip(keys.chunks_exact_mut(columns.len())) {
        load_row(row, &columns, along, &mut sliding, load);
        to.copy_from_slice(sliding.widen(1, 2 * along + 1));
    }
    let mut shape = lengths.to_vec();
    shape.push(columns.len() as u64);
    let strides: Vec<usize> = strides(&shape).iter().map(|stride| *stride as usize).collect();
    let (start, inner) = (&values.inner.start, &values.inner.shape);
    for axis in (0..lengths.len()).rev().filter(|axis| reach[*axis] > 0) {
        let (step, rows, reach) = (strides[axis], lengths[axis] as usize, reach[axis]);
        // Of the next axis only what is asked for.
        let columns = match axis + 1 < lengths.len() {
            true => {
                let step = strides[axis + 1];
                let first = start[axis + 1] as usize * step;
                first..first + inner[axis + 1] as usize * step
            }
            false => 0..step,
        };
        let (first, end) = (start[axis] as usize, (start[axis] + inner[axis]) as usize);
        let (from, to) = (first.saturating_sub(reach), rows.min(end + reach));
        let tile = TILE / size_of::<K>();
        for slab in keys.chunks_exact_mut(rows * step) {
            for column in columns.clone().step_by(tile) {
                let count = tile.min(columns.end - column);
                let loaded = sliding.begin((end - first + 2 * reach) * count);
                let missing = (reach - (first - from)) * count;
                loaded[..missing].fill(K::MAX);
                let mut parts = loaded[missing..].chunks_exact_mut(count);
                for (row, part) in (from..to).zip(&mut parts) {
                    part.copy_from_slice(&slab[row * step + column..][..count]);
                }
                parts.for_each(|part| part.fill(K::MAX));
                let least = sliding.widen(count, 2 * reach + 1);
                for (row, part) in (first..end).zip(least.chunks_exact(count)) {
                    slab[row * step + column..][..count].copy_from_slice(part);
                }
            }
        }
    }
    keys
}

/// The least keys of neighbourhoods that are made of rows, ordered by how far these reach.
///
/// Each row of the block is widened to every reach once and folded into the results that it belongs to.
fn along_chords<T, K: Key>(
    values: &Values<T>,
    chords: &[Chord],
    load: &impl Fn(&[T], &mut [K]),
) -> Vec<K> {
    let (columns, lengths) = (values.columns(), values.lengths());
    let (start, inner) = (&values.inner.start, &values.inner.shape);
    let mut keys = vec![K::MAX; values.inner.voxels() as usize];
    let widest = chords.last().map_or(0, |chord| chord.reach);
    let mut sliding = Sliding::new();
    for (index, row) in values.rows().enumerate() {
        let place = unravel(index as u64, lengths);
        load_row(row, &columns, widest, &mut sliding, load);
        for group in chords.chunk_by(|a, b| a.reach == b.reach) {
            let reach = group[0].reach;
            let least = &sliding.widen(1, 2 * reach + 1)[widest - reach..][..columns.len()];
            for chord in group {
                // Of what lies before the region, the difference wraps around to a large number.
                let target = (0..lengths.len()).try_fold(0, |target, axis| {
                    let at = (place[axis] as i64 - chord.offset[axis] - start[axis] as i64) as u64;
                    (at < inner[axis]).then(|| target * inner[axis] + at)
                });
                if let Some(target) = target {
                    fold_into(least, &mut keys[target as usize * columns.len()..][..columns.len()]);
                }
            }
        }
    }
    keys
}

/// Each value of the first block less that of the second: integers that the type does not have become
/// its nearest end, and a truth value is left where the second is false.
///
/// # Errors
/// `dtype-mismatch` for blocks of different types; `corrupt-data` for a `bool` that is neither 0 nor 1.
pub fn difference(from: &Array, less: &Array) -> Result<Array> {
    let mut out = Array::zeros(from.dtype(), from.shape());
    dispatch!(from.dtype(), T => {
        let pairs = from.values::<T>()?.iter().zip(less.values::<T>()?);
        for (to, (value, less)) in values_mut::<T>(&mut out)?.iter_mut().zip(pairs) {
            *to = value.less(*less);
        }
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::grid::{Grid, ravel};
    use proptest::prelude::*;

    const SHAPES: [Shape; 3] = [Shape::Box, Shape::Ball, Shape::Cross];
    const EXTREMES: [Extreme; 2] = [Extreme::Least, Extreme::Greatest];

    /// Whether an offset leads to a neighbour, as the words say it.
    fn is_neighbour(shape: Shape, radius: &[u64], offset: &[i64]) -> bool {
        let within = offset.iter().zip(radius).all(|(at, r)| at.unsigned_abs() <= *r);
        let ratios = offset.iter().zip(radius).filter(|(_, r)| **r > 0);
        let squares: f64 = ratios.map(|(at, r)| (*at as f64 / *r as f64).powi(2)).sum();
        within
            && match shape {
                Shape::Box => true,
                Shape::Ball => squares < 1.0 + 1e-9,
                Shape::Cross => offset.iter().filter(|at| **at != 0).count() <= 1,
            }
    }

    fn naive(image: &[i16], shape: &[u64], element: &Neighbourhood, extreme: Extreme) -> Vec<i16> {
        let places: Vec<Vec<u64>> = (0..image.len()).map(|i| unravel(i as u64, shape)).collect();
        let value = |at: &Vec<u64>| {
            let neighbours = places.iter().filter(|other| {
                let offset: Vec<i64> =
                    at.iter().zip(*other).map(|(a, b)| *a as i64 - *b as i64).collect();
                is_neighbour(element.shape, element.radius(), &offset)
            });
            let values = neighbours.map(|place| image[ravel(place, shape) as usize]);
            match extreme {
                Extreme::Least => values.min(),
                Extreme::Greatest => values.max(),
            }
        };
        places.iter().map(|at| value(at).unwrap()).collect()
    }

    fn whole(block: &Array, element: &Neighbourhood, extreme: Extreme) -> Array {
        element.extreme(block, &Region::whole(block.shape()), extreme).unwrap()
    }

    fn images() -> impl Strategy<Value = (Vec<u64>, Vec<u64>, Vec<i16>)> {
        (1usize..4).prop_flat_map(|ndim| {
            let shape = prop::collection::vec(0u64..=[60, 12, 7][ndim - 1], ndim);
            let radius = prop::collection::vec(0u64..6, ndim);
            (shape, radius).prop_flat_map(|(shape, radius)| {
                let voxels = shape.iter().product::<u64>() as usize;
                (Just(shape), Just(radius), prop::collection::vec(any::<i16>(), voxels))
            })
        })
    }

    proptest! {
        #[test]
        fn a_naive_search_finds_the_same((shape, radius, values) in images()) {
            let block = Array::from_values(&shape, &values).unwrap();
            for form in SHAPES {
                let element = Neighbourhood::new(form, &radius).unwrap();
                for extreme in EXTREMES {
                    let found = whole(&block, &element, extreme);
                    let expected = naive(&values, &shape, &element, extreme);
                    prop_assert_eq!(found.values::<i16>().unwrap(), expected, "{:?}", element);
                }
            }
        }

        #[test]
        fn a_block_with_its_halo_gives_its_part_of_the_whole(
            (shape, radius, values) in images(),
            block_shape in proptest::array::uniform3(1u64..20),
        ) {
            let ndim = shape.len();
            let image = Array::from_values(&shape, &values).unwrap();
            let grid = Grid::new(Region::whole(&shape), &block_shape[..ndim]).unwrap();
            let grid = grid.with_halo(&radius).unwrap();
            for form in SHAPES {
                let element = Neighbourhood::new(form, &radius).unwrap();
                let expected = whole(&image, &element, Extreme::Greatest);
                let mut pasted = Array::zeros(DType::I16, &shape);
                for id in 0..grid.len() {
                    let block = grid.block(id).unwrap();
                    let mut outer = Array::zeros(DType::I16, &block.outer.shape);
                    outer.paste(&vec![0; ndim], &image, &block.outer).unwrap();
                    let inner = block.inner_in_outer();
                    let part = element.extreme(&outer, &inner, Extreme::Greatest).unwrap();
                    pasted.paste(&block.inner.start, &part, &Region::whole(part.shape())).unwrap();
                }
                prop_assert_eq!(&pasted, &expected);
            }
        }
    }

    #[test]
    fn neighbourhoods_are_what_spreads_from_one_voxel() {
        let mut dot = Array::zeros(DType::Bool, &[5, 7]);
        dot.bytes_mut()[2 * 7 + 3] = 1;
        let spread = |shape| {
            let element = Neighbourhood::new(shape, &[2, 3]).unwrap();
            let found = whole(&dot, &element, Extreme::Greatest);
            found
                .values::<bool>()
                .unwrap()
                .chunks(7)
                .map(|row| row.iter().filter(|v| **v).count())
                .collect::<Vec<_>>()
        };
        assert_eq!(spread(Shape::Box), [7, 7, 7, 7, 7]);
        assert_eq!(spread(Shape::Ball), [1, 5, 7, 5, 1]);
        assert_eq!(spread(Shape::Cross), [1, 1, 7, 1, 1]);
    }

    #[test]
    fn nan_wins_and_zeros_have_an_order() {
        let values = [1.0, f64::NAN, 2.0, 3.0, -0.0, 0.0, 4.0, f64::INFINITY];
        let block = Array::from_values(&[8], &values).unwrap();
        for shape in SHAPES {
            let element = Neighbourhood::new(shape, &[1]).unwrap();
            let bits = |extreme| {
                let found = whole(&block, &element, extreme);
                let text = |v: &f64| format!("{v}");
                found.values::<f64>().unwrap().iter().map(text).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(bits(Extreme::Least), "NaN NaN NaN -0 -0 -0 0 4");
            assert_eq!(bits(Extreme::Greatest), "NaN NaN NaN 3 3 4 inf inf");
        }
    }

    #[test]
    fn every_dtype_has_extremes_and_differences() {
        let values = [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0];
        let reference = Array::from_values::<f64>(&[7], &values).unwrap();
        for dtype in DType::ALL {
            let block = reference.cast(dtype, crate::array::Cast::Checked).unwrap();
            let element = Neighbourhood::new(Shape::Ball, &[1]).unwrap();
            let least = whole(&block, &element, Extreme::Least);
            let opened = whole(&least, &element, Extreme::Greatest);
            let left = difference(&block, &opened).unwrap().cast(DType::U8, Default::default());
            assert_eq!(left.unwrap().values::<u8>().unwrap(), [1, 0, 0, 0, 0, 0, 0], "{dtype}");
        }
    }

    #[test]
    fn radii_beyond_all_bounds_are_cut_or_refused() {
        let block = Array::from_values::<u8>(&[2, 3], &[5, 4, 3, 2, 1, 9]).unwrap();
        for (shape, radius) in [(Shape::Box, 1 << 32), (Shape::Ball, 1 << 30)] {
            let element = Neighbourhood::new(shape, &[radius, radius]).unwrap();
            assert_eq!(whole(&block, &element, Extreme::Least).values::<u8>().unwrap(), [1; 6]);
        }
        for (shape, radius) in [(Shape::Box, u64::MAX), (Shape::Ball, 1 << 32)] {
            let error = Neighbourhood::new(shape, &[radius, radius]).unwrap_err();
            assert!(error.message.contains("too large"), "{}", error.message);
        }
    }
}
