//! Interpolation along one axis: which voxels a coordinate takes, and with which weights.
//!
//! Order 0 takes the nearest voxel (ties go up), 1 is linear, 3 is Keys' cubic convolution with
//! a = -1/2; these reproduce the voxels. Orders 2, 4 and 5 are B-splines on the voxels themselves,
//! without a prefilter, and smooth.

use crate::error::{Error, Result};

/// Most voxels that are taken along an axis.
pub const MAX_TAPS: usize = 6;

/// Checks an interpolation order.
///
/// # Errors
/// `invalid-argument` beyond 5.
pub fn check_order(order: u8) -> Result<()> {
    if usize::from(order) < MAX_TAPS {
        return Ok(());
    }
    Err(Error::argument(format!("order must be in [0, 5], got {order}"))
        .about("order")
        .fix("Use 0 (nearest) for labels, 1 (linear) or 3 (cubic) for images."))
}

/// Whether coordinates beyond the first and last voxel have no value in this order, however near.
pub fn is_strict(order: u8) -> bool {
    matches!(order, 0 | 1 | 3)
}

/// The first of the `order + 1` voxels that are taken.
pub fn first_tap(order: u8, coordinate: f64) -> i64 {
    let half = i64::from(order / 2);
    let centre =
        if order.is_multiple_of(2) { (coordinate + 0.5).floor() } else { coordinate.floor() };
    (centre as i64).saturating_sub(half)
}

/// The weights of `TAPS = order + 1` voxels, and the first of them.
pub fn taps<const TAPS: usize>(coordinate: f64) -> (i64, [f64; TAPS]) {
    let order = (TAPS - 1) as u8;
    let first = first_tap(order, coordinate);
    let mut weights = [0.0; TAPS];
    for (tap, weight) in weights.iter_mut().enumerate() {
        *weight = kernel(order, (coordinate - (first as f64 + tap as f64)).abs());
    }
    (first, weights)
}

/// The weights of `order + 1` voxels, followed by zeros, and the first of them.
pub fn taps_of(order: u8, coordinate: f64) -> (i64, [f64; MAX_TAPS]) {
    let first = first_tap(order, coordinate);
    let mut weights = [0.0; MAX_TAPS];
    for (tap, weight) in weights.iter_mut().enumerate().take(usize::from(order) + 1) {
        *weight = kernel(order, (coordinate - (first as f64 + tap as f64)).abs());
    }
    (first, weights)
}

/// The kernel of an order at the distance `x >= 0`.
#[inline(always)]
fn kernel(order: u8, x: f64) -> f64 {
    match order {
        0 => 1.0,
        1 => 1.0 - x,
        2 if x <= 0.5 => 0.75 - x * x,
        2 => 0.5 * (1.5 - x) * (1.5 - x),
        3 if x <= 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        3 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        4 if x <= 0.5 => (0.25 * x * x - 0.625) * x * x + 115.0 / 192.0,
        4 if x <= 1.5 => (((-x / 6.0 + 5.0 / 6.0) * x - 1.25) * x + 5.0 / 24.0) * x + 55.0 / 96.0,
        4 => (2.5 - x).powi(4) / 24.0,
        _ if x <= 1.0 => ((-x / 12.0 + 0.25) * x * x - 0.5) * x * x + 0.55,
        _ if x <= 2.0 => ((((x / 24.0 - 0.375) * x + 1.25) * x - 1.75) * x + 0.625) * x + 0.425,
        _ => (3.0 - x).powi(5) / 120.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_are_symmetric() {
        for order in 0..=5 {
            for coordinate in [-0.5, 0.0, 0.25, 0.49, 0.5, 1.0, 7.75] {
                let (first, weights) = taps_of(order, coordinate);
                assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{order} {coordinate}");
                if order > 0 {
                    let centre: f64 = (0..=usize::from(order))
                        .map(|tap| weights[tap] * (first + tap as i64) as f64)
                        .sum();
                    assert!((centre - coordinate).abs() < 1e-12, "{order} {coordinate}");
                }
            }
        }
        assert_eq!(
            taps::<3>(4.2),
            (3, [taps_of(2, 4.2).1[0], taps_of(2, 4.2).1[1], taps_of(2, 4.2).1[2]])
        );
    }

    #[test]
    fn orders_0_1_and_3_reproduce_voxels_and_ties_go_up() {
        for order in [0, 1, 3] {
            let (first, weights) = taps_of(order, 5.0);
            let at = weights.iter().position(|&weight| weight == 1.0).unwrap();
            assert_eq!(first + at as i64, 5);
            assert_eq!(weights.iter().filter(|&&weight| weight != 0.0).count(), 1);
        }
        assert_eq!(first_tap(0, 2.5), 3);
        assert_eq!(first_tap(0, -0.5), 0);
        assert!(check_order(6).is_err() && check_order(5).is_ok());
    }
}
