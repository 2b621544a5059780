//! The contingency table of two segmentations.

use crate::op::kernel::measure::overlaps::Overlaps;

/// How many voxels each pair of labels of two segmentations shares, and each label has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContingencyTable {
    /// Pairs that occur, in ascending order.
    pub pairs: Vec<[u64; 2]>,
    /// The number of voxels of each pair.
    pub counts: Vec<u64>,
    /// Labels of the first segmentation, in ascending order.
    pub labels_a: Vec<u64>,
    /// The number of voxels of each.
    pub sizes_a: Vec<u64>,
    /// Labels of the second segmentation, in ascending order.
    pub labels_b: Vec<u64>,
    /// The number of voxels of each.
    pub sizes_b: Vec<u64>,
    /// The number of all voxels.
    pub n_points: u64,
}

/// A pair with the places of its labels in the table and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub a: usize,
    pub b: usize,
    pub count: u64,
    pub size_a: u64,
    pub size_b: u64,
}

impl ContingencyTable {
    /// The table of pairs that were counted.
    ///
    /// ```
    /// use bioimage_engine::array::Array;
    /// use bioimage_engine::op::kernel::measure::{evaluation::ContingencyTable, overlaps};
    /// let a = Array::from_values(&[4], &[1u8, 1, 2, 2])?;
    /// let b = Array::from_values(&[4], &[5u32, 5, 5, 0])?;
    /// let table = ContingencyTable::new(overlaps::Partial::of_block(&a, &b, None)?.finish());
    /// assert_eq!(table.pairs, [[1, 5], [2, 0], [2, 5]]);
    /// assert_eq!((table.sizes_a, table.sizes_b), (vec![2, 2], vec![1, 3]));
    /// # Ok::<(), bioimage_engine::Error>(())
    /// ```
    pub fn new(overlaps: Overlaps) -> ContingencyTable {
        let Overlaps { pairs, counts } = overlaps;
        let with_counts = || pairs.iter().zip(&counts);
        let (labels_a, sizes_a) = sums(with_counts().map(|(pair, count)| (pair[0], *count)));
        let mut by_b: Vec<_> = with_counts().map(|(pair, count)| (pair[1], *count)).collect();
        by_b.sort_unstable();
        let (labels_b, sizes_b) = sums(by_b.into_iter());
        let n_points = counts.iter().sum();
        ContingencyTable { pairs, counts, labels_a, sizes_a, labels_b, sizes_b, n_points }
    }

    /// The table without the voxels that have one of these labels in either segmentation.
    #[must_use]
    pub fn drop_ignore(self, ignore_a: &[u64], ignore_b: &[u64]) -> ContingencyTable {
        if ignore_a.is_empty() && ignore_b.is_empty() {
            return self;
        }
        let kept = |pair: &[u64; 2]| !ignore_a.contains(&pair[0]) && !ignore_b.contains(&pair[1]);
        let rows = self.pairs.into_iter().zip(self.counts).filter(|(pair, _)| kept(pair));
        let (pairs, counts) = rows.unzip();
        ContingencyTable::new(Overlaps { pairs, counts })
    }

    /// The pairs with the places of their labels, in their order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Pair> {
        let mut a = 0;
        self.pairs.iter().zip(&self.counts).map(move |(pair, count)| {
            while self.labels_a[a] != pair[0] {
                a += 1;
            }
            // The labels are those of the pairs.
            let b = self.labels_b.partition_point(|label| *label < pair[1]);
            Pair { a, b, count: *count, size_a: self.sizes_a[a], size_b: self.sizes_b[b] }
        })
    }
}

/// Adds up the counts of equal labels that follow each other.
fn sums(rows: impl Iterator<Item = (u64, u64)>) -> (Vec<u64>, Vec<u64>) {
    let (mut labels, mut sizes): (Vec<u64>, Vec<u64>) = Default::default();
    for (label, count) in rows {
        match sizes.last_mut() {
            Some(size) if labels.last() == Some(&label) => *size += count,
            _ => {
                labels.push(label);
                sizes.push(count);
            }
        }
    }
    (labels, sizes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The table of two segmentations.
    pub fn table(a: &[u64], b: &[u64]) -> ContingencyTable {
        let mut counts = BTreeMap::new();
        for (a, b) in a.iter().zip(b) {
            *counts.entry([*a, *b]).or_insert(0) += 1;
        }
        let (pairs, counts) = counts.into_iter().unzip();
        ContingencyTable::new(Overlaps { pairs, counts })
    }

    #[test]
    fn ignored_labels_take_their_voxels_along() {
        let (a, b) = ([0, 0, 1, 1, 2, 2, u64::MAX], [0, 4, 4, 4, 0, 7, 7]);
        let whole = table(&a, &b);
        assert_eq!(whole.labels_a, [0, 1, 2, u64::MAX]);
        assert_eq!(whole.sizes_a, [2, 2, 2, 1]);
        assert_eq!(
            (whole.labels_b.as_slice(), whole.sizes_b.as_slice()),
            (&[0, 4, 7][..], &[2, 3, 2][..])
        );
        assert_eq!(whole.n_points, 7);
        let dropped = whole.clone().drop_ignore(&[0], &[0]);
        assert_eq!(dropped, table(&[1, 1, 2, u64::MAX], &[4, 4, 7, 7]));
        assert_eq!(whole.clone().drop_ignore(&[], &[]), whole);
        let none = whole.drop_ignore(&[0, 1, 2, u64::MAX], &[]);
        assert_eq!(none, ContingencyTable::default());
    }
}
