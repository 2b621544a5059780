//! Numeric kernels on blocks in memory, shared by operations and by sources that transform on read.

mod cascade;
pub mod components;
pub mod distance;
mod eigenvalues;
pub mod expression;
pub mod filter;
pub mod gaussian;
pub mod grey;
pub mod interpolate;
pub mod mapping;
pub mod measure;
pub mod median;
pub mod merge;
mod ordered;
pub mod resample;
pub mod watershed;
pub mod window;

use crate::array::{Array, Scalar};
use crate::cast::Number;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// Whether a value is not equal to itself.
#[inline(always)]
pub fn is_nan<T: PartialOrd>(value: T) -> bool {
    value.partial_cmp(&value).is_none()
}

/// A number that is computed with in double precision.
pub trait Voxel: Number {
    /// The nearest double.
    fn to_f64(self) -> f64;
    /// The value of this type: integers are rounded half away from zero and clamped.
    fn from_f64(value: f64) -> Self;
}

/// The largest double below one half: adding it rounds ties up and nothing else.
const BELOW_HALF: f64 = 0.499_999_999_999_999_94;

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Voxel for $t {
            fn to_f64(self) -> f64 { self as f64 }
            fn from_f64(value: f64) -> Self { (value + BELOW_HALF.copysign(value)) as $t }
        }
    )*};
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($t:ty),*) => {$(
        impl Voxel for $t {
            fn to_f64(self) -> f64 { f64::from(self) }
            fn from_f64(value: f64) -> Self { value as $t }
        }
    )*};
}
floats!(f32, f64);

impl Voxel for bool {
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
    fn from_f64(value: f64) -> Self {
        value >= 0.5
    }
}

/// The values of a block as `f32`.
///
/// # Errors
/// `corrupt-data` for a `bool` that is neither 0 nor 1.
pub fn to_f32(array: &Array) -> Result<Vec<f32>> {
    crate::dispatch!(array.dtype(), T => {
        Ok(array.values::<T>()?.iter().map(|value| value.to_f64() as f32).collect())
    })
}

/// The flat slice of a block, to be written to.
pub(crate) fn values_mut<T: Voxel>(array: &mut Array) -> Result<&mut [T]> {
    array.view_mut::<T>()?.into_slice().ok_or_else(|| Error::internal("a block is not contiguous"))
}

/// A block whose every voxel is `fill`.
///
/// # Errors
/// None that a caller can cause.
pub fn filled(dtype: DType, shape: &[u64], fill: Scalar) -> Result<Array> {
    let mut array = Array::zeros(dtype, shape);
    crate::dispatch!(dtype, T => values_mut::<T>(&mut array)?.fill(T::wrap(fill)));
    Ok(array)
}

/// The values of a block of `f32`, such as smoothed ones, in another data type: integers are rounded
/// and clamped.
///
/// # Errors
/// `dtype-mismatch` for a block of another type.
pub fn rounded(array: &Array, dtype: DType) -> Result<Array> {
    let mut out = Array::zeros(dtype, array.shape());
    crate::dispatch!(dtype, T => {
        for (to, from) in values_mut::<T>(&mut out)?.iter_mut().zip(array.values::<f32>()?) {
            *to = T::from_f64(f64::from(*from));
        }
    });
    Ok(out)
}
