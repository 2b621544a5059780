//! The loops.

use super::compile::{Instruction, Place};
use super::parse::{Binary, Unary};
use crate::array::Scalar;
use crate::cast::Number;
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::op::kernel::Voxel;
use multiversion::multiversion;

/// Voxels that are computed at once: all registers of a usual expression stay in the fastest cache.
pub(super) const CHUNK: usize = 1024;

/// A buffer of a chunk of voxels of any type.
pub(super) type Register = Vec<u64>;

/// What instructions read from and write to.
pub(super) struct Frame<'a> {
    pub inputs: &'a [&'a [u8]],
    pub input_sizes: &'a [usize],
    pub constants: &'a [Register],
    pub registers: &'a mut [Register],
    pub output: &'a mut [u8],
    /// The first voxel of the chunk and their number.
    pub start: usize,
    pub len: usize,
}

/// A register full of one value.
pub(super) fn constant(dtype: DType, value: Scalar) -> Result<Register> {
    let mut register = vec![0; CHUNK];
    dispatch!(dtype, T => {
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut register);
        for to in bytes.chunks_exact_mut(std::mem::size_of::<T>()).take(CHUNK) {
            to.copy_from_slice(bytemuck::bytes_of(&T::wrap(value)));
        }
    });
    Ok(register)
}

/// Runs the body with `T` bound to the type that voxels of a data type are computed in.
macro_rules! computed {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::Bool | DType::U8 => {
                type $T = u8;
                $body
            }
            DType::U16 => {
                type $T = u16;
                $body
            }
            DType::U32 => {
                type $T = u32;
                $body
            }
            DType::U64 => {
                type $T = u64;
                $body
            }
            DType::I8 => {
                type $T = i8;
                $body
            }
            DType::I16 => {
                type $T = i16;
                $body
            }
            DType::I32 => {
                type $T = i32;
                $body
            }
            DType::I64 => {
                type $T = i64;
                $body
            }
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}

impl Frame<'_> {
    /// Runs one instruction on the chunk.
    pub fn run(&mut self, instruction: &Instruction) -> Result<()> {
        match *instruction {
            Instruction::Cast { from, to, source, target } => self.write(
                target,
                to,
                |frame, bytes| computed!(from, S => cast(frame.read::<S>(source)?, to, bytes)),
            ),
            Instruction::Unary { operator, dtype, source, target } => {
                self.write(target, dtype, |frame, bytes| {
                    if dtype == DType::Bool {
                        map(frame.read::<u8>(source)?, bytes, |x| x ^ 1);
                        return Ok(());
                    }
                    computed!(dtype, T => {
                        T::unary(operator, frame.read(source)?, voxels_mut(bytes)?);
                    });
                    Ok(())
                })
            }
            Instruction::Binary { operator, dtype, sources: [a, b], target } => {
                let compares = comparison(operator);
                let result = if compares.is_some() { DType::Bool } else { dtype };
                self.write(target, result, |frame, bytes| {
                    computed!(dtype, T => {
                        let (a, b) = (frame.read::<T>(a)?, frame.read::<T>(b)?);
                        match compares {
                            Some(compares) => compare(compares, a, b, bytes),
                            None => T::binary(operator, a, b, voxels_mut(bytes)?)?,
                        }
                    });
                    Ok(())
                })
            }
            Instruction::Select { dtype, condition, sources: [a, b], target } => {
                self.write(target, dtype, |frame, bytes| {
                    computed!(dtype, T => {
                        let (a, b) = (frame.read::<T>(a)?, frame.read::<T>(b)?);
                        let condition = frame.read::<u8>(condition)?;
                        let to = voxels_mut::<T>(bytes)?.iter_mut().zip(condition);
                        for ((to, condition), (a, b)) in to.zip(a.iter().zip(b)) {
                            *to = if *condition != 0 { *a } else { *b };
                        }
                    });
                    Ok(())
                })
            }
        }
    }

    fn read<T: bytemuck::Pod>(&self, place: Place) -> Result<&[T]> {
        let bytes = match place {
            Place::Input(input) => {
                let size = self.input_sizes[input];
                &self.inputs[input][self.start * size..][..self.len * size]
            }
            Place::Constant(constant) => {
                &bytemuck::cast_slice(&self.constants[constant])[..self.len * size_of::<T>()]
            }
            Place::Register(register) => {
                &bytemuck::cast_slice(&self.registers[register])[..self.len * size_of::<T>()]
            }
            Place::Output => return Err(Error::internal("an expression reads its output")),
        };
        bytemuck::try_cast_slice(bytes).map_err(misaligned)
    }

    /// Calls `write` with the bytes of a place, which it does not read.
    fn write(
        &mut self,
        place: Place,
        dtype: DType,
        write: impl FnOnce(&Self, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let (start, len) = (self.start * dtype.size(), self.len * dtype.size());
        if let Place::Register(register) = place {
            let mut taken = std::mem::take(&mut self.registers[register]);
            let result = write(self, &mut bytemuck::cast_slice_mut(&mut taken)[..len]);
            self.registers[register] = taken;
            return result;
        }
        let output = std::mem::take(&mut self.output);
        let result = write(self, &mut output[start..start + len]);
        self.output = output;
        result
    }
}

fn voxels_mut<T: bytemuck::Pod>(bytes: &mut [u8]) -> Result<&mut [T]> {
    bytemuck::try_cast_slice_mut(bytes).map_err(misaligned)
}

fn misaligned(error: bytemuck::PodCastError) -> Error {
    Error::internal(format!("an operand of an expression: {error}"))
}

fn cast<S: Voxel>(from: &[S], to: DType, bytes: &mut [u8]) -> Result<()> {
    match to {
        DType::Bool => map(from, bytes, |x| u8::from(x != S::default())),
        DType::F32 => map(from, voxels_mut::<f32>(bytes)?, |x| x.to_f64() as f32),
        DType::F64 => map(from, voxels_mut::<f64>(bytes)?, |x| x.to_f64()),
        to => dispatch!(to, T => {
            for (to, from) in bytes.chunks_exact_mut(size_of::<T>()).zip(from) {
                to.copy_from_slice(bytemuck::bytes_of(&T::wrap(from.widen())));
            }
        }),
    }
    Ok(())
}

#[multiversion(targets("x86_64+avx2"))]
fn map<S: Copy, T, F: Fn(S) -> T>(from: &[S], to: &mut [T], f: F) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f(*from);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn zip<S: Copy, T, F: Fn(S, S) -> T>(a: &[S], b: &[S], to: &mut [T], f: F) {
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        *to = f(*a, *b);
    }
}

/// The comparisons among the operators.
#[derive(Clone, Copy)]
enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

fn comparison(operator: Binary) -> Option<Comparison> {
    Some(match operator {
        Binary::Less => Comparison::Less,
        Binary::LessEqual => Comparison::LessEqual,
        Binary::Greater => Comparison::Greater,
        Binary::GreaterEqual => Comparison::GreaterEqual,
        Binary::Equal => Comparison::Equal,
        Binary::NotEqual => Comparison::NotEqual,
        _ => return None,
    })
}

fn compare<T: Copy + PartialOrd>(comparison: Comparison, a: &[T], b: &[T], to: &mut [u8]) {
    match comparison {
        Comparison::Less => zip(a, b, to, |a, b| u8::from(a < b)),
        Comparison::LessEqual => zip(a, b, to, |a, b| u8::from(a <= b)),
        Comparison::Greater => zip(a, b, to, |a, b| u8::from(a > b)),
        Comparison::GreaterEqual => zip(a, b, to, |a, b| u8::from(a >= b)),
        Comparison::Equal => zip(a, b, to, |a, b| u8::from(a == b)),
        Comparison::NotEqual => zip(a, b, to, |a, b| u8::from(a != b)),
    }
}

/// A type that is computed with.
trait Computed: Voxel + bytemuck::Pod {
    fn unary(operator: Unary, from: &[Self], to: &mut [Self]);
    fn binary(operator: Binary, a: &[Self], b: &[Self], to: &mut [Self]) -> Result<()>;
}

/// Quotient and remainder that are rounded down, both 0 for a division by zero, as in numpy.
macro_rules! floor_divide {
    ($t:ident, $a:expr, $b:expr) => {{
        let (a, b): ($t, $t) = ($a, $b);
        if b == 0 {
            (0, 0)
        } else {
            let (quotient, rest) = (a.wrapping_div(b), a.wrapping_rem(b));
            // The remainder has the sign of the divisor.
            let down = rest != 0 && (rest ^ b) >> ($t::BITS - 1) != 0 && $t::MIN != 0;
            if down { (quotient.wrapping_sub(1), rest.wrapping_add(b)) } else { (quotient, rest) }
        }
    }};
}
macro_rules! integers {
    ($($t:ident: $abs:expr, $negative:expr);* $(;)?) => {$(
        impl Computed for $t {
            fn unary(operator: Unary, from: &[Self], to: &mut [Self]) {
                match operator {
                    Unary::Negate => map(from, to, $t::wrapping_neg),
                    Unary::Invert => map(from, to, |x: $t| !x),
                    // The others are computed in floats, or change no integer.
                    _ => map(from, to, $abs),
                }
            }

            fn binary(operator: Binary, a: &[Self], b: &[Self], to: &mut [Self]) -> Result<()> {
                match operator {
                    Binary::Add => zip(a, b, to, $t::wrapping_add),
                    Binary::Subtract => zip(a, b, to, $t::wrapping_sub),
                    Binary::Multiply => zip(a, b, to, $t::wrapping_mul),
                    Binary::FloorDivide => zip(a, b, to, |a, b| floor_divide!($t, a, b).0),
                    Binary::Remainder => zip(a, b, to, |a, b| floor_divide!($t, a, b).1),
                    Binary::Minimum => zip(a, b, to, $t::min),
                    Binary::Maximum => zip(a, b, to, $t::max),
                    Binary::BitAnd => zip(a, b, to, |a, b| a & b),
                    Binary::BitOr => zip(a, b, to, |a, b| a | b),
                    Binary::BitXor => zip(a, b, to, |a, b| a ^ b),
                    Binary::Power => {
                        if b.iter().any($negative) {
                            return Err(negative_power());
                        }
                        zip(a, b, to, |mut base, mut exponent| {
                            let mut power = 1;
                            while exponent != 0 {
                                if exponent & 1 == 1 {
                                    power = $t::wrapping_mul(power, base);
                                }
                                base = base.wrapping_mul(base);
                                exponent >>= 1;
                            }
                            power
                        });
                    }
                    operator => return Err(unexpected(operator, Self::DTYPE)),
                }
                Ok(())
            }
        }
    )*};
}

integers!(
    u8: |x| x, |_| false;
    u16: |x| x, |_| false;
    u32: |x| x, |_| false;
    u64: |x| x, |_| false;
    i8: i8::wrapping_abs, |b| *b < 0;
    i16: i16::wrapping_abs, |b| *b < 0;
    i32: i32::wrapping_abs, |b| *b < 0;
    i64: i64::wrapping_abs, |b| *b < 0;
);

fn negative_power() -> Error {
    Error::argument("Integers to negative integer powers are not allowed.")
        .fix("Add 0.0 to the base to compute in floats.")
}

fn unexpected(operator: impl std::fmt::Debug, dtype: DType) -> Error {
    Error::internal(format!("an expression computes {operator:?} in {dtype}"))
}

macro_rules! floats {
    ($($t:ident: $exp:ident $log:ident $log2:ident $log10:ident $sin:ident $cos:ident $tan:ident
        $pow:ident;)*) => {$(
        impl Computed for $t {
            fn unary(operator: Unary, from: &[Self], to: &mut [Self]) {
                match operator {
                    Unary::Negate => map(from, to, |x: $t| -x),
                    Unary::Abs => map(from, to, $t::abs),
                    Unary::Sqrt => map(from, to, $t::sqrt),
                    Unary::Exp => map(from, to, libm::$exp),
                    Unary::Log => map(from, to, libm::$log),
                    Unary::Log2 => map(from, to, libm::$log2),
                    Unary::Log10 => map(from, to, libm::$log10),
                    Unary::Sin => map(from, to, libm::$sin),
                    Unary::Cos => map(from, to, libm::$cos),
                    Unary::Tan => map(from, to, libm::$tan),
                    Unary::Floor => map(from, to, $t::floor),
                    Unary::Ceil => map(from, to, $t::ceil),
                    Unary::Round => map(from, to, $t::round_ties_even),
                    Unary::Invert | Unary::Not => map(from, to, |x| x),
                }
            }

            fn binary(operator: Binary, a: &[Self], b: &[Self], to: &mut [Self]) -> Result<()> {
                match operator {
                    Binary::Add => zip(a, b, to, |a, b| a + b),
                    Binary::Subtract => zip(a, b, to, |a, b| a - b),
                    Binary::Multiply => zip(a, b, to, |a, b| a * b),
                    Binary::Divide => zip(a, b, to, |a, b| a / b),
                    Binary::FloorDivide => zip(a, b, to, |a: $t, b: $t| {
                        let rest = a % b;
                        let apart = rest != 0.0 && (b < 0.0) != (rest < 0.0);
                        let quotient = (a - rest) / b - if apart { 1.0 } else { 0.0 };
                        if b == 0.0 { a / b }
                        else if quotient == 0.0 { (0.0 as $t).copysign(a / b) }
                        else { quotient.round() }
                    }),
                    Binary::Remainder => zip(a, b, to, |a: $t, b: $t| {
                        let rest = a % b;
                        if rest == 0.0 { rest.copysign(b) }
                        else if (b < 0.0) != (rest < 0.0) { rest + b }
                        else { rest }
                    }),
                    Binary::Power => zip(a, b, to, libm::$pow),
                    // NaN on either side wins.
                    Binary::Minimum => {
                        zip(a, b, to, |a: $t, b: $t| if a < b || a.is_nan() { a } else { b });
                    }
                    Binary::Maximum => {
                        zip(a, b, to, |a: $t, b: $t| if a > b || a.is_nan() { a } else { b });
                    }
                    operator => return Err(unexpected(operator, Self::DTYPE)),
                }
                Ok(())
            }
        }
    )*};
}
floats!(
    f32: expf logf log2f log10f sinf cosf tanf powf;
    f64: exp log log2 log10 sin cos tan pow;
);

/// A number that is known before any voxel.
pub(super) fn unary_f64(operator: Unary, x: f64) -> f64 {
    let mut to = [0.0];
    f64::unary(operator, &[x], &mut to);
    to[0]
}

/// As [`unary_f64`].
///
/// # Errors
/// `internal` for an operator that gives no number.
pub(super) fn binary_f64(operator: Binary, a: f64, b: f64) -> Result<f64> {
    let mut to = [0.0];
    f64::binary(operator, &[a], &[b], &mut to)?;
    Ok(to[0])
}
