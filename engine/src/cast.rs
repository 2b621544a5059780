//! Conversion of voxel values between numeric types, in the three ways that users ask for.

use crate::array::Cast;
use crate::dtype::{DType, Element};
use crate::error::{Error, Kind, Result};

/// A value on its way between types: wide enough for every integer, exact for every float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// Any integer or truth value.
    Integer(i128),
    /// Any float.
    Float(f64),
}

impl Scalar {
    /// The nearest double.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::Integer(value) => value as f64,
            Scalar::Float(value) => value,
        }
    }
}

/// Written as text, since JSON knows neither NaN nor all 64-bit integers.
impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Integer(value) => write!(f, "{value}"),
            Scalar::Float(value) => write!(f, "{value:?}"),
        }
    }
}

impl std::str::FromStr for Scalar {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let integer = text.parse().map(Scalar::Integer).ok();
        integer
            .or_else(|| text.parse().map(Scalar::Float).ok())
            .ok_or_else(|| Error::argument(format!("'{text}' is not a number")))
    }
}

impl serde::Serialize for Scalar {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "number" })
    }
}

/// How a Rust number enters and leaves [`Scalar`].
pub trait Number: Element {
    /// The value, exactly.
    fn widen(self) -> Scalar;
    /// Low bits of an integer, or a float.
    fn wrap(value: Scalar) -> Self;
    /// The nearest value of this type; NaN becomes zero in an integer type.
    fn saturate(value: Scalar) -> Self;
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Number for $t {
            fn widen(self) -> Scalar { Scalar::Integer(self as i128) }
            fn wrap(value: Scalar) -> Self {
                match value {
                    Scalar::Integer(v) => v as $t,
                    Scalar::Float(v) => v as i128 as $t,
                }
            }
            fn saturate(value: Scalar) -> Self {
                match value {
                    Scalar::Integer(v) => v.clamp(<$t>::MIN as i128, <$t>::MAX as i128) as $t,
                    Scalar::Float(v) => v as $t,
                }
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($t:ty),*) => {$(
        impl Number for $t {
            fn widen(self) -> Scalar { Scalar::Float(f64::from(self)) }
            fn wrap(value: Scalar) -> Self {
                match value {
                    Scalar::Integer(v) => v as $t,
                    Scalar::Float(v) => v as $t,
                }
            }
            fn saturate(value: Scalar) -> Self {
                match value {
                    Scalar::Float(v) if v.is_finite() => {
                        v.clamp(f64::from(<$t>::MIN), f64::from(<$t>::MAX)) as $t
                    }
                    other => Self::wrap(other),
                }
            }
        }
    )*};
}
floats!(f32, f64);

impl Number for bool {
    fn widen(self) -> Scalar {
        Scalar::Integer(i128::from(self))
    }
    fn wrap(value: Scalar) -> Self {
        value != Scalar::Integer(0) && value != Scalar::Float(0.0)
    }
    fn saturate(value: Scalar) -> Self {
        Self::wrap(value)
    }
}

/// Casts every value of `source` into `target`, which has the same length.
///
/// # Errors
/// `value-out-of-range` from [`Cast::Checked`], naming the first value that does not fit.
pub fn cast_slice<S: Number, T: Number>(source: &[S], target: &mut [T], cast: Cast) -> Result<()> {
    match cast {
        Cast::Wrapping => {
            for (to, from) in target.iter_mut().zip(source) {
                *to = T::wrap(from.widen());
            }
        }
        Cast::Saturating => {
            for (to, from) in target.iter_mut().zip(source) {
                *to = T::saturate(from.widen());
            }
        }
        Cast::Checked => {
            for (to, from) in target.iter_mut().zip(source) {
                *to = T::wrap(from.widen());
                if !keeps::<T>(from.widen(), to.widen()) {
                    return Err(Error::new(
                        Kind::ValueOutOfRange,
                        format!("the value {from:?} does not fit into dtype {}", T::DTYPE),
                    )
                    .fix("Choose a wider dtype, or a saturating cast."));
                }
            }
        }
    }
    Ok(())
}

/// Whether the cast value still stands for the original: equal for integers and truth values, equal
/// up to a float's rounding where the target is a float, equal in the integer part otherwise.
fn keeps<T: Number>(from: Scalar, to: Scalar) -> bool {
    match (from, to) {
        (Scalar::Integer(a), Scalar::Integer(b)) => a == b,
        (Scalar::Float(a), Scalar::Integer(b)) if T::DTYPE == DType::Bool => a == b as f64,
        (Scalar::Float(a), Scalar::Integer(b)) => a.is_finite() && a.trunc() == b as f64,
        (Scalar::Integer(_), Scalar::Float(b)) => b.is_finite(),
        (Scalar::Float(a), Scalar::Float(b)) => a.is_finite() == b.is_finite(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;

    fn cast<S: Element, T: Element>(values: &[S], cast: Cast) -> Result<Vec<T>> {
        let array = Array::from_values(&[values.len() as u64], values)?;
        Ok(array.cast(T::DTYPE, cast)?.values::<T>()?.to_vec())
    }

    #[test]
    fn wrapping_keeps_the_low_bits_and_truncates() {
        assert_eq!(cast::<i16, u8>(&[-1, 256, 257], Cast::Wrapping).unwrap(), [255, 0, 1]);
        assert_eq!(cast::<f32, u8>(&[1.9, 300.0], Cast::Wrapping).unwrap(), [1, 44]);
        assert_eq!(cast::<f64, bool>(&[0.0, 0.5], Cast::Wrapping).unwrap(), [false, true]);
    }

    #[test]
    fn saturating_stops_at_the_ends() {
        assert_eq!(cast::<i16, u8>(&[-1, 256], Cast::Saturating).unwrap(), [0, 255]);
        assert_eq!(
            cast::<f64, u64>(&[f64::NAN, 1e30, -3.0], Cast::Saturating).unwrap(),
            [0, u64::MAX, 0]
        );
        assert_eq!(cast::<f64, f32>(&[1e300], Cast::Saturating).unwrap(), [f32::MAX]);
    }

    #[test]
    fn checked_refuses_what_is_lost() {
        for bad in [-1i64, 256] {
            let error = cast::<i64, u8>(&[3, bad], Cast::Checked).unwrap_err();
            assert_eq!(error.kind, Kind::ValueOutOfRange);
            assert!(error.message.contains(&bad.to_string()));
        }
        assert_eq!(cast::<f32, u8>(&[3.5], Cast::Checked).unwrap(), [3]);
        assert!(cast::<f64, f32>(&[1e300], Cast::Checked).is_err());
        assert!(cast::<f32, i32>(&[f32::NAN], Cast::Checked).is_err());
    }

    #[test]
    fn every_pair_of_types_casts_small_values_exactly() {
        for from in DType::ALL {
            let ones = Array::from_values::<u8>(&[2], &[0, 1]).unwrap();
            let source = ones.cast(from, Cast::Wrapping).unwrap();
            for to in DType::ALL {
                for how in [Cast::Wrapping, Cast::Saturating, Cast::Checked] {
                    let back = source.cast(to, how).unwrap().cast(DType::U8, how).unwrap();
                    assert_eq!(back, ones, "{from} to {to}");
                }
            }
        }
    }
}
