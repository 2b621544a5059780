//! Gaussian smoothing: separable correlation in single precision, mirrored at the border without
//! repeating the border voxel.

use super::cascade::{Cascade, Each, Extents};
use std::ops::Range;

/// A correlation kernel for one axis: the weight of the centre, then those of its neighbours outwards
/// to one side. Those on the other side are the same, or in an odd kernel their negatives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kernel {
    pub weights: Vec<f32>,
    pub odd: bool,
}

impl Kernel {
    /// The kernel that leaves an axis as it is.
    pub(super) fn unit() -> Kernel {
        Kernel { weights: vec![1.0], odd: false }
    }

    /// A Gaussian (order 0) or its first or second derivative, cut off at `3 + order / 2` sigma; at
    /// least one neighbour is taken.
    ///
    /// The weights are scaled so that a constant stays (order 0), a slope of one gives one (1), and
    /// a parabola of curvature one gives one (2); derivatives of a constant are zero.
    pub(super) fn gaussian(sigma: f64, order: usize) -> Kernel {
        let radius = radius(sigma, TRUNCATE + 0.5 * order as f64);
        let mut weights: Vec<f64> = (0..=radius)
            .map(|x| {
                let x = x as f64 / sigma;
                let gaussian = (-0.5 * x * x).exp();
                match order {
                    0 => gaussian,
                    1 => x * gaussian,
                    _ => (x * x - 1.0) * gaussian,
                }
            })
            .collect();
        let sum = |weights: &[f64], factor: fn(f64) -> f64| -> f64 {
            let sides = weights.iter().enumerate().skip(1);
            2.0 * sides.map(|(x, weight)| weight * factor(x as f64)).sum::<f64>()
        };
        if order == 2 {
            let mean = (weights[0] + sum(&weights, |_| 1.0)) / (2 * radius + 1) as f64;
            weights.iter_mut().for_each(|weight| *weight -= mean);
        }
        let response = match order {
            0 => weights[0] + sum(&weights, |_| 1.0),
            1 => sum(&weights, |x| x),
            _ => sum(&weights, |x| x * x / 2.0),
        };
        let weights = weights.iter().map(|weight| (weight / response) as f32).collect();
        Kernel { weights, odd: order == 1 }
    }

    /// How many neighbours it takes on each side.
    pub(super) fn radius(&self) -> usize {
        self.weights.len() - 1
    }
}

/// How far a kernel reaches: `ceil(truncate * sigma)`, at least 1.
pub fn radius(sigma: f64, truncate: f64) -> usize {
    ((truncate * sigma).ceil() as usize).clamp(1, FURTHEST)
}

/// No image is longer, and sums of such lengths are still numbers.
const FURTHEST: usize = 1 << 40;

/// Kernels are cut off at three sigma.
pub const TRUNCATE: f64 = 3.0;

/// Smooths a C-order array with one sigma for each axis, in voxels; 0 leaves an axis as it is.
///
/// Takes the bytes of the result besides those of the values, and [`scratch_bytes`].
///
/// ```
/// use bioimage_engine::op::kernel::gaussian::smooth;
/// let smoothed = smooth(vec![0.0, 0.0, 4.0, 0.0, 0.0], &[5], &[1.0]);
/// assert!(smoothed[2] < 4.0 && smoothed[1] > 0.0 && smoothed[1] == smoothed[3]);
/// ```
pub fn smooth(mut values: Vec<f32>, shape: &[u64], sigma: &[f64]) -> Vec<f32> {
    let extents: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
    let kernels: Vec<Kernel> = (0..shape.len())
        .map(|axis| match sigma[axis] {
            sigma if sigma > 0.0 && extents[axis] > 1 => Kernel::gaussian(sigma, 0),
            _ => Kernel::unit(),
        })
        .collect();
    let mut other = Vec::new();
    for (range, axes) in passes(&extents) {
        if values.is_empty() {
            break;
        }
        let mut cascade: Vec<_> = kernels[range].iter().map(|k| vec![k.clone()]).collect();
        cascade.resize(axes.len(), vec![Kernel::unit()]);
        if cascade.iter().flatten().any(|kernel| kernel.radius() > 0) {
            other.resize(values.len(), 0.0);
            let cascade = Cascade::new(&cascade, &[vec![0; axes.len()]]);
            let extents = Extents::whole(&axes);
            let parts =
                values.chunks_exact(extents.voxels()).zip(other.chunks_exact_mut(extents.voxels()));
            for (from, to) in parts {
                let load = |offset: usize, row: &mut [f32]| {
                    row.copy_from_slice(&from[offset..][..row.len()])
                };
                cascade.run(&load, &extents, &Each, to);
            }
            std::mem::swap(&mut values, &mut other);
        }
    }
    values
}

/// The axes that are smoothed at a time, the last first, and the extents that they have then: three
/// axes, and those behind them, which are done, count as one.
fn passes(extents: &[usize]) -> Vec<(Range<usize>, Vec<usize>)> {
    let mut passes = Vec::new();
    let mut end = extents.len();
    while end > 0 {
        let is_first = end == extents.len();
        let start = end.saturating_sub(if is_first { 3 } else { 2 });
        let behind = (!is_first).then(|| extents[end..].iter().product());
        passes.push((start..end, extents[start..end].iter().copied().chain(behind).collect()));
        end = start;
    }
    passes
}

/// Bytes that [`smooth`] takes for its tiles, at most, with an array of this shape or a smaller one.
pub fn scratch_bytes(shape: &[u64], sigma: &[f64]) -> u64 {
    let extents: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
    let reach = |sigma: &f64| if *sigma > 0.0 { radius(*sigma, TRUNCATE) as u64 } else { 0 };
    let of_pass = |(range, axes): (Range<usize>, Vec<usize>)| {
        let mut reach: Vec<u64> = sigma[range].iter().map(reach).collect();
        reach.resize(axes.len(), 0);
        let axes: Vec<u64> = axes.into_iter().map(|n| n as u64).collect();
        Cascade::bytes(&reach, 1, &axes)
    };
    passes(&extents).into_iter().map(of_pass).max().unwrap_or(0)
}

/// Position `i` of an axis continued beyond its ends by mirroring at its first and last voxel.
pub fn mirrored(i: isize, extent: usize) -> usize {
    let period = 2 * (extent as isize - 1);
    if period == 0 {
        return 0;
    }
    let i = i.rem_euclid(period);
    i.min(period - i) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_stay_and_weights_sum_to_one() {
        for sigma in [0.3, 1.0, 2.5] {
            let kernel = Kernel::gaussian(sigma, 0).weights;
            let sum = kernel[0] + 2.0 * kernel[1..].iter().sum::<f32>();
            assert!((sum - 1.0).abs() < 1e-6);
            let smoothed = smooth(vec![201.0; 5 * 3 * 4], &[5, 3, 4], &[sigma; 3]);
            assert!(smoothed.iter().all(|value| (value - 201.0).abs() < 1e-3));
        }
    }

    #[test]
    fn axes_are_alike_and_borders_are_mirrored() {
        let row: Vec<f32> = vec![1.0, 5.0, 2.0, 8.0];
        let along_rows = smooth(row.clone(), &[1, 4], &[0.0, 1.0]);
        let along_columns = smooth(row, &[4, 1], &[1.0, 0.0]);
        assert_eq!(along_rows, along_columns);
        let kernel = Kernel::gaussian(1.0, 0).weights;
        let first = kernel[0] * 1.0 + 2.0 * (kernel[1] * 5.0 + kernel[2] * 2.0 + kernel[3] * 8.0);
        assert!((along_rows[0] - first).abs() < 1e-5);
        let two_axes = smooth((0..12).map(|v| v as f32).collect(), &[2, 6], &[0.0, 1.0]);
        let one: Vec<f32> = smooth((6..12).map(|v| v as f32).collect(), &[6], &[1.0]);
        assert_eq!(two_axes[6..], one);
    }

    #[test]
    fn any_number_of_axes_is_smoothed() {
        let values: Vec<f32> = (0..720).map(|v| (v * 37 % 101) as f32).collect();
        let sigma = [0.5, 0.0, 1.0, 0.7, 1.2, 0.4];
        for shape in [[2, 3, 4, 5, 6, 1], [3, 2, 1, 4, 5, 6], [6, 1, 5, 2, 4, 3]] {
            let mut expected = values.clone();
            for axis in (0..6).rev() {
                let one: Vec<f64> =
                    (0..6).map(|a| if a == axis { sigma[a] } else { 0.0 }).collect();
                expected = smooth(expected, &shape, &one);
            }
            let smoothed = smooth(values.clone(), &shape, &sigma);
            for (value, expected) in smoothed.iter().zip(&expected) {
                assert!((value - expected).abs() < 1e-3);
            }
        }
    }
}
