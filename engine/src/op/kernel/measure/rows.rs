//! Sorted tables of integers that add up, such as the counts of labels.

use crate::array::Scalar;
use crate::cast::Number;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Rows of `u64` cells in ascending order of their first cells, the key; no two keys are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rows {
    /// Cells of a row.
    width: usize,
    /// Cells of a key.
    keys: usize,
    cells: Vec<u64>,
}

impl Rows {
    /// Rows, in any order, whose keys differ.
    pub fn sorted<'a>(width: usize, keys: usize, rows: impl Iterator<Item = &'a [u64]>) -> Rows {
        let mut rows: Vec<&[u64]> = rows.collect();
        rows.sort_unstable_by(|a, b| a[..keys].cmp(&b[..keys]));
        Rows::in_order(width, keys, rows.concat())
    }

    /// The cells of rows that are sorted already.
    pub fn in_order(width: usize, keys: usize, cells: Vec<u64>) -> Rows {
        Rows { width, keys, cells }
    }

    /// The rows.
    pub fn iter(&self) -> impl Iterator<Item = &[u64]> {
        self.cells.chunks_exact(self.width.max(1))
    }

    fn merged(self, other: Rows, add: fn(&mut [u64], &[u64])) -> Rows {
        let (width, keys) = (self.width, self.keys);
        let mut cells = Vec::with_capacity(self.cells.len() + other.cells.len());
        let (mut ours, mut theirs) = (self.cells.as_slice(), other.cells.as_slice());
        while !ours.is_empty() && !theirs.is_empty() {
            let order = ours[..keys].cmp(&theirs[..keys]);
            if order == Ordering::Greater {
                cells.extend_from_slice(take(&mut theirs, width));
                continue;
            }
            cells.extend_from_slice(take(&mut ours, width));
            if order == Ordering::Equal {
                let last = cells.len() - width;
                add(&mut cells[last + keys..], &take(&mut theirs, width)[keys..]);
            }
        }
        cells.extend_from_slice(ours);
        cells.extend_from_slice(theirs);
        Rows { width, keys, cells }
    }
}

fn take<'a>(cells: &mut &'a [u64], width: usize) -> &'a [u64] {
    let (row, rest) = cells.split_at(width);
    *cells = rest;
    row
}

/// Rows of many blocks: tables of which each is longer than the one behind it, so that a row is
/// moved only as often as the number of blocks can be halved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tables(Vec<Rows>);

impl Tables {
    /// The rows of one block.
    pub fn of(rows: Rows) -> Tables {
        Tables(vec![rows])
    }

    /// Takes in other rows; `add` adds the cells behind a key to those of the same key.
    pub fn merge(&mut self, other: Tables, add: fn(&mut [u64], &[u64])) {
        for mut rows in other.0 {
            while let Some(last) = self.0.pop_if(|last| last.cells.len() <= rows.cells.len()) {
                rows = last.merged(rows, add);
            }
            self.0.push(rows);
        }
    }

    /// All rows as one table.
    pub fn finish(self, add: fn(&mut [u64], &[u64])) -> Rows {
        let rows = self.0.into_iter().rev().reduce(|rows, longer| longer.merged(rows, add));
        rows.unwrap_or_default()
    }
}

/// The bits of an integer label, its sign continued to the left.
pub(super) fn label_bits<T: Number>(label: T) -> u64 {
    match label.widen() {
        Scalar::Integer(label) => label as u64,
        Scalar::Float(label) => label as u64,
    }
}

/// A map from labels, which are spread over the buckets by one multiplication. Nobody gains from
/// labels that collide, so that is enough.
pub(super) type LabelMap<K> = HashMap<K, usize, BuildHasherDefault<LabelHasher>>;

/// See [`LabelMap`].
#[derive(Default)]
pub(super) struct LabelHasher(u64);

impl Hasher for LabelHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, value: u64) {
        // The golden ratio in 64 bits: neighbouring labels land far apart.
        let product = u128::from(self.0 ^ value) * 0x9e37_79b9_7f4a_7c15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn add(to: &mut [u64], from: &[u64]) {
        to[0] += from[0];
    }

    proptest! {
        #[test]
        fn merged_tables_are_the_sum_of_their_rows(
            blocks in proptest::collection::vec(
                proptest::collection::btree_map((0u64..5, 0u64..5), 1u64..9, 0..12), 0..9),
        ) {
            let mut expected = BTreeMap::new();
            let mut tables = Tables::default();
            for block in blocks {
                let rows: Vec<[u64; 3]> =
                    block.iter().map(|((a, b), n)| [*a, *b, *n]).rev().collect();
                for [a, b, n] in &rows {
                    *expected.entry((*a, *b)).or_insert(0) += n;
                }
                let rows = rows.iter().map(|row| row.as_slice());
                tables.merge(Tables::of(Rows::sorted(3, 2, rows)), add);
            }
            let merged: Vec<_> =
                tables.finish(add).iter().map(|row| ((row[0], row[1]), row[2])).collect();
            prop_assert_eq!(merged, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
