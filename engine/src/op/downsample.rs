//! Downsampling: an array on a coarser grid.
//!
//! It is done while the input is read, see [`Resize`] and [`Window`]. Halo: none, since every block reads
//! what it needs of the input. Memory: the block, and what reading it takes, which the source knows.

use super::ArrayShape;
use super::blockwise::{BlockOperation, only_block, only_input};
use super::parameters::PerAxis;
use crate::array::{Array, Scalar};
use crate::error::{Error, Result};
use crate::grid::Block;
use crate::op::kernel::window;
use crate::source::Source;
use crate::source::wrap::{Align, Resize, Window, Wrap};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How voxels become fewer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// By interpolation at the points of the new grid.
    #[default]
    Sample,
    /// The mean of each window.
    Mean,
    /// The most frequent value of each window, the smallest of several; for labels.
    Mode,
    /// The same without 0, which is left only where there is nothing else.
    SparseMode,
    /// The largest value of each window.
    Max,
    /// The smallest value of each window.
    Min,
    /// The middle value of each window.
    Median,
}

impl Method {
    /// What is made of a window; none where there is none.
    pub fn of_window(self) -> Option<window::Method> {
        Some(match self {
            Method::Sample => return None,
            Method::Mean => window::Method::Mean,
            Method::Mode => window::Method::Mode,
            Method::SparseMode => window::Method::SparseMode,
            Method::Max => window::Method::Max,
            Method::Min => window::Method::Min,
            Method::Median => window::Method::Median,
        })
    }
}

/// Parameters of a downsampling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Downsample {
    /// Voxels that become one, such as 2 or 1,2,2
    #[schemars(extend("unit" = "voxels", "minimum" = 1))]
    #[arg(long, short = 'f', value_name = "N[,N...]")]
    pub scale_factor: PerAxis<u64>,
    /// How voxels become one: by sampling, or from all voxels of the window that they are
    #[serde(default)]
    #[arg(long, value_name = "HOW", default_value_t, value_enum)]
    pub method: Method,
    /// Interpolation order, from 0 (the nearest voxel, for labels) to 5
    #[serde(default)]
    #[schemars(range(max = 5))]
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=5))]
    pub order: u8,
    /// Smooth before, so that fine structures leave no patterns (not for labels)
    #[serde(default)]
    #[arg(long)]
    pub anti_aliasing: bool,
    /// Which points of the two grids lie on each other; windows are always centred
    #[serde(default)]
    #[arg(long, value_name = "POINTS", default_value_t, value_enum)]
    pub align: Align,
}

impl BlockOperation for Downsample {
    const NAME: &'static str = "downsample";
    const PYTHON: Option<&'static str> = Some("bp.downsample");

    fn over(&self, inputs: Vec<Arc<dyn Source>>) -> Result<Vec<Arc<dyn Source>>> {
        inputs.into_iter().map(|input| self.resized(input)).collect()
    }

    fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape> {
        only_input(Self::NAME, inputs).cloned()
    }

    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape]) -> u64 {
        outer_voxels * inputs.iter().map(|input| input.dtype.size() as u64).sum::<u64>()
    }

    fn compute(&self, blocks: Vec<Array>, _block: &Block) -> Result<Array> {
        only_block(blocks)
    }
}

impl Downsample {
    /// The array on the coarser grid.
    ///
    /// # Errors
    /// `invalid-argument` for factors that do not fit the array.
    pub fn resized(&self, input: Arc<dyn Source>) -> Result<Arc<dyn Source>> {
        let factors = self.scale_factor.for_axes("scale_factor", input.shape().len())?;
        if factors.contains(&0) {
            return Err(Error::argument(format!("scale_factor {} has a 0", self.scale_factor))
                .about("scale_factor")
                .fix("Give factors of at least 1; an axis with factor 1 stays as it is."));
        }
        if let Some(method) = self.method.of_window() {
            if self.order != 0 || self.anti_aliasing {
                return Err(Error::argument("order and anti-aliasing are for the method 'sample'")
                    .about("method")
                    .fix("Leave them out, or leave the method out."));
            }
            return Wrap::Window(Window { factors, method }).over(input);
        }
        let shape = input.shape().iter().zip(&factors).map(|(n, f)| n.div_ceil(*f)).collect();
        let (order, anti_aliasing, align) = (self.order, self.anti_aliasing, self.align);
        let fill = Scalar::Integer(0);
        Wrap::Resize(Resize { shape, order, fill, anti_aliasing, align }).over(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Region;
    use crate::source::memory::MemoryArray;

    fn downsample(factor: PerAxis<u64>) -> Downsample {
        Downsample {
            scale_factor: factor,
            method: Method::Sample,
            order: 0,
            anti_aliasing: false,
            align: Align::default(),
        }
    }

    #[test]
    fn every_axis_has_its_factor_and_the_end_is_kept() {
        let values: Vec<u8> = (0..15).collect();
        let array = Array::from_values(&[3, 5], &values).unwrap();
        let source: Arc<dyn Source> = Arc::new(MemoryArray::from_array(&array).unwrap());
        let read = downsample(PerAxis::Each(vec![1, 2])).over(vec![source.clone()]).unwrap();
        assert_eq!(read[0].shape(), [3, 3]);
        let block = read[0].read(&Region::whole(&[3, 3])).unwrap();
        // The coordinates 0, 5/3 and 10/3.
        assert_eq!(block.values::<u8>().unwrap()[..3], [0, 2, 3]);
        for bad in [PerAxis::All(0), PerAxis::Each(vec![2])] {
            assert!(downsample(bad).over(vec![source.clone()]).is_err());
        }
    }

    #[test]
    fn windows_are_read_as_a_whole_and_clipped_at_the_end() {
        let values: Vec<u8> = (0..15).collect();
        let array = Array::from_values(&[3, 5], &values).unwrap();
        let source: Arc<dyn Source> = Arc::new(MemoryArray::from_array(&array).unwrap());
        let maxima = Downsample { method: Method::Max, ..downsample(PerAxis::Each(vec![2, 3])) };
        let read = maxima.over(vec![source.clone()]).unwrap();
        assert_eq!(read[0].shape(), [2, 2]);
        let block = read[0].read(&Region::new([0, 1], [2, 1])).unwrap();
        assert_eq!(block.values::<u8>().unwrap(), [9, 14]);
        let smooth = Downsample { anti_aliasing: true, ..maxima };
        assert!(smooth.over(vec![source]).is_err());
    }
}
