//! How many voxels each pair of labels of two segmentations shares.

use super::rows::{LabelMap, Rows, Tables, label_bits};
use super::runs::Changes;
use super::{check_mask, chunks, part};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The pairs of some blocks with their counts, 24 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial(Tables);

/// Pairs of labels and the voxels that each has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// Pairs that occur, the label of the first segmentation first, in ascending order.
    pub pairs: Vec<[u64; 2]>,
    /// The number of voxels of each.
    pub counts: Vec<u64>,
}

impl Partial {
    /// The pairs of two blocks of labels in the voxels that a mask does not exclude. Takes some 60
    /// bytes for each different pair.
    ///
    /// # Errors
    /// `dtype-mismatch` for anything but integers; `shape-mismatch` for blocks or a mask of different
    /// shapes; `invalid-argument` for negative labels.
    pub fn of_block(a: &Array, b: &Array, mask: Option<&[bool]>) -> Result<Partial> {
        for (name, labels) in [("seg_a", a), ("seg_b", b)] {
            if matches!(labels.dtype(), DType::Bool | DType::F32 | DType::F64) {
                return Err(Error::new(
                    Kind::DtypeMismatch,
                    format!(
                        "contingency_table expects integer label images, got dtype {} for {name}.",
                        labels.dtype()
                    ),
                )
                .fix("Convert the image to an integer type."));
            }
        }
        if a.shape() != b.shape() {
            return Err(Error::new(
                Kind::ShapeMismatch,
                format!("seg_a has shape {:?}, seg_b has shape {:?}", a.shape(), b.shape()),
            )
            .fix("Compare segmentations of one shape."));
        }
        check_mask(a, mask)?;
        let mut counter = Counter::default();
        for range in chunks(a.voxels() as usize) {
            counter.begin(range.len());
            if let Some(mask) = mask {
                counter.changes.mark(&mask[range.clone()]);
            }
            for labels in [a, b] {
                dispatch!(labels.dtype(), T => {
                    counter.changes.mark(part::<T>(labels, range.clone())?);
                });
            }
            counter.find_runs(mask.map(|mask| &mask[range.clone()]));
            counter.read(a, range.clone(), "labels_a", 0)?;
            counter.read(b, range, "labels_b", 1)?;
            counter.count();
        }
        Ok(Partial(Tables::of(counter.rows())))
    }

    /// Takes in the pairs of the next block.
    pub fn merge(&mut self, other: Partial) {
        self.0.merge(other.0, add);
    }

    /// The pairs of all blocks.
    pub fn finish(self) -> Overlaps {
        let rows = self.0.finish(add);
        Overlaps {
            pairs: rows.iter().map(|row| [row[0], row[1]]).collect(),
            counts: rows.iter().map(|row| row[2]).collect(),
        }
    }
}

fn add(to: &mut [u64], from: &[u64]) {
    to[0] += from[0];
}

/// Counts pairs, a run of equal ones at a time.
#[derive(Default)]
struct Counter {
    changes: Changes,
    /// Where each run starts, and its length.
    runs: Vec<(usize, u64)>,
    /// The labels of each run.
    pairs: Vec<[u64; 2]>,
    slots: LabelMap<(u64, u64)>,
    rows: Vec<[u64; 3]>,
}

impl Counter {
    fn begin(&mut self, len: usize) {
        self.changes.reset(len);
        self.runs.clear();
    }

    fn find_runs(&mut self, mask: Option<&[bool]>) {
        self.changes.for_each_run(|start, end| {
            if mask.is_none_or(|mask| mask[start]) {
                self.runs.push((start, (end - start) as u64));
            }
        });
        self.pairs.clear();
        self.pairs.resize(self.runs.len(), [0; 2]);
    }

    /// Reads the labels of one side of the pairs.
    fn read(&mut self, block: &Array, range: Range<usize>, name: &str, side: usize) -> Result<()> {
        let mut signs = 0;
        dispatch!(block.dtype(), T => {
            let labels = part::<T>(block, range)?;
            for (pair, (start, _)) in self.pairs.iter_mut().zip(&self.runs) {
                pair[side] = label_bits(labels[*start]);
                signs |= pair[side];
            }
        });
        let signed = matches!(block.dtype(), DType::I8 | DType::I16 | DType::I32 | DType::I64);
        if signed && signs >> 63 != 0 {
            return Err(Error::argument(format!("{name} must not contain negative labels"))
                .fix("Relabel the segmentation, or cast it to an unsigned type."));
        }
        Ok(())
    }

    fn count(&mut self) {
        for ([a, b], (_, len)) in self.pairs.iter().zip(&self.runs) {
            let slot = *self.slots.entry((*a, *b)).or_insert_with(|| {
                self.rows.push([*a, *b, 0]);
                self.rows.len() - 1
            });
            self.rows[slot][2] += len;
        }
    }

    fn rows(mut self) -> Rows {
        self.rows.sort_unstable();
        Rows::in_order(3, 2, self.rows.into_flattened())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Element;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn block<T: Element>(values: &[T]) -> Array {
        Array::from_values(&[values.len() as u64], values).unwrap()
    }

    #[test]
    fn pairs_of_different_types_are_counted_exactly() {
        let a = block(&[u64::MAX, u64::MAX, 1, u64::MAX - 1]);
        let b = block(&[7u8, 7, 255, 0]);
        let overlaps = Partial::of_block(&a, &b, None).unwrap().finish();
        let top = u64::MAX;
        assert_eq!(overlaps.pairs, [[1, 255], [top - 1, 0], [top, 7]]);
        assert_eq!(overlaps.counts, [1, 1, 2]);
        let mask = [false, true, true, false];
        let masked = Partial::of_block(&a, &b, Some(&mask)).unwrap().finish();
        assert_eq!(masked, Overlaps { pairs: vec![[1, 255], [top, 7]], counts: vec![1, 1] });
    }

    #[test]
    fn what_is_no_label_image_is_refused() {
        let labels = block(&[1i16, -2]);
        let error = Partial::of_block(&block(&[1u8, 2]), &labels, None).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidArgument);
        assert_eq!(error.message, "labels_b must not contain negative labels");
        Partial::of_block(&labels, &labels, Some(&[true, false])).unwrap();
        let error = Partial::of_block(&block(&[1.0f32]), &block(&[1u8]), None).unwrap_err();
        assert_eq!(error.kind, Kind::DtypeMismatch);
        assert!(error.message.ends_with("got dtype float32 for seg_a."));
        let error = Partial::of_block(&labels, &block(&[1u8]), None).unwrap_err();
        assert_eq!(error.kind, Kind::ShapeMismatch);
    }

    proptest! {
        #[test]
        fn counts_are_those_of_single_voxels(
            values in proptest::collection::vec((0u32..3, 0i64..3, any::<bool>()), 0..300),
            cut in 0usize..300,
        ) {
            let cut = cut.min(values.len());
            let part = |values: &[(u32, i64, bool)]| {
                let a = block(&values.iter().map(|v| v.0).collect::<Vec<_>>());
                let b = block(&values.iter().map(|v| v.1).collect::<Vec<_>>());
                let mask: Vec<bool> = values.iter().map(|v| v.2).collect();
                Partial::of_block(&a, &b, Some(&mask)).unwrap()
            };
            let mut merged = part(&values[..cut]);
            merged.merge(part(&values[cut..]));
            let overlaps = merged.finish();
            let mut expected = BTreeMap::new();
            for (a, b, counts) in &values {
                if *counts {
                    *expected.entry([u64::from(*a), *b as u64]).or_insert(0u64) += 1;
                }
            }
            let pairs = overlaps.pairs.into_iter().zip(overlaps.counts);
            prop_assert!(pairs.eq(expected));
        }
    }
}
