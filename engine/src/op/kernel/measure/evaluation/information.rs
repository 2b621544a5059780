//! Variation of information, as a whole and for each object.

use super::rand::rand_scores;
use super::table::ContingencyTable;

/// What information is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Logarithms to the base of two.
    #[default]
    Bits,
    /// Natural logarithms.
    Nats,
}

impl Unit {
    fn log(self, value: f64) -> f64 {
        match self {
            Unit::Bits => value.log2(),
            Unit::Nats => value.ln(),
        }
    }
}

/// The variation of information of each object of the reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectInformation {
    /// The labels of the objects, in ascending order.
    pub labels: Vec<u64>,
    /// How much each is split up.
    pub split: Vec<f64>,
    /// How much each is merged with others.
    pub merge: Vec<f64>,
}

/// The variation of information: how much the segmentation splits what the reference has whole, and
/// how much it merges what the reference has apart. `(0, 0)` for an empty table.
pub fn vi_scores(table: &ContingencyTable, unit: Unit) -> (f64, f64) {
    let n = table.n_points as f64;
    if table.n_points == 0 {
        return (0.0, 0.0);
    }
    let entropy = |sizes: &[u64]| -> f64 {
        let terms = sizes.iter().map(|size| *size as f64 / n).map(|p| p * unit.log(p));
        0.0 - terms.sum::<f64>()
    };
    let mutual: f64 = table
        .rows()
        .map(|pair| {
            let (count, a, b) = (pair.count as f64, pair.size_a as f64, pair.size_b as f64);
            count / n * unit.log(n * count / (a * b))
        })
        .sum();
    (entropy(&table.sizes_a) - mutual, entropy(&table.sizes_b) - mutual)
}

/// The variation of information of each object of the reference, by page 16 of
/// <https://arxiv.org/pdf/1708.02599.pdf>.
pub fn object_vi_scores(table: &ContingencyTable, unit: Unit) -> ObjectInformation {
    let objects = table.labels_b.len();
    let mut scores = ObjectInformation {
        labels: table.labels_b.clone(),
        split: vec![0.0; objects],
        merge: vec![0.0; objects],
    };
    for pair in table.rows() {
        let (count, a, b) = (pair.count as f64, pair.size_a as f64, pair.size_b as f64);
        scores.split[pair.b] -= count / b * unit.log(count / a);
        scores.merge[pair.b] -= count / b * unit.log(count / b);
    }
    scores
}

/// The scores of the CREMI challenge: split and merge variation of information, adapted Rand error,
/// and the geometric mean of the error and the whole variation of information.
pub fn cremi_scores(table: &ContingencyTable, unit: Unit) -> (f64, f64, f64, f64) {
    let (split, merge) = vi_scores(table, unit);
    let (error, _) = rand_scores(table);
    (split, merge, error, (error * (split + merge)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    #[test]
    fn halving_an_object_costs_one_bit() {
        let halved = table(&[1, 2, 1, 2], &[5, 5, 5, 5]);
        assert_eq!(vi_scores(&halved, Unit::Bits), (1.0, 0.0));
        assert_eq!(vi_scores(&halved, Unit::Nats).0, 2f64.ln());
        let (split, merge, error, cremi) = cremi_scores(&halved, Unit::Bits);
        assert_eq!((split, merge), (1.0, 0.0));
        assert!((error - 1.0 / 3.0).abs() < 1e-12 && (cremi - error.sqrt()).abs() < 1e-12);
        let merged = table(&[5, 5, 5, 5], &[1, 2, 1, 2]);
        assert_eq!(vi_scores(&merged, Unit::Bits), (0.0, 1.0));
        assert_eq!(vi_scores(&table(&[], &[]), Unit::Bits), (0.0, 0.0));
    }

    #[test]
    fn each_object_is_scored_by_itself() {
        let scores = object_vi_scores(&table(&[1, 2, 3, 3, 4], &[8, 8, 9, 9, 9]), Unit::Bits);
        assert_eq!(scores.labels, [8, 9]);
        assert_eq!(scores.split, [0.0, 0.0]);
        let expected = -(2.0 / 3.0) * (2.0f64 / 3.0).log2() - (1.0 / 3.0) * (1.0f64 / 3.0).log2();
        assert_eq!(scores.merge[0], 1.0);
        assert!((scores.merge[1] - expected).abs() < 1e-12);
        let merged = object_vi_scores(&table(&[1, 1, 1, 1], &[8, 8, 9, 9]), Unit::Bits);
        assert_eq!((merged.split, merged.merge), (vec![1.0, 1.0], vec![0.0, 0.0]));
        assert!(object_vi_scores(&table(&[], &[]), Unit::Bits).labels.is_empty());
    }
}
