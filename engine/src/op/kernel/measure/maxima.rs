//! Local maxima: voxels that are the highest of their surroundings.

use super::keys::Key;
use super::rows::LabelMap;
use crate::array::{Array, Scalar};
use crate::dispatch;
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::{Region, ravel, unravel};
use crate::op::kernel::{Voxel, is_nan};
use multiversion::multiversion;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// What is found in some blocks: their extremes, and the voxels of an image that none near exceeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// The extents of the image.
    shape: Vec<u64>,
    dtype: DType,
    /// Keys of the lowest and the highest value.
    extremes: Option<(u64, u64)>,
    runs: Vec<Run>,
}

/// Maxima of one value that are one behind the other in C order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    key: u64,
    /// The number of the first one among the voxels of the image.
    first: u64,
    len: u64,
}

/// Maxima, the highest first, equal ones in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Maxima {
    /// The coordinates of each: as many values as there are axes.
    pub places: Vec<i64>,
    /// The value of each.
    pub values: Array,
}

impl Partial {
    /// The extremes of a block of an image of some shape, in the voxels that a mask does not exclude.
    ///
    /// # Errors
    /// `corrupt-data` for a `bool` that is neither 0 nor 1.
    pub fn extremes_of(block: &Array, mask: Option<&[bool]>, shape: &[u64]) -> Result<Partial> {
        let extremes = dispatch!(block.dtype(), T => {
            let values = block.values::<T>()?;
            let found = match mask {
                None => extremes(values),
                Some(mask) => {
                    let counted = values.iter().zip(mask).filter(|(_, counts)| **counts);
                    extremes(&counted.map(|(value, _)| *value).collect::<Vec<T>>())
                }
            };
            found.map(|[low, high]| (low.key(), high.key()))
        });
        Ok(Partial { shape: shape.to_vec(), dtype: block.dtype(), extremes, runs: Vec::new() })
    }

    /// Adds the voxels of a part of the block that exceed a threshold and that none within
    /// `min_distance` along all axes exceeds, but not those within `min_distance` of the block's
    /// border. The mask is of that part.
    ///
    /// Takes a copy of the block, and 8 bytes for each voxel that is found.
    ///
    /// # Errors
    /// As [`Partial::extremes_of`].
    pub fn with_candidates(
        mut self,
        block: &Array,
        mask: Option<&[bool]>,
        place: Place,
        min_distance: u64,
        threshold: Scalar,
    ) -> Result<Partial> {
        let (shape, extremes) = (block.shape(), self.extremes);
        dispatch!(block.dtype(), T => {
            let values = block.values::<T>()?;
            let mut row = Row::default();
            let Some((low, _)) = extremes else { return Ok(self) };
            let low = T::of_key(low);
            for voxel in candidates(values, shape, min_distance, threshold, low) {
                let found = place.of(voxel as u64, shape, &self.shape, &mut row);
                let Some((first, inner)) = found else { continue };
                if mask.is_some_and(|mask| !mask[inner as usize]) {
                    continue;
                }
                let key = values[voxel].key();
                match self.runs.last_mut() {
                    Some(run) if run.key == key && run.first + run.len == first => run.len += 1,
                    _ => self.runs.push(Run { key, first, len: 1 }),
                }
            }
        });
        Ok(self)
    }

    /// Takes in what was found in another block.
    pub fn merge(&mut self, other: Partial) {
        self.extremes = match (self.extremes, other.extremes) {
            (Some((low, high)), Some((other_low, other_high))) => {
                Some((low.min(other_low), high.max(other_high)))
            }
            (one, other) => one.or(other),
        };
        self.runs.extend(other.runs);
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// What maxima must exceed: `absolute`, or the lowest value without one, and at least `relative`
    /// of the highest value; none where no voxel is a number.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn threshold(&self, absolute: Option<f64>, relative: Option<f64>) -> Option<Scalar> {
        let (low, high) = self.extremes?;
        let found = dispatch!(self.dtype, T => {
            threshold([T::of_key(low), T::of_key(high)], absolute, relative)
        });
        Some(found)
    }

    /// The maxima of the image; none of a level one, unless `min_distance` is 0. From a `min_distance`
    /// of 2 on, a maximum that is nearer than that to one before it is left out.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn finish(mut self, min_distance: u64) -> Result<Maxima> {
        if min_distance > 0 && self.extremes.is_none_or(|(low, high)| low == high) {
            self.runs.clear();
        }
        self.runs.sort_unstable_by_key(|run| (Reverse(run.key), run.first));
        let mut taken = (min_distance > 1).then(|| Taken::new(&self.shape, min_distance));
        let (mut places, mut keys) = (Vec::new(), Vec::new());
        for run in self.runs {
            for voxel in run.first..run.first + run.len {
                let place = unravel(voxel, &self.shape);
                if taken.as_mut().is_none_or(|taken| taken.take(&place)) {
                    places.extend(place.iter().map(|&at| at as i64));
                    keys.push(run.key);
                }
            }
        }
        let shape = [keys.len() as u64];
        let values = dispatch!(self.dtype, T => {
            let values: Vec<T> = keys.into_iter().map(T::of_key).collect();
            Array::from_values(&shape, &values)
        });
        Ok(Maxima { places, values: values? })
    }
}

/// Where a block lies in an image.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The part of the block whose voxels are looked for.
    pub inner: &'a Region,
    /// The block's first voxel in the image.
    pub start: &'a [u64],
}

impl Place<'_> {
    /// The numbers of a block's voxel in the image and in the inner region, if it lies there; `row` is
    /// kept from voxel to voxel.
    fn of(&self, voxel: u64, shape: &[u64], image: &[u64], row: &mut Row) -> Option<(u64, u64)> {
        let (&width, others) = shape.split_last()?;
        if row.number != Some(voxel / width) {
            *row = Row { number: Some(voxel / width), ..Row::default() };
            let mut at = unravel(voxel / width, others);
            at.push(0);
            let whole: Vec<u64> = at.iter().zip(self.start).map(|(at, start)| at + start).collect();
            row.first = ravel(&whole, image);
            let inner: Option<Vec<u64>> = at[..others.len()]
                .iter()
                .zip(&self.inner.start)
                .zip(&self.inner.shape)
                .map(|((at, start), extent)| at.checked_sub(*start).filter(|at| at < extent))
                .collect();
            row.inner = inner.map(|inner| ravel(&inner, &self.inner.shape));
        }
        let (start, extent) = (self.inner.start.last()?, self.inner.shape.last()?);
        let at = (voxel % width).checked_sub(*start).filter(|at| at < extent)?;
        Some((row.first + voxel % width, row.inner? * extent + at))
    }
}

/// Where a row of a block lies.
#[derive(Default)]
struct Row {
    number: Option<u64>,
    /// The number of its first voxel in the image.
    first: u64,
    /// The number of the row in the inner region, if it lies there.
    inner: Option<u64>,
}

/// The lowest and the highest value, leaving out what is not a number.
fn extremes<T: Voxel>(values: &[T]) -> Option<[T; 2]> {
    let first = values.iter().position(|&value| !is_nan(value))?;
    Some(extremes_from(values, values[first]))
}

/// Values that are looked at side by side.
const LANES: usize = 16;

#[multiversion(targets("x86_64+avx2"))]
fn extremes_from<T: Voxel>(values: &[T], first: T) -> [T; 2] {
    // Of two values of which one is not a number, neither is lower or higher.
    let (mut low, mut high) = ([first; LANES], [first; LANES]);
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied();
    for values in chunks {
        for lane in 0..LANES {
            let value = values[lane];
            low[lane] = if value < low[lane] { value } else { low[lane] };
            high[lane] = if value > high[lane] { value } else { high[lane] };
        }
    }
    let lower = |a: T, b: T| if b < a { b } else { a };
    let higher = |a: T, b: T| if b > a { b } else { a };
    [
        low.into_iter().chain(rest.clone()).fold(first, lower),
        high.into_iter().chain(rest).fold(first, higher),
    ]
}

/// What maxima must exceed: `absolute`, or the lowest value without one, and at least `relative` of
/// the highest value. Of `f32` images it is rounded to single precision.
fn threshold<T: Voxel>(
    [low, high]: [T; 2],
    absolute: Option<f64>,
    relative: Option<f64>,
) -> Scalar {
    let single = T::DTYPE == DType::F32;
    let round = |value: f64| if single { f64::from(value as f32) } else { value };
    let absolute = absolute.map_or(low.widen(), |value| Scalar::Float(round(value)));
    // The product of two singles is exact in double precision, and rounded once.
    let relative = relative.map(|relative| round(round(relative) * high.to_f64()));
    match relative.filter(|&relative| relative > absolute.as_f64()) {
        Some(relative) => Scalar::Float(relative),
        None => absolute,
    }
}

/// The voxels of a C-order block that exceed a threshold and that none within `min_distance` along all
/// axes exceeds, in C order; those within `min_distance` of the block's border are left out. With 0,
/// these are all that exceed the threshold. None is lower than `low`.
fn candidates<T: Voxel>(
    values: &[T],
    shape: &[u64],
    min_distance: u64,
    threshold: Scalar,
    low: T,
) -> Vec<usize> {
    let exceeds = |value: T| match (value.widen(), threshold) {
        (Scalar::Integer(value), Scalar::Integer(threshold)) => value > threshold,
        (value, threshold) => value.as_f64() > threshold.as_f64(),
    };
    if min_distance == 0 {
        return (0..values.len()).filter(|&voxel| exceeds(values[voxel])).collect();
    }
    let is_outside = |extent: &u64| extent.saturating_sub(min_distance) <= min_distance;
    if shape.iter().any(is_outside) {
        return Vec::new();
    }
    // What is not a number is not higher than the lowest, either.
    let mut highest: Vec<T> =
        values.iter().map(|&value| if value > low { value } else { low }).collect();
    for axis in 0..shape.len() {
        let inner = shape[axis + 1..].iter().product::<u64>() as usize;
        Window::new(shape[axis] as usize, min_distance as usize).widen(&mut highest, inner, low);
    }
    let Some((&width, others)) = shape.split_last() else { return Vec::new() };
    let (width, border) = (width as usize, min_distance as usize);
    let mut found = Vec::new();
    for row in 0..values.len() / width {
        let place = unravel(row as u64, others);
        let is_inside =
            |axis: usize| (min_distance..others[axis] - min_distance).contains(&place[axis]);
        if (0..others.len()).all(is_inside) {
            let inside = row * width + border..(row + 1) * width - border;
            found.extend(
                inside.filter(|&voxel| values[voxel] == highest[voxel] && exceeds(values[voxel])),
            );
        }
    }
    found
}

/// Columns that are worked on together.
const TILE: usize = 64;

/// The highest values within a distance along an axis: those of windows twice as long are found from
/// pairs of windows.
struct Window<T> {
    extent: usize,
    distance: usize,
    windows: Vec<T>,
    longer: Vec<T>,
}

impl<T: Voxel> Window<T> {
    fn new(extent: usize, distance: usize) -> Window<T> {
        Window { extent, distance, windows: Vec::new(), longer: Vec::new() }
    }

    fn widen(&mut self, values: &mut [T], inner: usize, low: T) {
        for slab in values.chunks_exact_mut(self.extent * inner) {
            for first in (0..inner).step_by(TILE) {
                self.tile(slab, inner, first..inner.min(first + TILE), low);
            }
        }
    }

    fn tile(&mut self, slab: &mut [T], inner: usize, columns: std::ops::Range<usize>, low: T) {
        let width = columns.len();
        let (margin, whole) = (self.distance * width, 2 * self.distance + 1);
        self.windows.clear();
        self.windows.resize(margin, low);
        for row in slab.chunks_exact(inner) {
            self.windows.extend_from_slice(&row[columns.clone()]);
        }
        self.windows.resize(self.windows.len() + margin, low);
        let mut len = 1;
        while 2 * len <= whole {
            self.longer.resize(self.windows.len() - len * width, low);
            higher_of(&self.windows, &self.windows[len * width..], &mut self.longer);
            std::mem::swap(&mut self.windows, &mut self.longer);
            len *= 2;
        }
        self.longer.resize(self.extent * width, low);
        let last = &self.windows[(whole - len) * width..];
        higher_of(&self.windows, last, &mut self.longer);
        for (row, highest) in slab.chunks_exact_mut(inner).zip(self.longer.chunks_exact(width)) {
            row[columns.clone()].copy_from_slice(highest);
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn higher_of<T: Copy + PartialOrd>(a: &[T], b: &[T], to: &mut [T]) {
    for ((to, &a), &b) in to.iter_mut().zip(a).zip(b) {
        *to = if a > b { a } else { b };
    }
}

/// Maxima that keep others away.
///
/// Space is cut into cells as wide as the distance, so that a cell has one maximum at most.
struct Taken {
    distance: u64,
    cells: Vec<u64>,
    /// The steps from a cell to its neighbours and itself.
    steps: Vec<Vec<u64>>,
    /// Where the coordinates of a cell's maximum are in `places`.
    slots: LabelMap<u64>,
    places: Vec<u64>,
}

impl Taken {
    fn new(shape: &[u64], distance: u64) -> Taken {
        // One more on each side, so that every cell has neighbours.
        let cells = shape.iter().map(|extent| extent / distance + 3).collect();
        let three = vec![3; shape.len()];
        let steps = (0..3u64.pow(shape.len() as u32)).map(|step| unravel(step, &three)).collect();
        Taken { distance, cells, steps, slots: LabelMap::default(), places: Vec::new() }
    }

    /// Takes a place if it is not nearer to another than the distance.
    fn take(&mut self, place: &[u64]) -> bool {
        let cell = |step: &[u64]| {
            let axes = place.iter().zip(step).zip(&self.cells);
            axes.fold(0, |cell, ((at, step), cells)| cell * cells + at / self.distance + step)
        };
        let is_near = |slot: &usize| {
            let other = &self.places[slot * place.len()..][..place.len()];
            place.iter().zip(other).all(|(a, b)| a.abs_diff(*b) < self.distance)
        };
        if self.steps.iter().any(|step| self.slots.get(&cell(step)).is_some_and(is_near)) {
            return false;
        }
        let own = cell(&vec![1; place.len()]);
        self.slots.insert(own, self.places.len() / place.len().max(1));
        self.places.extend_from_slice(place);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The maxima of a block that is the whole image.
    fn of_whole<T: Voxel>(values: &[T], shape: &[u64], distance: u64, threshold: Scalar) -> Maxima {
        let block = Array::from_values(shape, values).unwrap();
        let inner = Region::whole(shape);
        let place = Place { inner: &inner, start: &vec![0; shape.len()] };
        let found = Partial::extremes_of(&block, None, shape).unwrap();
        let found = found.with_candidates(&block, None, place, distance, threshold).unwrap();
        found.finish(distance).unwrap()
    }

    /// The same, said plainly.
    fn plain(values: &[i32], shape: &[u64], distance: u64, threshold: i32) -> Vec<Vec<u64>> {
        let places: Vec<Vec<u64>> =
            (0..values.len()).map(|voxel| unravel(voxel as u64, shape)).collect();
        let apart = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max();
        let level = values.iter().all(|value| *value == values[0]);
        let mut found: Vec<usize> = (0..values.len())
            .filter(|&voxel| {
                let inside = places[voxel]
                    .iter()
                    .zip(shape)
                    .all(|(&at, &extent)| at >= distance && at + distance < extent);
                let top = (0..values.len()).all(|other| {
                    apart(&places[voxel], &places[other]) > Some(distance)
                        || values[other] <= values[voxel]
                });
                inside && values[voxel] > threshold && (distance == 0 || (top && !level))
            })
            .collect();
        found.sort_by_key(|&voxel| std::cmp::Reverse(values[voxel]));
        let mut kept: Vec<Vec<u64>> = Vec::new();
        for voxel in found {
            let near = |other: &Vec<u64>| apart(other, &places[voxel]) < Some(distance);
            if distance < 2 || !kept.iter().any(near) {
                kept.push(places[voxel].clone());
            }
        }
        kept
    }

    proptest! {
        #[test]
        fn maxima_are_those_of_plain_words(
            (shape, values) in prop::collection::vec(0u64..=11, 1..=3).prop_flat_map(|shape| {
                let voxels = shape.iter().product::<u64>() as usize;
                let value = prop_oneof![-2..3i32, -100..100i32];
                (Just(shape), prop::collection::vec(value, voxels))
            }),
            distance in 0u64..=4,
            threshold in -3i32..3,
        ) {
            let scalar = Scalar::Integer(i128::from(threshold));
            let expected = plain(&values, &shape, distance, threshold);
            let expected: Vec<i64> = expected.iter().flatten().map(|&at| at as i64).collect();
            prop_assert_eq!(of_whole(&values, &shape, distance, scalar).places, expected);
        }
    }

    #[test]
    fn thresholds_are_the_higher_of_both_and_the_lowest_value_without() {
        assert_eq!(threshold([2u8, 200], None, None), Scalar::Integer(2));
        assert_eq!(threshold([2u8, 200], Some(7.5), None), Scalar::Float(7.5));
        assert_eq!(threshold([2u8, 200], Some(7.5), Some(0.5)), Scalar::Float(100.0));
        assert_eq!(threshold([2u8, 200], Some(150.0), Some(0.5)), Scalar::Float(150.0));
        assert_eq!(threshold([0.0f32, 1.0], Some(0.1), None), Scalar::Float(f64::from(0.1f32)));
        let high = u64::MAX - 1;
        let found = of_whole(&[high, high + 1, high], &[3], 1, threshold([high; 2], None, None));
        assert_eq!(found.places, [1]);
        assert_eq!(found.values.values::<u64>().unwrap(), [u64::MAX]);
    }

    #[test]
    fn what_is_not_a_number_is_no_maximum_and_hides_none() {
        let values = [0.0f32, f32::NAN, 3.0, f32::NAN, 1.0, f32::INFINITY, 0.0];
        assert_eq!(extremes(&values), Some([0.0, f32::INFINITY]));
        let found = of_whole(&values, &[7], 1, Scalar::Float(0.0));
        assert_eq!(found.places, [5, 2]);
        assert_eq!(found.values.values::<f32>().unwrap(), [f32::INFINITY, 3.0]);
        let none = Array::from_values(&[5], &[f64::NAN; 5]).unwrap();
        let none = Partial::extremes_of(&none, None, &[5]).unwrap();
        assert_eq!(none.threshold(None, None), None);
    }
}
