//! A comparison with a number.

use super::{Parameters, Transform, Wrap};
use crate::array::{Array, Scalar};
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::error::Result;
use crate::grid::Region;
use crate::source::Source;
use serde::{Deserialize, Serialize};

/// How voxels are compared.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Comparison {
    #[default]
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Equal,
    NotEqual,
}

/// Compares each voxel with a number, as `bool`.
///
/// As numpy does with an array and a float: in single precision for `f32`, else in double precision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The number that voxels are compared with.
    pub threshold: Scalar,
    /// How.
    pub operator: Comparison,
}

pub(super) struct ThresholdTransform {
    parameters: Threshold,
    shape: Vec<u64>,
}

impl Parameters for Threshold {
    type Transform = ThresholdTransform;
    fn transform(self, source: &dyn Source) -> Result<ThresholdTransform> {
        Ok(ThresholdTransform { parameters: self, shape: source.shape().to_vec() })
    }
}

impl Transform for ThresholdTransform {
    fn wrap(&self) -> Wrap {
        Wrap::Threshold(self.parameters.clone())
    }

    fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        DType::Bool
    }

    fn read(&self, source: &dyn Source, region: &Region) -> Result<Array> {
        let block = source.read(region)?;
        let mut out = Array::zeros(DType::Bool, &region.shape);
        let threshold = self.parameters.threshold.as_f64();
        let operator = self.parameters.operator;
        let to = out.bytes_mut();
        dispatch!(block.dtype(), T => {
            let values = block.values::<T>()?;
            compare::<T, <T as Compared>::In>(values, T::threshold(threshold), operator, to);
        });
        Ok(out)
    }
}

/// The type that voxels are compared in.
trait Compared: Element {
    type In: PartialOrd + Copy;
    fn widen(self) -> Self::In;
    fn threshold(threshold: f64) -> Self::In;
}

macro_rules! compared {
    ($($t:ty as $in:ty),*) => {$(
        impl Compared for $t {
            type In = $in;
            fn widen(self) -> $in { self as $in }
            fn threshold(threshold: f64) -> $in { threshold as $in }
        }
    )*};
}
compared!(u32 as f64, u64 as f64, i32 as f64, i64 as f64, f32 as f32, f64 as f64);

macro_rules! compared_small {
    ($($t:ty),*) => {$(
        impl Compared for $t {
            type In = f32;
            fn widen(self) -> f32 { f32::from(self) }
            /// Between two integers one number is as good as another, and far outside, too: so that
            /// it is exact in the type that more of can be compared at once.
            fn threshold(threshold: f64) -> f32 {
                let whole = threshold.floor();
                let between = if threshold > whole { whole + 0.5 } else { threshold };
                between.clamp(-1e6, 1e6) as f32
            }
        }
    )*};
}
compared_small!(u8, u16, i8, i16);

impl Compared for bool {
    type In = f64;
    fn widen(self) -> f64 {
        f64::from(u8::from(self))
    }
    fn threshold(threshold: f64) -> f64 {
        threshold
    }
}

fn compare<T: Compared<In = N>, N: PartialOrd + Copy>(
    values: &[T],
    threshold: N,
    operator: Comparison,
    out: &mut [u8],
) {
    fn each<T: Copy>(values: &[T], out: &mut [u8], holds: impl Fn(T) -> bool) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = u8::from(holds(*value));
        }
    }
    match operator {
        Comparison::Greater => each(values, out, |v| v.widen() > threshold),
        Comparison::GreaterEqual => each(values, out, |v| v.widen() >= threshold),
        Comparison::Less => each(values, out, |v| v.widen() < threshold),
        Comparison::LessEqual => each(values, out, |v| v.widen() <= threshold),
        Comparison::Equal => each(values, out, |v| v.widen() == threshold),
        Comparison::NotEqual => each(values, out, |v| v.widen() != threshold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::memory::MemoryArray;
    use std::sync::Arc;

    fn above<T: Element>(values: &[T], threshold: f64, operator: Comparison) -> Vec<bool> {
        let array = Array::from_values(&[values.len() as u64], values).unwrap();
        let wrap = Wrap::Threshold(Threshold { threshold: Scalar::Float(threshold), operator });
        let source = wrap.over(Arc::new(MemoryArray::from_array(&array).unwrap())).unwrap();
        source.read(&Region::whole(array.shape())).unwrap().values::<bool>().unwrap().to_vec()
    }

    #[test]
    fn integers_are_compared_with_fractions_and_floats_in_their_own_precision() {
        assert_eq!(above::<i8>(&[-1, 0, 1], -0.5, Comparison::Greater), [false, true, true]);
        let near = 2.0 - 1e-12;
        assert_eq!(above::<u16>(&[1, 2, 3], near, Comparison::Greater), [false, true, true]);
        assert_eq!(above::<u8>(&[1, 2, 255], near, Comparison::Less), [true, false, false]);
        assert_eq!(above::<i8>(&[2], near, Comparison::Equal), [false]);
        assert_eq!(above::<i16>(&[i16::MIN], f64::NEG_INFINITY, Comparison::Greater), [true]);
        assert_eq!(above::<u16>(&[5], f64::NAN, Comparison::NotEqual), [true]);
        assert_eq!(above::<f32>(&[0.1], 0.1, Comparison::Equal), [true]);
        assert_eq!(above::<f64>(&[f64::from(0.1f32)], 0.1, Comparison::Equal), [false]);
        assert_eq!(above::<bool>(&[false, true], 0.5, Comparison::LessEqual), [true, false]);
        assert_eq!(above::<f32>(&[f32::NAN], 0.0, Comparison::NotEqual), [true]);
        assert_eq!(above::<f32>(&[f32::NAN], 0.0, Comparison::GreaterEqual), [false]);
        assert_eq!(above::<u64>(&[u64::MAX], u64::MAX as f64, Comparison::Less), [false]);
    }
}
