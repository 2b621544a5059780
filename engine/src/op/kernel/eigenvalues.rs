//! Eigenvalues of symmetric 2 x 2 and 3 x 3 matrices in closed form, many matrices at once.
//!
//! They are computed in double precision, in which the closed form is accurate to single precision
//! even where eigenvalues nearly coincide, and without functions of the system's library, whose
//! results differ between machines.

use super::cascade::Combine;

/// The eigenvalues, the largest first, of matrices whose upper triangles are given.
pub(super) struct Eigenvalues {
    /// Number of rows of a matrix: 2 or 3.
    pub ndim: usize,
    /// The only eigenvalue that is wanted, if not all are.
    pub channel: Option<usize>,
}

/// Matrices that are worked on at once.
const LANES: usize = 16;

impl Combine for Eigenvalues {
    #[inline(always)]
    fn row(&self, from: &[f32], stride: usize, width: usize, to: &mut [f32], apart: usize) {
        for start in (0..width).step_by(LANES) {
            let len = LANES.min(width - start);
            let mut upper = [[0.0; LANES]; 6];
            for (upper, from) in upper.iter_mut().zip(from.chunks(stride)) {
                upper[..len].copy_from_slice(&from[start..start + len]);
            }
            let values = if self.ndim == 2 { two(&upper) } else { three(&upper) };
            let wanted = match self.channel {
                Some(channel) => &values[channel..=channel],
                None => &values[..self.ndim],
            };
            for (to, values) in to.chunks_mut(apart).zip(wanted) {
                to[start..start + len].copy_from_slice(&values[..len]);
            }
        }
    }
}

#[inline(always)]
fn two([a, b, c, ..]: &[[f32; LANES]; 6]) -> [[f32; LANES]; 3] {
    let mut values = [[0.0; LANES]; 3];
    for i in 0..LANES {
        let (a, b, c) = (f64::from(a[i]), f64::from(b[i]), f64::from(c[i]));
        let (mean, half) = (0.5 * (a + c), 0.5 * (a - c));
        let apart = (half * half + b * b).sqrt();
        values[0][i] = (mean + apart) as f32;
        values[1][i] = (mean - apart) as f32;
    }
    values
}

/// With mean m of the eigenvalues, the matrix is m + p B where B has the eigenvalues 2 cos(x),
/// 2 cos(x + 2 pi / 3), 2 cos(x - 2 pi / 3) with x = acos(det(B) / 2) / 3.
#[inline(always)]
fn three([a, b, c, d, e, f]: &[[f32; LANES]; 6]) -> [[f32; LANES]; 3] {
    let mut values = [[0.0; LANES]; 3];
    for i in 0..LANES {
        let (a, b, c) = (f64::from(a[i]), f64::from(b[i]), f64::from(c[i]));
        let (d, e, f) = (f64::from(d[i]), f64::from(e[i]), f64::from(f[i]));
        let mean = (a + d + f) * (1.0 / 3.0);
        let (a, d, f) = (a - mean, d - mean, f - mean);
        let square = (a * a + d * d + f * f + 2.0 * (b * b + c * c + e * e)) * (1.0 / 6.0);
        let p = square.sqrt();
        let determinant = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d);
        let half = 0.5 * determinant / (square * p);
        // Three equal eigenvalues leave 0 / 0.
        let half = if square == 0.0 { 0.0 } else { half };
        let half = if half > 1.0 { 1.0 } else { half };
        let half = if half < -1.0 { -1.0 } else { half };
        let largest = f64::from(cos_of_third((0.5 + 0.5 * half) as f32));
        let least = f64::from(cos_of_third((0.5 - 0.5 * half) as f32));
        let twice = 2.0 * p;
        values[0][i] = (mean + twice * largest) as f32;
        values[1][i] = (mean + twice * (least - largest)) as f32;
        values[2][i] = (mean - twice * least) as f32;
    }
    values
}

/// `cos(acos(x) / 3)` for x from -1 to 1, given as (1 + x) / 2.
///
/// With t the square root of that, which is cos(acos(x) / 2), it is cos(2 / 3 acos(t)), which is
/// smooth in t from 0 to 1: the polynomial, which interpolates it at the Chebyshev nodes, is off by
/// less than 3e-8.
#[inline(always)]
fn cos_of_third(square: f32) -> f32 {
    const COEFFICIENTS: [f32; 8] = [
        0.001_127_636_3,
        -0.006_089_345_6,
        0.016_047_28,
        -0.030_235_397,
        0.052_841_41,
        -0.111_038_51,
        0.577_346_9,
        0.5,
    ];
    let t = square.sqrt();
    COEFFICIENTS.iter().fold(0.0, |sum, coefficient| sum * t + coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn eigenvalues(ndim: usize, channel: Option<usize>, upper: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; if channel.is_some() { 1 } else { ndim }];
        Eigenvalues { ndim, channel }.row(upper, 1, 1, &mut values, 1);
        values
    }

    #[test]
    fn known_matrices_have_their_eigenvalues_in_descending_order() {
        assert_eq!(eigenvalues(2, None, &[2.0, 2.0, 5.0]), [6.0, 1.0]);
        assert_eq!(eigenvalues(2, Some(1), &[2.0, 2.0, 5.0]), [1.0]);
        let close = |upper: &[f32], expected: [f32; 3]| {
            for (value, expected) in eigenvalues(3, None, upper).iter().zip(expected) {
                assert!((value - expected).abs() <= 2e-7 * upper[0].abs(), "{value} {expected}");
            }
        };
        close(&[-4.0, 0.0, 0.0, 7.0, 0.0, 1.0], [7.0, 1.0, -4.0]);
        close(&[2.0, 0.0, 0.0, 3.0, 4.0, 9.0], [11.0, 2.0, 1.0]);
        close(&[3.0, 0.0, 0.0, 3.0, 0.0, 3.0], [3.0; 3]);
        // Two coincide, where the closed form loses half of its digits.
        close(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [3.0, 0.0, 0.0]);
        close(&[1e-30, 1e-30, 1e-30, 1e-30, 1e-30, 1e-30], [3e-30, 0.0, 0.0]);
        assert_eq!(eigenvalues(3, None, &[0.0; 6]), [0.0; 3]);
    }

    #[test]
    fn what_is_not_finite_spreads() {
        for bad in [f32::NAN, f32::INFINITY] {
            for entry in 0..6 {
                let mut upper = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
                upper[entry] = bad;
                assert!(eigenvalues(3, None, &upper).iter().all(|value| value.is_nan()));
            }
        }
    }

    proptest! {
        #[test]
        fn they_solve_the_characteristic_equation(upper in proptest::array::uniform6(-1e3f32..1e3)) {
            let [a, b, c, d, e, f] = upper.map(f64::from);
            let scale = upper.iter().fold(0.0f64, |max, v| max.max(f64::from(v.abs()))).max(1e-3);
            let values: Vec<f64> =
                eigenvalues(3, None, &upper).iter().map(|v| f64::from(*v)).collect();
            prop_assert!(values[0] >= values[1] && values[1] >= values[2]);
            let trace: f64 = values.iter().sum();
            prop_assert!((trace - (a + d + f)).abs() < 1e-6 * scale);
            for x in values {
                let (a, d, f) = (a - x, d - x, f - x);
                let determinant =
                    a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d);
                prop_assert!(determinant.abs() < 1e-5 * scale.powi(3));
            }
        }
    }
}
