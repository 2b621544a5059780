//! An array that is continued behind its end.

use super::{Parameters, Transform, Wrap};
use crate::array::{Array, Scalar};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::Region;
use crate::op::kernel::filled;
use crate::op::kernel::gaussian::mirrored;
use crate::op::kernel::resample::{Border, Separable};
use crate::source::Source;
use serde::{Deserialize, Serialize};

/// What lies behind the end of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PadMode {
    /// Zeros.
    Constant,
    /// The last voxel.
    Edge,
    /// The array mirrored at its last voxel.
    Reflect,
    /// The array mirrored behind its last voxel, which is repeated.
    Symmetric,
    /// The array from its start again.
    Wrap,
}

impl PadMode {
    /// The voxel of the array at a position of the padded one; none for zero.
    fn voxel(self, position: u64, extent: u64) -> Option<u64> {
        if position < extent {
            return Some(position);
        }
        match self {
            PadMode::Constant => None,
            PadMode::Edge => Some(extent - 1),
            PadMode::Reflect => Some(mirrored(position as isize, extent as usize) as u64),
            PadMode::Symmetric => {
                let within = position % (2 * extent);
                Some(within.min(2 * extent - 1 - within))
            }
            PadMode::Wrap => Some(position % extent),
        }
    }
}

/// Voxels behind the end of each axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pad {
    /// How many, for each axis.
    pub right: Vec<u64>,
    /// What they are.
    pub mode: PadMode,
}

pub(super) struct PadTransform {
    parameters: Pad,
    source_shape: Vec<u64>,
    shape: Vec<u64>,
    dtype: DType,
}

impl Parameters for Pad {
    type Transform = PadTransform;
    fn transform(self, source: &dyn Source) -> Result<PadTransform> {
        let source_shape = source.shape().to_vec();
        if self.right.len() != source_shape.len() {
            return Err(Error::argument(format!(
                "{} pad widths were given for {} axes",
                self.right.len(),
                source_shape.len()
            ))
            .fix("Give one pad width for each axis."));
        }
        if source_shape.contains(&0) && self.mode != PadMode::Constant {
            return Err(Error::argument("an array without voxels cannot be continued")
                .fix("Pad it with zeros (constant)."));
        }
        let shape = source_shape.iter().zip(&self.right).map(|(n, right)| n + right).collect();
        Ok(PadTransform { parameters: self, source_shape, shape, dtype: source.dtype() })
    }
}

impl Transform for PadTransform {
    fn wrap(&self) -> Wrap {
        Wrap::Pad(self.parameters.clone())
    }

    fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn taken(&self, block_shape: &[u64]) -> Vec<u64> {
        if self.parameters.mode == PadMode::Wrap {
            // A block over the end takes voxels from the end and from the start.
            return self.source_shape.clone();
        }
        block_shape.iter().zip(&self.source_shape).map(|(block, n)| *block.min(n)).collect()
    }

    fn read(&self, source: &dyn Source, region: &Region) -> Result<Array> {
        if region.fits(&self.source_shape) {
            return source.read(region);
        }
        if self.parameters.mode == PadMode::Constant {
            let mut out = filled(self.dtype, &region.shape, Scalar::Integer(0))?;
            if let Some(inside) = region.intersection(&Region::whole(&self.source_shape)) {
                let block = source.read(&inside)?;
                let to = inside.relative_to(&region.start).start;
                out.paste(&to, &block, &Region::whole(block.shape()))?;
            }
            return Ok(out);
        }
        // Every voxel is one of the array: coordinates that nearest-voxel sampling takes.
        let coordinates: Vec<Vec<f64>> = (0..region.ndim())
            .map(|axis| {
                (region.start[axis]..region.start[axis] + region.shape[axis])
                    .filter_map(|position| {
                        self.parameters.mode.voxel(position, self.source_shape[axis])
                    })
                    .map(|voxel| voxel as f64)
                    .collect()
            })
            .collect();
        let fill = Scalar::Integer(0);
        let table = Separable::new(0, Border::Fill, fill, &coordinates, &self.source_shape);
        match table.region() {
            Some(taken) => table.run(&source.read(taken)?, self.dtype),
            None => filled(self.dtype, &region.shape, fill),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::memory::MemoryArray;
    use std::sync::Arc;

    fn padded(mode: PadMode) -> Vec<u8> {
        let array = Array::from_values::<u8>(&[3], &[1, 2, 3]).unwrap();
        let source = Arc::new(MemoryArray::from_array(&array).unwrap());
        let pad = Wrap::Pad(Pad { right: vec![6], mode }).over(source).unwrap();
        let whole = pad.read(&Region::whole(&[9])).unwrap().values::<u8>().unwrap().to_vec();
        for start in 0..9 {
            for len in 1..=9 - start {
                let part = pad.read(&Region::new([start], [len])).unwrap();
                let expected = &whole[start as usize..(start + len) as usize];
                assert_eq!(part.values::<u8>().unwrap(), expected, "{mode:?} {start} {len}");
            }
        }
        whole
    }

    #[test]
    fn every_mode_continues_the_whole_array_also_for_blocks_behind_its_end() {
        assert_eq!(padded(PadMode::Constant), [1, 2, 3, 0, 0, 0, 0, 0, 0]);
        assert_eq!(padded(PadMode::Edge), [1, 2, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(padded(PadMode::Reflect), [1, 2, 3, 2, 1, 2, 3, 2, 1]);
        assert_eq!(padded(PadMode::Symmetric), [1, 2, 3, 3, 2, 1, 1, 2, 3]);
        assert_eq!(padded(PadMode::Wrap), [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    }
}
