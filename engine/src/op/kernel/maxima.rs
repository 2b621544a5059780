//! Local maxima: voxels that are the highest of their surroundings.

use super::Voxel;
use crate::array::{Array, Scalar};
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::{ravel, unravel};
use std::cmp::Ordering;
use std::collections::HashMap;

/// The lowest and the highest value, leaving out what is not a number.
pub fn extremes<T: Voxel>(values: &[T]) -> Option<[T; 2]> {
    let mut numbers = values.iter().copied().filter(|&value| is_number(value));
    let first = numbers.next()?;
    Some(numbers.fold([first, first], |[low, high], value| {
        [if value < low { value } else { low }, if value > high { value } else { high }]
    }))
}

fn is_number<T: PartialOrd>(value: T) -> bool {
    value.partial_cmp(&value).is_some()
}

/// What maxima must exceed: `absolute`, or the lowest value without one, and at least `relative` of
/// the highest value. Of `f32` images it is rounded to single precision.
pub fn threshold<T: Voxel>(
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

/// Finds the voxels of a C-order block that exceed a threshold and that none within `min_distance`
/// along all axes exceeds, and gives their coordinates as an array of `int64` with one row for each:
/// the highest first, equal ones in C order.
///
/// Voxels within `min_distance` of the block's border are left out. From a `min_distance` of 2 on, a
/// maximum that is nearer than that to an earlier one is left out as well; with 1, all voxels of a
/// level top are maxima, and with 0, all that exceed the threshold. A block of one value has none.
///
/// Takes a copy of the values, and 8 bytes for each coordinate.
///
/// ```
/// use bioimage_engine::array::Scalar;
/// use bioimage_engine::op::kernel::maxima::local_maxima;
/// let values = [0u8, 5, 1, 0, 9, 0, 3];
/// let found = local_maxima(&values, &[7], 1, Scalar::Integer(0))?;
/// assert_eq!((found.shape(), found.values::<i64>()?), (&[2, 1][..], &[4, 1][..]));
/// # Ok::<(), bioimage_engine::Error>(())
/// ```
///
/// # Errors
/// None that a caller can cause.
pub fn local_maxima<T: Voxel>(
    values: &[T],
    shape: &[u64],
    min_distance: u64,
    threshold: Scalar,
) -> Result<Array> {
    let mut peaks = candidates(values, shape, min_distance, threshold);
    peaks.sort_by(|&a, &b| values[b].partial_cmp(&values[a]).unwrap_or(Ordering::Equal));
    let mut places: Vec<Vec<u64>> =
        peaks.iter().map(|&voxel| unravel(voxel as u64, shape)).collect();
    if min_distance > 1 {
        let mut taken = Taken::new(shape, min_distance);
        places.retain(|place| taken.take(place));
    }
    let coordinates: Vec<i64> = places.iter().flatten().map(|&at| at as i64).collect();
    Array::from_values(&[places.len() as u64, shape.len() as u64], &coordinates)
}

/// The maxima in C order, near ones included.
fn candidates<T: Voxel>(
    values: &[T],
    shape: &[u64],
    min_distance: u64,
    threshold: Scalar,
) -> Vec<usize> {
    let Some([low, high]) = extremes(values) else { return Vec::new() };
    let exceeds = |value: T| match (value.widen(), threshold) {
        (Scalar::Integer(value), Scalar::Integer(threshold)) => value > threshold,
        (value, threshold) => value.as_f64() > threshold.as_f64(),
    };
    if min_distance == 0 {
        return (0..values.len()).filter(|&voxel| exceeds(values[voxel])).collect();
    }
    let is_outside = |extent: &u64| extent.saturating_sub(min_distance) <= min_distance;
    if low == high || shape.iter().any(is_outside) {
        return Vec::new();
    }
    let numbers = values.iter().map(|&value| if is_number(value) { value } else { low });
    let mut highest: Vec<T> = numbers.collect();
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

/// The highest values within a distance along an axis, with three comparisons a voxel whatever the
/// distance: windows are made of the end of a part and the beginning of the next, where parts are as
/// long as windows.
struct Window<T> {
    extent: usize,
    distance: usize,
    /// The highest from the beginning of a part on, and up to its end.
    beginnings: Vec<T>,
    ends: Vec<T>,
}

impl<T: Voxel> Window<T> {
    fn new(extent: usize, distance: usize) -> Window<T> {
        Window { extent, distance, beginnings: Vec::new(), ends: Vec::new() }
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
        let part = (2 * self.distance + 1) * width;
        let margin = self.distance * width;
        self.beginnings.clear();
        self.beginnings.resize(margin, low);
        for row in slab.chunks_exact(inner) {
            self.beginnings.extend_from_slice(&row[columns.clone()]);
        }
        self.beginnings.resize(self.beginnings.len() + margin, low);
        self.ends.clear();
        self.ends.extend_from_slice(&self.beginnings);
        for part in self.beginnings.chunks_mut(part) {
            for at in width..part.len() {
                part[at] = higher(part[at], part[at - width]);
            }
        }
        for part in self.ends.chunks_mut(part) {
            for at in (0..part.len() - width).rev() {
                part[at] = higher(part[at], part[at + width]);
            }
        }
        let windows =
            self.ends.chunks_exact(width).zip(self.beginnings[2 * margin..].chunks_exact(width));
        for (row, (end, beginning)) in slab.chunks_exact_mut(inner).zip(windows) {
            for ((out, &a), &b) in row[columns.clone()].iter_mut().zip(end).zip(beginning) {
                *out = higher(a, b);
            }
        }
    }
}

#[inline(always)]
fn higher<T: PartialOrd>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

/// Maxima that keep others away.
///
/// Space is cut into cells as wide as the distance, so that a cell has one maximum at most.
struct Taken {
    distance: u64,
    cells: Vec<u64>,
    places: HashMap<u64, Vec<u64>>,
}

impl Taken {
    fn new(shape: &[u64], distance: u64) -> Taken {
        // One more on each side, so that every cell has neighbours.
        let cells = shape.iter().map(|extent| extent / distance + 3).collect();
        Taken { distance, cells, places: HashMap::new() }
    }

    /// Takes a place if it is not nearer to another than the distance.
    fn take(&mut self, place: &[u64]) -> bool {
        let ndim = place.len() as u32;
        for neighbour in 0..3u64.pow(ndim) {
            let steps = unravel(neighbour, &vec![3; place.len()]);
            let cell: Vec<u64> =
                place.iter().zip(&steps).map(|(at, step)| at / self.distance + step).collect();
            let is_near = |other: &Vec<u64>| {
                place.iter().zip(other).all(|(a, b)| a.abs_diff(*b) < self.distance)
            };
            if self.places.get(&ravel(&cell, &self.cells)).is_some_and(is_near) {
                return false;
            }
        }
        let cell: Vec<u64> = place.iter().map(|at| at / self.distance + 1).collect();
        self.places.insert(ravel(&cell, &self.cells), place.to_vec());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            let found = local_maxima(&values, &shape, distance, scalar).unwrap();
            let expected = plain(&values, &shape, distance, threshold);
            prop_assert_eq!(found.shape(), [expected.len() as u64, shape.len() as u64]);
            let expected: Vec<i64> = expected.iter().flatten().map(|&at| at as i64).collect();
            prop_assert_eq!(found.values::<i64>().unwrap(), expected);
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
        let found =
            local_maxima(&[high, high + 1, high], &[3], 1, threshold([high; 2], None, None));
        assert_eq!(found.unwrap().values::<i64>().unwrap(), [1]);
    }

    #[test]
    fn what_is_not_a_number_is_no_maximum_and_hides_none() {
        let values = [0.0f32, f32::NAN, 3.0, f32::NAN, 1.0, f32::INFINITY, 0.0];
        assert_eq!(extremes(&values), Some([0.0, f32::INFINITY]));
        assert_eq!(extremes(&[f64::NAN]), None);
        let found = local_maxima(&values, &[7], 1, Scalar::Float(0.0)).unwrap();
        assert_eq!(found.values::<i64>().unwrap(), [5, 2]);
        let none = local_maxima(&[f64::NAN; 5], &[5], 1, Scalar::Float(0.0)).unwrap();
        assert_eq!(none.shape(), [0, 1]);
    }
}
