//! An array on a finer or coarser grid.

use super::affine::{Smoothing, check_sampled, margins, read_separable, smoothing_bytes};
use super::{Parameters, Transform, Wrap};
use crate::array::{Array, Scalar};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::Region;
use crate::op::kernel::filled;
use crate::op::kernel::interpolate::check_order;
use crate::op::kernel::resample::{AffineMap, Border, Separable};
use crate::source::{Metadata, Source};
use serde::{Deserialize, Serialize};

/// Which points of the two grids lie on each other.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// The centres of the first voxels. The image is shifted by up to half a voxel of the coarser
    /// grid; what a kernel takes from beyond the array has the fill value.
    #[default]
    Corner,
    /// The outer faces of the arrays, so that nothing is shifted; what a kernel takes from beyond the
    /// array is the nearest voxel.
    Center,
}

/// The array resampled to another shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resize {
    /// The shape.
    pub shape: Vec<u64>,
    /// Interpolation order, 0 to 5.
    pub order: u8,
    /// Value of what a kernel takes from beyond the array.
    pub fill: Scalar,
    /// Whether axes that become coarser are smoothed before.
    #[serde(default)]
    pub anti_aliasing: bool,
    /// How the grids lie on each other.
    #[serde(default)]
    pub align: Align,
}

pub(super) struct ResizeTransform {
    parameters: Resize,
    /// Input voxels for each output voxel.
    scale: Vec<f64>,
    sigma: Vec<f64>,
    source_shape: Vec<u64>,
    dtype: DType,
}

impl Parameters for Resize {
    type Transform = ResizeTransform;
    fn transform(self, source: &dyn Source) -> Result<ResizeTransform> {
        check_order(self.order)?;
        let source_shape = source.shape().to_vec();
        let from_nothing = |(n, out): (&u64, &u64)| (*n == 0) != (*out == 0);
        if self.shape.len() != source_shape.len()
            || source_shape.iter().zip(&self.shape).any(from_nothing)
        {
            return Err(Error::argument(format!(
                "shape {:?} cannot be made from an array of shape {source_shape:?}",
                self.shape
            ))
            .fix("Give one extent for each axis, and 0 only for what has no voxels."));
        }
        let scale: Vec<f64> = source_shape
            .iter()
            .zip(&self.shape)
            .map(|(n, out)| *n as f64 / (*out).max(1) as f64)
            .collect();
        let sigma = if self.anti_aliasing {
            let map = AffineMap::scaling(&scale);
            Smoothing::AntiAliasing.sigma(&map)
        } else {
            Vec::new()
        };
        check_sampled(source, &sigma)?;
        Ok(ResizeTransform { parameters: self, scale, sigma, source_shape, dtype: source.dtype() })
    }
}

impl ResizeTransform {
    /// The coordinate of an output position; between the first and the last voxel, since there is
    /// nothing beyond them that could be shown.
    fn coordinate(&self, axis: usize, position: u64) -> f64 {
        let scale = self.scale[axis];
        let coordinate = match self.parameters.align {
            Align::Corner => scale * position as f64,
            Align::Center => (position as f64 + 0.5) * scale - 0.5,
        };
        coordinate.clamp(0.0, self.source_shape[axis] as f64 - 1.0)
    }
}

impl Transform for ResizeTransform {
    fn wrap(&self) -> Wrap {
        Wrap::Resize(self.parameters.clone())
    }

    fn shape(&self) -> &[u64] {
        &self.parameters.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn chunks(&self, source: &dyn Source) -> Option<Vec<u64>> {
        let chunks = source.chunks()?;
        let scaled = |axis: usize| {
            let out = (chunks[axis] * self.parameters.shape[axis]) as f64;
            ((out / self.source_shape[axis].max(1) as f64).ceil() as u64).max(1)
        };
        Some((0..chunks.len()).map(scaled).collect())
    }

    fn shards(&self, _source: &dyn Source) -> Option<Vec<u64>> {
        None
    }

    fn metadata(&self, source: &dyn Source) -> Metadata {
        let mut metadata = source.metadata();
        for (axis, scale) in metadata.axes.iter_mut().zip(&self.scale) {
            axis.scale = axis.scale.map(|size| size * scale);
        }
        metadata
    }

    fn taken(&self, block_shape: &[u64]) -> Vec<u64> {
        let margin = margins(&self.sigma, block_shape.len());
        let taps = u64::from(self.parameters.order) + 1;
        (0..block_shape.len())
            .map(|axis| {
                let span = (self.scale[axis] * (block_shape[axis].max(1) - 1) as f64).ceil() as u64;
                (span + taps + 2 * margin[axis] + 1).min(self.source_shape[axis])
            })
            .collect()
    }

    fn overlap(&self) -> Vec<u64> {
        let margins = margins(&self.sigma, self.source_shape.len());
        margins.iter().map(|margin| 2 * margin + u64::from(self.parameters.order)).collect()
    }

    fn scratch_bytes(&self, block_shape: &[u64], taken: &[u64]) -> u64 {
        smoothing_bytes(&self.sigma, taken)
            + Separable::scratch_bytes(self.parameters.order, block_shape)
    }

    fn read(&self, source: &dyn Source, region: &Region) -> Result<Array> {
        let Resize { order, fill, align, .. } = self.parameters;
        let coordinates: Vec<Vec<f64>> = (0..region.ndim())
            .map(|axis| {
                (region.start[axis]..region.start[axis] + region.shape[axis])
                    .map(|position| self.coordinate(axis, position))
                    .collect()
            })
            .collect();
        let border = match align {
            Align::Corner => Border::Fill,
            Align::Center => Border::Nearest,
        };
        let table = Separable::new(order, border, fill, &coordinates, &self.source_shape);
        match read_separable(source, &table, &self.sigma, self.dtype)? {
            Some(block) => Ok(block),
            None => filled(self.dtype, &region.shape, fill),
        }
    }
}
