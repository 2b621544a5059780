//! Scores of segmentations and points, and thresholds of histograms, from what was measured of them.

use crate::errors::IntoPython;
use bioimage_engine::op::kernel::measure::evaluation::{
    self, ContingencyTable, Criterion, Matches, Unit,
};
use bioimage_engine::op::kernel::measure::histogram;
use bioimage_engine::op::kernel::measure::overlaps::Overlaps;
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

/// The pairs of labels of two segmentations, and what follows from them.
#[pyclass(frozen)]
pub struct Contingency(ContingencyTable);

type Column<'py, T> = Bound<'py, PyArray1<T>>;
type Labels<'py> = (Column<'py, u64>, Column<'py, u64>);

#[pymethods]
impl Contingency {
    /// The pairs of a table, in any order, by their two labels.
    #[new]
    fn new(
        labels_a: PyReadonlyArray1<'_, u64>,
        labels_b: PyReadonlyArray1<'_, u64>,
        counts: PyReadonlyArray1<'_, u64>,
    ) -> PyResult<Self> {
        let labels = labels_a.as_slice()?.iter().zip(labels_b.as_slice()?);
        let mut rows: Vec<([u64; 2], u64)> =
            labels.zip(counts.as_slice()?).map(|((a, b), count)| ([*a, *b], *count)).collect();
        if !rows.is_sorted_by_key(|(pair, _)| *pair) {
            rows.sort_unstable();
        }
        let (pairs, counts) = rows.into_iter().unzip();
        Ok(Contingency(ContingencyTable::new(Overlaps { pairs, counts })))
    }

    /// The labels of the first segmentation with their sizes, and those of the second.
    fn labels<'py>(&self, py: Python<'py>) -> (Labels<'py>, Labels<'py>) {
        let column = |values: &[u64]| PyArray1::from_slice(py, values);
        let table = &self.0;
        (
            (column(&table.labels_a), column(&table.sizes_a)),
            (column(&table.labels_b), column(&table.sizes_b)),
        )
    }

    fn vi(&self, py: Python<'_>, use_log2: bool) -> (f64, f64) {
        py.detach(|| evaluation::vi_scores(&self.0, unit(use_log2)))
    }

    /// Label, split and merge score of each object of the second segmentation.
    fn object_vi<'py>(
        &self,
        py: Python<'py>,
        use_log2: bool,
    ) -> (Column<'py, u64>, Column<'py, f64>, Column<'py, f64>) {
        let found = py.detach(|| evaluation::object_vi_scores(&self.0, unit(use_log2)));
        (
            PyArray1::from_vec(py, found.labels),
            PyArray1::from_vec(py, found.split),
            PyArray1::from_vec(py, found.merge),
        )
    }

    fn rand(&self, py: Python<'_>) -> (f64, f64) {
        py.detach(|| evaluation::rand_scores(&self.0))
    }

    fn cremi(&self, py: Python<'_>, use_log2: bool) -> (f64, f64, f64, f64) {
        py.detach(|| evaluation::cremi_scores(&self.0, unit(use_log2)))
    }

    /// Precision, recall, segmentation accuracy and F1.
    fn matching(
        &self,
        py: Python<'_>,
        threshold: f64,
        criterion: &str,
        ignore: Option<u64>,
    ) -> PyResult<(f64, f64, f64, f64)> {
        let criterion = Criterion::parse(criterion).into_python(py)?;
        let found =
            py.detach(|| evaluation::matching_scores(&self.0, threshold, criterion, ignore));
        Ok(scores(&found))
    }

    /// The segmentation accuracy at each threshold.
    fn accuracies<'py>(
        &self,
        py: Python<'py>,
        thresholds: PyReadonlyArray1<'py, f64>,
        ignore: Option<u64>,
    ) -> PyResult<Column<'py, f64>> {
        let thresholds = thresholds.as_slice()?;
        let (_, found) =
            py.detach(|| evaluation::mean_segmentation_accuracy(&self.0, thresholds, ignore));
        Ok(PyArray1::from_vec(py, found))
    }

    fn best_dice(&self, py: Python<'_>, ignore: Option<u64>) -> f64 {
        py.detach(|| evaluation::best_dice_scores(&self.0, ignore))
    }
}

fn unit(use_log2: bool) -> Unit {
    if use_log2 { Unit::Bits } else { Unit::Nats }
}

fn scores(matches: &Matches) -> (f64, f64, f64, f64) {
    (matches.precision, matches.recall, matches.segmentation_accuracy, matches.f1)
}

/// Precision, recall, segmentation accuracy and F1 of points, whose coordinates follow each other.
#[pyfunction]
pub fn coordinate_matching(
    py: Python<'_>,
    points: PyReadonlyArray1<'_, f64>,
    reference: PyReadonlyArray1<'_, f64>,
    ndim: usize,
    distance_threshold: f64,
    resolution: Option<Vec<f64>>,
) -> PyResult<(f64, f64, f64, f64)> {
    let (points, reference) = (points.as_slice()?, reference.as_slice()?);
    let found = py.detach(|| {
        let resolution = resolution.as_deref();
        evaluation::coordinate_matching(points, reference, ndim, distance_threshold, resolution)
    });
    Ok(scores(&found.into_python(py)?))
}

/// Otsu's threshold of a histogram; `single` for the centres of an image in single precision.
#[pyfunction]
pub fn otsu(
    counts: PyReadonlyArray1<'_, u64>,
    centres: PyReadonlyArray1<'_, f64>,
    single: bool,
) -> PyResult<Option<f64>> {
    let (counts, centres) = (counts.as_slice()?, centres.as_slice()?);
    if single {
        let centres: Vec<f32> = centres.iter().map(|centre| *centre as f32).collect();
        return Ok(histogram::otsu(counts, &centres).map(f64::from));
    }
    Ok(histogram::otsu(counts, centres))
}

/// Li's threshold of a histogram.
#[pyfunction]
pub fn li(
    counts: PyReadonlyArray1<'_, u64>,
    values: PyReadonlyArray1<'_, f64>,
    tolerance: f64,
) -> PyResult<Option<f64>> {
    Ok(histogram::li(counts.as_slice()?, values.as_slice()?, tolerance))
}
