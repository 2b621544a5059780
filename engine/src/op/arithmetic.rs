//! Arithmetic of two arrays, or of an array and a number, voxel by voxel, as NumPy does it.
//!
//! Halo: none. Memory: the blocks of the inputs, each once more in the type in which is computed where
//! that differs, and the result.

use super::ArrayShape;
use super::blockwise::BlockOperation;
use super::parameters::Input;
use crate::array::{Array, Cast, Scalar};
use crate::cast::Number;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::Block;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What is done with two values.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Operator {
    /// The sum; integers wrap around
    Add,
    /// The difference; integers wrap around
    Subtract,
    /// The product; integers wrap around
    Multiply,
    /// The quotient, as a float
    Divide,
    /// The lesser; NaN where one is
    Minimum,
    /// The greater; NaN where one is
    Maximum,
    /// Whether the first is greater
    Greater,
    /// Whether the first is greater, or both are equal
    GreaterEqual,
    /// Whether the first is less
    Less,
    /// Whether the first is less, or both are equal
    LessEqual,
}

/// Parameters of arithmetic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Arithmetic {
    /// What is done with two values
    #[arg(long, value_enum)]
    pub operation: Operator,
    /// The second operand, where that is a number
    #[serde(default)]
    #[arg(long, allow_hyphen_values = true)]
    pub scalar: Option<Scalar>,
    /// The number's data type, where it does not go by that of the array
    #[serde(default)]
    #[arg(long)]
    pub scalar_dtype: Option<DType>,
}

impl BlockOperation for Arithmetic {
    const NAME: &'static str = "arithmetic";
    const INPUTS: &'static [Input] = &[
        Input { name: "FIRST", help: "Array with the first operands" },
        Input { name: "SECOND", help: "Array with the second operands" },
    ];
    const IN_PLACE: bool = true;

    fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape> {
        let first = self.first(inputs)?;
        let types = self.types(inputs)?;
        Ok(ArrayShape { shape: first.shape.clone(), dtype: types.result })
    }

    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape]) -> u64 {
        let Ok(types) = self.types(inputs) else { return 0 };
        let read = |input: &ArrayShape| {
            let cast = if input.dtype == types.computed { 0 } else { types.computed.size() };
            (input.dtype.size() + cast) as u64
        };
        outer_voxels * (inputs.iter().map(read).sum::<u64>() + types.result.size() as u64)
    }

    fn compute(&self, blocks: Vec<Array>, _block: &Block) -> Result<Array> {
        let shape =
            |block: &Array| ArrayShape { shape: block.shape().to_vec(), dtype: block.dtype() };
        let shapes: Vec<ArrayShape> = blocks.iter().map(shape).collect();
        let first = self.first(&shapes)?.dtype;
        let Types { computed, result } = self.types(&shapes)?;
        if result == DType::Bool && self.operation.compares() && first.is_integer() {
            if let Some(scalar @ Scalar::Integer(_)) = self.scalar
                && self.scalar_dtype.is_none()
                && !fits(scalar, first)
            {
                return self.constant(&blocks[0], scalar);
            }
            if !computed.is_integer()
                && shapes.get(1).is_some_and(|second| second.dtype.is_integer())
            {
                return self.compare_exactly(&blocks);
            }
        }
        let mut blocks = blocks.into_iter().map(|block| match block.dtype() == computed {
            true => Ok(block),
            false => block.cast(computed, Cast::Wrapping),
        });
        let missing = || Error::internal("arithmetic was given no operand");
        let mut first = blocks.next().ok_or_else(missing)??;
        let second = blocks.next().transpose()?;
        if self.operation.compares() {
            let mut out = Array::zeros(DType::Bool, first.shape());
            dispatch!(computed, T => {
                let second = self.operand::<T>(second.as_ref())?;
                compare(self.operation, first.values::<T>()?, second, out.bytes_mut());
            });
            return Ok(out);
        }
        dispatch!(computed, T => {
            let second = self.operand::<T>(second.as_ref())?;
            let mut view = first.view_mut::<T>()?;
            let values = view.as_slice_mut().ok_or_else(|| Error::internal("a block has gaps"))?;
            combine(self.operation, values, second);
        });
        Ok(first)
    }
}

/// The type in which is computed, and that of the result.
struct Types {
    computed: DType,
    result: DType,
}

impl Arithmetic {
    fn first<'a>(&self, inputs: &'a [ArrayShape]) -> Result<&'a ArrayShape> {
        match (inputs, self.scalar) {
            ([first], Some(_)) | ([first, _], None) => Ok(first),
            _ => Err(Error::argument(format!(
                "arithmetic takes two operands, not {} array(s) and {} number(s)",
                inputs.len(),
                usize::from(self.scalar.is_some())
            ))),
        }
    }

    /// The types by NumPy's rules (NEP 50): a number without a type of its own goes by the array's.
    fn types(&self, inputs: &[ArrayShape]) -> Result<Types> {
        let first = self.first(inputs)?.dtype;
        let second = match (self.scalar, self.scalar_dtype) {
            (Some(_), Some(dtype)) => dtype,
            (Some(Scalar::Integer(_)), None) if first == DType::Bool => DType::I64,
            (Some(Scalar::Float(_)), None) if !first.is_float() => DType::F64,
            (Some(_), None) => first,
            (None, _) => inputs[1].dtype,
        };
        let common = first.promoted(second);
        let computed = match self.operation {
            Operator::Divide if !common.is_float() => DType::F64,
            _ => common,
        };
        if self.operation == Operator::Subtract && computed == DType::Bool {
            return Err(Error::new(Kind::DtypeMismatch, "booleans cannot be subtracted")
                .fix("Compare them, or convert them to integers."));
        }
        let compares = self.operation.compares();
        if let Some(scalar @ Scalar::Integer(_)) = self.scalar
            && !compares
            && computed.is_integer()
            && !fits(scalar, computed)
        {
            return Err(Error::argument(format!("{scalar} does not fit into dtype {computed}"))
                .fix("Convert the array to a wider data type first."));
        }
        Ok(Types { computed, result: if compares { DType::Bool } else { computed } })
    }

    fn operand<'a, T: Number>(&self, second: Option<&'a Array>) -> Result<Operand<'a, T>> {
        match (second, self.scalar) {
            (Some(array), None) => Ok(Operand::Each(array.values::<T>()?)),
            (None, Some(scalar)) => Ok(Operand::All(T::wrap(scalar))),
            _ => Err(Error::internal("arithmetic was given other than two operands")),
        }
    }

    /// The comparison with a number beyond the array's type, which is the same for all voxels.
    fn constant(&self, block: &Array, scalar: Scalar) -> Result<Array> {
        let ordering = match scalar {
            Scalar::Integer(value) if value < 0 => Ordering::Greater,
            _ => Ordering::Less,
        };
        let mut out = Array::zeros(DType::Bool, block.shape());
        out.bytes_mut().fill(u8::from(self.operation.holds(ordering)));
        Ok(out)
    }

    /// The comparison of integers that no integer type has in common.
    fn compare_exactly(&self, blocks: &[Array]) -> Result<Array> {
        let mut out = Array::zeros(DType::Bool, blocks[0].shape());
        dispatch!(blocks[0].dtype(), A => {
            dispatch!(blocks[1].dtype(), B => {
                let pairs = blocks[0].values::<A>()?.iter().zip(blocks[1].values::<B>()?);
                for (out, (a, b)) in out.bytes_mut().iter_mut().zip(pairs) {
                    if let (Scalar::Integer(a), Scalar::Integer(b)) = (a.widen(), b.widen()) {
                        *out = u8::from(self.operation.holds(a.cmp(&b)));
                    }
                }
            });
        });
        Ok(out)
    }
}

impl Operator {
    fn compares(self) -> bool {
        use Operator::{Greater, GreaterEqual, Less, LessEqual};
        matches!(self, Greater | GreaterEqual | Less | LessEqual)
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterEqual => ordering.is_ge(),
            Operator::Less => ordering.is_lt(),
            Operator::LessEqual => ordering.is_le(),
            _ => false,
        }
    }
}

fn fits(scalar: Scalar, dtype: DType) -> bool {
    dispatch!(dtype, T => T::saturate(scalar).widen() == scalar)
}

/// The second operand.
#[derive(Clone, Copy)]
enum Operand<'a, T> {
    Each(&'a [T]),
    All(T),
}

/// How NumPy computes with values of one type.
trait Compute: Number {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self {
        Self::wrap(Scalar::Float(self.widen().as_f64() / other.widen().as_f64()))
    }
    fn is_unordered(self) -> bool {
        false
    }
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Compute for $t {
            fn plus(self, other: Self) -> Self { self.wrapping_add(other) }
            fn minus(self, other: Self) -> Self { self.wrapping_sub(other) }
            fn times(self, other: Self) -> Self { self.wrapping_mul(other) }
        }
    )*};
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($t:ty),*) => {$(
        impl Compute for $t {
            fn plus(self, other: Self) -> Self { self + other }
            fn minus(self, other: Self) -> Self { self - other }
            fn times(self, other: Self) -> Self { self * other }
            fn over(self, other: Self) -> Self { self / other }
            fn is_unordered(self) -> bool { self.is_nan() }
        }
    )*};
}
floats!(f32, f64);

impl Compute for bool {
    fn plus(self, other: Self) -> Self {
        self | other
    }
    fn minus(self, other: Self) -> Self {
        self ^ other
    }
    fn times(self, other: Self) -> Self {
        self & other
    }
}

fn combine<T: Compute>(operator: Operator, values: &mut [T], second: Operand<T>) {
    fn each<T: Copy>(values: &mut [T], second: Operand<T>, with: impl Fn(T, T) -> T) {
        match second {
            Operand::Each(others) => {
                values.iter_mut().zip(others).for_each(|(a, &b)| *a = with(*a, b));
            }
            Operand::All(b) => values.iter_mut().for_each(|a| *a = with(*a, b)),
        }
    }
    let take = |first: bool, a: T, b: T| if first || a.is_unordered() { a } else { b };
    match operator {
        Operator::Add => each(values, second, T::plus),
        Operator::Subtract => each(values, second, T::minus),
        Operator::Multiply => each(values, second, T::times),
        Operator::Divide => each(values, second, T::over),
        Operator::Minimum => each(values, second, |a, b| take(a <= b, a, b)),
        Operator::Maximum => each(values, second, |a, b| take(a >= b, a, b)),
        _ => {}
    }
}

fn compare<T: Copy + PartialOrd>(
    operator: Operator,
    values: &[T],
    second: Operand<T>,
    out: &mut [u8],
) {
    fn each<T: Copy>(a: &[T], b: Operand<T>, out: &mut [u8], holds: impl Fn(&T, &T) -> bool) {
        let pairs = out.iter_mut().zip(a);
        match b {
            Operand::Each(b) => {
                pairs.zip(b).for_each(|((out, a), b)| *out = u8::from(holds(a, b)));
            }
            Operand::All(b) => pairs.for_each(|(out, a)| *out = u8::from(holds(a, &b))),
        }
    }
    match operator {
        Operator::Greater => each(values, second, out, T::gt),
        Operator::GreaterEqual => each(values, second, out, T::ge),
        Operator::Less => each(values, second, out, T::lt),
        Operator::LessEqual => each(values, second, out, T::le),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Element;
    use crate::grid::{Grid, Region};

    fn run(arithmetic: &Arithmetic, arrays: Vec<Array>) -> Array {
        let shape = arrays[0].shape().to_vec();
        let block = Grid::new(Region::whole(&shape), &shape).unwrap().block(0).unwrap();
        arithmetic.compute(arrays, &block).unwrap()
    }

    fn array<T: Element>(values: &[T]) -> Array {
        Array::from_values(&[values.len() as u64], values).unwrap()
    }

    fn arithmetic(operation: Operator, scalar: Option<Scalar>) -> Arithmetic {
        Arithmetic { operation, scalar, scalar_dtype: None }
    }

    #[test]
    fn integers_wrap_and_are_divided_as_floats() {
        let pair = || vec![array::<u8>(&[250, 3, 0]), array::<u8>(&[10, 4, 0])];
        let values = |operation| run(&arithmetic(operation, None), pair());
        assert_eq!(values(Operator::Add), array::<u8>(&[4, 7, 0]));
        assert_eq!(values(Operator::Subtract), array::<u8>(&[240, 255, 0]));
        assert_eq!(values(Operator::Multiply), array::<u8>(&[196, 12, 0]));
        let quotient = values(Operator::Divide);
        let quotient = quotient.values::<f64>().unwrap();
        assert_eq!(quotient[..2], [25.0, 0.75]);
        assert!(quotient[2].is_nan());
        let least = vec![array::<i64>(&[i64::MIN]), array::<i64>(&[1])];
        let wrapped = run(&arithmetic(Operator::Subtract, None), least);
        assert_eq!(wrapped, array::<i64>(&[i64::MAX]));
    }

    #[test]
    fn nan_wins_and_compares_to_nothing() {
        let pair =
            || vec![array::<f32>(&[f32::NAN, 1.0, 2.0]), array::<f32>(&[1.0, f32::NAN, 3.0])];
        for operation in [Operator::Minimum, Operator::Maximum] {
            let values = run(&arithmetic(operation, None), pair());
            let values = values.values::<f32>().unwrap();
            assert!(values[0].is_nan() && values[1].is_nan() && values[2] >= 2.0);
        }
        for operation in [Operator::LessEqual, Operator::Less] {
            let values = run(&arithmetic(operation, None), pair());
            assert_eq!(values.values::<bool>().unwrap(), [false, false, true]);
        }
    }

    #[test]
    fn numbers_go_by_the_array_unless_they_have_a_type() {
        let types = |dtype, operation, scalar, scalar_dtype| {
            let input = ArrayShape { shape: vec![1], dtype };
            let arithmetic = Arithmetic { operation, scalar: Some(scalar), scalar_dtype };
            arithmetic.output(&[input]).map(|output| output.dtype)
        };
        let (one, half) = (Scalar::Integer(1), Scalar::Float(0.5));
        assert_eq!(types(DType::U8, Operator::Add, one, None), Ok(DType::U8));
        assert_eq!(types(DType::Bool, Operator::Add, one, None), Ok(DType::I64));
        assert_eq!(types(DType::F32, Operator::Multiply, half, None), Ok(DType::F32));
        assert_eq!(types(DType::U8, Operator::Multiply, half, None), Ok(DType::F64));
        assert_eq!(types(DType::F32, Operator::Add, half, Some(DType::F64)), Ok(DType::F64));
        assert_eq!(types(DType::I8, Operator::Less, one, None), Ok(DType::Bool));
        let refused = types(DType::U8, Operator::Add, Scalar::Integer(300), None).unwrap_err();
        assert_eq!(refused.kind, Kind::InvalidArgument);
        let refused = types(DType::Bool, Operator::Subtract, one, Some(DType::Bool)).unwrap_err();
        assert_eq!(refused.kind, Kind::DtypeMismatch);
    }

    #[test]
    fn integers_are_compared_exactly() {
        let beyond = arithmetic(Operator::Less, Some(Scalar::Integer(300)));
        assert_eq!(run(&beyond, vec![array::<u8>(&[255])]), array(&[true]));
        let below = arithmetic(Operator::LessEqual, Some(Scalar::Integer(-1)));
        assert_eq!(run(&below, vec![array::<u8>(&[0])]), array(&[false]));
        let pair = vec![array::<u64>(&[1 << 63, 5]), array::<i64>(&[i64::MAX, -5])];
        let greater = arithmetic(Operator::Greater, None);
        assert_eq!(run(&greater, pair), array(&[true, true]));
    }
}
