//! Histograms and the thresholds that follow from them.

use super::unique::dense_counts;
use super::{check_mask, for_each_chunk};
use crate::array::{Array, Scalar};
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::op::kernel::Voxel;
use num_traits::Float;
use serde::{Deserialize, Serialize};

/// Bins of equal width; the last includes its upper edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    edges: Vec<f64>,
}

impl Bins {
    /// Bins between two values, to the bit those of numpy's `histogram` with a `range`: in single
    /// precision for an image in single precision.
    ///
    /// # Errors
    /// `invalid-argument` for no bins, or a range that is not finite or the wrong way round.
    pub fn uniform(range: (f64, f64), count: usize, dtype: DType) -> Result<Bins> {
        let (first, last) = checked(range, count)?;
        let mut edges = linspace(first, last, count);
        if dtype == DType::F32 {
            edges.iter_mut().for_each(|edge| *edge = f64::from(*edge as f32));
        }
        Ok(Bins { edges })
    }

    /// Bins from the least to the greatest value of an image, to the bit those of numpy's `histogram`
    /// without a `range`.
    ///
    /// # Errors
    /// As [`Bins::uniform`].
    pub fn spanning(min: Scalar, max: Scalar, count: usize, dtype: DType) -> Result<Bins> {
        let (first, last) = checked((min.as_f64(), max.as_f64()), count)?;
        let edges = if dtype == DType::F32 {
            let edges = linspace(first as f32, last as f32, count);
            edges.into_iter().map(f64::from).collect()
        } else {
            linspace(first, last, count)
        };
        Ok(Bins { edges })
    }

    /// The edges, one more than there are bins.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// The middle of each bin.
    pub fn centres(&self) -> Vec<f64> {
        self.edges.windows(2).map(|edges| (edges[0] + edges[1]) / 2.0).collect()
    }

    fn count(&self) -> usize {
        self.edges.len() - 1
    }
}

fn checked((first, last): (f64, f64), count: usize) -> Result<(f64, f64)> {
    if count == 0 {
        return Err(Error::argument("a histogram needs at least one bin"));
    }
    if !(first.is_finite() && last.is_finite() && first <= last) {
        return Err(Error::argument(format!("the range of a histogram is {first} to {last}"))
            .about("range")
            .fix("Pass two finite values, the lower one first."));
    }
    Ok(if first == last { (first - 0.5, last + 0.5) } else { (first, last) })
}

fn linspace<F: Float>(first: F, last: F, count: usize) -> Vec<F> {
    let number = |n: usize| num_traits::cast(n).unwrap_or_else(F::nan);
    let step = (last - first) / number(count);
    let mut edges: Vec<F> = (0..count).map(|n| number(n) * step + first).collect();
    edges.push(last);
    edges
}

/// How many voxels of some blocks lie in each bin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    counts: Vec<u64>,
}

impl Partial {
    /// The histogram of the voxels of a block that a mask does not exclude. Values outside all bins,
    /// and NaN, are not counted. Takes no memory besides the block and the bins, and 2 MB for types of
    /// 16 bits.
    ///
    /// # Errors
    /// `shape-mismatch` for a mask of another size; `corrupt-data` for a `bool` that is neither 0
    /// nor 1.
    pub fn of_block(block: &Array, mask: Option<&[bool]>, bins: &Bins) -> Result<Partial> {
        check_mask(block, mask)?;
        let mut counts = vec![0; bins.count()];
        let finder = Finder::new(bins);
        // Few values are counted each, and their counts put into bins.
        macro_rules! few {
            ($t:ty) => {{
                let each = dense_counts(block.values::<$t>()?, mask);
                for (key, count) in each.iter().enumerate().filter(|(_, count)| **count > 0) {
                    let value = <$t as super::keys::Key>::of_key(key as u64).to_f64();
                    if let Some(bin) = finder.bin(value) {
                        counts[bin] += count;
                    }
                }
            }};
        }
        match block.dtype() {
            DType::Bool => few!(bool),
            DType::U8 => few!(u8),
            DType::I8 => few!(i8),
            DType::U16 => few!(u16),
            DType::I16 => few!(i16),
            dtype => dispatch!(dtype, T => {
                for_each_chunk(block.values::<T>()?, mask, |chunk| {
                    for bin in chunk.iter().filter_map(|value| finder.bin(value.to_f64())) {
                        counts[bin] += 1;
                    }
                });
            }),
        }
        Ok(Partial { counts })
    }

    /// Takes in the histogram of the next block.
    pub fn merge(&mut self, other: Partial) {
        for (to, from) in self.counts.iter_mut().zip(other.counts) {
            *to += from;
        }
    }

    /// The number of voxels in each bin.
    pub fn finish(self) -> Vec<u64> {
        self.counts
    }
}

/// Finds the bin of a value by its edges, beginning where it should be.
struct Finder<'a> {
    edges: &'a [f64],
    first: f64,
    last: f64,
    per_width: f64,
}

impl Finder<'_> {
    fn new(bins: &Bins) -> Finder<'_> {
        let (first, last) = (bins.edges[0], bins.edges[bins.count()]);
        Finder { edges: &bins.edges, first, last, per_width: bins.count() as f64 / (last - first) }
    }

    fn bin(&self, value: f64) -> Option<usize> {
        if !(self.first..=self.last).contains(&value) {
            return None;
        }
        let top = self.edges.len() - 2;
        let mut bin = (((value - self.first) * self.per_width) as usize).min(top);
        while value < self.edges[bin] {
            bin -= 1;
        }
        while bin < top && value >= self.edges[bin + 1] {
            bin += 1;
        }
        Some(bin)
    }
}

/// Otsu's threshold of a histogram: values above it are foreground. None for an empty histogram.
///
/// To the bit that of scikit-image, which weighs classes in single precision and computes the rest in
/// the precision of the bins' centres: `f32` for images in single precision, else `f64`. For integers,
/// scikit-image takes the values themselves for bins, as here
/// [`Unique`](super::unique::Unique) gives them; for floats 256 bins from the least to the greatest
/// value.
pub fn otsu<F: Float>(counts: &[u64], centres: &[F]) -> Option<F> {
    let occupied = |(count, _): &(&u64, &F)| **count > 0;
    let weighed: Vec<(f32, F, F)> = counts
        .iter()
        .zip(centres)
        .filter(occupied)
        .map(|(count, centre)| (*count as f32, in_precision::<F>(*count as f32) * *centre, *centre))
        .collect();
    // For each class that begins at one end, its weight and its mean.
    let classes = |from_top: bool| -> Vec<(f32, F)> {
        let mut bins: Vec<_> = weighed.clone();
        if from_top {
            bins.reverse();
        }
        let mut sums = bins.iter().scan((0.0f32, F::zero()), |(weight, sum), bin| {
            *weight += bin.0;
            *sum = *sum + bin.1;
            Some((*weight, *sum / in_precision(*weight)))
        });
        let mut classes: Vec<_> = sums.by_ref().collect();
        if from_top {
            classes.reverse();
        }
        classes
    };
    let (below, above) = (classes(false), classes(true));
    let mut best: Option<(F, F)> = None;
    for (bin, (low, high)) in weighed.iter().zip(below.iter().zip(above.iter().skip(1))) {
        let apart = low.1 - high.1;
        let between = in_precision::<F>(low.0 * high.0) * (apart * apart);
        if best.is_none_or(|(most, _)| between > most) {
            best = Some((between, bin.2));
        }
    }
    best.map(|(_, centre)| centre).or(weighed.first().map(|bin| bin.2))
}

fn in_precision<F: Float>(value: f32) -> F {
    num_traits::cast(value).unwrap_or_else(F::nan)
}

/// Li's threshold by minimal cross entropy: values above it are foreground. None where there are no
/// values. `tolerance` is how little a step must change the threshold for the search to end.
///
/// For integers, with their values, their counts and a tolerance of 0.5, that of scikit-image. For
/// floats scikit-image uses the whole image, so that it has the same threshold only from all different
/// values (and half the least difference of two of them as the tolerance); from a histogram the result
/// is as exact as the bins are narrow.
pub fn li(counts: &[u64], values: &[f64], tolerance: f64) -> Option<f64> {
    let occupied = counts.iter().zip(values).filter(|(count, _)| **count > 0);
    let bins: Vec<(f64, f64)> = occupied.map(|(count, value)| (*count as f64, *value)).collect();
    let least = bins.first()?.1;
    if bins.len() == 1 {
        return Some(least);
    }
    // scikit-image weighs values in single precision, and computes the first guess without weights.
    let mean = |bins: &[(f64, f64)], weight: fn(f64) -> f64| {
        let sum: f64 = bins.iter().map(|bin| weight(bin.0) * (bin.1 - least)).sum();
        sum / bins.iter().map(|bin| weight(bin.0)).sum::<f64>()
    };
    let mut next = mean(&bins, |count| count);
    let mut current = -2.0 * tolerance;
    while (next - current).abs() > tolerance {
        current = next;
        let first_above = bins.partition_point(|bin| bin.1 - least <= current);
        let (back, fore) = bins.split_at(first_above);
        let single = |count: f64| f64::from(count as f32);
        let (back, fore) = (mean(back, single), mean(fore, single));
        if back == 0.0 {
            break;
        }
        next = (back - fore) / (back.ln() - fore.ln());
    }
    Some(next + least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Element;
    use proptest::prelude::*;

    fn counts<T: Element>(values: &[T], range: (f64, f64), count: usize) -> Vec<u64> {
        let block = Array::from_values(&[values.len() as u64], values).unwrap();
        let bins = Bins::uniform(range, count, T::DTYPE).unwrap();
        Partial::of_block(&block, None, &bins).unwrap().finish()
    }

    #[test]
    fn bins_include_their_lower_edge_and_the_last_its_upper() {
        assert_eq!(counts(&[0u8, 1, 2, 3, 4, 5], (0.0, 4.0), 2), [2, 3]);
        assert_eq!(counts(&[0.0f64, 1.9, 2.0, 4.0, 4.1, f64::NAN], (0.0, 4.0), 2), [2, 2]);
        assert_eq!(counts(&[-3i16, -1, i16::MAX], (-3.0, -1.0), 1), [2]);
        assert_eq!(counts(&[7u64, 7], (7.0, 7.0), 2), [0, 2]);
        assert_eq!(counts::<u32>(&[], (0.0, 1.0), 3), [0, 0, 0]);
        assert_eq!(counts(&[true, false, true], (0.0, 1.0), 2), [1, 2]);
    }

    #[test]
    fn ranges_and_numbers_of_bins_are_checked() {
        for (range, count) in [((0.0, 1.0), 0), ((1.0, 0.0), 2), ((0.0, f64::INFINITY), 2)] {
            assert!(Bins::uniform(range, count, DType::U8).is_err());
        }
        assert!(
            Bins::spanning(Scalar::Float(f64::NAN), Scalar::Float(1.0), 2, DType::F32).is_err()
        );
        let bins = Bins::spanning(Scalar::Integer(0), Scalar::Integer(10), 4, DType::U8).unwrap();
        assert_eq!(bins.edges(), [0.0, 2.5, 5.0, 7.5, 10.0]);
        assert_eq!(bins.centres(), [1.25, 3.75, 6.25, 8.75]);
    }

    #[test]
    fn two_populations_are_told_apart() {
        let values = [10.0, 11.0, 12.0, 200.0, 201.0];
        let threshold = otsu(&[5, 0, 6, 4, 4], &values).unwrap();
        assert_eq!(threshold, 12.0);
        let threshold = li(&[5, 0, 6, 4, 4], &values, 0.5).unwrap();
        assert!(threshold > 12.0 && threshold < 200.0);
        assert_eq!(otsu(&[0, 3], &[1.0f32, 2.0]), Some(2.0));
        assert_eq!(li(&[0, 3], &[1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(otsu::<f64>(&[], &[]), None);
        assert_eq!(li(&[0], &[1.0], 0.5), None);
    }

    proptest! {
        #[test]
        fn every_value_is_between_the_edges_of_its_bin(
            values in proptest::collection::vec(-20.0f32..20.0, 0..60),
            first in -10.0f64..0.0,
            width in 0.1f64..30.0,
            count in 1usize..9,
            cut in 0usize..60,
        ) {
            let bins = Bins::uniform((first, first + width), count, DType::F32).unwrap();
            let part = |values: &[f32]| {
                let block = Array::from_values(&[values.len() as u64], values).unwrap();
                Partial::of_block(&block, None, &bins).unwrap()
            };
            let cut = cut.min(values.len());
            let mut merged = part(&values[..cut]);
            merged.merge(part(&values[cut..]));
            let expected: Vec<u64> = (0..count)
                .map(|bin| {
                    let (low, high) = (bins.edges()[bin], bins.edges()[bin + 1]);
                    let inside = |value: &&f32| {
                        let value = f64::from(**value);
                        value >= low && (value < high || bin + 1 == count && value == high)
                    };
                    values.iter().filter(inside).count() as u64
                })
                .collect();
            prop_assert_eq!(merged.finish(), expected);
        }
    }
}
