//! Gaussian smoothing: separable correlation in single precision, mirrored at the border without
//! repeating the border voxel.

/// Half of a normalised Gaussian: the weight of the centre, then those of its neighbours outwards.
///
/// The radius is `ceil(truncate * sigma)`, at least 1.
pub fn half_kernel(sigma: f64, truncate: f64) -> Vec<f32> {
    let radius = radius(sigma, truncate);
    let weight = |x: usize| (-0.5 * (x as f64 / sigma).powi(2)).exp();
    let weights: Vec<f64> = (0..=radius).map(weight).collect();
    let sum = weights[0] + 2.0 * weights[1..].iter().sum::<f64>();
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

/// How far a kernel reaches.
pub fn radius(sigma: f64, truncate: f64) -> usize {
    ((truncate * sigma).ceil() as usize).max(1)
}

/// Kernels are cut off at three sigma.
pub const TRUNCATE: f64 = 3.0;

/// Smooths a C-order array with one sigma for each axis, in voxels; 0 leaves an axis as it is.
///
/// ```
/// use bioimage_engine::op::kernel::gaussian::smooth;
/// let smoothed = smooth(vec![0.0, 0.0, 4.0, 0.0, 0.0], &[5], &[1.0]);
/// assert!(smoothed[2] < 4.0 && smoothed[1] > 0.0 && smoothed[1] == smoothed[3]);
/// ```
pub fn smooth(mut values: Vec<f32>, shape: &[u64], sigma: &[f64]) -> Vec<f32> {
    let mut other = Vec::new();
    for axis in 0..shape.len() {
        let extent = shape[axis] as usize;
        if sigma[axis] <= 0.0 || extent < 2 || values.is_empty() {
            continue;
        }
        let kernel = half_kernel(sigma[axis], TRUNCATE);
        let inner = shape[axis + 1..].iter().product::<u64>() as usize;
        other.resize(values.len(), 0.0);
        let planes =
            values.chunks_exact(extent * inner).zip(other.chunks_exact_mut(extent * inner));
        if inner == 1 {
            let mut padded = Vec::new();
            planes.for_each(|(from, to)| correlate_row(from, to, &kernel, &mut padded));
        } else {
            planes.for_each(|(from, to)| correlate_lines(from, to, inner, &kernel));
        }
        std::mem::swap(&mut values, &mut other);
    }
    values
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

/// Along the contiguous axis.
fn correlate_row(from: &[f32], to: &mut [f32], kernel: &[f32], padded: &mut Vec<f32>) {
    let radius = kernel.len() - 1;
    padded.clear();
    let border = |i: isize| from[mirrored(i, from.len())];
    padded.extend((-(radius as isize)..0).map(border));
    padded.extend_from_slice(from);
    padded.extend((from.len()..from.len() + radius).map(|i| border(i as isize)));
    for (to, centre) in to.iter_mut().zip(&padded[radius..]) {
        *to = kernel[0] * centre;
    }
    for (distance, weight) in kernel.iter().enumerate().skip(1) {
        let (left, right) = (&padded[radius - distance..], &padded[radius + distance..]);
        for ((to, left), right) in to.iter_mut().zip(left).zip(right) {
            *to += weight * (left + right);
        }
    }
}

/// Values of a line that are summed up at once, so that all lines of a sum stay in the cache.
const TILE: usize = 2048;

/// Along another axis, whose neighbours are `inner` values apart: whole lines are added up.
fn correlate_lines(from: &[f32], to: &mut [f32], inner: usize, kernel: &[f32]) {
    let extent = from.len() / inner;
    for first in (0..inner).step_by(TILE) {
        let len = TILE.min(inner - first);
        let line = |at: isize| &from[mirrored(at, extent) * inner + first..][..len];
        for i in 0..extent {
            let to = &mut to[i * inner + first..][..len];
            for (to, centre) in to.iter_mut().zip(line(i as isize)) {
                *to = kernel[0] * centre;
            }
            for (distance, weight) in kernel.iter().enumerate().skip(1) {
                let (i, distance) = (i as isize, distance as isize);
                let sides = line(i - distance).iter().zip(line(i + distance));
                for (to, (left, right)) in to.iter_mut().zip(sides) {
                    *to += weight * (left + right);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_stay_and_weights_sum_to_one() {
        for sigma in [0.3, 1.0, 2.5] {
            let kernel = half_kernel(sigma, TRUNCATE);
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
        let kernel = half_kernel(1.0, TRUNCATE);
        let first = kernel[0] * 1.0 + 2.0 * (kernel[1] * 5.0 + kernel[2] * 2.0 + kernel[3] * 8.0);
        assert!((along_rows[0] - first).abs() < 1e-5);
        let two_axes = smooth((0..12).map(|v| v as f32).collect(), &[2, 6], &[0.0, 1.0]);
        let one: Vec<f32> = smooth((6..12).map(|v| v as f32).collect(), &[6], &[1.0]);
        assert_eq!(two_axes[6..], one);
    }
}
