//! Points that correspond to each other, by how near they are.

use super::assignment::largest_matching;
use super::matching::Matches;
use crate::error::{Error, Kind, Result};
use std::collections::HashMap;

/// Pairs up points with points of a reference, one with at most one, so that as many as possible are
/// at most a threshold apart. Points are rows of `ndim` coordinates; `resolution` scales their axes.
///
/// Only points in neighbouring cells of a grid are compared, so memory grows with the number of pairs
/// that are near enough.
///
/// # Errors
/// `shape-mismatch` for a resolution of another number of axes or incomplete rows;
/// `invalid-argument` for coordinates that are not finite.
///
/// ```
/// use bioimage_engine::op::kernel::measure::evaluation::coordinate_matching;
/// let matches = coordinate_matching(&[0.0, 0.0, 9.0, 9.0], &[0.0, 1.5], 2, 2.0, None)?;
/// assert_eq!((matches.precision, matches.recall), (0.5, 1.0));
/// # Ok::<(), bioimage_engine::Error>(())
/// ```
pub fn coordinate_matching(
    points: &[f64],
    reference: &[f64],
    ndim: usize,
    distance_threshold: f64,
    resolution: Option<&[f64]>,
) -> Result<Matches> {
    let ones = vec![1.0; ndim];
    let resolution = resolution.unwrap_or(&ones);
    if resolution.len() != ndim {
        return Err(Error::new(
            Kind::ShapeMismatch,
            format!("resolution must have one entry per axis ({ndim}), got {}", resolution.len()),
        ));
    }
    let points = scaled(points, "coordinates_a", resolution)?;
    let reference = scaled(reference, "coordinates_b", resolution)?;
    let pairs = if distance_threshold >= 0.0 && !points.is_empty() && !reference.is_empty() {
        let grid = Grid::new(&reference, distance_threshold);
        let near = |point: &Vec<f64>| grid.near(point);
        largest_matching(&points.iter().map(near).collect::<Vec<_>>(), reference.len())
    } else {
        0
    };
    Ok(Matches::new(pairs, points.len(), reference.len()))
}

fn scaled(coordinates: &[f64], name: &str, resolution: &[f64]) -> Result<Vec<Vec<f64>>> {
    if coordinates.is_empty() {
        return Ok(Vec::new());
    }
    let ndim = resolution.len();
    if ndim == 0 || !coordinates.len().is_multiple_of(ndim) {
        return Err(Error::new(
            Kind::ShapeMismatch,
            format!("{name} has {} coordinates, which are no points of {ndim}", coordinates.len()),
        ));
    }
    let scale = |point: &[f64]| point.iter().zip(resolution).map(|(x, scale)| x * scale).collect();
    let points: Vec<Vec<f64>> = coordinates.chunks_exact(ndim).map(scale).collect();
    match points.iter().position(|point| point.iter().any(|x| !x.is_finite())) {
        Some(place) => Err(Error::argument(format!("point {place} of {name} is not finite"))
            .fix("Leave out points whose position is not known.")),
        None => Ok(points),
    }
}

/// Axes that cells are told apart by: with more, points have too many neighbouring cells.
const GRID_AXES: usize = 3;
/// Cells along an axis, which are wider than the threshold where that would make more.
const MOST_CELLS: f64 = (1 << 20) as f64;

/// Points by the cell of a grid that they lie in.
struct Grid<'a> {
    points: &'a [Vec<f64>],
    threshold: f64,
    origin: Vec<f64>,
    width: Vec<f64>,
    cells: HashMap<[i64; GRID_AXES], Vec<usize>>,
}

impl<'a> Grid<'a> {
    fn new(points: &'a [Vec<f64>], threshold: f64) -> Grid<'a> {
        let axes = points.first().map_or(0, Vec::len).min(GRID_AXES);
        let least = |axis: usize| points.iter().map(|p| p[axis]).fold(f64::INFINITY, f64::min);
        let most = |axis: usize| points.iter().map(|p| p[axis]).fold(f64::NEG_INFINITY, f64::max);
        let origin: Vec<f64> = (0..axes).map(least).collect();
        // A little wider than needed, so that rounding moves no neighbour beyond the next cell.
        let width = |axis: usize| {
            let extent = most(axis) - origin[axis];
            (threshold * (1.0 + 1e-6)).max(extent / MOST_CELLS).max(f64::MIN_POSITIVE)
        };
        let width = (0..axes).map(width).collect();
        let mut grid = Grid { points, threshold, origin, width, cells: HashMap::new() };
        for (place, point) in points.iter().enumerate() {
            grid.cells.entry(grid.cell(point)).or_default().push(place);
        }
        grid
    }

    fn cell(&self, point: &[f64]) -> [i64; GRID_AXES] {
        let mut cell = [0; GRID_AXES];
        for axis in 0..self.origin.len() {
            let place = ((point[axis] - self.origin[axis]) / self.width[axis]).floor();
            // Points of the other set may lie anywhere.
            cell[axis] = place.clamp(-2.0, 2.0 * MOST_CELLS) as i64;
        }
        cell
    }

    /// The points at most the threshold away, in their order.
    fn near(&self, point: &[f64]) -> Vec<usize> {
        let cell = self.cell(point);
        let axes = self.origin.len();
        let mut near = Vec::new();
        for neighbour in 0..3usize.pow(axes as u32) {
            let mut other = cell;
            let mut rest = neighbour;
            for place in other.iter_mut().take(axes) {
                *place += (rest % 3) as i64 - 1;
                rest /= 3;
            }
            let inside = self.cells.get(&other).into_iter().flatten();
            near.extend(inside.filter(|place| self.is_near(point, &self.points[**place])));
        }
        near.sort_unstable();
        near
    }

    fn is_near(&self, a: &[f64], b: &[f64]) -> bool {
        let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
        squares.sum::<f64>().sqrt() <= self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_most_pairs_are_found_even_if_none_is_nearest() {
        // The middle point is nearest to both, but only one may have it.
        let matches = coordinate_matching(&[0.0, 2.0], &[1.0, 3.1], 1, 1.5, None).unwrap();
        assert_eq!(matches.true_positives, 2);
        let exact = coordinate_matching(&[0.0, 0.0], &[3.0, 4.0], 2, 5.0, None).unwrap();
        assert_eq!(exact.f1, 1.0);
        let scaled = coordinate_matching(&[0.0, 1.0], &[0.0, 2.0], 2, 5.0, Some(&[1.0, 9.0]));
        assert_eq!(scaled.unwrap(), Matches::new(0, 1, 1));
        let same = coordinate_matching(&[1.0, 1.0], &[1.0], 1, 0.0, None).unwrap();
        assert_eq!((same.true_positives, same.false_positives), (1, 1));
    }

    #[test]
    fn odd_thresholds_and_points() {
        let far = [0.0, 1e300, -1e300];
        let count =
            |threshold| coordinate_matching(&far, &far, 1, threshold, None).unwrap().true_positives;
        assert_eq!((count(-1.0), count(f64::NAN)), (0, 0));
        assert_eq!((count(0.0), count(f64::INFINITY)), (3, 3));
        assert_eq!(coordinate_matching(&[], &far, 1, 1.0, None).unwrap().false_negatives, 3);
        let error = coordinate_matching(&[f64::NAN], &far, 1, 1.0, None).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidArgument);
        let error = coordinate_matching(&far, &far, 2, 1.0, None).unwrap_err();
        assert_eq!(error.kind, Kind::ShapeMismatch);
        let error = coordinate_matching(&far, &far, 1, 1.0, Some(&[1.0; 2])).unwrap_err();
        assert_eq!(error.kind, Kind::ShapeMismatch);
    }

    proptest! {
        #[test]
        fn no_near_pair_is_missed(
            ndim in 1usize..5,
            points in proptest::collection::vec(-4.0f64..4.0, 0..40),
            reference in proptest::collection::vec(-4.0f64..4.0, 0..40),
            threshold in 0.0f64..6.0,
        ) {
            let points = &points[..points.len() / ndim * ndim];
            let reference = &reference[..reference.len() / ndim * ndim];
            let all = coordinate_matching(points, reference, ndim, threshold, None).unwrap();
            let near = |a: &[f64], b: &[f64]| {
                a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt() <= threshold
            };
            let neighbours: Vec<Vec<usize>> = points
                .chunks(ndim)
                .map(|a| {
                    let others = reference.chunks(ndim).enumerate();
                    others.filter(|(_, b)| near(a, b)).map(|(place, _)| place).collect()
                })
                .collect();
            let expected = largest_matching(&neighbours, reference.len() / ndim);
            prop_assert_eq!(all.true_positives, expected);
        }
    }
}
