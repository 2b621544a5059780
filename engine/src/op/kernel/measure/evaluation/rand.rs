//! The Rand index.

use super::table::ContingencyTable;

/// The adapted Rand error and the Rand index, `(0, 1)` for an empty table. Background counts as any
/// other label.
pub fn rand_scores(table: &ContingencyTable) -> (f64, f64) {
    if table.n_points == 0 {
        return (0.0, 1.0);
    }
    let squares = |counts: &[u64]| counts.iter().map(|count| (*count as f64).powi(2)).sum::<f64>();
    let (a, b, both) = (squares(&table.sizes_a), squares(&table.sizes_b), squares(&table.counts));
    let (precision, recall) = (both / a, both / b);
    let error = 1.0 - (2.0 * precision * recall) / (precision + recall);
    let n = table.n_points as f64;
    (error, 1.0 - (a + b - 2.0 * both) / (n * n))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    #[test]
    fn scores_of_a_halved_object() {
        let (error, index) = rand_scores(&table(&[1, 2, 1, 2], &[5, 5, 5, 5]));
        assert!((error - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(index, 0.5);
        assert_eq!(rand_scores(&table(&[3, 3, 4], &[9, 9, 1])), (0.0, 1.0));
        assert_eq!(rand_scores(&table(&[], &[])), (0.0, 1.0));
    }
}
