//! Downsampling by whole factors: each window of voxels becomes one.

use super::{Voxel, is_nan, values_mut};
use crate::array::{Array, strides};
use crate::dispatch;
use crate::error::{Error, Result};
use crate::grid::shape_text;
use multiversion::multiversion;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::ops::AddAssign;

/// How the voxels of a window become one. What is said of NaN holds for floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Their mean. Integers are summed up exactly and the mean is rounded, halves away from zero;
    /// floats are summed up in double precision.
    Mean,
    /// The most frequent value; the smallest of several. NaN only where there is nothing else.
    Mode,
    /// The most frequent value that is not 0; 0 where there is nothing else.
    SparseMode,
    /// The largest value; NaN where there is any.
    Max,
    /// The smallest value; NaN where there is any.
    Min,
    /// The middle value. Of an even number it is the mean of the two in the middle, rounded as the
    /// mean is. NaN where there is any.
    Median,
}

/// The shape after downsampling: windows at the end are clipped.
pub fn downsampled_shape(shape: &[u64], factors: &[u64]) -> Vec<u64> {
    shape.iter().zip(factors).map(|(n, factor)| n.div_ceil(*factor)).collect()
}

/// Downsamples a block that starts where a window does, with one factor for each axis; windows are
/// clipped at its end.
///
/// Takes the bytes of the result and those of a few rows.
///
/// # Errors
/// `invalid-argument` unless there is one factor for each axis, none of them 0; `corrupt-data` for a
/// `bool` that is neither 0 nor 1.
///
/// ```
/// use bioimage_engine::array::Array;
/// use bioimage_engine::op::kernel::window::{Method, downsample};
/// let image = Array::from_values::<u8>(&[2, 3], &[1, 2, 9, 4, 4, 9])?;
/// let mean = downsample(&image, &[2, 2], Method::Mean)?;
/// assert_eq!(mean.values::<u8>()?, [3, 9]);
/// # Ok::<(), bioimage_engine::error::Error>(())
/// ```
pub fn downsample(block: &Array, factors: &[u64], method: Method) -> Result<Array> {
    let shape = block.shape();
    if factors.len() != shape.len() || factors.contains(&0) {
        return Err(Error::argument(format!(
            "factors {} do not fit an array of {} axes",
            shape_text(factors),
            shape.len()
        ))
        .fix("Give one whole number above 0 for each axis."));
    }
    let mut out = Array::zeros(block.dtype(), &downsampled_shape(shape, factors));
    dispatch!(block.dtype(), T => {
        let (from, to) = (block.values::<T>()?, values_mut::<T>(&mut out)?);
        match method {
            Method::Mean => reduce(from, shape, factors, to, &mut MeanOf::<T>::default()),
            Method::Mode => reduce(from, shape, factors, to, &mut ModeOf::new(false)),
            Method::SparseMode => reduce(from, shape, factors, to, &mut ModeOf::new(true)),
            Method::Max => reduce(from, shape, factors, to, &mut Extreme::<true, T>::default()),
            Method::Min => reduce(from, shape, factors, to, &mut Extreme::<false, T>::default()),
            Method::Median => reduce(from, shape, factors, to, &mut MedianOf::default()),
        }
    });
    Ok(out)
}

/// Makes a row of results.
trait Reduce<T> {
    /// From the rows of the windows, each window `factor` wide and the last one clipped.
    fn row(&mut self, rows: &[&[T]], factor: usize, to: &mut [T]);
}

fn reduce<T: Voxel, R: Reduce<T>>(
    from: &[T],
    shape: &[u64],
    factors: &[u64],
    to: &mut [T],
    reduce: &mut R,
) {
    let windows: Vec<u64> = factors.iter().zip(shape).map(|(factor, n)| *factor.min(n)).collect();
    let (Some((&width, leading)), Some((&factor, windows))) =
        (shape.split_last(), windows.split_last())
    else {
        return to.copy_from_slice(from);
    };
    if to.is_empty() {
        return;
    }
    let (width, factor) = (width as usize, factor as usize);
    let strides = strides(shape);
    let whole = row_starts(windows, &strides);
    let mut first = vec![0; leading.len()];
    let mut rows: Vec<&[T]> = Vec::with_capacity(whole.len());
    for to in to.chunks_exact_mut(width.div_ceil(factor)) {
        let start =
            first.iter().zip(&strides).map(|(at, stride)| at * stride).sum::<u64>() as usize;
        let row = |at: &usize| &from[start + at..][..width];
        rows.clear();
        if (0..leading.len()).all(|axis| first[axis] + windows[axis] <= leading[axis]) {
            rows.extend(whole.iter().map(row));
        } else {
            let clipped: Vec<u64> = (0..leading.len())
                .map(|axis| windows[axis].min(leading[axis] - first[axis]))
                .collect();
            rows.extend(row_starts(&clipped, &strides).iter().map(row));
        }
        reduce.row(&rows, factor, to);
        for axis in (0..leading.len()).rev() {
            first[axis] += windows[axis];
            if first[axis] < leading[axis] {
                break;
            }
            first[axis] = 0;
        }
    }
}

/// Where the rows of a window start, from the start of its first one.
fn row_starts(window: &[u64], strides: &[u64]) -> Vec<usize> {
    window.iter().zip(strides).fold(vec![0], |starts, (n, stride)| {
        starts
            .iter()
            .flat_map(|start| (0..*n).map(move |at| start + (at * stride) as usize))
            .collect()
    })
}

/// A sum that is divided by a number of voxels.
trait Sum: Copy + Default + AddAssign {
    /// The quotient; of integers it is rounded, halves away from zero.
    fn over(self, count: usize) -> Self;
}

macro_rules! sums {
    ($($t:ty: $sum:ident, $half:ident => $rounding:expr;)*) => {$(
        impl Sum for $t {
            #[inline(always)]
            fn over(self, count: usize) -> Self {
                let ($sum, $half) = (self, (count / 2) as $t);
                ($sum + $rounding) / count as $t
            }
        }
    )*};
}
sums! {
    u16: sum, half => half;
    u32: sum, half => half;
    u64: sum, half => half;
    u128: sum, half => half;
    i16: sum, half => if sum < 0 { -half } else { half };
    i32: sum, half => if sum < 0 { -half } else { half };
    i64: sum, half => if sum < 0 { -half } else { half };
    i128: sum, half => if sum < 0 { -half } else { half };
    f64: sum, _half => 0.0;
}

/// A number that has a mean.
trait Averaged: Voxel {
    /// A sum of eight.
    type Few: Sum + From<Self>;
    /// A sum of as many as there may be.
    type Many: Sum + From<Self>;
    /// The mean of eight at most.
    fn from_few(mean: Self::Few) -> Self;
    /// The mean of any number.
    fn from_many(mean: Self::Many) -> Self;
}

macro_rules! averaged {
    ($($t:ty: $few:ty, $many:ty, $mean:ident => $back:expr;)*) => {$(
        impl Averaged for $t {
            type Few = $few;
            type Many = $many;
            #[inline(always)]
            fn from_few($mean: $few) -> Self { $back }
            #[inline(always)]
            fn from_many($mean: $many) -> Self { $back }
        }
    )*};
}
averaged! {
    bool: u16, u64, mean => mean != 0;
    u8: u16, u64, mean => mean as u8;
    u16: u32, u64, mean => mean as u16;
    u32: u64, u64, mean => mean as u32;
    u64: u128, u128, mean => mean as u64;
    i8: i16, i64, mean => mean as i8;
    i16: i32, i64, mean => mean as i16;
    i32: i64, i64, mean => mean as i32;
    i64: i128, i128, mean => mean as i64;
    f32: f64, f64, mean => mean as f32;
    f64: f64, f64, mean => mean;
}

/// The windows of rows that are two wide; a last voxel is left over. Nothing unless there are so
/// many rows.
fn in_pairs<'a, T, const ROWS: usize>(rows: &[&'a [T]]) -> Option<[&'a [[T; 2]]; ROWS]> {
    let rows: [&[T]; ROWS] = rows.try_into().ok()?;
    Some(rows.map(|row| row.as_chunks::<2>().0))
}

#[multiversion(targets("x86_64+avx2"))]
fn mean_of_pairs<T: Averaged, const ROWS: usize>(rows: [&[[T; 2]]; ROWS], to: &mut [T]) {
    let rows = rows.map(|row| &row[..to.len()]);
    for (i, to) in to.iter_mut().enumerate() {
        let mut sum = T::Few::default();
        for row in rows {
            sum += row[i][0].into();
            sum += row[i][1].into();
        }
        *to = T::from_few(sum.over(2 * ROWS));
    }
}

/// Adds up rows.
#[multiversion(targets("x86_64+avx2"))]
fn add_rows<T: Averaged>(rows: &[&[T]], sums: &mut [T::Many]) {
    sums.fill(T::Many::default());
    for row in rows {
        for (sum, value) in sums.iter_mut().zip(*row) {
            *sum += (*value).into();
        }
    }
}

/// [`Method::Mean`].
struct MeanOf<T: Averaged> {
    sums: Vec<T::Many>,
}

impl<T: Averaged> Default for MeanOf<T> {
    fn default() -> Self {
        MeanOf { sums: Vec::new() }
    }
}

impl<T: Averaged> Reduce<T> for MeanOf<T> {
    fn row(&mut self, rows: &[&[T]], factor: usize, to: &mut [T]) {
        let width = rows.first().map_or(0, |row| row.len());
        let mut done = 0;
        if factor == 2 {
            done = width / 2;
            let to = &mut to[..done];
            match rows.len() {
                1 => in_pairs::<T, 1>(rows).map(|rows| mean_of_pairs(rows, to)),
                2 => in_pairs::<T, 2>(rows).map(|rows| mean_of_pairs(rows, to)),
                4 => in_pairs::<T, 4>(rows).map(|rows| mean_of_pairs(rows, to)),
                _ => None,
            }
            .unwrap_or_else(|| done = 0);
        }
        if done == to.len() {
            return;
        }
        let rest: Vec<&[T]> = rows.iter().map(|row| &row[done * factor..]).collect();
        self.sums.resize(width - done * factor, T::Many::default());
        add_rows(&rest, &mut self.sums);
        for (to, window) in to[done..].iter_mut().zip(self.sums.chunks(factor)) {
            let mut sum = T::Many::default();
            window.iter().for_each(|part| sum += *part);
            *to = T::from_many(sum.over(window.len() * rows.len()));
        }
    }
}

/// [`Method::Max`] and [`Method::Min`].
#[derive(Default)]
struct Extreme<const MAX: bool, T> {
    row: Vec<T>,
}

impl<const MAX: bool, T: Voxel> Extreme<MAX, T> {
    #[inline(always)]
    fn of(a: T, b: T) -> T {
        let a_is_it = if MAX { a >= b } else { a <= b };
        // What is not equal to itself is NaN.
        if a_is_it || is_nan(a) { a } else { b }
    }
}

/// Folds a row into another one.
#[multiversion(targets("x86_64+avx2"))]
fn fold_row<const MAX: bool, T: Voxel>(row: &[T], into: &mut [T]) {
    for (into, value) in into.iter_mut().zip(row) {
        *into = Extreme::<MAX, T>::of(*into, *value);
    }
}

impl<const MAX: bool, T: Voxel> Reduce<T> for Extreme<MAX, T> {
    fn row(&mut self, rows: &[&[T]], factor: usize, to: &mut [T]) {
        let Some((first, rest)) = rows.split_first() else { return };
        self.row.clear();
        self.row.extend_from_slice(first);
        rest.iter().for_each(|row| fold_row::<MAX, T>(row, &mut self.row));
        for (to, window) in to.iter_mut().zip(self.row.chunks(factor)) {
            *to = window[1..].iter().fold(window[0], |a, b| Self::of(a, *b));
        }
    }
}

/// [`Method::Mode`] and [`Method::SparseMode`].
struct ModeOf<T> {
    sparse: bool,
    window: Vec<T>,
}

impl<T> ModeOf<T> {
    fn new(sparse: bool) -> Self {
        ModeOf { sparse, window: Vec::new() }
    }
}

/// Windows that are looked at together.
const RUN: usize = 4;

/// Windows larger than this are sorted.
const FEW: usize = 16;

impl<T: Voxel> Reduce<T> for ModeOf<T> {
    fn row(&mut self, rows: &[&[T]], factor: usize, to: &mut [T]) {
        let width = rows.first().map_or(0, |row| row.len());
        let mut done = 0;
        if factor == 2 {
            done = width / 2;
            let (to, sparse) = (&mut to[..done], self.sparse);
            match rows.len() {
                1 => in_pairs::<T, 1>(rows).map(|rows| mode_of_pairs(rows, sparse, to)),
                2 => in_pairs::<T, 2>(rows).map(|rows| mode_of_pairs(rows, sparse, to)),
                4 => in_pairs::<T, 4>(rows).map(|rows| mode_of_pairs(rows, sparse, to)),
                _ => None,
            }
            .unwrap_or_else(|| done = 0);
        }
        for (i, to) in to.iter_mut().enumerate().skip(done) {
            let columns = i * factor..width.min((i + 1) * factor);
            self.window.clear();
            rows.iter().for_each(|row| self.window.extend_from_slice(&row[columns.clone()]));
            *to = mode(&mut self.window, self.sparse);
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn mode_of_pairs<T: Voxel, const ROWS: usize>(rows: [&[[T; 2]]; ROWS], sparse: bool, to: &mut [T]) {
    let (runs, rest) = to.as_chunks_mut::<RUN>();
    let in_runs = rows.map(|row| row.as_chunks::<RUN>().0);
    for (run, to) in runs.iter_mut().enumerate() {
        let rows = in_runs.map(|row| &row[run]);
        // Inside an object, where most voxels are, one look settles several windows.
        let bytes = rows.map(|row| bytemuck::cast_slice::<T, u8>(row.as_flattened()));
        let shifted = &bytes[0][size_of::<T>()..];
        if bytes.iter().fold(same(shifted, bytes[0]), |all, row| all & same(row, bytes[0])) {
            to.fill(rows[0][0][0]);
        } else {
            modes_of_few(rows.map(|row| row.as_slice()), sparse, to);
        }
    }
    modes_of_few(rows.map(|row| &row[runs.len() * RUN..]), sparse, rest);
}

#[inline(always)]
fn modes_of_few<T: Voxel, const ROWS: usize>(rows: [&[[T; 2]]; ROWS], sparse: bool, to: &mut [T]) {
    let rows = rows.map(|row| &row[..to.len()]);
    for (i, to) in to.iter_mut().enumerate() {
        let window = rows.map(|row| row[i]);
        *to = mode_of_few(window.as_flattened(), sparse);
    }
}

/// Whether bytes are the same as far as both go, found out without branches.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// The most frequent value, the smallest of several.
fn mode<T: Voxel>(window: &mut [T], sparse: bool) -> T {
    if window.len() <= FEW {
        return mode_of_few(window, sparse);
    }
    window.sort_unstable_by(order);
    let runs = window.chunk_by(|a, b| a == b).map(|run| (run.len(), run[0]));
    most_frequent(runs, sparse).unwrap_or_else(|| without_mode(window))
}

/// The same without sorting.
#[inline(always)]
fn mode_of_few<T: Voxel>(window: &[T], sparse: bool) -> T {
    // Most windows lie inside one object, and most of the others inside two.
    let first = window[0];
    let count = |value: T| window.iter().map(|other| usize::from(*other == value)).sum::<usize>();
    let firsts = count(first);
    if firsts == window.len() {
        return first;
    }
    let second =
        window.iter().fold(first, |found, value| if *value == first { found } else { *value });
    let seconds = count(second);
    if firsts + seconds == window.len() {
        let wins = seconds > firsts || seconds == firsts && second < first;
        let zero = T::default();
        let second_is_it =
            if sparse && (first == zero || second == zero) { first == zero } else { wins };
        return if second_is_it { second } else { first };
    }
    let counts = window.iter().map(|value| (count(*value), *value));
    most_frequent(counts, sparse).unwrap_or_else(|| without_mode(window))
}

/// Of values and how often they are there, the most frequent one, the smallest of several.
#[inline(always)]
fn most_frequent<T: Voxel>(counts: impl Iterator<Item = (usize, T)>, sparse: bool) -> Option<T> {
    let mut best: Option<(usize, T)> = None;
    for (count, value) in counts {
        let better =
            best.is_none_or(|(most, smallest)| count > most || count == most && value < smallest);
        if better && !(sparse && value == T::default()) && !is_nan(value) {
            best = Some((count, value));
        }
    }
    best.map(|(_, value)| value)
}

/// A value of a window of zeros that are not counted, or of NaN.
fn without_mode<T: Voxel>(window: &[T]) -> T {
    window.iter().copied().find(|value| !is_nan(*value)).unwrap_or(window[0])
}

/// The order of numbers, NaN last.
fn order<T: Voxel>(a: &T, b: &T) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| is_nan(*a).cmp(&is_nan(*b)))
}

/// [`Method::Median`].
#[derive(Default)]
struct MedianOf<T> {
    window: Vec<T>,
}

impl<T: Averaged> Reduce<T> for MedianOf<T> {
    fn row(&mut self, rows: &[&[T]], factor: usize, to: &mut [T]) {
        let width = rows.first().map_or(0, |row| row.len());
        for (i, to) in to.iter_mut().enumerate() {
            let columns = i * factor..width.min((i + 1) * factor);
            self.window.clear();
            rows.iter().for_each(|row| self.window.extend_from_slice(&row[columns.clone()]));
            *to = median(&mut self.window);
        }
    }
}

fn median<T: Averaged>(window: &mut [T]) -> T {
    if let Some(nan) = window.iter().find(|value| is_nan(**value)) {
        return *nan;
    }
    let (half, odd) = (window.len() / 2, window.len() % 2 == 1);
    let (below, middle, _) = window.select_nth_unstable_by(half, order);
    let middle = *middle;
    match below.iter().copied().max_by(order) {
        Some(lower) if !odd => {
            let mut sum = T::Few::from(lower);
            sum += middle.into();
            T::from_few(sum.over(2))
        }
        _ => middle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Cast, Scalar};
    use crate::cast::Number;
    use crate::dtype::DType;
    use crate::grid::{Grid, Region};
    use proptest::prelude::*;

    const METHODS: [Method; 6] =
        [Method::Mean, Method::Mode, Method::SparseMode, Method::Max, Method::Min, Method::Median];

    /// One window of one axis.
    fn of<T: Voxel>(values: &[T], method: Method) -> T {
        let block = Array::from_values(&[values.len() as u64], values).unwrap();
        let out = downsample(&block, &[values.len() as u64], method).unwrap();
        out.values::<T>().unwrap()[0]
    }

    #[test]
    fn means_are_exact_and_halves_are_rounded_away_from_zero() {
        assert_eq!(of::<u8>(&[0, 0, 1, 1], Method::Mean), 1);
        assert_eq!(of::<u8>(&[0, 0, 0, 1], Method::Mean), 0);
        assert_eq!(of::<i8>(&[-1, 0], Method::Mean), -1);
        assert_eq!(of::<i16>(&[-4, -3, -3], Method::Mean), -3);
        assert_eq!(of::<u64>(&[u64::MAX; 5], Method::Mean), u64::MAX);
        assert_eq!(of::<u64>(&[u64::MAX - 1, u64::MAX, u64::MAX], Method::Mean), u64::MAX);
        assert_eq!(of::<i64>(&[i64::MIN; 3], Method::Mean), i64::MIN);
        assert_eq!(of::<f64>(&[0.5, 1.0], Method::Mean), 0.75);
        assert_eq!(of::<f32>(&[1.0, f32::INFINITY], Method::Mean), f32::INFINITY);
        assert!(of::<bool>(&[true, false], Method::Mean));
    }

    #[test]
    fn modes_are_the_smallest_of_several_and_leave_zeros_out_where_asked() {
        let big = (1u64 << 53) + 1;
        assert_eq!(of(&[big, 3, big, 3], Method::Mode), 3);
        assert_eq!(of(&[big, 3, big, 4], Method::Mode), big);
        assert_eq!(of(&[0u8, 0, 0, 7], Method::Mode), 0);
        assert_eq!(of(&[0u8, 0, 0, 7], Method::SparseMode), 7);
        assert_eq!(of(&[0u8, 0, 9, 7], Method::SparseMode), 7);
        assert_eq!(of(&[0i8, 0, -3, -3], Method::SparseMode), -3);
        assert_eq!(of(&[0u8; 4], Method::SparseMode), 0);
        assert_eq!(of(&[f32::NAN, f32::NAN, 2.0], Method::Mode), 2.0);
        assert_eq!(of(&[f32::NAN, f32::NAN, 0.0], Method::SparseMode), 0.0);
        assert!(of(&[f32::NAN; 3], Method::Mode).is_nan());
    }

    #[test]
    fn medians_of_an_even_number_lie_between_two() {
        assert_eq!(of(&[9u8, 1, 5], Method::Median), 5);
        assert_eq!(of(&[9u8, 1, 5, 6], Method::Median), 6);
        assert_eq!(of(&[u64::MAX, u64::MAX - 1], Method::Median), u64::MAX);
        assert_eq!(of(&[1.0f32, 2.0], Method::Median), 1.5);
    }

    #[test]
    fn nan_stays_in_its_window() {
        for method in [Method::Mean, Method::Max, Method::Min, Method::Median] {
            for place in 0..4 {
                let mut values = [1.0f64, 2.0, 3.0, 4.0, 5.0, 5.0];
                values[place] = f64::NAN;
                let block = Array::from_values(&[6], &values).unwrap();
                let out = downsample(&block, &[4], method).unwrap();
                let out = out.values::<f64>().unwrap();
                assert!(out[0].is_nan() && out[1] == 5.0, "{method:?}");
            }
        }
    }

    #[test]
    fn factors_must_fit() {
        let block = Array::zeros(DType::U8, &[3, 4]);
        for factors in [&[2u64][..], &[2, 0], &[1, 1, 1]] {
            assert!(downsample(&block, factors, Method::Mean).is_err());
        }
        let huge = downsample(&block, &[u64::MAX, u64::MAX], Method::Max).unwrap();
        assert_eq!(huge.shape(), [1, 1]);
        let single = downsample(&Array::zeros(DType::I16, &[]), &[], Method::Median).unwrap();
        assert_eq!(single.voxels(), 1);
    }

    /// Window by window, of small integers.
    fn naive(values: &[i64], method: Method) -> i64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let n = sorted.len();
        let rounded = |sum: i64, n: i64| (sum as f64 / n as f64).round() as i64;
        let most = |values: &[i64]| {
            let count = |v: &&i64| values.iter().filter(|other| other == v).count();
            values.iter().rev().max_by_key(count).copied()
        };
        match method {
            Method::Mean => rounded(values.iter().sum(), n as i64),
            Method::Mode => most(&sorted).unwrap(),
            Method::SparseMode => {
                sorted.retain(|v| *v != 0);
                most(&sorted).unwrap_or(0)
            }
            Method::Max => sorted[n - 1],
            Method::Min => sorted[0],
            Method::Median if n % 2 == 1 => sorted[n / 2],
            Method::Median => rounded(sorted[n / 2 - 1] + sorted[n / 2], 2),
        }
    }

    fn blocks() -> impl Strategy<Value = (Vec<u64>, Vec<u64>, Vec<i8>)> {
        (1usize..=4)
            .prop_flat_map(|ndim| {
                let longest = [60u64, 24, 11, 6][ndim - 1];
                (
                    proptest::collection::vec(0..=longest, ndim),
                    proptest::collection::vec(prop_oneof![Just(2u64), 1u64..5], ndim),
                )
            })
            .prop_flat_map(|(shape, factors)| {
                let voxels = shape.iter().product::<u64>() as usize;
                // Few values, so that windows of one, two and more of them occur.
                let values = prop_oneof![Just(0i8), Just(1), Just(2), Just(3), any::<i8>()];
                (Just(shape), Just(factors), proptest::collection::vec(values, voxels))
            })
    }

    proptest! {
        #[test]
        fn windows_are_what_their_definitions_say(
            (shape, factors, values) in blocks(),
            dtype in proptest::sample::select(
                &[DType::I8, DType::I16, DType::I32, DType::I64, DType::F32, DType::F64][..],
            ),
        ) {
            let block =
                Array::from_values(&shape, &values).unwrap().cast(dtype, Cast::Checked).unwrap();
            let out_shape = downsampled_shape(&shape, &factors);
            for method in METHODS {
                let float = matches!(dtype, DType::F32 | DType::F64);
                if float && matches!(method, Method::Mean | Method::Median) {
                    continue;
                }
                let out = downsample(&block, &factors, method).unwrap();
                prop_assert_eq!(out.shape(), &out_shape[..]);
                let out = out.cast(DType::I64, Cast::Checked).unwrap();
                for (index, value) in out.values::<i64>().unwrap().iter().enumerate() {
                    let at = crate::grid::unravel(index as u64, &out_shape);
                    let window: Vec<i64> = (0..values.len())
                        .filter(|voxel| {
                            let position = crate::grid::unravel(*voxel as u64, &shape);
                            (0..shape.len()).all(|axis| position[axis] / factors[axis] == at[axis])
                        })
                        .map(|voxel| i64::from(values[voxel]))
                        .collect();
                    prop_assert_eq!(*value, naive(&window, method), "{:?} {:?}", method, window);
                }
            }
        }

        #[test]
        fn blocks_that_start_with_a_window_give_their_part_of_the_whole(
            (shape, factors, values) in blocks(),
            windows in proptest::array::uniform4(1u64..4),
        ) {
            let ndim = shape.len();
            let image = Array::from_values(&shape, &values).unwrap();
            let block_shape: Vec<u64> = (0..ndim).map(|a| factors[a] * windows[a]).collect();
            let grid = Grid::new(Region::whole(&shape), &block_shape).unwrap();
            for method in METHODS {
                let expected = downsample(&image, &factors, method).unwrap();
                let mut pasted = Array::zeros(DType::I8, expected.shape());
                for id in 0..grid.len() {
                    let region = grid.block(id).unwrap().inner;
                    let mut block = Array::zeros(DType::I8, &region.shape);
                    block.paste(&vec![0; ndim], &image, &region).unwrap();
                    let part = downsample(&block, &factors, method).unwrap();
                    let to: Vec<u64> = (0..ndim).map(|a| region.start[a] / factors[a]).collect();
                    pasted.paste(&to, &part, &Region::whole(part.shape())).unwrap();
                }
                prop_assert_eq!(&pasted, &expected);
            }
        }
    }

    #[test]
    fn every_dtype_is_downsampled_up_to_its_ends() {
        for dtype in DType::ALL {
            let (low, high) = dispatch!(dtype, T => (
                T::saturate(Scalar::Float(-2f64.powi(900))).widen(),
                T::saturate(Scalar::Float(2f64.powi(900))).widen(),
            ));
            let mut block = Array::zeros(dtype, &[2, 2, 4]);
            dispatch!(dtype, T => {
                let values = values_mut::<T>(&mut block).unwrap();
                for (i, value) in values.iter_mut().enumerate() {
                    *value = T::wrap(if i % 4 < 2 { low } else { high });
                }
            });
            for method in METHODS {
                let out = downsample(&block, &[2, 2, 2], method).unwrap();
                dispatch!(dtype, T => {
                    assert_eq!(out.values::<T>().unwrap(), [T::wrap(low), T::wrap(high)]);
                });
            }
        }
    }
}
