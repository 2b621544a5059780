//! Exact Euclidean distances of non-zero voxels to the nearest zero, axis by axis.

use super::components::{WORD, bits_where, places};
use crate::array::strides;
use crate::dtype::Element;
use crate::error::{Error, Result};
use num_traits::Float;

/// The distance of each voxel of a C-order block to the nearest zero, 0 for a zero, with `sampling` as
/// the extents of a voxel.
///
/// Where there is no zero, the voxel before the first one along the first axis, and first along all
/// others, is taken for one.
///
/// Takes 4 bytes a voxel if voxels are as long as wide and the block's diagonal is shorter than 4096
/// voxels, and 12 otherwise.
///
/// ```
/// use bioimage_engine::op::kernel::distance::distances;
/// let mask = [1u8, 1, 1, 0, 1, 1];
/// assert_eq!(distances(&mask, &[6], &[0.5])?, [1.5, 1.0, 0.5, 0.0, 0.5, 1.0]);
/// # Ok::<(), bioimage_engine::Error>(())
/// ```
///
/// # Errors
/// `invalid-argument` for a sampling that has another number of axes, or is not positive and finite.
pub fn distances<T: Element>(values: &[T], shape: &[u64], sampling: &[f64]) -> Result<Vec<f32>> {
    check_sampling(sampling, shape.len())?;
    if is_without_zero(values) {
        return Ok(to_virtual_voxel(values.len(), shape, sampling));
    }
    let longest: u64 = shape.iter().map(|extent| (extent - 1).saturating_pow(2)).sum();
    let first = sampling.first().copied().unwrap_or(1.0);
    // Single precision holds all these integers.
    if longest <= 1 << f32::MANTISSA_DIGITS && sampling.iter().all(|&extent| extent == first) {
        let mut squared = squared_distances::<T, f32>(values, shape, &vec![1.0; shape.len()]);
        for distance in &mut squared {
            *distance = if first == 1.0 {
                distance.sqrt()
            } else {
                (f64::from(*distance) * (first * first)).sqrt() as f32
            };
        }
        return Ok(squared);
    }
    let squared = squared_distances::<T, f64>(values, shape, sampling);
    Ok(squared.into_iter().map(|distance| distance.sqrt() as f32).collect())
}

/// The distances and, for each axis in turn, the coordinates of the nearest zero: `shape.len()`
/// arrays of the block's shape, one after the other.
///
/// Of several nearest zeros the one with the lowest coordinate along the last axis is taken, and
/// among these the lowest along the one before. Where there is no zero, coordinates are those of the
/// voxel that [`distances`] takes for one: -1, 0, and so on.
///
/// Takes 12 bytes a voxel and 4 for each axis.
///
/// # Errors
/// As [`distances`], and `invalid-argument` for an extent of more than 2^31 voxels.
pub fn distances_and_indices<T: Element>(
    values: &[T],
    shape: &[u64],
    sampling: &[f64],
) -> Result<(Vec<f32>, Vec<i32>)> {
    check_sampling(sampling, shape.len())?;
    if let Some(extent) = shape.iter().find(|&&extent| extent > i32::MAX as u64) {
        return Err(Error::argument(format!("{extent} voxels are too many for indices of int32"))
            .fix("Use a smaller block shape."));
    }
    let mut indices = vec![0; values.len() * shape.len()];
    if is_without_zero(values) {
        let first = values.len().min(indices.len());
        indices[..first].fill(-1);
        return Ok((to_virtual_voxel(values.len(), shape, sampling), indices));
    }
    let mut squared: Vec<f64> = values
        .iter()
        .map(|value| if *value == T::default() { 0.0 } else { f64::INFINITY })
        .collect();
    for axis in 0..shape.len() {
        let before = axis * values.len();
        let (earlier, own) = indices.split_at_mut(before);
        let nearest = Nearest {
            voxels: values.len(),
            extent: shape[axis] as usize,
            inner: shape[axis + 1..].iter().product::<u64>() as usize,
            weight: sampling[axis] * sampling[axis],
        };
        nearest.search(&mut squared, earlier, &mut own[..values.len()]);
    }
    Ok((squared.into_iter().map(|distance| distance.sqrt() as f32).collect(), indices))
}

fn check_sampling(sampling: &[f64], ndim: usize) -> Result<()> {
    if sampling.len() != ndim {
        return Err(Error::argument(format!(
            "sampling has {} values, the array {ndim} axes",
            sampling.len()
        ))
        .fix("Give one extent for each axis of the array."));
    }
    match sampling.iter().find(|extent| !(extent.is_finite() && **extent > 0.0)) {
        None => Ok(()),
        Some(extent) => {
            Err(Error::argument(format!("sampling must be positive and finite, got {extent}"))
                .fix("Give the extents of a voxel, such as 1."))
        }
    }
}

fn is_without_zero<T: Element>(values: &[T]) -> bool {
    values.iter().all(|value| *value != T::default())
}

fn to_virtual_voxel(voxels: usize, shape: &[u64], sampling: &[f64]) -> Vec<f32> {
    let strides = strides(shape);
    let distance = |voxel: usize| {
        let along = |axis: usize| {
            let at = voxel as u64 / strides[axis] % shape[axis] + u64::from(axis == 0);
            (at as f64 * sampling[axis]).powi(2)
        };
        (0..shape.len()).map(along).sum::<f64>().sqrt() as f32
    };
    (0..voxels).map(distance).collect()
}

/// Squared distances without the zeros that they lead to.
fn squared_distances<T: Element, F: Float>(
    values: &[T],
    shape: &[u64],
    sampling: &[f64],
) -> Vec<F> {
    let mut squared = vec![F::zero(); values.len()];
    let Some((&width, others)) = shape.split_last() else { return squared };
    let squares = |extent: u64, sampling: f64| -> Vec<F> {
        let square = |n: u64| (n as f64 * sampling).powi(2);
        (0..=extent + 1).map(|n| F::from(square(n)).unwrap_or_else(F::infinity)).collect()
    };
    let width = width as usize;
    let mut rows = Rows::new(width, squares(width as u64, sampling[others.len()]));
    for (line, squared) in values.chunks_exact(width).zip(squared.chunks_exact_mut(width)) {
        rows.fill(line, squared);
    }
    for axis in (0..others.len()).rev() {
        let inner = shape[axis + 1..].iter().product::<u64>() as usize;
        let mut columns = Columns::new(
            shape[axis] as usize,
            squares(shape[axis], sampling[axis]),
            sampling[axis],
        );
        columns.widen(&mut squared, inner);
    }
    squared
}

/// Distances along the last axis: to the nearer end of each run of non-zero voxels.
struct Rows<F> {
    /// The squares of distances, from 0 to one more than a row's length, and the other way round.
    squares: Vec<F>,
    falling: Vec<F>,
    starts: Vec<u64>,
    ends: Vec<u64>,
}

impl<F: Float> Rows<F> {
    fn new(width: usize, squares: Vec<F>) -> Rows<F> {
        let words = width.div_ceil(WORD);
        let falling = squares.iter().rev().copied().collect();
        Rows { squares, falling, starts: vec![0; words], ends: vec![0; words] }
    }

    fn fill<T: Element>(&mut self, line: &[T], squared: &mut [F]) {
        let mut last = 0;
        for (word, part) in line.chunks(WORD).enumerate() {
            let foreground = bits_where(part, part, |value, _| *value != T::default());
            let before = foreground << 1 | last;
            self.starts[word] = foreground & !before;
            self.ends[word] = before & !foreground;
            last = foreground >> (WORD - 1);
        }
        let width = line.len();
        let ends = places(&self.ends).chain(std::iter::once(width));
        for (start, end) in places(&self.starts).zip(ends) {
            let end = end.min(width);
            let run = &mut squared[start..end];
            let len = run.len();
            let rising = match (start > 0, end < width) {
                (true, true) => len.div_ceil(2),
                (true, false) => len,
                (false, true) => 0,
                (false, false) => {
                    run.fill(F::infinity());
                    continue;
                }
            };
            let (up, down) = run.split_at_mut(rising);
            up.copy_from_slice(&self.squares[1..=rising]);
            down.copy_from_slice(&self.falling[width + 1 - down.len()..=width]);
        }
    }
}

/// Columns along an axis that are worked on together, and neighbours in memory.
const TILE: usize = 64;

/// The smaller value; of numbers alone, so that it is one instruction.
#[inline(always)]
fn lower<F: PartialOrd>(a: F, b: F) -> F {
    if a < b { a } else { b }
}

/// Distances along an axis, given squared ones within the axes behind it.
///
/// Most voxels are near to a zero: a row of a tile is compared with its neighbours, further and
/// further away, until none can be nearer. Where that takes too long, the lower envelope of each
/// column's parabolas is made.
struct Columns<F> {
    extent: usize,
    squares: Vec<F>,
    /// The squared extent of a voxel.
    weight: f64,
    tile: Vec<F>,
    line: Vec<f64>,
    envelope: Envelope,
}

/// Neighbours on either side that are looked at before an envelope is cheaper.
const REACH: usize = 64;

impl<F: Float> Columns<F> {
    fn new(extent: usize, squares: Vec<F>, sampling: f64) -> Columns<F> {
        Columns {
            extent,
            squares,
            weight: sampling * sampling,
            tile: Vec::new(),
            line: Vec::new(),
            envelope: Envelope::default(),
        }
    }

    fn widen(&mut self, squared: &mut [F], inner: usize) {
        for slab in squared.chunks_exact_mut((self.extent * inner).max(1)) {
            for first in (0..inner).step_by(TILE) {
                let width = TILE.min(inner - first);
                self.tile.clear();
                for row in slab.chunks_exact(inner) {
                    self.tile.extend_from_slice(&row[first..first + width]);
                }
                let near = slab
                    .chunks_exact_mut(inner)
                    .enumerate()
                    .all(|(at, row)| self.near(at, &mut row[first..first + width]));
                if !near {
                    for column in 0..width {
                        self.far(column, width, &mut slab[first + column..], inner);
                    }
                }
            }
        }
    }

    /// One row of a tile, unless that takes too long.
    fn near(&self, at: usize, out: &mut [F]) -> bool {
        let width = out.len();
        let (before, after) = (at, self.extent - 1 - at);
        let row = |at: usize| &self.tile[at * width..][..width];
        let mut distance = 1;
        while distance <= before.max(after) && self.squares[distance] < highest(out) {
            if distance > REACH {
                return false;
            }
            let (near, far) = (self.squares[distance], self.squares[distance + 1]);
            if distance < before.min(after) {
                let sides = row(at - distance).iter().zip(row(at + distance));
                let further = row(at - distance - 1).iter().zip(row(at + distance + 1));
                for ((out, (a, b)), (c, d)) in out.iter_mut().zip(sides).zip(further) {
                    *out = lower(*out, lower(lower(*a, *b) + near, lower(*c, *d) + far));
                }
            } else {
                for (distance, square) in [(distance, near), (distance + 1, far)] {
                    let above = (distance <= before).then(|| row(at - distance));
                    let below = (distance <= after).then(|| row(at + distance));
                    for side in [above, below].into_iter().flatten() {
                        for (out, side) in out.iter_mut().zip(side) {
                            *out = lower(*out, *side + square);
                        }
                    }
                }
            }
            distance += 2;
        }
        true
    }

    /// A column of a tile, from its parabolas.
    fn far(&mut self, column: usize, width: usize, out: &mut [F], inner: usize) {
        self.line.clear();
        let values = self.tile[column..].iter().step_by(width);
        self.line.extend(values.map(|value| value.to_f64().unwrap_or(f64::INFINITY)));
        self.envelope.fit(&self.line, self.weight);
        let mut lowest = 0;
        for (at, out) in out.iter_mut().step_by(inner).enumerate() {
            if let Some(nearest) = self.envelope.nearest(&mut lowest, at) {
                let square = parabola(self.line[nearest], self.weight, nearest, at);
                *out = F::from(square).unwrap_or_else(F::infinity);
            }
        }
    }
}

/// The highest of some numbers, 0 of none.
fn highest<F: Float>(values: &[F]) -> F {
    let higher = |a: F, b: F| if a > b { a } else { b };
    let mut lanes = [F::zero(); 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        for (lane, value) in lanes.iter_mut().zip(eight) {
            *lane = higher(*lane, *value);
        }
    }
    lanes.iter().chain(rest).fold(F::zero(), |a, &b| higher(a, b))
}

/// The height at one place of the parabola that stands at another.
#[inline(always)]
fn parabola(height: f64, weight: f64, stands: usize, at: usize) -> f64 {
    let distance = at as f64 - stands as f64;
    height + weight * distance * distance
}

/// The parabolas of a line that are the lowest somewhere, from left to right.
#[derive(Default)]
struct Envelope {
    stands: Vec<usize>,
    /// Where each one begins to be the lowest.
    begins: Vec<f64>,
}

impl Envelope {
    /// Finds the parabolas. At a place where two are equally low, the earlier counts.
    fn fit(&mut self, heights: &[f64], weight: f64) {
        self.stands.clear();
        self.begins.clear();
        for (at, &height) in heights.iter().enumerate() {
            if height == f64::INFINITY {
                continue;
            }
            let place = at as f64;
            let own = height + weight * place * place;
            let mut begin = f64::NEG_INFINITY;
            while let (Some(&last), Some(&last_begin)) = (self.stands.last(), self.begins.last()) {
                let last_place = last as f64;
                let other = heights[last] + weight * last_place * last_place;
                begin = (own - other) / (2.0 * weight * (place - last_place));
                if begin > last_begin {
                    break;
                }
                self.stands.pop();
                self.begins.pop();
                begin = f64::NEG_INFINITY;
            }
            self.stands.push(at);
            self.begins.push(begin);
        }
    }

    /// Where the lowest parabola at a place stands, if there are any. Places are asked for from left
    /// to right; `lowest` is kept between.
    #[inline(always)]
    fn nearest(&self, lowest: &mut usize, at: usize) -> Option<usize> {
        while self.begins.get(*lowest + 1).is_some_and(|&begin| begin < at as f64) {
            *lowest += 1;
        }
        self.stands.get(*lowest).copied()
    }
}

/// Distances along an axis with the coordinates of what is nearest.
struct Nearest {
    voxels: usize,
    extent: usize,
    inner: usize,
    weight: f64,
}

/// Columns that are turned into lines at once: as many indices as a cache line holds.
const COLUMNS: usize = 16;

impl Nearest {
    /// Widens squared distances by an axis. `earlier` holds the coordinates along the axes before,
    /// which move along; `own` gets those along this axis.
    fn search(&self, squared: &mut [f64], earlier: &mut [i32], own: &mut [i32]) {
        let (extent, inner) = (self.extent, self.inner);
        let mut envelope = Envelope::default();
        let mut lines = vec![0.0; extent * COLUMNS];
        let mut nearest = vec![0; extent * COLUMNS];
        let mut moved = vec![0; extent * COLUMNS];
        for slab in (0..self.voxels).step_by((extent * inner).max(1)) {
            for first in (0..inner).step_by(COLUMNS) {
                let width = COLUMNS.min(inner - first);
                let row = |at: usize| slab + at * inner + first;
                for at in 0..extent {
                    for column in 0..width {
                        lines[column * extent + at] = squared[row(at) + column];
                    }
                }
                for (line, nearest) in
                    lines.chunks_exact_mut(extent).zip(nearest.chunks_exact_mut(extent)).take(width)
                {
                    envelope.fit(line, self.weight);
                    let mut lowest = 0;
                    for (at, nearest) in nearest.iter_mut().enumerate() {
                        *nearest = envelope.nearest(&mut lowest, at).unwrap_or(at) as i32;
                    }
                }
                for at in 0..extent {
                    for column in 0..width {
                        let line = &lines[column * extent..][..extent];
                        let stands = nearest[column * extent + at];
                        own[row(at) + column] = stands;
                        let stands = stands as usize;
                        squared[row(at) + column] = parabola(line[stands], self.weight, stands, at);
                    }
                }
                for plane in earlier.chunks_exact_mut(self.voxels) {
                    for at in 0..extent {
                        for column in 0..width {
                            moved[column * extent + at] = plane[row(at) + column];
                        }
                    }
                    for at in 0..extent {
                        for column in 0..width {
                            let stands = nearest[column * extent + at] as usize;
                            plane[row(at) + column] = moved[column * extent + stands];
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::unravel;
    use proptest::prelude::*;

    /// The squared distance to every zero, in whole numbers for a voxel of these extents.
    fn squared_to(shape: &[u64], from: usize, to: usize, extents: &[i64]) -> i64 {
        let (from, to) = (unravel(from as u64, shape), unravel(to as u64, shape));
        (0..shape.len())
            .map(|axis| ((from[axis] as i64 - to[axis] as i64) * extents[axis]).pow(2))
            .sum()
    }

    fn masks() -> impl Strategy<Value = (Vec<u64>, Vec<u8>, Vec<i64>)> {
        prop::collection::vec(0u64..=9, 1..=3).prop_flat_map(|shape| {
            let voxels = shape.iter().product::<u64>() as usize;
            let extents = prop::collection::vec(1i64..=4, shape.len());
            (Just(shape), 0u32..=100, extents).prop_flat_map(move |(shape, share, extents)| {
                let voxel = (0u32..100).prop_map(move |luck| u8::from(luck < share));
                (Just(shape), prop::collection::vec(voxel, voxels), Just(extents))
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn distances_and_indices_are_those_of_the_nearest_zero((shape, mask, extents) in masks()) {
            let zeros: Vec<usize> = (0..mask.len()).filter(|&voxel| mask[voxel] == 0).collect();
            for extents in [vec![1; shape.len()], vec![3; shape.len()], extents] {
                let sampling: Vec<f64> = extents.iter().map(|&extent| extent as f64).collect();
                let found = distances(&mask, &shape, &sampling).unwrap();
                let (again, indices) = distances_and_indices(&mask, &shape, &sampling).unwrap();
                prop_assert_eq!(&found, &again);
                for voxel in 0..mask.len() {
                    // Of equally near zeros the first by the last axis, then by the one before.
                    let nearest = zeros.iter().min_by_key(|&&zero| {
                        let mut place = unravel(zero as u64, &shape);
                        place.reverse();
                        (squared_to(&shape, voxel, zero, &extents), place)
                    });
                    let Some(&nearest) = nearest else { continue };
                    let squared = squared_to(&shape, voxel, nearest, &extents);
                    prop_assert_eq!(found[voxel], (squared as f64).sqrt() as f32);
                    for (axis, place) in unravel(nearest as u64, &shape).iter().enumerate() {
                        prop_assert_eq!(indices[axis * mask.len() + voxel], *place as i32);
                    }
                }
            }
        }

        #[test]
        fn far_zeros_are_found_through_envelopes(
            zeros in prop::collection::vec((0usize..300, 0usize..70), 1..4),
            anisotropic in any::<bool>(),
        ) {
            let shape = [300, 70];
            let mut mask = vec![true; 300 * 70];
            zeros.iter().for_each(|(y, x)| mask[y * 70 + x] = false);
            let extents = [1, if anisotropic { 2 } else { 1 }];
            let sampling = extents.map(|extent| extent as f64);
            let found = distances(&mask, &shape, &sampling).unwrap();
            for (voxel, found) in found.iter().enumerate() {
                let squared =
                    zeros.iter().map(|(y, x)| squared_to(&shape, voxel, y * 70 + x, &extents)).min();
                prop_assert_eq!(*found, (squared.unwrap() as f64).sqrt() as f32);
            }
        }
    }

    #[test]
    fn without_a_zero_the_voxel_before_the_first_is_taken() {
        let (found, indices) = distances_and_indices(&[1i64; 6], &[2, 3], &[2.0, 1.0]).unwrap();
        let squared = [4.0, 5.0, 8.0, 16.0, 17.0, 20.0f32];
        assert_eq!(found, squared.map(f32::sqrt));
        assert_eq!(indices, [-1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(distances(&[1i64; 6], &[2, 3], &[2.0, 1.0]).unwrap(), found);
    }

    #[test]
    fn what_is_not_a_number_is_foreground() {
        let values = [f32::NAN, -0.0, f32::INFINITY, 1.0];
        assert_eq!(distances(&values, &[4], &[1.0]).unwrap(), [1.0, 0.0, 1.0, 2.0]);
    }

    #[test]
    fn impossible_samplings_are_refused() {
        for sampling in [&[1.0][..], &[1.0, 0.0], &[f64::NAN, 1.0], &[1.0, f64::INFINITY]] {
            assert!(distances(&[0u8], &[1, 1], sampling).is_err());
            assert!(distances_and_indices(&[0u8], &[1, 1], sampling).is_err());
        }
    }
}
