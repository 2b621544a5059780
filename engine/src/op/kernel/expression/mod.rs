//! Expressions over images, such as `sqrt(b*b + c*c)`: parsed, typed as numpy does, and computed a few
//! voxels at a time, so that what lies between input and output never leaves the fastest cache.

mod compile;
mod evaluate;
mod parse;

pub use compile::Operand;

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result, nearest};
use compile::{Compiler, Instruction};
use evaluate::{CHUNK, Frame, Register};
use parse::Node;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    root: Node,
    names: Vec<String>,
}

impl Expression {
    /// Reads an expression. It is made of
    /// - names of images and numbers, literals such as `2`, `0.5`, `1e-3`, and the constants `pi`, `e`,
    ///   `inf`, `nan`, `True`, `False`;
    /// - `+ - * / // % **`, the comparisons `< <= > >= == !=`, `and or not`, and `& | ^ ~` for
    ///   integers and truth values, all binding as in Python;
    /// - the functions `abs sqrt exp log log2 log10 sin cos tan floor ceil round pow(a, b)`,
    ///   `min(a, b, ...)`, `max(a, b, ...)` and `where(condition, a, b)`.
    ///
    /// # Errors
    /// `invalid-argument`, naming the position, for anything else.
    ///
    /// ```
    /// use bioimage_engine::array::Array;
    /// use bioimage_engine::dtype::DType;
    /// use bioimage_engine::op::kernel::expression::{Expression, Operand};
    ///
    /// let expression = Expression::parse("sqrt(b*b + c*c)")?;
    /// assert_eq!(expression.names(), ["b", "c"]);
    /// let float = |image| Operand::Array(image, DType::F64);
    /// let program = expression.compile(&[("b", float(0)), ("c", float(1))])?;
    /// let b = Array::from_values(&[2], &[3.0, 5.0])?;
    /// let c = Array::from_values(&[2], &[4.0, 12.0])?;
    /// assert_eq!(program.of_block(&[&b, &c])?.values::<f64>()?, [5.0, 13.0]);
    /// # Ok::<(), bioimage_engine::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Expression> {
        let (root, names) = parse::parse(text)?;
        Ok(Expression { text: text.to_string(), root, names })
    }

    /// The names that stand for images or numbers, in the order in which they first occur.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Makes a program of the expression, given what its names stand for; other names are of no
    /// account.
    ///
    /// Types are those of numpy: images are promoted as there, numbers take the type of the images
    /// they meet, integers wrap around. It differs in that roots and the like of 8-bit images are
    /// computed in single precision, since there is no half precision here.
    ///
    /// # Errors
    /// `invalid-argument` for a name without an operand, or no image at all; `dtype-mismatch`, naming
    /// the position, for what numpy refuses, such as `~` of floats.
    pub fn compile(&self, operands: &[(&str, Operand)]) -> Result<Program> {
        let given = || operands.iter().map(|(name, _)| *name);
        let mut bound = Vec::new();
        for name in &self.names {
            let operand = operands.iter().find(|(other, _)| other == name);
            let (_, operand) = operand.ok_or_else(|| {
                let meant = nearest(name, given())
                    .map_or(String::new(), |meant| format!("Did you mean '{meant}'? "));
                let at = self.text.find(name.as_str()).unwrap_or(0);
                parse::error_at(&self.text, at, format!("unknown name '{name}'")).fix(format!(
                    "{meant}Names are {}; functions are {}.",
                    given().collect::<Vec<_>>().join(", "),
                    parse::functions().join(", ")
                ))
            })?;
            bound.push(*operand);
        }
        let mut compiler = Compiler::new(&self.text, &bound);
        let dtype = compiler.compile(&self.root)?;
        let constants = compiler.constants.iter();
        let constants: Result<_> =
            constants.map(|(dtype, value)| evaluate::constant(*dtype, *value)).collect();
        let mut inputs = Vec::new();
        for operand in &bound {
            if let Operand::Array(image, dtype) = *operand {
                inputs.push((image, dtype));
            }
        }
        Ok(Program {
            instructions: compiler.instructions,
            constants: constants?,
            registers: compiler.registers,
            inputs,
            dtype,
        })
    }
}

/// An expression that is ready to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    instructions: Vec<Instruction>,
    constants: Vec<Register>,
    registers: usize,
    /// The images that are used, with their types.
    inputs: Vec<(usize, DType)>,
    dtype: DType,
}

impl Program {
    /// The type of the result.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Computes a block, which takes no memory besides the result.
    ///
    /// # Errors
    /// `shape-mismatch` for blocks of different shapes; `dtype-mismatch` for other types than it was
    /// made for; those of [`Program::run`].
    pub fn of_block(&self, images: &[&Array]) -> Result<Array> {
        let shape = self.inputs.first().and_then(|(image, _)| images.get(*image));
        let shape = shape.map(|image| image.shape().to_vec()).unwrap_or_default();
        for (image, dtype) in &self.inputs {
            let Some(array) = images.get(*image) else {
                return Err(Error::internal(format!("image {image} of an expression is missing")));
            };
            if array.dtype() != *dtype || array.shape() != shape {
                let kind =
                    if array.dtype() == *dtype { Kind::ShapeMismatch } else { Kind::DtypeMismatch };
                return Err(Error::new(
                    kind,
                    format!(
                        "image {image} of an expression has dtype {} and shape {:?} instead of \
                         {dtype} and {shape:?}",
                        array.dtype(),
                        array.shape()
                    ),
                ));
            }
        }
        let mut output = Array::zeros(self.dtype, &shape);
        let bytes: Vec<&[u8]> = images.iter().map(|image| image.bytes()).collect();
        self.run(&bytes, output.bytes_mut())?;
        Ok(output)
    }

    /// Computes voxels that follow each other in memory, given as their bytes.
    ///
    /// # Errors
    /// `corrupt-data` for a `bool` that is neither 0 nor 1; `shape-mismatch` for different numbers of
    /// voxels; `invalid-argument` for a negative power of integers.
    pub fn run(&self, images: &[&[u8]], output: &mut [u8]) -> Result<()> {
        let voxels = output.len() / self.dtype.size();
        let mut sizes = vec![1; images.len()];
        for (image, dtype) in &self.inputs {
            sizes[*image] = dtype.size();
            if images[*image].len() != voxels * dtype.size() {
                return Err(Error::new(
                    Kind::ShapeMismatch,
                    format!("image {image} of an expression has not {voxels} voxels"),
                ));
            }
        }
        let mut registers = vec![vec![0; CHUNK]; self.registers];
        for start in (0..voxels).step_by(CHUNK) {
            let len = CHUNK.min(voxels - start);
            self.check_bools(images, start, len)?;
            let mut frame = Frame {
                inputs: images,
                input_sizes: &sizes,
                constants: &self.constants,
                registers: &mut registers,
                output: &mut *output,
                start,
                len,
            };
            for instruction in &self.instructions {
                frame.run(instruction)?;
            }
        }
        Ok(())
    }

    fn check_bools(&self, images: &[&[u8]], start: usize, len: usize) -> Result<()> {
        for (image, _) in self.inputs.iter().filter(|(_, dtype)| *dtype == DType::Bool) {
            if images[*image][start..start + len].iter().fold(0, |all, byte| all | byte) > 1 {
                return Err(Error::new(
                    Kind::CorruptData,
                    format!("image {image} of an expression has a bool that is neither 0 nor 1"),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Scalar;
    use crate::dtype::Element;

    fn compiled(text: &str, dtypes: &[DType]) -> Result<Program> {
        let names = ["a", "b", "c"];
        let operands: Vec<_> = dtypes
            .iter()
            .enumerate()
            .map(|(image, dtype)| (names[image], Operand::Array(image, *dtype)))
            .collect();
        Expression::parse(text)?.compile(&operands)
    }

    fn block<T: Element>(values: &[T]) -> Array {
        Array::from_values(&[values.len() as u64], values).unwrap()
    }

    fn computed<R: Element>(text: &str, images: &[&Array]) -> Vec<R> {
        let dtypes: Vec<DType> = images.iter().map(|image| image.dtype()).collect();
        let result = compiled(text, &dtypes).unwrap().of_block(images).unwrap();
        result.values::<R>().unwrap().to_vec()
    }

    #[test]
    fn operators_bind_as_in_python() {
        let a = block(&[2.0f64, 3.0]);
        for (text, expected) in [
            ("1 + a * 2", [5.0, 7.0]),
            ("-a ** 2", [-4.0, -9.0]),
            ("2 ** -a", [0.25, 0.125]),
            ("2 ** 3 ** 0 * a", [4.0, 6.0]),
            ("a - 1 - 1", [0.0, 1.0]),
            ("(a - 1) * -+-a", [2.0, 6.0]),
            ("7 // a + 7 % a", [4.0, 3.0]),
            ("min(a, 2.5, 9) + max(0, a)", [4.0, 5.5]),
            ("where(a > 2 and not a > 5, a, -1)", [-1.0, 3.0]),
            ("pow(a, 0.5) ** 2 * 0 + floor(a / 2) + ceil(a / 2) + round(a / 2)", [3.0, 5.0]),
            ("abs(1 - a) + sqrt(a * a) + log(exp(a)) * 0", [3.0, 5.0]),
            ("1e1 + .5 + a", [12.5, 13.5]),
        ] {
            let values: Vec<f64> = computed(text, &[&a]);
            assert!(values.iter().zip(expected).all(|(v, e)| (v - e).abs() < 1e-12), "{text}");
        }
    }

    #[test]
    fn types_are_those_of_numpy() {
        use DType::*;
        for (text, dtypes, expected) in [
            ("a + b", &[U8, I8][..], I16),
            ("a + b", &[U32, I8], I64),
            ("a + b", &[U64, I8], F64),
            ("a + b", &[Bool, U16], U16),
            ("a + b", &[I16, F32], F32),
            ("a + b", &[U32, F32], F64),
            ("a + b", &[F32, F64], F64),
            ("a + 1", &[U8], U8),
            ("a + 1", &[Bool], I64),
            ("a + True", &[Bool], Bool),
            ("a * 0.5", &[U8], F64),
            ("a * 0.5", &[F32], F32),
            ("a / a", &[U8], F64),
            ("a / 2", &[F32], F32),
            ("a // a", &[Bool], I8),
            ("a < 2.5", &[I32], Bool),
            ("a and b", &[F32, U8], Bool),
            ("a & b", &[U8, U16], U16),
            ("sqrt(a)", &[U8], F32),
            ("sqrt(a)", &[I16], F32),
            ("sqrt(a)", &[U32], F64),
            ("floor(a)", &[I32], I32),
            ("where(a, b, 1.5)", &[Bool, F32], F32),
            ("where(a, 1, 2)", &[Bool], I64),
            ("a ** 2", &[I16], I16),
            ("a ** 2.0", &[I16], F64),
        ] {
            assert_eq!(compiled(text, dtypes).unwrap().dtype(), expected, "{text} {dtypes:?}");
        }
    }

    #[test]
    fn integers_wrap_and_divide_downwards() {
        let a = block(&[-7i8, 7, i8::MIN, 5]);
        let b = block(&[2i8, -2, -1, 0]);
        assert_eq!(computed::<i8>("a // b", &[&a, &b]), [-4, -4, i8::MIN, 0]);
        assert_eq!(computed::<i8>("a % b", &[&a, &b]), [1, -1, 0, 0]);
        assert_eq!(computed::<i8>("abs(a) + a * 0", &[&a]), [7, 7, i8::MIN, 5]);
        let a = block(&[250u8, 3]);
        assert_eq!(computed::<u8>("a + 10", &[&a]), [4, 13]);
        assert_eq!(computed::<u8>("a ** 3 - -a", &[&a]), [34, 30]);
        assert_eq!(computed::<u8>("a // 7 * 7 + a % 7", &[&a]), [250, 3]);
        assert_eq!(computed::<u8>("~a", &[&a]), [5, 252]);
        let big = block(&[u64::MAX, 1 << 53]);
        assert_eq!(computed::<u64>("max(a - 1, 3)", &[&big]), [u64::MAX - 1, (1 << 53) - 1]);
        let power = compiled("a ** b", &[DType::I8, DType::I8]).unwrap();
        let (a, b) = (block(&[2i8]), block(&[-1i8]));
        assert_eq!(power.of_block(&[&a, &b]).unwrap_err().kind, Kind::InvalidArgument);
    }

    #[test]
    fn floats_keep_nan_and_the_sign_of_zero() {
        let a = block(&[f64::NAN, 1.0, -1.0, -7.5]);
        let b = block(&[1.0, f64::NAN, 0.0, 2.0]);
        let values: Vec<f64> = computed("min(a, b)", &[&a, &b]);
        assert!(values[0].is_nan() && values[1].is_nan() && values[2] == -1.0);
        let values: Vec<f64> = computed("a // b", &[&a, &b]);
        assert_eq!(values[2..], [f64::NEG_INFINITY, -4.0]);
        let values: Vec<f64> = computed("a % b", &[&a, &b]);
        assert!(values[2].is_nan() && values[3] == 0.5);
        let halves: Vec<f64> = computed("round(a)", &[&block(&[0.5, 1.5, -0.5, 2.5])]);
        assert_eq!(halves, [0.0, 2.0, 0.0, 2.0]);
        assert_eq!(computed::<bool>("not a", &[&block(&[0.0f32, f32::NAN])]), [true, false]);
    }

    #[test]
    fn truth_values_are_combined() {
        let (a, b) = (block(&[true, true, false]), block(&[true, false, false]));
        assert_eq!(computed::<bool>("a & ~b", &[&a, &b]), [false, true, false]);
        assert_eq!(computed::<bool>("a + b", &[&a, &b]), [true, true, false]);
        assert_eq!(computed::<bool>("a * b", &[&a, &b]), [true, false, false]);
        assert_eq!(computed::<bool>("a ^ b", &[&a, &b]), [false, true, false]);
        assert_eq!(computed::<bool>("a == b", &[&a, &b]), [true, false, true]);
        let program = compiled("a & a", &[DType::Bool]).unwrap();
        let error = program.run(&[&[2u8]], &mut [0]).unwrap_err();
        assert_eq!(error.kind, Kind::CorruptData);
    }

    #[test]
    fn numbers_beyond_a_type_compare_and_do_not_fit() {
        let a = block(&[0u8, 255]);
        assert_eq!(computed::<bool>("a < 256", &[&a]), [true, true]);
        assert_eq!(computed::<bool>("-1 > a", &[&a]), [false, false]);
        assert_eq!(computed::<bool>("a != 300", &[&a]), [true, true]);
        let error = compiled("a + 300", &[DType::U8]).unwrap_err();
        assert_eq!(error.kind, Kind::DtypeMismatch);
        assert!(error.message.contains("300 does not fit the type uint8"), "{error}");
    }

    #[test]
    fn names_may_stand_for_numbers() {
        let expression = Expression::parse("a * scale + scale").unwrap();
        let scale = Operand::Number(Scalar::Integer(3));
        let operands = [("a", Operand::Array(0, DType::U8)), ("scale", scale)];
        let program = expression.compile(&operands).unwrap();
        let a = block(&[1u8, 2]);
        assert_eq!(program.of_block(&[&a]).unwrap().values::<u8>().unwrap(), [6, 9]);
        let error = Expression::parse("scale + 1").unwrap().compile(&operands).unwrap_err();
        assert!(error.message.contains("no image"));
    }

    #[test]
    fn images_alone_and_constants_are_copied() {
        let a = block(&[1i32, -2]);
        assert_eq!(computed::<i32>("a", &[&a]), [1, -2]);
        assert_eq!(computed::<i32>("+a", &[&a]), [1, -2]);
        assert_eq!(computed::<i32>("where(1 > 2, 7, a)", &[&a]), [1, -2]);
        assert_eq!(computed::<i32>("where(True, 7, a)", &[&a]), [7, 7]);
        assert!(computed::<i32>("a * a", &[&block::<i32>(&[])]).is_empty());
    }

    #[test]
    fn more_voxels_than_a_chunk_and_more_values_than_one_register() {
        let count = 2 * CHUNK + 7;
        let a: Vec<i16> = (0..count).map(|i| (i % 300) as i16).collect();
        let b: Vec<f32> = (0..count).map(|i| i as f32 / 8.0).collect();
        let values: Vec<f32> =
            computed("(a + b) * (a - b) - (a * (b + 1) - (b - a) * 2)", &[&block(&a), &block(&b)]);
        for ((a, b), value) in a.iter().zip(&b).zip(values) {
            let a = f32::from(*a);
            assert_eq!(value, (a + b) * (a - b) - (a * (b + 1.0) - (b - a) * 2.0));
        }
    }

    #[test]
    fn errors_name_the_place_and_what_is_known() {
        for (text, message) in [
            ("", "expected a value but found the end at position 1"),
            ("a +", "expected a value but found the end at position 4"),
            ("(a", "expected ')' but found the end at position 3"),
            ("a b", "unexpected 'b' at position 3"),
            ("a < b < c", "a second comparison at position 7"),
            ("a + sqr(b)", "unknown function 'sqr' at position 5"),
            ("sqrt(a, b)", "function 'sqrt' takes 1 argument, not 2, at position 1"),
            ("where(a)", "function 'where' takes 3 arguments, not 1, at position 1"),
            ("min(a)", "function 'min' takes 2 or more, not 1, at position 1"),
            ("sqrt + 1", "function 'sqrt' without arguments at position 1"),
            ("1.2.3 + a", "'1.2.3' is not a number at position 1"),
            ("µ + $", "expected a value but found '$' at position 5"),
            ("a and", "expected a value but found the end at position 6"),
            ("a + or", "expected a value but found 'or' at position 5"),
        ] {
            let error = Expression::parse(text).unwrap_err();
            assert!(error.message.starts_with(message), "{text}: {error}");
            assert!(error.message.ends_with(&format!("of expression '{text}'")));
        }
        let error = compiled("a + d", &[DType::U8]).unwrap_err();
        assert!(error.message.starts_with("unknown name 'd' at position 5"), "{error}");
        assert!(error.fix.unwrap().contains("Names are a; functions are abs, sqrt"));
        for text in ["~a", "a & 1", "a | a"] {
            let error = compiled(text, &[DType::F32]).unwrap_err();
            assert_eq!(error.kind, Kind::DtypeMismatch, "{text}");
        }
        for text in ["-a", "a - a"] {
            assert_eq!(compiled(text, &[DType::Bool]).unwrap_err().kind, Kind::DtypeMismatch);
        }
        let deep = format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(Expression::parse(&deep).unwrap_err().message.contains("inside each other"));
        assert!(Expression::parse(&"-".repeat(10_000)).is_err());
        assert!(Expression::parse(&vec!["a"; 10_000].join("+")).is_err());
    }

    #[test]
    fn blocks_must_fit_the_program() {
        let program = compiled("a + b", &[DType::U8, DType::U8]).unwrap();
        let (a, b) = (block(&[1u8, 2]), block(&[1u8]));
        assert_eq!(program.of_block(&[&a, &b]).unwrap_err().kind, Kind::ShapeMismatch);
        let c = block(&[1.0f32, 2.0]);
        assert_eq!(program.of_block(&[&a, &c]).unwrap_err().kind, Kind::DtypeMismatch);
    }
}
