//! The Dice score: of foregrounds, and of the best counterpart of each object.

use super::table::ContingencyTable;
use crate::array::{Array, Scalar};
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::op::kernel::Voxel;
use crate::op::kernel::measure::statistics::lane_sum;
use crate::op::kernel::measure::{CHUNK, check_mask, chunks, part};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What the foregrounds of some blocks have in common and what each has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DicePartial {
    intersection: Scalar,
    sum_a: Scalar,
    sum_b: Scalar,
}

/// Keeps the score of two empty foregrounds from being undefined.
const EPSILON: f64 = 1e-7;

impl DicePartial {
    /// The foregrounds of two blocks, in the voxels that a mask does not exclude: the voxels above
    /// a threshold, or without one the values themselves as weights. Takes no memory besides the
    /// blocks.
    ///
    /// # Errors
    /// `shape-mismatch` for blocks or a mask of different shapes.
    pub fn of_block(
        a: &Array,
        b: &Array,
        thresholds: [Option<f64>; 2],
        mask: Option<&[bool]>,
    ) -> Result<DicePartial> {
        if a.shape() != b.shape() {
            return Err(Error::new(
                Kind::ShapeMismatch,
                format!("segmentation has shape {:?}, groundtruth {:?}", a.shape(), b.shape()),
            ));
        }
        check_mask(a, mask)?;
        let mut sums = [0.0; 3];
        let mut weights = [[0.0; CHUNK]; 2];
        for range in chunks(a.voxels() as usize) {
            let len = range.len();
            let mask = mask.map(|mask| &mask[range.clone()]);
            for ((block, threshold), weights) in [a, b].iter().zip(thresholds).zip(&mut weights) {
                weigh(block, threshold, range.clone(), mask, &mut weights[..len])?;
            }
            let [in_a, in_b] = &mut weights;
            sums[1] += lane_sum(&in_a[..len], |weight| weight);
            sums[2] += lane_sum(&in_b[..len], |weight| weight);
            for (a, b) in in_a[..len].iter_mut().zip(&in_b[..len]) {
                *a *= b;
            }
            sums[0] += lane_sum(&in_a[..len], |weight| weight);
        }
        let [intersection, sum_a, sum_b] = sums.map(Scalar::Float);
        Ok(DicePartial { intersection, sum_a, sum_b })
    }

    /// Takes in the foregrounds of the next block.
    pub fn merge(&mut self, other: DicePartial) {
        let add = |to: &mut Scalar, from: Scalar| {
            *to = Scalar::Float(to.as_f64() + from.as_f64());
        };
        add(&mut self.intersection, other.intersection);
        add(&mut self.sum_a, other.sum_a);
        add(&mut self.sum_b, other.sum_b);
    }

    /// The score; 0 where both foregrounds are empty.
    pub fn finish(self) -> f64 {
        let whole = self.sum_a.as_f64() + self.sum_b.as_f64();
        2.0 * self.intersection.as_f64() / (whole + EPSILON)
    }
}

/// What each voxel of a part of a block weighs.
fn weigh(
    block: &Array,
    threshold: Option<f64>,
    range: Range<usize>,
    mask: Option<&[bool]>,
    to: &mut [f64],
) -> Result<()> {
    // As numpy does: an array in single precision is compared in single precision.
    let single = |threshold: f64| {
        if block.dtype() == DType::F32 { f64::from(threshold as f32) } else { threshold }
    };
    let threshold = threshold.map(single);
    dispatch!(block.dtype(), T => {
        let values = part::<T>(block, range)?.iter().map(|value| value.to_f64());
        match threshold {
            None => to.iter_mut().zip(values).for_each(|(to, value)| *to = value),
            Some(threshold) => {
                let weights = values.map(|value| f64::from(u8::from(value > threshold)));
                to.iter_mut().zip(weights).for_each(|(to, weight)| *to = weight);
            }
        }
    });
    for (to, counts) in to.iter_mut().zip(mask.unwrap_or_default()) {
        *to = if *counts { *to } else { 0.0 };
    }
    Ok(())
}

/// The mean over all objects of the Dice score with the best counterpart, for the segmentation or for
/// the reference, whichever is lower. `ignore` is neither object nor counterpart, though voxels
/// that others share with it count in their sizes. 0 for an empty table.
pub fn best_dice_scores(table: &ContingencyTable, ignore: Option<u64>) -> f64 {
    let ignored = |label: &u64| Some(*label) == ignore;
    let mut best = [vec![0.0; table.labels_a.len()], vec![0.0; table.labels_b.len()]];
    for pair in table.rows() {
        if ignored(&table.labels_a[pair.a]) || ignored(&table.labels_b[pair.b]) {
            continue;
        }
        let score = 2.0 * pair.count as f64 / (pair.size_a as f64 + pair.size_b as f64);
        for (best, place) in best.iter_mut().zip([pair.a, pair.b]) {
            best[place] = score.max(best[place]);
        }
    }
    let mean = |labels: &[u64], best: &[f64]| {
        let objects = labels.iter().filter(|label| !ignored(label)).count().max(1);
        best.iter().sum::<f64>() / objects as f64
    };
    mean(&table.labels_a, &best[0]).min(mean(&table.labels_b, &best[1]))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    fn score(a: &Array, b: &Array, thresholds: [Option<f64>; 2], mask: Option<&[bool]>) -> f64 {
        DicePartial::of_block(a, b, thresholds, mask).unwrap().finish()
    }

    #[test]
    fn foregrounds_are_thresholded_or_weighed() {
        let a = Array::from_values(&[4], &[0u8, 3, 3, 0]).unwrap();
        let b = Array::from_values(&[4], &[0.0f32, 0.5, 0.1, 0.1]).unwrap();
        let close = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-6, "{value}");
        close(score(&a, &b, [Some(0.0); 2], None), 4.0 / 5.0);
        close(score(&a, &b, [Some(0.0), Some(0.1)], None), 2.0 / 3.0);
        close(score(&a, &b, [Some(0.0), None], None), 1.2 / 2.7);
        let mask = [true, true, false, false];
        close(score(&a, &b, [Some(0.0); 2], Some(&mask)), 1.0);
        assert_eq!(score(&a, &b, [Some(9.0); 2], None), 0.0);
        let c = Array::zeros(DType::U8, &[3]);
        let error = DicePartial::of_block(&a, &c, [None; 2], None).unwrap_err();
        assert_eq!(error.kind, Kind::ShapeMismatch);
    }

    #[test]
    fn blocks_add_up() {
        let count = 2 * CHUNK + 5;
        let values: Vec<u16> = (0..count as u32).map(|i| (i * 7 % 5) as u16).collect();
        let a = Array::from_values(&[count as u64], &values).unwrap();
        let b = Array::from_values(&[count as u64], &vec![true; count]).unwrap();
        let foreground = values.iter().filter(|value| **value > 0).count() as f64;
        let whole = DicePartial::of_block(&a, &b, [Some(0.0); 2], None).unwrap();
        let mut twice = whole.clone();
        twice.merge(whole.clone());
        let expected = 2.0 * foreground / (foreground + count as f64);
        assert!((whole.finish() - expected).abs() < 1e-9);
        assert!((twice.finish() - expected).abs() < 1e-9);
    }

    #[test]
    fn each_object_has_its_best_counterpart() {
        let table = table(&[0, 1, 1, 1, 2, 2], &[0, 5, 5, 6, 6, 6]);
        assert_eq!(best_dice_scores(&table, Some(0)), 0.8);
        assert!(best_dice_scores(&table, None) > 0.8);
        assert_eq!(best_dice_scores(&super::super::table::tests::table(&[], &[]), Some(0)), 0.0);
        let all_ignored = super::super::table::tests::table(&[0], &[0]);
        assert_eq!(best_dice_scores(&all_ignored, Some(0)), 0.0);
    }
}
