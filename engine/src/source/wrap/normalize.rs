//! Values scaled to [0, 1] by the minimum and maximum of what is read.

use super::{Parameters, Transform, Wrap};
use crate::array::{Array, Cast};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::Region;
use crate::op::kernel::values_mut;
use crate::source::Source;
use num_traits::Float;
use serde::{Deserialize, Serialize};

/// Scales each block that is read to [0, 1] by its own minimum and maximum, so that the result
/// depends on the blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// `float32` or `float64`.
    pub dtype: DType,
}

/// Added to the range of values, which may be zero.
const EPSILON: f64 = 1e-6;

pub(super) struct NormalizeTransform {
    parameters: Normalize,
    shape: Vec<u64>,
}

impl Parameters for Normalize {
    type Transform = NormalizeTransform;
    fn transform(self, source: &dyn Source) -> Result<NormalizeTransform> {
        if !matches!(self.dtype, DType::F32 | DType::F64) {
            return Err(Error::new(
                Kind::DtypeMismatch,
                format!("values cannot be normalised in dtype {}", self.dtype),
            )
            .fix("Use float32 or float64."));
        }
        Ok(NormalizeTransform { parameters: self, shape: source.shape().to_vec() })
    }
}

impl Transform for NormalizeTransform {
    fn wrap(&self) -> Wrap {
        Wrap::Normalize(self.parameters.clone())
    }

    fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.parameters.dtype
    }

    fn read(&self, source: &dyn Source, region: &Region) -> Result<Array> {
        let mut block = source.read(region)?;
        if block.dtype() != self.parameters.dtype {
            block = block.cast(self.parameters.dtype, Cast::Wrapping)?;
        }
        if self.parameters.dtype == DType::F32 {
            scale(values_mut::<f32>(&mut block)?, EPSILON as f32);
        } else {
            scale(values_mut::<f64>(&mut block)?, EPSILON);
        }
        Ok(block)
    }
}

fn scale<T: Float>(values: &mut [T], epsilon: T) {
    // A NaN is the lowest of all, as for numpy, and makes every value NaN.
    let lower = |a: T, b: T| if b < a || b.is_nan() { b } else { a };
    let lowest = values.iter().copied().fold(T::infinity(), lower);
    values.iter_mut().for_each(|value| *value = *value - lowest);
    let range = values.iter().copied().fold(T::zero(), T::max) + epsilon;
    values.iter_mut().for_each(|value| *value = *value / range);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_scaled_by_the_range_of_the_block() {
        let mut values = [3.0f64, 5.0, 4.0];
        scale(&mut values, 1e-6);
        assert_eq!(values, [0.0, 2.0 / 2.000001, 1.0 / 2.000001]);
        let mut flat = [7.0f32; 2];
        scale(&mut flat, 1e-6);
        assert_eq!(flat, [0.0; 2]);
        let mut broken = [1.0, f32::NAN, 2.0];
        scale(&mut broken, 1e-6);
        assert!(broken.iter().all(|value| value.is_nan()));
    }
}
