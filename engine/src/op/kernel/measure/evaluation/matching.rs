//! Objects that correspond to each other, by how much they overlap.

use super::assignment::largest_matching;
use super::table::{ContingencyTable, Pair};
use crate::error::{Error, Result};

/// What the voxels that two objects share are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Criterion {
    /// The voxels of either.
    #[default]
    Iou,
    /// The voxels of the segmentation's object.
    Iot,
    /// The voxels of the reference's object.
    Iop,
}

impl Criterion {
    /// The criterion of a name.
    ///
    /// # Errors
    /// `invalid-argument`, listing the names, for any other.
    pub fn parse(name: &str) -> Result<Criterion> {
        match name {
            "iou" => Ok(Criterion::Iou),
            "iot" => Ok(Criterion::Iot),
            "iop" => Ok(Criterion::Iop),
            _ => Err(Error::argument(format!(
                "Unknown matching criterion '{name}'; expected one of ['iop', 'iot', 'iou']."
            ))),
        }
    }

    fn score(self, pair: &Pair) -> f64 {
        let (count, a, b) = (pair.count as f64, pair.size_a as f64, pair.size_b as f64);
        match self {
            Criterion::Iou => count / (a + b - count),
            Criterion::Iot => count / a,
            Criterion::Iop => count / b,
        }
    }
}

/// How many objects correspond to each other, and what that is of all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Matches {
    /// Pairs of objects that correspond.
    pub true_positives: usize,
    /// Objects of the segmentation without a counterpart.
    pub false_positives: usize,
    /// Objects of the reference without a counterpart.
    pub false_negatives: usize,
    /// The share of the segmentation's objects that have a counterpart.
    pub precision: f64,
    /// The share of the reference's objects that have a counterpart.
    pub recall: f64,
    /// The share of pairs among pairs and objects without one.
    pub segmentation_accuracy: f64,
    /// The harmonic mean of precision and recall.
    pub f1: f64,
}

impl Matches {
    /// The scores of a number of pairs among two sets.
    pub(super) fn new(pairs: usize, predicted: usize, expected: usize) -> Matches {
        let share = |whole: usize| if pairs > 0 { pairs as f64 / whole as f64 } else { 0.0 };
        Matches {
            true_positives: pairs,
            false_positives: predicted - pairs,
            false_negatives: expected - pairs,
            precision: share(predicted),
            recall: share(expected),
            segmentation_accuracy: share(predicted + expected - pairs),
            f1: if pairs > 0 { (2 * pairs) as f64 / (predicted + expected) as f64 } else { 0.0 },
        }
    }
}

/// Objects without the ignored ones, and how well those that overlap agree.
struct Candidates {
    predicted: usize,
    expected: usize,
    /// For each object of the segmentation the reference's objects that it overlaps, with scores.
    scores: Vec<Vec<(usize, f64)>>,
    right: usize,
}

impl Candidates {
    fn new(table: &ContingencyTable, criterion: Criterion, ignore: Option<u64>) -> Candidates {
        let ignored = |label: u64| Some(label) == ignore;
        let counted = |labels: &[u64]| labels.iter().filter(|label| !ignored(**label)).count();
        let mut scores = vec![Vec::new(); table.labels_a.len()];
        for pair in table.rows() {
            if !ignored(table.labels_a[pair.a]) && !ignored(table.labels_b[pair.b]) {
                scores[pair.a].push((pair.b, criterion.score(&pair)));
            }
        }
        Candidates {
            predicted: counted(&table.labels_a),
            expected: counted(&table.labels_b),
            scores,
            right: table.labels_b.len(),
        }
    }

    /// The most pairs with at least this score. Scores of objects that do not overlap are zero.
    fn pairs(&self, threshold: f64) -> usize {
        if threshold <= 0.0 {
            return self.predicted.min(self.expected);
        }
        let enough = |scores: &Vec<(usize, f64)>| {
            scores.iter().filter(|(_, score)| *score >= threshold).map(|(b, _)| *b).collect()
        };
        let neighbours: Vec<Vec<usize>> = self.scores.iter().map(enough).collect();
        largest_matching(&neighbours, self.right)
    }

    fn matches(&self, threshold: f64) -> Matches {
        Matches::new(self.pairs(threshold), self.predicted, self.expected)
    }
}

/// Pairs up the objects of a segmentation and a reference, one with at most one, so that as many as
/// possible agree by at least the threshold. `ignore` is no object, but its voxels count in what the
/// overlap of the others is compared with.
pub fn matching_scores(
    table: &ContingencyTable,
    threshold: f64,
    criterion: Criterion,
    ignore: Option<u64>,
) -> Matches {
    Candidates::new(table, criterion, ignore).matches(threshold)
}

/// The segmentation accuracy at each of these thresholds of the intersection over union, and their
/// mean; 0 without thresholds.
pub fn mean_segmentation_accuracy(
    table: &ContingencyTable,
    thresholds: &[f64],
    ignore: Option<u64>,
) -> (f64, Vec<f64>) {
    let candidates = Candidates::new(table, Criterion::Iou, ignore);
    let accuracies: Vec<f64> = thresholds
        .iter()
        .map(|threshold| candidates.matches(*threshold).segmentation_accuracy)
        .collect();
    let count = accuracies.len().max(1) as f64;
    (accuracies.iter().sum::<f64>() / count, accuracies)
}

/// Ten thresholds from 0.5 in steps of 0.05, to the bit those that numpy's `arange` gives.
pub fn default_thresholds() -> Vec<f64> {
    let step = (0.5 + 0.05) - 0.5;
    (0..10).map(|i| 0.5 + f64::from(i) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    #[test]
    fn two_of_three_objects_are_found() {
        let a = [0, 1, 1, 1, 2, 2, 3, 0];
        let b = [0, 5, 5, 5, 6, 0, 7, 8];
        let matches = matching_scores(&table(&a, &b), 0.5, Criterion::Iou, Some(0));
        assert_eq!((matches.true_positives, matches.false_positives), (3, 0));
        assert_eq!((matches.precision, matches.recall), (1.0, 0.75));
        assert_eq!((matches.segmentation_accuracy, matches.f1), (0.75, 6.0 / 7.0));
        let strict = matching_scores(&table(&a, &b), 0.6, Criterion::Iou, Some(0));
        assert_eq!((strict.true_positives, strict.false_negatives), (2, 2));
        let with_background = matching_scores(&table(&a, &b), 0.6, Criterion::Iou, None);
        assert_eq!(with_background.true_positives + with_background.false_positives, 4);
    }

    #[test]
    fn objects_are_compared_with_either_or_both() {
        // One object of four voxels, of which the reference has two, and two of another.
        let table = table(&[1, 1, 1, 1, 2, 2], &[5, 5, 0, 0, 5, 5]);
        let pairs = |threshold, criterion| {
            matching_scores(&table, threshold, criterion, Some(0)).true_positives
        };
        assert_eq!(pairs(0.5, Criterion::Iot), 1);
        assert_eq!(pairs(0.51, Criterion::Iop), 0);
        assert_eq!(pairs(0.33, Criterion::Iou), 1);
        assert_eq!(pairs(0.51, Criterion::Iou), 0);
        assert_eq!(pairs(0.0, Criterion::Iou), 1);
        assert_eq!(pairs(f64::NAN, Criterion::Iou), 0);
        assert!(Criterion::parse("foo").unwrap_err().message.contains("['iop', 'iot', 'iou']"));
    }

    #[test]
    fn nothing_matches_nothing() {
        let empty = matching_scores(&table(&[], &[]), 0.5, Criterion::Iou, Some(0));
        assert_eq!(empty, Matches::default());
        let (mean, accuracies) = mean_segmentation_accuracy(&table(&[1], &[1]), &[], Some(0));
        assert_eq!((mean, accuracies.len()), (0.0, 0));
    }

    #[test]
    fn accuracies_fall_with_the_threshold() {
        let table = table(&[1, 1, 1, 1, 2, 2], &[5, 5, 5, 0, 6, 6]);
        let (mean, accuracies) = mean_segmentation_accuracy(&table, &default_thresholds(), Some(0));
        let low = 1.0 / 3.0;
        assert_eq!(accuracies, [1.0, 1.0, 1.0, 1.0, 1.0, low, low, low, low, low]);
        assert!((mean - 2.0 / 3.0).abs() < 1e-12);
    }
}
