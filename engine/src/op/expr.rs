//! Expressions over several images, such as `sqrt(b*b + c*c)`, computed voxel by voxel in one pass.
//!
//! Halo: none. Memory: the blocks of the inputs and the result; what lies in between stays in the
//! cache. Types are those of numpy.

use super::ArrayShape;
use super::blockwise::BlockOperation;
use super::kernel::expression::{Expression, Operand, Program};
use super::parameters::Input;
use crate::array::{Array, Scalar};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::Block;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parameters of an expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Expr {
    /// The expression, such as sqrt(b*b + c*c)
    #[arg(long)]
    pub expression: String,
    /// What the images are called in it, in their order
    #[arg(long, value_delimiter = ',', required = true)]
    pub names: Vec<String>,
    /// Numbers by what they are called in it
    #[serde(default)]
    #[arg(skip)]
    pub numbers: BTreeMap<String, Scalar>,
}

impl Expr {
    fn program(&self, dtypes: impl Iterator<Item = DType>) -> Result<Program> {
        let images = self.names.iter().zip(dtypes).enumerate();
        let images = images.map(|(i, (name, dtype))| (name.as_str(), Operand::Array(i, dtype)));
        let numbers = self.numbers.iter();
        let numbers = numbers.map(|(name, value)| (name.as_str(), Operand::Number(*value)));
        let operands: Vec<(&str, Operand)> = images.chain(numbers).collect();
        let expression = Expression::parse(&self.expression)?;
        let program = expression.compile(&operands)?;
        let used = |name: &str| expression.names().iter().any(|other| other == name);
        match operands.iter().find(|(name, _)| !used(name)) {
            None => Ok(program),
            Some((name, _)) => {
                let message = format!("'{name}' is not in the expression '{}'", self.expression);
                Err(Error::argument(message).fix("Leave it out, or use it."))
            }
        }
    }
}

impl BlockOperation for Expr {
    const NAME: &'static str = "expr";
    const INPUTS: &'static [Input] = &[Input { name: "ARRAY", help: "Arrays, by their names" }];
    const IN_PLACE: bool = true;

    fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape> {
        if inputs.len() != self.names.len() {
            let (names, given) = (self.names.len(), inputs.len());
            return Err(Error::argument(format!("an expression of {names} arrays, not {given}")));
        }
        let [first, others @ ..] = inputs else {
            return Err(Error::argument("an expression needs at least one array"));
        };
        if let Some((name, other)) =
            self.names[1..].iter().zip(others).find(|(_, other)| other.shape != first.shape)
        {
            let message = format!(
                "'{name}' has shape {:?}, '{}' has {:?}",
                other.shape, self.names[0], first.shape
            );
            return Err(Error::new(Kind::ShapeMismatch, message).fix("Pass arrays of one shape."));
        }
        let dtype = self.program(inputs.iter().map(|input| input.dtype))?.dtype();
        Ok(ArrayShape { shape: first.shape.clone(), dtype })
    }

    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape]) -> u64 {
        let read: u64 = inputs.iter().map(|input| input.dtype.size() as u64).sum();
        let result = self.output(inputs).map_or(0, |output| output.dtype.size() as u64);
        outer_voxels * (read + result)
    }

    fn compute(&self, blocks: Vec<Array>, _block: &Block) -> Result<Array> {
        let program = self.program(blocks.iter().map(Array::dtype))?;
        program.of_block(&blocks.iter().collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expr(text: &str, names: &[&str], number: Option<(&str, f64)>) -> Expr {
        Expr {
            expression: text.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            numbers: number
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Scalar::Float(value)))
                .collect(),
        }
    }

    fn shapes(dtypes: &[DType]) -> Vec<ArrayShape> {
        dtypes.iter().map(|&dtype| ArrayShape { shape: vec![3], dtype }).collect()
    }

    #[test]
    fn arrays_and_numbers_go_by_their_names() {
        let sum = expr("b * k + a", &["a", "b"], Some(("k", 2.0)));
        let output = sum.output(&shapes(&[DType::U8, DType::F32])).unwrap();
        assert_eq!((output.shape, output.dtype), (vec![3], DType::F32));
        let a = Array::from_values::<u8>(&[3], &[1, 2, 255]).unwrap();
        let b = Array::from_values::<f32>(&[3], &[0.5, -1.0, 100.0]).unwrap();
        let grid = crate::grid::Grid::new(crate::grid::Region::whole(&[3]), &[3]).unwrap();
        let computed = sum.compute(vec![a, b], &grid.block(0).unwrap()).unwrap();
        assert_eq!(computed.values::<f32>().unwrap(), [2.0, 0.0, 455.0]);
    }

    #[test]
    fn what_is_missing_left_over_or_of_another_shape_is_refused() {
        let two = shapes(&[DType::U8, DType::U8]);
        for (expr, inputs, what) in [
            (expr("a + c", &["a", "b"], None), &two[..], "unknown name 'c'"),
            (expr("a + 1", &["a", "b"], None), &two[..], "'b' is not in the expression"),
            (expr("a + 1", &["a"], None), &two[..], "an expression of 1 arrays, not 2"),
            (expr("1 + k", &[], Some(("k", 1.0))), &[], "at least one array"),
        ] {
            let error = expr.output(inputs).unwrap_err();
            assert!(error.message.contains(what), "{error:?}");
        }
        let other = ArrayShape { shape: vec![4], dtype: DType::U8 };
        let inputs = [two[0].clone(), other];
        let error = expr("a + b", &["a", "b"], None).output(&inputs).unwrap_err();
        assert_eq!(error.kind, Kind::ShapeMismatch);
    }
}
