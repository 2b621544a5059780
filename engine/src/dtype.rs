//! The numeric types of zarr, and the one macro that turns a type at run time into a type parameter.

use crate::error::{Error, Result};
use std::fmt;

/// The data type of an array's voxels.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[allow(missing_docs)]
pub enum DType {
    #[serde(rename = "bool")]
    Bool,
    #[serde(rename = "uint8")]
    U8,
    #[serde(rename = "uint16")]
    U16,
    #[serde(rename = "uint32")]
    U32,
    #[serde(rename = "uint64")]
    U64,
    #[serde(rename = "int8")]
    I8,
    #[serde(rename = "int16")]
    I16,
    #[serde(rename = "int32")]
    I32,
    #[serde(rename = "int64")]
    I64,
    #[serde(rename = "float32")]
    F32,
    #[serde(rename = "float64")]
    F64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Bool,
    Unsigned,
    Signed,
    Float,
}

/// A Rust type that voxels can have.
pub trait Element:
    bytemuck::NoUninit
    + bytemuck::CheckedBitPattern
    + Copy
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + fmt::Debug
    + 'static
{
    /// The data type that stands for this Rust type at run time.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($variant:ident $rust:ty),*) => {
        $(impl Element for $rust { const DTYPE: DType = DType::$variant; })*
    };
}
elements!(Bool bool, U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64, F32 f32, F64 f64);

/// Runs an expression with `T` bound to the Rust type of a [`DType`] value.
///
/// ```
/// use bioimage_engine::{dispatch, dtype::DType};
/// let size = dispatch!(DType::U16, T => std::mem::size_of::<T>());
/// assert_eq!(size, 2);
/// ```
#[macro_export]
macro_rules! dispatch {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::dtype::DType::Bool => {
                type $T = bool;
                $body
            }
            $crate::dtype::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::dtype::DType::U16 => {
                type $T = u16;
                $body
            }
            $crate::dtype::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::dtype::DType::U64 => {
                type $T = u64;
                $body
            }
            $crate::dtype::DType::I8 => {
                type $T = i8;
                $body
            }
            $crate::dtype::DType::I16 => {
                type $T = i16;
                $body
            }
            $crate::dtype::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::dtype::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::dtype::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::dtype::DType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}

impl DType {
    /// Every data type.
    pub const ALL: [DType; 11] = [
        DType::Bool,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::F32,
        DType::F64,
    ];

    /// Bytes of one voxel.
    pub fn size(self) -> usize {
        dispatch!(self, T => std::mem::size_of::<T>())
    }

    /// The name that zarr and numpy use, such as `uint8`.
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "uint8",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }

    /// The name that Rust uses, such as `u8`; it is what the command line prints in help.
    pub fn short_name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "u8",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::I8 => "i8",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    /// The type that holds the values of both, by NumPy's rules: a 64-bit float for what only some
    /// larger integer could hold.
    pub fn promoted(self, other: DType) -> DType {
        use DType::{F32, F64, I16, I32, I64};
        let (wide, narrow) = if self.size() < other.size() { (other, self) } else { (self, other) };
        match (self.class(), other.class()) {
            (Class::Bool, _) => other,
            (_, Class::Bool) => self,
            (a, b) if a == b => wide,
            (Class::Float, _) | (_, Class::Float) => {
                let float = if self.class() == Class::Float { self } else { other };
                let integer = if float == self { other } else { self };
                if float == F32 && integer.size() > 2 { F64 } else { float }
            }
            _ if wide.class() == Class::Signed && wide.size() > narrow.size() => wide,
            _ => match wide.size() {
                1 => I16,
                2 => I32,
                4 => I64,
                _ => F64,
            },
        }
    }

    fn class(self) -> Class {
        use DType::{Bool, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
        match self {
            Bool => Class::Bool,
            U8 | U16 | U32 | U64 => Class::Unsigned,
            I8 | I16 | I32 | I64 => Class::Signed,
            F32 | F64 => Class::Float,
        }
    }

    /// Whether the values are floats.
    pub fn is_float(self) -> bool {
        self.class() == Class::Float
    }

    /// Whether the values are integers.
    pub fn is_integer(self) -> bool {
        matches!(self.class(), Class::Unsigned | Class::Signed)
    }

    /// Reads either name.
    ///
    /// # Errors
    /// `invalid-argument`, listing the names, for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        DType::ALL
            .into_iter()
            .find(|dtype| dtype.name() == text || dtype.short_name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = DType::ALL.iter().map(|dtype| dtype.short_name()).collect();
                Error::argument(format!("unknown data type '{text}'"))
                    .fix(format!("Use one of {}.", names.join(", ")))
            })
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for DType {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        DType::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_promoted_as_numpy_does() {
        let table = [
            "bool u8 u16 u32 u64 i8 i16 i32 i64 f32 f64",
            "u8 u8 u16 u32 u64 i16 i16 i32 i64 f32 f64",
            "u16 u16 u16 u32 u64 i32 i32 i32 i64 f32 f64",
            "u32 u32 u32 u32 u64 i64 i64 i64 i64 f64 f64",
            "u64 u64 u64 u64 u64 f64 f64 f64 f64 f64 f64",
            "i8 i16 i32 i64 f64 i8 i16 i32 i64 f32 f64",
            "i16 i16 i32 i64 f64 i16 i16 i32 i64 f32 f64",
            "i32 i32 i32 i64 f64 i32 i32 i32 i64 f64 f64",
            "i64 i64 i64 i64 f64 i64 i64 i64 i64 f64 f64",
            "f32 f32 f32 f64 f64 f32 f32 f64 f64 f32 f64",
            "f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64",
        ];
        for (a, row) in DType::ALL.into_iter().zip(table) {
            for (b, expected) in DType::ALL.into_iter().zip(row.split(' ')) {
                assert_eq!(a.promoted(b).short_name(), expected, "{a} and {b}");
            }
        }
    }
}
