//! Distance transform: how far each voxel that is not zero lies from the nearest zero.
//!
//! Exact (lower envelopes of parabolas, Felzenszwalb and Huttenlocher 2012). Halo: as asked for; distances
//! are those of the whole image as long as they are no longer than the halo. Memory: the block with its
//! halo, and 12 bytes a voxel of it, with indices 4 more for each axis.

use super::blockwise::{cropped, write_to};
use super::kernel::distance::{distances, distances_and_indices};
use super::parameters::{Input, ONE_INPUT, Parameters, PerAxis};
use super::{ArrayShape, BlockIo, Operation, Product, Traffic};
use crate::array::{Array, Cast};
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::Region;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Distances, as `float32`.
    #[default]
    Distances,
    /// Where the nearest zero lies: its coordinates in the whole image, an axis for each before the
    /// image's own, as `int32`.
    Indices,
    /// First distances, then indices.
    Both,
}

/// Parameters of a distance transform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Distance {
    /// How far beyond its block a worker looks: the longest distance that is exact
    #[schemars(extend("unit" = "voxels"))]
    #[arg(long, value_name = "N[,N...]")]
    pub halo: PerAxis<u64>,
    /// Extents of a voxel [default: 1 along every axis]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "X[,X...]")]
    pub sampling: Option<PerAxis<f64>>,
    /// What is written; the verb writes distances.
    #[serde(default)]
    #[schemars(skip)]
    #[arg(skip)]
    pub wanted: Wanted,
}

impl Parameters for Distance {
    const NAME: &'static str = "distance";
    const INPUTS: &'static [Input] = ONE_INPUT;
    const PYTHON: Option<&'static str> = None;
}

impl Distance {
    fn sampling(&self, ndim: usize) -> Result<Vec<f64>> {
        match &self.sampling {
            Some(sampling) => sampling.for_axes("sampling", ndim),
            None => Ok(vec![1.0; ndim]),
        }
    }
}

impl Operation for Distance {
    fn name(&self) -> &str {
        Distance::NAME
    }

    fn halo(&self, ndim: usize) -> Vec<u64> {
        // A halo for other axes is refused before anything is read.
        self.halo.for_axes("halo", ndim).unwrap_or_else(|_| vec![0; ndim])
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        let [input] = inputs else {
            return Err(Error::argument(format!("distance takes one input, not {}", inputs.len())));
        };
        let ndim = input.shape.len();
        self.halo.for_axes("halo", ndim)?;
        let sampling = self.sampling(ndim)?;
        if let Some(bad) = sampling.iter().find(|extent| !extent.is_finite() || **extent <= 0.0) {
            return Err(Error::argument(format!(
                "sampling must be positive and finite, got {bad}"
            ))
            .about("sampling")
            .fix("Give the extents of a voxel."));
        }
        let distances = ArrayShape { shape: input.shape.clone(), dtype: DType::F32 };
        let shape = std::iter::once(ndim as u64).chain(input.shape.iter().copied()).collect();
        let indices = ArrayShape { shape, dtype: DType::I32 };
        Ok(match self.wanted {
            Wanted::Distances => vec![distances],
            Wanted::Indices => vec![indices],
            Wanted::Both => vec![distances, indices],
        })
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], _: &[ArrayShape]) -> u64 {
        let (read, ndim) =
            inputs.first().map_or((0, 0), |input| (input.dtype.size(), input.shape.len()));
        let indices = if self.wanted == Wanted::Distances { 0 } else { 8 * ndim };
        // The inner region is taken out at the end.
        voxels * (read + 12 + indices + 4) as u64
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        let outer = &io.block.outer;
        let block = io.inputs[0].read(outer)?;
        io.cancel.check()?;
        let sampling = self.sampling(outer.ndim())?;
        let mut traffic = Traffic { read: block.byte_len() as u64, written: 0 };
        let (near, mut at) = dispatch!(block.dtype(), T => {
            let values = block.values::<T>()?;
            match self.wanted {
                Wanted::Distances => (distances(values, &outer.shape, &sampling)?, Vec::new()),
                _ => distances_and_indices(values, &outer.shape, &sampling)?,
            }
        });
        drop(block);
        io.cancel.check()?;
        let wanted = io.block.inner_in_outer();
        let mut outputs = io.outputs.iter();
        let mut write = |result: Array| -> Result<()> {
            let output = outputs.next().ok_or_else(|| Error::internal("too few outputs"))?;
            traffic.written += write_to(io, &**output, result, Cast::default())?;
            Ok(())
        };
        if self.wanted != Wanted::Indices {
            write(cropped(&Array::from_values(&outer.shape, &near)?, &wanted)?)?;
        }
        if self.wanted != Wanted::Distances {
            let with_axes = |first: u64, rest: &[u64]| -> Vec<u64> {
                std::iter::once(first).chain(rest.iter().copied()).collect()
            };
            let (ndim, shape) = (outer.ndim() as u64, &outer.shape);
            in_the_whole(&mut at, &outer.start)?;
            let at = Array::from_values(&with_axes(ndim, shape), &at)?;
            let all_axes = Region {
                start: with_axes(0, &wanted.start),
                shape: with_axes(ndim, &wanted.shape),
            };
            write(cropped(&at, &all_axes)?)?;
        }
        Ok(traffic.into())
    }
}

/// Turns coordinates in a block that starts there into those in the whole image.
fn in_the_whole(indices: &mut [i32], start: &[u64]) -> Result<()> {
    let voxels = indices.len() / start.len().max(1);
    for (of_axis, start) in indices.chunks_exact_mut(voxels.max(1)).zip(start) {
        for index in of_axis {
            let whole = i64::from(*index) + *start as i64;
            *index = i32::try_from(whole).map_err(|_| {
                Error::argument(format!("coordinate {whole} does not fit into int32"))
                    .fix("Ask for distances only.")
            })?;
        }
    }
    Ok(())
}
