//! Membership: which voxels have one of some values.
//!
//! Halo: none. Memory: the block of the input, its result, and the values once for each worker.

use super::ArrayShape;
use super::blockwise::{BlockOperation, only_block, only_input};
use crate::array::{Array, Scalar};
use crate::cast::Number;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::Block;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of a test for membership.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct IsIn {
    /// The values, such as 3,17,21
    #[arg(
        long,
        value_name = "NUMBERS",
        value_delimiter = ',',
        required = true,
        allow_hyphen_values = true
    )]
    pub values: Vec<Scalar>,
}

impl BlockOperation for IsIn {
    const NAME: &'static str = "isin";
    /// The function takes arrays, and a path neither to read nor to write.
    const PYTHON: Option<&'static str> = None;
    const IN_PLACE: bool = true;

    fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape> {
        let input = only_input(Self::NAME, inputs)?;
        Ok(ArrayShape { shape: input.shape.clone(), dtype: DType::Bool })
    }

    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape]) -> u64 {
        let read = inputs.iter().map(|input| input.dtype.size() as u64).sum::<u64>();
        let values = self.values.len() as u64 * size_of::<Scalar>() as u64;
        outer_voxels * (read + 1) + values
    }

    fn compute(&self, blocks: Vec<Array>, _block: &Block) -> Result<Array> {
        let block = only_block(blocks)?;
        let mut found = Array::zeros(DType::Bool, block.shape());
        dispatch!(block.dtype(), T => {
            let mut values: Vec<T> = self.values.iter().filter_map(exactly).collect();
            values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            find(block.values::<T>()?, &values, found.bytes_mut());
        });
        Ok(found)
    }
}

/// The value in a type that holds it exactly; no voxel of another type is equal to it.
fn exactly<T: Number>(value: &Scalar) -> Option<T> {
    let held = T::saturate(*value);
    let same = match (held.widen(), *value) {
        (Scalar::Integer(held), Scalar::Integer(value)) => held == value,
        (Scalar::Float(held), Scalar::Float(value)) => held == value,
        // A float that an integer equals has that integer for its nearest.
        (Scalar::Integer(held), Scalar::Float(value)) => {
            value.fract() == 0.0 && value.abs() < 2f64.powi(65) && held == value as i128
        }
        (Scalar::Float(held), Scalar::Integer(value)) => {
            held.abs() < 2f64.powi(65) && held as i128 == value
        }
    };
    same.then_some(held)
}

/// Looks every voxel up in the sorted values; neighbours often have the same.
fn find<T: Number>(voxels: &[T], values: &[T], found: &mut [u8]) {
    let mut before: Option<(T, u8)> = None;
    for (found, &voxel) in found.iter_mut().zip(voxels) {
        *found = match before {
            Some((same, was)) if same == voxel => was,
            _ => {
                let at = values.partition_point(|value| *value < voxel);
                u8::from(values.get(at).is_some_and(|value| *value == voxel))
            }
        };
        before = Some((voxel, *found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Element;
    use crate::grid::{Grid, Region};

    fn found<T: Element>(voxels: &[T], values: &[Scalar]) -> Vec<bool> {
        let shape = [voxels.len() as u64];
        let block = Grid::new(Region::whole(&shape), &shape).unwrap().block(0).unwrap();
        let array = Array::from_values(&shape, voxels).unwrap();
        let is_in = IsIn { values: values.to_vec() };
        is_in.compute(vec![array], &block).unwrap().values::<bool>().unwrap().to_vec()
    }

    #[test]
    fn only_what_is_exactly_equal_is_found() {
        use Scalar::{Float, Integer};
        let values = [Integer(3), Integer(-1), Integer(300), Float(5.0), Float(0.5)];
        assert_eq!(found::<u8>(&[3, 255, 44, 5, 0], &values), [true, false, false, true, false]);
        assert_eq!(found::<i16>(&[-1, 300, 1], &values), [true, true, false]);
        let nan = [Float(f64::NAN), Float(f64::INFINITY), Float(0.1), Integer(2)];
        assert_eq!(
            found::<f32>(&[f32::NAN, f32::INFINITY, 0.1, 2.0, -0.0], &nan),
            [false, true, false, true, false]
        );
        assert_eq!(found::<f64>(&[0.1, -0.0], &[Float(0.1), Integer(0)]), [true, true]);
        let greatest = [Integer(i128::from(u64::MAX))];
        assert_eq!(found::<u64>(&[u64::MAX, u64::MAX - 1], &greatest), [true, false]);
        assert_eq!(found::<u64>(&[u64::MAX], &[Float(u64::MAX as f64)]), [false]);
        assert_eq!(found::<bool>(&[true, false], &[Integer(1), Integer(2)]), [true, false]);
        assert_eq!(found::<i64>(&[i64::MIN], &[Float(i64::MIN as f64)]), [true]);
    }
}
