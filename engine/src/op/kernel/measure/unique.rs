//! The values of an image and how often each occurs.

use super::keys::Key;
use super::rows::{LabelMap, Rows, Tables};
use super::runs::Changes;
use super::{check_mask, for_each_chunk};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::Result;
use crate::op::kernel::values_mut;
use serde::{Deserialize, Serialize};

/// The values of some blocks with their counts, 16 bytes each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    dtype: DType,
    tables: Tables,
}

/// Sorted values and how often each occurs. NaNs count as one value, the last, and both zeros as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Unique {
    /// The values, in one dimension.
    pub values: Array,
    /// How often each occurs.
    pub counts: Vec<u64>,
}

/// Values after which it is seen whether counting them in a hash table was worth it.
const PROBE: usize = 1 << 18;

impl Partial {
    /// The values of the voxels of a block that a mask does not exclude. Takes 512 kB for types of up
    /// to 16 bits, else some 40 bytes for each different value, and 8 bytes for each voxel where most
    /// voxels differ.
    ///
    /// # Errors
    /// `shape-mismatch` for a mask of another size; `corrupt-data` for a `bool` that is neither 0
    /// nor 1.
    pub fn of_block(block: &Array, mask: Option<&[bool]>) -> Result<Partial> {
        check_mask(block, mask)?;
        let cells = dispatch!(block.dtype(), T => {
            let values = block.values::<T>()?;
            if T::KEY_BITS <= 16 { counted(values, mask) } else { hashed(values, mask) }
        });
        let tables = Tables::of(Rows::in_order(2, 1, cells));
        Ok(Partial { dtype: block.dtype(), tables })
    }

    /// Takes in the values of the next block.
    pub fn merge(&mut self, other: Partial) {
        self.tables.merge(other.tables, add);
    }

    /// The values of all blocks.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn finish(self) -> Result<Unique> {
        let rows = self.tables.finish(add);
        let counts: Vec<u64> = rows.iter().map(|row| row[1]).collect();
        let mut values = Array::zeros(self.dtype, &[counts.len() as u64]);
        dispatch!(self.dtype, T => {
            for (value, row) in values_mut::<T>(&mut values)?.iter_mut().zip(rows.iter()) {
                *value = T::of_key(row[0]);
            }
        });
        Ok(Unique { values, counts })
    }
}

fn add(to: &mut [u64], from: &[u64]) {
    to[0] += from[0];
}

/// Counts values of few bits in a table of all of them.
pub(super) fn dense_counts<T: Key>(values: &[T], mask: Option<&[bool]>) -> Vec<u64> {
    /// Tables in turn, since a counter that was just written is slow to be read again.
    const TURNS: usize = 4;
    let size = 1usize << T::KEY_BITS;
    let mut tables = vec![0u64; TURNS * size];
    for_each_chunk(values, mask, |chunk| {
        for values in chunk.chunks(TURNS) {
            for (turn, value) in values.iter().enumerate() {
                tables[turn * size + value.key() as usize] += 1;
            }
        }
    });
    let (first, others) = tables.split_at_mut(size);
    for other in others.chunks(size) {
        for (to, from) in first.iter_mut().zip(other) {
            *to += from;
        }
    }
    tables.truncate(size);
    tables
}

fn counted<T: Key>(values: &[T], mask: Option<&[bool]>) -> Vec<u64> {
    let counts = dense_counts(values, mask);
    let present = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    present.flat_map(|(key, count)| [key as u64, *count]).collect()
}

/// Counts runs of equal values in a hash table; where most values differ, by sorting.
fn hashed<T: Key>(values: &[T], mask: Option<&[bool]>) -> Vec<u64> {
    let mut slots = LabelMap::default();
    let mut cells: Vec<[u64; 2]> = Vec::new();
    let mut all: Option<Vec<u64>> = None;
    let mut seen = 0;
    let mut changes = Changes::default();
    for_each_chunk(values, mask, |chunk| {
        if let Some(all) = &mut all {
            all.extend(chunk.iter().map(|value| value.key()));
            return;
        }
        // NaN differs from itself: each is a run, and all have one key.
        changes.reset(chunk.len());
        changes.mark(chunk);
        changes.for_each_run(|start, end| {
            let key = chunk[start].key();
            let slot = *slots.entry(key).or_insert_with(|| {
                cells.push([key, 0]);
                cells.len() - 1
            });
            cells[slot][1] += (end - start) as u64;
        });
        seen += chunk.len();
        if seen >= PROBE && cells.len() > seen / 4 {
            let known =
                cells.iter().flat_map(|cell| std::iter::repeat_n(cell[0], cell[1] as usize));
            all = Some(known.collect());
        }
    });
    match all {
        Some(mut keys) => {
            keys.sort_unstable();
            let runs = keys.chunk_by(|a, b| a == b);
            runs.flat_map(|run| [run[0], run.len() as u64]).collect()
        }
        None => {
            cells.sort_unstable();
            cells.into_flattened()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn of<T: Key>(values: &[T], mask: Option<&[bool]>) -> Partial {
        let block = Array::from_values(&[values.len() as u64], values).unwrap();
        Partial::of_block(&block, mask).unwrap()
    }

    #[test]
    fn a_few_values_of_each_kind() {
        let unique = of(&[3u8, 0, 3, 255], None).finish().unwrap();
        assert_eq!(unique.values.values::<u8>().unwrap(), [0, 3, 255]);
        assert_eq!(unique.counts, [1, 2, 1]);
        let unique = of(&[true, true], None).finish().unwrap();
        assert_eq!(unique.values.values::<bool>().unwrap(), [true]);
        let unique = of(&[i64::MAX, -1, i64::MIN, -1], None).finish().unwrap();
        assert_eq!(unique.values.values::<i64>().unwrap(), [i64::MIN, -1, i64::MAX]);
        let unique = of(&[i16::MAX, i16::MIN], Some(&[false, true])).finish().unwrap();
        assert_eq!(unique.values.values::<i16>().unwrap(), [i16::MIN]);
        assert!(of::<u64>(&[], None).finish().unwrap().counts.is_empty());
    }

    #[test]
    fn all_nans_are_one_value_and_so_are_both_zeros() {
        let values = [f64::NAN, 0.0, -f64::NAN, -0.0, -1.0, f64::NAN];
        let unique = of(&values, None).finish().unwrap();
        assert_eq!(unique.counts, [1, 2, 3]);
        let values = unique.values.values::<f64>().unwrap();
        assert_eq!(values[..2], [-1.0, 0.0]);
        assert!(values[2].is_nan());
    }

    #[test]
    fn values_that_mostly_differ_are_counted_as_well() {
        let count = 3 * PROBE as u32;
        let values: Vec<u32> =
            (0..count).map(|i| i.wrapping_mul(0x9e37_79b1) % (count / 2)).collect();
        let mut expected = BTreeMap::new();
        for value in &values {
            *expected.entry(*value).or_insert(0u64) += 1;
        }
        let unique = of(&values, None).finish().unwrap();
        let values = unique.values.values::<u32>().unwrap().iter().copied();
        assert!(values.zip(unique.counts).eq(expected));
    }

    proptest! {
        #[test]
        fn blocks_do_not_matter(
            values in proptest::collection::vec((0u32..6).prop_map(|v| v * 800_000_011), 0..200),
            cut in 0usize..200,
        ) {
            let cut = cut.min(values.len());
            let mut merged = of(&values[..cut], None);
            merged.merge(of(&values[cut..], None));
            prop_assert_eq!(merged.finish().unwrap(), of(&values, None).finish().unwrap());
            let mut sorted = values.clone();
            sorted.sort_unstable();
            sorted.dedup();
            let unique = of(&values, None).finish().unwrap();
            prop_assert_eq!(unique.values.values::<u32>().unwrap(), sorted.as_slice());
            for (value, count) in sorted.iter().zip(unique.counts) {
                let occurrences = values.iter().filter(|v| *v == value).count();
                prop_assert_eq!(count, occurrences as u64);
            }
        }
    }
}
