//! Count, extremes, sum, mean and standard deviation in one pass.

use super::{CHUNK, check_mask, for_each_chunk};
use crate::array::{Array, Scalar};
use crate::cast::Number;
use crate::dispatch;
use crate::error::Result;
use crate::op::kernel::Voxel;
use multiversion::multiversion;
use serde::{Deserialize, Serialize};

/// What the values of some blocks sum up to: exactly for integers, as stably as two passes over each
/// few thousand values for floats.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    count: u64,
    extremes: Option<(Scalar, Scalar)>,
    moments: Option<Moments>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Moments {
    /// The sum and the sum of squares, which has 192 bits, the lowest first.
    Integer { sum: i128, squares: [u64; 3] },
    /// The sum, what rounding took from it, and the squared deviations from the mean.
    Float { sum: Scalar, lost: Scalar, deviation: Scalar },
}

/// Statistics of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Number of voxels.
    pub count: u64,
    /// The least value; NaN if there is one.
    pub min: Scalar,
    /// The greatest value; NaN if there is one.
    pub max: Scalar,
    /// The sum, exact for integers.
    pub sum: Scalar,
    /// The mean.
    pub mean: f64,
    /// The standard deviation of all voxels, not that estimated from a sample.
    pub std: f64,
}

impl Partial {
    /// Statistics of the voxels of a block that a mask does not exclude; they take no memory besides
    /// the block.
    ///
    /// # Errors
    /// `shape-mismatch` for a mask of another size; `corrupt-data` for a `bool` that is neither 0
    /// nor 1.
    pub fn of_block(block: &Array, mask: Option<&[bool]>) -> Result<Partial> {
        check_mask(block, mask)?;
        let mut all = Partial::default();
        dispatch!(block.dtype(), T => {
            for_each_chunk(block.values::<T>()?, mask, |chunk| {
                if let Some(&first) = chunk.first() {
                    let (min, max) = T::extremes(chunk, first);
                    all.merge(Partial {
                        count: chunk.len() as u64,
                        extremes: Some((min.widen(), max.widen())),
                        moments: Some(T::moments(chunk)),
                    });
                }
            });
        });
        Ok(all)
    }

    /// Takes in the statistics of the next block.
    pub fn merge(&mut self, other: Partial) {
        let Some((min, max)) = other.extremes else { return };
        self.extremes = Some(match self.extremes {
            None => (min, max),
            Some(ours) => (least(ours.0, min), greatest(ours.1, max)),
        });
        self.moments = match (self.moments.take(), other.moments) {
            (None, moments) | (moments, None) => moments,
            (Some(ours), Some(theirs)) => Some(ours.plus(self.count, theirs, other.count)),
        };
        self.count += other.count;
    }

    /// The statistics; none where no voxel counted.
    pub fn finish(self) -> Option<Statistics> {
        let (min, max) = self.extremes?;
        let count = self.count as f64;
        let (sum, mean, variance) = match self.moments? {
            Moments::Integer { sum, squares } => {
                let variance = squared_deviations(self.count, sum, squares) / (count * count);
                (Scalar::Integer(sum), sum as f64 / count, variance)
            }
            Moments::Float { sum, lost, deviation } => {
                let sum = corrected(sum, lost);
                (Scalar::Float(sum), sum / count, deviation.as_f64() / count)
            }
        };
        Some(Statistics { count: self.count, min, max, sum, mean, std: variance.sqrt() })
    }
}

impl Moments {
    fn plus(self, count: u64, other: Moments, other_count: u64) -> Moments {
        match (self, other) {
            (
                Moments::Integer { sum, squares },
                Moments::Integer { sum: other_sum, squares: other },
            ) => Moments::Integer { sum: sum + other_sum, squares: add(squares, other) },
            (
                Moments::Float { sum, lost, deviation },
                Moments::Float { sum: other_sum, lost: other_lost, deviation: other_deviation },
            ) => {
                let (n, m) = (count as f64, other_count as f64);
                let apart = corrected(other_sum, other_lost) / m - corrected(sum, lost) / n;
                let between = apart * apart * (n * m / (n + m));
                let (a, b) = (sum.as_f64(), other_sum.as_f64());
                let total = a + b;
                // What the rounding of a sum took away is known exactly (Knuth's two-sum).
                let of_b = total - a;
                let rounded = (a - (total - of_b)) + (b - of_b);
                Moments::Float {
                    sum: Scalar::Float(total),
                    lost: Scalar::Float(lost.as_f64() + other_lost.as_f64() + rounded),
                    deviation: Scalar::Float(
                        deviation.as_f64() + other_deviation.as_f64() + between,
                    ),
                }
            }
            // Blocks of one image have one type.
            (moments, _) => moments,
        }
    }
}

/// A sum with what rounding took from it; of no meaning where the sum is infinite.
fn corrected(sum: Scalar, lost: Scalar) -> f64 {
    let sum = sum.as_f64();
    if sum.is_finite() { sum + lost.as_f64() } else { sum }
}

fn least(a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Scalar::Integer(x), Scalar::Integer(y)) => Scalar::Integer(x.min(y)),
        _ if a.as_f64().is_nan() || a.as_f64() <= b.as_f64() => a,
        _ => b,
    }
}

fn greatest(a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Scalar::Integer(x), Scalar::Integer(y)) => Scalar::Integer(x.max(y)),
        _ if a.as_f64().is_nan() || a.as_f64() >= b.as_f64() => a,
        _ => b,
    }
}

/// A type whose values are summed up, a chunk at a time.
trait Summed: Voxel {
    fn moments(chunk: &[Self]) -> Moments;
    fn extremes(chunk: &[Self], first: Self) -> (Self, Self);
}

/// Lanes of a float sum, which are the same on every machine, whatever the width of its registers.
const LANES: usize = 16;

macro_rules! integers {
    ($($t:ty: $moments:expr),*) => {$(
        impl Summed for $t {
            fn moments(chunk: &[Self]) -> Moments {
                let (sum, squares) = $moments(chunk);
                Moments::Integer { sum, squares }
            }
            fn extremes(chunk: &[Self], first: Self) -> (Self, Self) {
                ordered_extremes(chunk, first)
            }
        }
    )*};
}
integers!(
    bool: |chunk: &[bool]| {
        let set = chunk.iter().map(|value| u32::from(*value)).sum::<u32>();
        (i128::from(set), [u64::from(set), 0, 0])
    },
    u8: |chunk: &[u8]| narrow(chunk.iter().map(|value| i16::from(*value))),
    i8: |chunk: &[i8]| narrow(chunk.iter().map(|value| i16::from(*value))),
    u16: |chunk: &[u16]| medium(chunk.iter().map(|value| (i32::from(*value), *value))),
    i16: |chunk: &[i16]| medium(chunk.iter().map(|value| (i32::from(*value), value.unsigned_abs()))),
    u32: |chunk: &[u32]| wide(chunk.iter().map(|value| (i64::from(*value), *value))),
    i32: |chunk: &[i32]| wide(chunk.iter().map(|value| (i64::from(*value), value.unsigned_abs()))),
    u64: |chunk: &[u64]| widest(chunk.iter().map(|value| (i128::from(*value), *value))),
    i64: |chunk: &[i64]| widest(chunk.iter().map(|value| (i128::from(*value), value.unsigned_abs())))
);

/// Sums of a chunk of 8-bit values.
#[multiversion(targets("x86_64+avx2"))]
fn narrow<I: Iterator<Item = i16>>(values: I) -> (i128, [u64; 3]) {
    const { assert!(CHUNK * 255 * 255 < i32::MAX as usize) };
    let (mut sum, mut squares) = (0i32, 0i32);
    for value in values {
        let value = i32::from(value);
        sum += value;
        squares += value * value;
    }
    (i128::from(sum), [squares as u64, 0, 0])
}

/// Sums of a chunk of 16-bit values, each with its magnitude.
#[multiversion(targets("x86_64+avx2"))]
fn medium<I: Iterator<Item = (i32, u16)>>(values: I) -> (i128, [u64; 3]) {
    let (mut sum, mut squares) = (0i32, 0u64);
    for (value, magnitude) in values {
        sum += value;
        squares += u64::from(u32::from(magnitude) * u32::from(magnitude));
    }
    (i128::from(sum), [squares, 0, 0])
}

/// Sums of a chunk of 32-bit values. The halves of the squares are summed apart, since 64 bits do not
/// hold the sum of two squares.
#[multiversion(targets("x86_64+avx2"))]
fn wide<I: Iterator<Item = (i64, u32)>>(values: I) -> (i128, [u64; 3]) {
    let (mut sum, mut low, mut high) = (0i64, 0u64, 0u64);
    for (value, magnitude) in values {
        sum += value;
        let square = u64::from(magnitude) * u64::from(magnitude);
        low += square & u64::from(u32::MAX);
        high += square >> 32;
    }
    let squares = u128::from(low) + (u128::from(high) << 32);
    (i128::from(sum), [squares as u64, (squares >> 64) as u64, 0])
}

/// Sums of a chunk of 64-bit values.
fn widest(values: impl Iterator<Item = (i128, u64)>) -> (i128, [u64; 3]) {
    let (mut sum, mut squares, mut carries) = (0i128, 0u128, 0u64);
    for (value, magnitude) in values {
        sum += value;
        let (total, carry) = squares.overflowing_add(u128::from(magnitude) * u128::from(magnitude));
        squares = total;
        carries += u64::from(carry);
    }
    (sum, [squares as u64, (squares >> 64) as u64, carries])
}

macro_rules! floats {
    ($($t:ty),*) => {$(
        impl Summed for $t {
            fn moments(chunk: &[Self]) -> Moments {
                let sum = lane_sum(chunk, f64::from);
                let mean = sum / chunk.len() as f64;
                let deviation = lane_sum(chunk, |value| {
                    let apart = f64::from(value) - mean;
                    apart * apart
                });
                Moments::Float {
                    sum: Scalar::Float(sum),
                    lost: Scalar::Float(0.0),
                    deviation: Scalar::Float(deviation),
                }
            }

            fn extremes(chunk: &[Self], first: Self) -> (Self, Self) {
                let (min, max, unordered) = lane_extremes(chunk, first);
                if unordered { (<$t>::NAN, <$t>::NAN) } else { (min, max) }
            }
        }
    )*};
}
floats!(f32, f64);

#[multiversion(targets("x86_64+avx2"))]
fn ordered_extremes<T: Copy + Ord>(chunk: &[T], first: T) -> (T, T) {
    let min = chunk.iter().fold(first, |min, value| min.min(*value));
    (min, chunk.iter().fold(first, |max, value| max.max(*value)))
}

/// The least and the greatest float, and whether one is NaN.
#[multiversion(targets("x86_64+avx2"))]
fn lane_extremes<T: num_traits::Float>(chunk: &[T], first: T) -> (T, T, bool) {
    let lower = |a: T, b: T| if a < b { a } else { b };
    let higher = |a: T, b: T| if a > b { a } else { b };
    let (mut min, mut max, mut unordered) = ([first; LANES], [first; LANES], [false; LANES]);
    let (whole, rest) = chunk.as_chunks::<LANES>();
    for values in whole {
        for lane in 0..LANES {
            min[lane] = lower(values[lane], min[lane]);
            max[lane] = higher(values[lane], max[lane]);
            unordered[lane] |= values[lane].is_nan();
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        min[lane] = lower(*value, min[lane]);
        max[lane] = higher(*value, max[lane]);
        unordered[lane] |= value.is_nan();
    }
    let (min, max) = (min.into_iter().fold(first, lower), max.into_iter().fold(first, higher));
    (min, max, unordered.contains(&true))
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn lane_sum<T: Copy, F: Fn(T) -> f64>(chunk: &[T], term: F) -> f64 {
    let mut lanes = [0.0; LANES];
    let (whole, rest) = chunk.as_chunks::<LANES>();
    for values in whole {
        for lane in 0..LANES {
            lanes[lane] += term(values[lane]);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += term(*value);
    }
    lanes.iter().sum()
}

/// The sum of two numbers of 64-bit digits, the lowest first.
fn add<const N: usize>(a: [u64; N], b: [u64; N]) -> [u64; N] {
    let mut carry = 0;
    std::array::from_fn(|digit| {
        let sum = u128::from(a[digit]) + u128::from(b[digit]) + carry;
        carry = sum >> 64;
        sum as u64
    })
}

/// `count * squares - sum * sum`, the sum of squared deviations from the mean times the count: exact
/// up to here, since most of both is lost in the difference.
fn squared_deviations(count: u64, sum: i128, squares: [u64; 3]) -> f64 {
    let mut minuend = [0u64; 4];
    add_product(&mut minuend, &squares, count, 0);
    let magnitude = sum.unsigned_abs();
    let digits = [magnitude as u64, (magnitude >> 64) as u64];
    let mut square = [0u64; 4];
    add_product(&mut square, &digits, digits[0], 0);
    add_product(&mut square, &digits, digits[1], 1);
    // Adding the complement and one subtracts.
    let negative = add(square.map(|digit| !digit), [1, 0, 0, 0]);
    let difference = add(minuend, negative);
    difference.iter().rev().fold(0.0, |value, &digit| value * 2f64.powi(64) + digit as f64)
}

/// Adds `digits * factor`, shifted by some digits, to a number that has room for it.
fn add_product(to: &mut [u64; 4], digits: &[u64], factor: u64, shift: usize) {
    let mut carry = 0u128;
    for (place, to) in to.iter_mut().enumerate().skip(shift) {
        let digit = digits.get(place - shift).copied().unwrap_or(0);
        let sum = u128::from(digit) * u128::from(factor) + u128::from(*to) + carry;
        *to = sum as u64;
        carry = sum >> 64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Element;
    use proptest::prelude::*;

    fn statistics<T: Element>(values: &[T]) -> Statistics {
        let block = Array::from_values(&[values.len() as u64], values).unwrap();
        Partial::of_block(&block, None).unwrap().finish().unwrap()
    }

    #[test]
    fn a_few_values_of_each_type() {
        let all = statistics(&[2u8, 4, 4, 4, 5, 5, 7, 9]);
        let expected = Statistics {
            count: 8,
            min: Scalar::Integer(2),
            max: Scalar::Integer(9),
            sum: Scalar::Integer(40),
            mean: 5.0,
            std: 2.0,
        };
        assert_eq!(all, expected);
        assert_eq!(statistics(&[true, false]).std, 0.5);
        assert_eq!(statistics(&[-3i16, 3]).std, 3.0);
        assert_eq!(statistics(&[-3i32, 3]).sum, Scalar::Integer(0));
        let floats = statistics(&[1.5f32, -0.5]);
        assert_eq!((floats.min, floats.max), (Scalar::Float(-0.5), Scalar::Float(1.5)));
        assert_eq!((floats.mean, floats.std), (0.5, 1.0));
    }

    #[test]
    fn the_largest_integers_neither_overflow_nor_are_rounded() {
        let top = statistics(&[u64::MAX; 5000]);
        assert_eq!(top.max, Scalar::Integer(i128::from(u64::MAX)));
        assert_eq!(top.sum, Scalar::Integer(5000 * i128::from(u64::MAX)));
        assert_eq!((top.mean, top.std), (u64::MAX as f64, 0.0));
        let near: Vec<u64> = (0..5000).map(|i| u64::MAX - 2 * (i % 2)).collect();
        assert_eq!(statistics(&near).std, 1.0);
        assert_eq!(statistics(&[i64::MIN, i64::MAX]).std, 2f64.powi(63));
        assert_eq!(statistics(&[i32::MIN; 4097]).sum, Scalar::Integer(-4097 << 31));
        assert_eq!(statistics(&[u32::MAX; 9000]).std, 0.0);
        assert_eq!(statistics(&[i8::MIN; 9000]).std, 0.0);
        assert_eq!(statistics(&[u16::MAX; 9000]).mean, 65535.0);
    }

    #[test]
    fn nan_and_infinity_spread_as_in_numpy() {
        let with_nan = statistics(&[1.0f64, f64::NAN, 3.0]);
        for value in [with_nan.min.as_f64(), with_nan.max.as_f64(), with_nan.mean, with_nan.std] {
            assert!(value.is_nan());
        }
        let mut far = vec![1.0f32; 10_000];
        far[9_000] = f32::INFINITY;
        let far = statistics(&far);
        assert_eq!((far.min, far.max), (Scalar::Float(1.0), Scalar::Float(f64::INFINITY)));
        assert!(far.mean == f64::INFINITY && far.std.is_nan());
        let both = statistics(&[f64::INFINITY, f64::NEG_INFINITY]);
        assert!(both.max == Scalar::Float(f64::INFINITY) && both.mean.is_nan());
    }

    #[test]
    fn a_large_offset_does_not_hide_the_deviation() {
        let values: Vec<f64> = (0..100_000).map(|i| 1e9 + f64::from(i % 2)).collect();
        let all = statistics(&values);
        assert!((all.std - 0.5).abs() < 1e-9 && (all.mean - 1e9 - 0.5).abs() < 1e-6);
    }

    #[test]
    fn nothing_counted_gives_nothing() {
        let block = Array::from_values(&[2], &[1u8, 2]).unwrap();
        let mut none = Partial::of_block(&block, Some(&[false, false])).unwrap();
        assert_eq!(none.clone().finish(), None);
        none.merge(Partial::of_block(&block, Some(&[false, true])).unwrap());
        assert_eq!(none.finish().unwrap().sum, Scalar::Integer(2));
        let error = Partial::of_block(&block, Some(&[true])).unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::ShapeMismatch);
    }

    proptest! {
        #[test]
        fn blocks_masks_and_encodings_do_not_matter(
            values in proptest::collection::vec((any::<i64>(), any::<bool>()), 1..60),
            cut in 0usize..60,
        ) {
            let (values, mask): (Vec<i64>, Vec<bool>) = values.into_iter().unzip();
            let cut = cut.min(values.len());
            let part = |range: std::ops::Range<usize>| {
                let block = Array::from_values(&[range.len() as u64], &values[range.clone()]);
                let part = Partial::of_block(&block.unwrap(), Some(&mask[range])).unwrap();
                let text = serde_json::to_string(&part).unwrap();
                serde_json::from_str::<Partial>(&text).unwrap()
            };
            let mut merged = part(0..cut);
            merged.merge(part(cut..values.len()));
            let counted: Vec<i128> = values
                .iter()
                .zip(&mask)
                .filter(|(_, counts)| **counts)
                .map(|(value, _)| i128::from(*value))
                .collect();
            let n = counted.len() as f64;
            match merged.finish() {
                None => prop_assert!(counted.is_empty()),
                Some(all) => {
                    let sum: i128 = counted.iter().sum();
                    prop_assert_eq!(all.count, counted.len() as u64);
                    prop_assert_eq!(all.sum, Scalar::Integer(sum));
                    prop_assert_eq!(all.min, Scalar::Integer(*counted.iter().min().unwrap()));
                    prop_assert_eq!(all.max, Scalar::Integer(*counted.iter().max().unwrap()));
                    let mean = sum as f64 / n;
                    let variance =
                        counted.iter().map(|v| (*v as f64 - mean).powi(2)).sum::<f64>() / n;
                    prop_assert!((all.std - variance.sqrt()).abs() <= 1e-9 * variance.sqrt());
                }
            }
        }
    }
}
