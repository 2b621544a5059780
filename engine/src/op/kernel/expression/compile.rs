//! From a tree to a list of instructions, with types as numpy has them.

use super::evaluate::{binary_f64, unary_f64};
use super::parse::{Binary, Literal, Node, NodeKind, Unary, error_at};
use crate::array::Scalar;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};

/// Where a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Input(usize),
    Constant(usize),
    Register(usize),
    Output,
}

/// One loop over a piece of the image. `Bool` is computed with as bytes that are 0 or 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Instruction {
    Cast { from: DType, to: DType, source: Place, target: Place },
    Unary { operator: Unary, dtype: DType, source: Place, target: Place },
    Binary { operator: Binary, dtype: DType, sources: [Place; 2], target: Place },
    Select { dtype: DType, condition: Place, sources: [Place; 2], target: Place },
}

/// What stands for a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand {
    /// The image of this number among the images, with its type.
    Array(usize, DType),
    /// A number, which takes the type of the images that it is computed with.
    Number(Scalar),
}

/// A value: a number, whose type depends on what it is computed with, or one for each voxel.
#[derive(Clone, Copy, Debug)]
enum Value {
    Literal(Literal),
    Voxels(DType, Place),
}

#[derive(Debug)]
pub(super) struct Compiler<'a> {
    pub text: &'a str,
    pub operands: &'a [Operand],
    pub instructions: Vec<Instruction>,
    pub constants: Vec<(DType, Scalar)>,
    pub registers: usize,
    free: Vec<usize>,
}

impl<'a> Compiler<'a> {
    pub fn new(text: &'a str, operands: &'a [Operand]) -> Compiler<'a> {
        Compiler {
            text,
            operands,
            instructions: Vec::new(),
            constants: Vec::new(),
            registers: 0,
            free: Vec::new(),
        }
    }

    /// Makes the instructions of an expression, the last of which writes the output; its type.
    pub fn compile(&mut self, root: &Node) -> Result<DType> {
        let value = self.value(root)?;
        let Value::Voxels(dtype, place) = value else {
            return Err(Error::argument(format!("expression '{}' has no image in it", self.text))
                .fix("Name at least one image."));
        };
        match (self.instructions.last_mut(), place) {
            (Some(last), Place::Register(_)) => *last.target_mut() = Place::Output,
            _ => self.instructions.push(Instruction::Cast {
                from: dtype,
                to: dtype,
                source: place,
                target: Place::Output,
            }),
        }
        Ok(dtype)
    }

    fn error(&self, node: &Node, what: impl std::fmt::Display) -> Error {
        let error = error_at(self.text, node.at, what);
        Error { kind: Kind::DtypeMismatch, ..error }
    }

    fn value(&mut self, node: &Node) -> Result<Value> {
        match &node.kind {
            NodeKind::Literal(literal) => Ok(Value::Literal(*literal)),
            NodeKind::Name(name) => Ok(match self.operands[*name] {
                Operand::Array(input, dtype) => Value::Voxels(dtype, Place::Input(input)),
                Operand::Number(Scalar::Integer(value)) => Value::Literal(Literal::Integer(value)),
                Operand::Number(Scalar::Float(value)) => Value::Literal(Literal::Float(value)),
            }),
            NodeKind::Unary(operator, of) => {
                let value = self.value(of)?;
                self.unary(node, *operator, value)
            }
            NodeKind::Binary(operator, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                self.binary(node, *operator, a, b)
            }
            NodeKind::Where(nodes) => {
                let condition = self.value(&nodes[0])?;
                let (a, b) = (self.value(&nodes[1])?, self.value(&nodes[2])?);
                self.select(node, condition, a, b)
            }
        }
    }

    fn unary(&mut self, node: &Node, operator: Unary, value: Value) -> Result<Value> {
        let (dtype, place) = match value {
            Value::Literal(literal) => return self.fold_unary(node, operator, literal),
            Value::Voxels(dtype, place) => (dtype, place),
        };
        let computed_in = match operator {
            Unary::Not => DType::Bool,
            Unary::Negate if dtype == DType::Bool => {
                return Err(self
                    .error(node, "the negative of a bool image")
                    .fix("Use '~' or 'not' to invert it."));
            }
            Unary::Invert if is_float(dtype) => {
                return Err(self.error(node, format!("'~' of an image of {dtype}")));
            }
            Unary::Negate | Unary::Invert => dtype,
            Unary::Abs | Unary::Floor | Unary::Ceil | Unary::Round if !is_float(dtype) => {
                // A whole number is rounded already, and one without a sign is its own magnitude.
                if operator != Unary::Abs || !is_signed(dtype) {
                    return Ok(value);
                }
                dtype
            }
            Unary::Abs | Unary::Floor | Unary::Ceil | Unary::Round => dtype,
            _ => float_for(dtype),
        };
        let source = self.cast(dtype, place, computed_in);
        let target = self.target(&[source]);
        self.push(Instruction::Unary { operator, dtype: computed_in, source, target });
        Ok(Value::Voxels(computed_in, target))
    }

    fn binary(&mut self, node: &Node, operator: Binary, a: Value, b: Value) -> Result<Value> {
        use Binary as Op;
        if let (Value::Literal(a), Value::Literal(b)) = (a, b) {
            return self.fold_binary(node, operator, a, b);
        }
        if operator == Op::Power
            && let Value::Literal(Literal::Integer(2) | Literal::Float(2.0)) = b
            && let Value::Voxels(dtype, place) = a
            && dtype != DType::Bool
        {
            return self.square(node, dtype, place, b);
        }
        let compares = is_comparison(operator);
        if compares && let Some(settled) = self.out_of_range(operator, a, b) {
            return Ok(settled);
        }
        let mut operator = operator;
        let mut dtype = match operator {
            Op::And | Op::Or => DType::Bool,
            _ => self.common(node, a, b)?,
        };
        match operator {
            Op::Divide if !is_float(dtype) => dtype = DType::F64,
            Op::FloorDivide | Op::Remainder | Op::Power if dtype == DType::Bool => {
                dtype = DType::I8;
            }
            Op::BitAnd | Op::BitOr | Op::BitXor if is_float(dtype) => {
                return Err(self
                    .error(node, format!("'&', '|' or '^' of images of {dtype}"))
                    .fix("Put comparisons in parentheses, or use 'and' and 'or'."));
            }
            Op::Subtract if dtype == DType::Bool => {
                return Err(self
                    .error(node, "the difference of bool images")
                    .fix("Use '^' for voxels that differ."));
            }
            Op::Add | Op::Maximum if dtype == DType::Bool => operator = Op::BitOr,
            Op::Multiply | Op::Minimum if dtype == DType::Bool => operator = Op::BitAnd,
            Op::And => operator = Op::BitAnd,
            Op::Or => operator = Op::BitOr,
            _ => {}
        }
        if operator == Op::Power
            && !is_float(dtype)
            && matches!(b, Value::Literal(Literal::Integer(..0)))
        {
            return Err(self
                .error(node, "an integer image to a negative power")
                .fix("Write the exponent as a float, such as -1.0."));
        }
        let sources = [self.place(node, a, dtype)?, self.place(node, b, dtype)?];
        let target = self.target(&sources);
        self.push(Instruction::Binary { operator, dtype, sources, target });
        Ok(Value::Voxels(if compares { DType::Bool } else { dtype }, target))
    }

    /// The square, which takes one multiplication, as numpy does it.
    fn square(&mut self, node: &Node, dtype: DType, place: Place, two: Value) -> Result<Value> {
        let to = self.common(node, Value::Voxels(dtype, place), two)?;
        let source = self.cast(dtype, place, to);
        let target = self.target(&[source]);
        let sources = [source, source];
        self.push(Instruction::Binary { operator: Binary::Multiply, dtype: to, sources, target });
        Ok(Value::Voxels(to, target))
    }

    fn select(&mut self, node: &Node, condition: Value, a: Value, b: Value) -> Result<Value> {
        let (condition, a, b) = match (condition, a, b) {
            (Value::Literal(condition), a, b) => {
                // Either has the type of both.
                let chosen = if is_true(condition) { a } else { b };
                if let (Value::Literal(_), Value::Literal(_)) = (a, b) {
                    return Ok(chosen);
                }
                let dtype = self.common(node, a, b)?;
                let place = self.place(node, chosen, dtype)?;
                return Ok(Value::Voxels(dtype, place));
            }
            (Value::Voxels(dtype, place), a, b) => (self.cast(dtype, place, DType::Bool), a, b),
        };
        let dtype = self.common(node, a, b)?;
        let sources = [self.place(node, a, dtype)?, self.place(node, b, dtype)?];
        let target = self.target(&[condition, sources[0], sources[1]]);
        self.push(Instruction::Select { dtype, condition, sources, target });
        Ok(Value::Voxels(dtype, target))
    }

    /// The type that two values are computed with in.
    fn common(&self, node: &Node, a: Value, b: Value) -> Result<DType> {
        match (a, b) {
            (Value::Voxels(a, _), Value::Voxels(b, _)) => Ok(promoted(a, b)),
            (Value::Voxels(dtype, _), Value::Literal(literal))
            | (Value::Literal(literal), Value::Voxels(dtype, _)) => match literal {
                Literal::Bool(_) => Ok(dtype),
                Literal::Float(_) if is_float(dtype) => Ok(dtype),
                Literal::Float(_) => Ok(DType::F64),
                Literal::Integer(_) if is_float(dtype) => Ok(dtype),
                Literal::Integer(_) if dtype == DType::Bool => Ok(DType::I64),
                Literal::Integer(value) if range(dtype).contains(&value) => Ok(dtype),
                Literal::Integer(value) => Err(self
                    .error(node, format!("{value} does not fit the type {dtype} of the image"))
                    .fix("Write the number as a float to compute in float64.")),
            },
            (Value::Literal(a), Value::Literal(b)) => Ok(match (a, b) {
                (Literal::Float(_), _) | (_, Literal::Float(_)) => DType::F64,
                (Literal::Integer(_), _) | (_, Literal::Integer(_)) => DType::I64,
                _ => DType::Bool,
            }),
        }
    }

    /// A comparison of integers with a number beyond their type, which comes out the same everywhere.
    fn out_of_range(&mut self, operator: Binary, a: Value, b: Value) -> Option<Value> {
        let (dtype, value, literal_first) = match (a, b) {
            (Value::Voxels(dtype, _), Value::Literal(Literal::Integer(v))) => (dtype, v, false),
            (Value::Literal(Literal::Integer(v)), Value::Voxels(dtype, _)) => (dtype, v, true),
            _ => return None,
        };
        if is_float(dtype) || dtype == DType::Bool || range(dtype).contains(&value) {
            return None;
        }
        let image_is_less = (value > 0) != literal_first;
        let holds = match operator {
            Binary::Less | Binary::LessEqual => image_is_less,
            Binary::Greater | Binary::GreaterEqual => !image_is_less,
            operator => operator == Binary::NotEqual,
        };
        let place = self.constant(DType::Bool, Scalar::Integer(i128::from(holds)));
        Some(Value::Voxels(DType::Bool, place))
    }

    /// Where a value is, in this type.
    fn place(&mut self, node: &Node, value: Value, dtype: DType) -> Result<Place> {
        match value {
            Value::Voxels(from, place) => Ok(self.cast(from, place, dtype)),
            Value::Literal(literal) => {
                let scalar = match literal {
                    _ if dtype == DType::Bool => Scalar::Integer(i128::from(is_true(literal))),
                    Literal::Bool(value) => Scalar::Integer(i128::from(value)),
                    Literal::Integer(value)
                        if !is_float(dtype) && !range(dtype).contains(&value) =>
                    {
                        return Err(self.error(node, format!("{value} does not fit {dtype}")));
                    }
                    Literal::Integer(value) => Scalar::Integer(value),
                    Literal::Float(value) => Scalar::Float(value),
                };
                Ok(self.constant(dtype, scalar))
            }
        }
    }

    fn constant(&mut self, dtype: DType, value: Scalar) -> Place {
        self.constants.push((dtype, value));
        Place::Constant(self.constants.len() - 1)
    }

    fn cast(&mut self, from: DType, source: Place, to: DType) -> Place {
        if from == to {
            return source;
        }
        let target = self.target(&[source]);
        self.push(Instruction::Cast { from, to, source, target });
        target
    }

    /// A register to write to; those of the sources, which are read for the last time, are free then.
    fn target(&mut self, sources: &[Place]) -> Place {
        let register = self.free.pop().unwrap_or_else(|| {
            self.registers += 1;
            self.registers - 1
        });
        for source in sources {
            if let Place::Register(source) = source
                && !self.free.contains(source)
            {
                self.free.push(*source);
            }
        }
        Place::Register(register)
    }

    fn push(&mut self, instruction: Instruction) {
        self.instructions.push(instruction);
    }

    fn fold_unary(&self, node: &Node, operator: Unary, literal: Literal) -> Result<Value> {
        let x = as_f64(literal);
        Ok(Value::Literal(match (operator, literal) {
            (Unary::Not, literal) => Literal::Bool(!is_true(literal)),
            (Unary::Negate, Literal::Integer(value)) => Literal::Integer(-value),
            (Unary::Abs, Literal::Integer(value)) => Literal::Integer(value.abs()),
            (Unary::Invert, Literal::Integer(value)) => Literal::Integer(!value),
            (Unary::Invert, Literal::Bool(value)) => Literal::Bool(!value),
            (Unary::Floor | Unary::Ceil | Unary::Round, Literal::Integer(_)) => literal,
            (Unary::Invert, Literal::Float(_)) => {
                return Err(self.error(node, "'~' of a float"));
            }
            (operator, _) => Literal::Float(unary_f64(operator, x)),
        }))
    }

    fn fold_binary(&self, node: &Node, operator: Binary, a: Literal, b: Literal) -> Result<Value> {
        use Binary as Op;
        let (x, y) = (as_f64(a), as_f64(b));
        let too_large = || self.error(node, "a number that is too large");
        let literal = match (operator, whole(a), whole(b)) {
            (Op::And, ..) => Literal::Bool(is_true(a) && is_true(b)),
            (Op::Or, ..) => Literal::Bool(is_true(a) || is_true(b)),
            (Op::Less, ..) => Literal::Bool(x < y),
            (Op::LessEqual, ..) => Literal::Bool(x <= y),
            (Op::Greater, ..) => Literal::Bool(x > y),
            (Op::GreaterEqual, ..) => Literal::Bool(x >= y),
            (Op::Equal, ..) => Literal::Bool(x == y),
            (Op::NotEqual, ..) => Literal::Bool(x != y),
            (Op::Add, Some(a), Some(b)) => {
                Literal::Integer(a.checked_add(b).ok_or_else(too_large)?)
            }
            (Op::Subtract, Some(a), Some(b)) => {
                Literal::Integer(a.checked_sub(b).ok_or_else(too_large)?)
            }
            (Op::Multiply, Some(a), Some(b)) => {
                Literal::Integer(a.checked_mul(b).ok_or_else(too_large)?)
            }
            (Op::Minimum, Some(a), Some(b)) => Literal::Integer(a.min(b)),
            (Op::Maximum, Some(a), Some(b)) => Literal::Integer(a.max(b)),
            (Op::FloorDivide, Some(a), Some(b)) if b != 0 => {
                Literal::Integer((a - a.rem_euclid(b.abs())) / b - i128::from(b < 0 && a % b != 0))
            }
            (Op::Remainder, Some(a), Some(b)) if b != 0 => Literal::Integer((a % b + b) % b),
            (Op::Power, Some(a), Some(b)) if b >= 0 => {
                let exponent = u32::try_from(b).map_err(|_| too_large())?;
                Literal::Integer(a.checked_pow(exponent).ok_or_else(too_large)?)
            }
            (Op::BitAnd, Some(a), Some(b)) => Literal::Integer(a & b),
            (Op::BitOr, Some(a), Some(b)) => Literal::Integer(a | b),
            (Op::BitXor, Some(a), Some(b)) => Literal::Integer(a ^ b),
            (Op::BitAnd | Op::BitOr | Op::BitXor, ..) => {
                return Err(self.error(node, "'&', '|' or '^' of floats"));
            }
            (operator, ..) => Literal::Float(binary_f64(operator, x, y)?),
        };
        Ok(Value::Literal(literal))
    }
}

impl Instruction {
    pub fn target_mut(&mut self) -> &mut Place {
        match self {
            Instruction::Cast { target, .. }
            | Instruction::Unary { target, .. }
            | Instruction::Binary { target, .. }
            | Instruction::Select { target, .. } => target,
        }
    }
}

fn as_f64(literal: Literal) -> f64 {
    match literal {
        Literal::Bool(value) => f64::from(u8::from(value)),
        Literal::Integer(value) => value as f64,
        Literal::Float(value) => value,
    }
}

fn whole(literal: Literal) -> Option<i128> {
    match literal {
        Literal::Bool(value) => Some(i128::from(value)),
        Literal::Integer(value) => Some(value),
        Literal::Float(_) => None,
    }
}

fn is_true(literal: Literal) -> bool {
    as_f64(literal) != 0.0
}

fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

fn is_signed(dtype: DType) -> bool {
    matches!(dtype, DType::I8 | DType::I16 | DType::I32 | DType::I64)
}

fn is_comparison(operator: Binary) -> bool {
    use Binary as Op;
    matches!(
        operator,
        Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual | Op::Equal | Op::NotEqual
    )
}

/// The float type for roots and the like: single precision does for 16 bits. (For 8 bits numpy has half
/// precision, which images here do not come in.)
fn float_for(dtype: DType) -> DType {
    match dtype.size() {
        _ if is_float(dtype) => dtype,
        1 | 2 => DType::F32,
        _ => DType::F64,
    }
}

/// The values of an integer type.
fn range(dtype: DType) -> std::ops::RangeInclusive<i128> {
    let bits = 8 * dtype.size() as u32;
    match dtype {
        DType::Bool => 0..=1,
        dtype if is_signed(dtype) => -(1 << (bits - 1))..=(1 << (bits - 1)) - 1,
        _ => 0..=(1 << bits) - 1,
    }
}

/// The type that numpy computes in with images of two types.
fn promoted(a: DType, b: DType) -> DType {
    let holds = |dtype: &DType| fits(a, *dtype) && fits(b, *dtype);
    let by_size = [
        DType::Bool,
        DType::U8,
        DType::I8,
        DType::U16,
        DType::I16,
        DType::U32,
        DType::I32,
        DType::U64,
        DType::I64,
        DType::F32,
    ];
    by_size.into_iter().find(holds).unwrap_or(DType::F64)
}

/// Whether a type holds all values of another, as numpy has it: `float64` those of 64-bit integers.
fn fits(from: DType, to: DType) -> bool {
    if from == to || to == DType::F64 {
        return true;
    }
    match (is_float(from), is_float(to)) {
        (false, true) => from.size() <= 2,
        (true, _) => false,
        (false, false) => {
            range(to).contains(range(from).start()) && range(to).contains(range(from).end())
        }
    }
}
