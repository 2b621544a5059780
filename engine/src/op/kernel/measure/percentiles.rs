//! Exact percentiles of images of any size and type, in one to four passes.
//!
//! Each pass counts the next 16 bits of the values whose first bits are known to be those of a value
//! that is looked for: one pass does for types of up to 16 bits, two for 32 bits, four for 64 bits.

use super::keys::Key;
use super::unique::dense_counts;
use super::{check_mask, for_each_chunk};
use crate::array::{Array, Scalar};
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::op::kernel::Voxel;
use serde::{Deserialize, Serialize};

/// What is known of the values that percentiles are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    dtype: DType,
    percents: Vec<Scalar>,
    /// Number of voxels, from the first pass on.
    count: u64,
    /// Leading bits that are known.
    known: u32,
    /// For each value that is looked for its leading bits, and its rank among values that have them.
    targets: Vec<(u64, u64)>,
}

/// Voxels of some blocks by the bits that a pass looks at: 65536 counts for each different start of
/// the values that are looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    counts: Vec<u64>,
}

/// What a pass came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Another pass is needed.
    Again(Search),
    /// The percentiles, in the order in which they were asked for.
    Done(Vec<f64>),
}

/// Bits that a pass looks at.
const PASS: u32 = 16;

impl Search {
    /// The search for percentiles of an image.
    ///
    /// # Errors
    /// `invalid-argument` for percentages outside 0 to 100.
    pub fn new(dtype: DType, percents: &[f64]) -> Result<Search> {
        if let Some(odd) = percents.iter().find(|percent| !(0.0..=100.0).contains(*percent)) {
            return Err(Error::argument(format!(
                "percentiles must be in the range 0 to 100, got {odd}"
            )));
        }
        let percents = percents.iter().map(|percent| Scalar::Float(*percent)).collect();
        Ok(Search { dtype, percents, count: 0, known: 0, targets: Vec::new() })
    }

    /// Counts the voxels of a block that a mask does not exclude. Takes 512 kB for each value that is
    /// looked for.
    ///
    /// # Errors
    /// `dtype-mismatch` for a block of another type; `shape-mismatch` for a mask of another size.
    pub fn of_block(&self, block: &Array, mask: Option<&[bool]>) -> Result<Partial> {
        check_mask(block, mask)?;
        let counts = dispatch!(self.dtype, T => self.counts(block.values::<T>()?, mask));
        Ok(Partial { counts })
    }

    /// What all blocks together say.
    ///
    /// # Errors
    /// `invalid-argument` where no voxel counted.
    pub fn advance(mut self, all: Partial) -> Result<Step> {
        if self.known == 0 {
            self.count = all.counts.iter().sum();
            if self.count == 0 {
                return Err(Error::argument(
                    "No values within the mask; cannot compute percentiles.",
                ));
            }
            self.targets = self.ranks().into_iter().map(|rank| (0, rank)).collect();
        }
        let (bits, starts) = (self.pass_bits(), self.starts());
        for (start, rank) in &mut self.targets {
            let table = starts.partition_point(|other| other < start) << bits;
            let mut bucket = 0;
            while all.counts[table + bucket] <= *rank {
                *rank -= all.counts[table + bucket];
                bucket += 1;
            }
            *start = *start << bits | bucket as u64;
        }
        self.known += bits;
        let done = dispatch!(self.dtype, T => self.known == T::KEY_BITS);
        Ok(if done { Step::Done(self.percentiles()) } else { Step::Again(self) })
    }

    /// Ranks of values: for each percentile those on both sides, then the last.
    fn ranks(&self) -> Vec<u64> {
        let last = self.count - 1;
        let sides = |percent: &Scalar| {
            let below = (place(*percent, self.count).floor() as u64).min(last);
            [below, (below + 1).min(last)]
        };
        self.percents.iter().flat_map(sides).chain([last]).collect()
    }

    /// The different starts of values that are looked for, in ascending order.
    fn starts(&self) -> Vec<u64> {
        if self.known == 0 {
            return vec![0];
        }
        let mut starts: Vec<u64> = self.targets.iter().map(|(start, _)| *start).collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    fn pass_bits(&self) -> u32 {
        dispatch!(self.dtype, T => (T::KEY_BITS - self.known).min(PASS))
    }

    fn counts<T: Key>(&self, values: &[T], mask: Option<&[bool]>) -> Vec<u64> {
        if T::KEY_BITS <= PASS {
            return dense_counts(values, mask);
        }
        let (bits, starts) = (self.pass_bits(), self.starts());
        let (low, high) = (starts[0], starts[starts.len() - 1]);
        let shift = T::KEY_BITS - self.known - bits;
        let mut counts = vec![0; starts.len() << bits];
        for_each_chunk(values, mask, |chunk| {
            for value in chunk {
                let key = value.key() >> shift;
                let start = key >> bits;
                if start < low || start > high {
                    continue;
                }
                if let Ok(table) = starts.binary_search(&start) {
                    let bucket = key as usize & ((1 << bits) - 1);
                    counts[(table << bits) + bucket] += 1;
                }
            }
        });
        counts
    }

    /// The percentiles of values whose keys are known.
    fn percentiles(&self) -> Vec<f64> {
        let value = |key: u64| dispatch!(self.dtype, T => T::of_key(key).to_f64());
        // NaN is the last value where there is one, and makes everything NaN as in numpy.
        if self.targets.last().is_some_and(|(key, _)| value(*key).is_nan()) {
            return vec![f64::NAN; self.percents.len()];
        }
        let sides = self.targets.chunks_exact(2);
        let between = |(sides, percent): (&[(u64, u64)], &Scalar)| {
            let (below, above) = (value(sides[0].0), value(sides[1].0));
            let place = place(*percent, self.count);
            interpolated(below, above, place - place.floor())
        };
        sides.zip(&self.percents).map(between).collect()
    }
}

impl Partial {
    /// Takes in the counts of the next block.
    pub fn merge(&mut self, other: Partial) {
        for (to, from) in self.counts.iter_mut().zip(other.counts) {
            *to += from;
        }
    }
}

/// Where a percentile lies among sorted values.
fn place(percent: Scalar, count: u64) -> f64 {
    percent.as_f64() / 100.0 * (count - 1) as f64
}

/// From the nearer side, as numpy does, so that the result does not overshoot; unlike there, infinity
/// beside a value does not change it.
fn interpolated(below: f64, above: f64, weight: f64) -> f64 {
    if below == above || weight == 0.0 {
        below
    } else if weight < 0.5 {
        below + (above - below) * weight
    } else {
        above - (above - below) * (1.0 - weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn percentiles<T: Key>(blocks: &[&[T]], percents: &[f64]) -> Result<Vec<f64>> {
        let mut search = Search::new(T::DTYPE, percents).unwrap();
        loop {
            let part = |values: &&[T]| {
                let block = Array::from_values(&[values.len() as u64], values).unwrap();
                search.of_block(&block, None).unwrap()
            };
            let all = blocks.iter().map(part).reduce(|mut all, next| {
                all.merge(next);
                all
            });
            match search.clone().advance(all.unwrap())? {
                Step::Done(percentiles) => return Ok(percentiles),
                Step::Again(next) => search = next,
            }
        }
    }

    #[test]
    fn percentiles_of_a_few_values() {
        let of = |percents: &[f64]| percentiles(&[&[4u8, 1], &[3, 2]], percents).unwrap();
        assert_eq!(of(&[0.0, 50.0, 100.0, 25.0]), [1.0, 2.5, 4.0, 1.75]);
        assert_eq!(percentiles(&[&[9i64]], &[37.0]).unwrap(), [9.0]);
        let ends = percentiles(&[&[i64::MAX, i64::MIN, 5]], &[0.0, 50.0, 100.0]).unwrap();
        assert_eq!(ends, [-(2f64.powi(63)), 5.0, 2f64.powi(63)]);
        assert_eq!(percentiles(&[&[true, false, true]], &[50.0]).unwrap(), [1.0]);
        assert_eq!(percentiles(&[&[f32::INFINITY, 1.0]], &[100.0]).unwrap(), [f64::INFINITY]);
        assert!(percentiles(&[&[1.0f64, f64::NAN]], &[0.0]).unwrap()[0].is_nan());
    }

    #[test]
    fn nothing_and_odd_percentages_are_refused() {
        assert!(percentiles::<u16>(&[&[]], &[50.0]).is_err());
        for odd in [-0.1, 100.1, f64::NAN] {
            assert!(Search::new(DType::U8, &[odd]).is_err());
        }
    }

    proptest! {
        // Each pass fills tables of half a megabyte.
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn percentiles_are_those_of_sorted_values(
            values in proptest::collection::vec(-1e3f64..1e3, 1..50),
            percents in proptest::collection::vec(0.0f64..100.0, 1..5),
            cut in 0usize..50,
        ) {
            let cut = cut.min(values.len());
            let found = percentiles(&[&values[..cut], &values[cut..]], &percents).unwrap();
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            for (percent, found) in percents.iter().zip(found) {
                let place = percent / 100.0 * (values.len() - 1) as f64;
                let (below, above) = (sorted[place as usize], sorted[place.ceil() as usize]);
                let expected = below + (above - below) * place.fract();
                prop_assert!((found - expected).abs() < 1e-9);
            }
            let integers: Vec<u32> = values.iter().map(|value| (value.abs() * 1e6) as u32).collect();
            let mut sorted = integers.clone();
            sorted.sort_unstable();
            let found = percentiles(&[&integers], &[0.0, 100.0]).unwrap();
            let ends = [f64::from(sorted[0]), f64::from(sorted[sorted.len() - 1])];
            prop_assert_eq!(found, ends);
        }
    }
}
