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
        Expression::parse(&self.expression)?.compile(&operands)
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
