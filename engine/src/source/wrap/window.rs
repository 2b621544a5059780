//! Windows of voxels as one voxel each.

use super::{Parameters, Transform, Wrap};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::{Region, shape_text};
use crate::op::kernel::window::{Method, downsample, downsampled_shape};
use crate::source::{Metadata, Source};
use serde::{Deserialize, Serialize};

/// The array on a coarser grid, of which each voxel stands for a window; those at the end are clipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Extents of a window.
    pub factors: Vec<u64>,
    /// How its voxels become one.
    pub method: Method,
}

pub(super) struct WindowTransform {
    parameters: Window,
    shape: Vec<u64>,
    source_shape: Vec<u64>,
    dtype: DType,
}

impl Parameters for Window {
    type Transform = WindowTransform;
    fn transform(self, source: &dyn Source) -> Result<WindowTransform> {
        let source_shape = source.shape().to_vec();
        if source_shape.is_empty() {
            return Err(Error::argument("windows need an array of one axis at least, not a value")
                .fix("Give an array."));
        }
        if self.factors.len() != source_shape.len() || self.factors.contains(&0) {
            return Err(Error::argument(format!(
                "factors {} do not fit an array of {} axes",
                shape_text(&self.factors),
                source_shape.len()
            ))
            .fix("Give one whole number above 0 for each axis."));
        }
        let shape = downsampled_shape(&source_shape, &self.factors);
        Ok(WindowTransform { shape, source_shape, dtype: source.dtype(), parameters: self })
    }
}

impl WindowTransform {
    fn coarser(&self, extents: Vec<u64>) -> Vec<u64> {
        downsampled_shape(&extents, &self.parameters.factors)
    }
}

impl Transform for WindowTransform {
    fn wrap(&self) -> Wrap {
        Wrap::Window(self.parameters.clone())
    }

    fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn chunks(&self, source: &dyn Source) -> Option<Vec<u64>> {
        source.chunks().map(|chunks| self.coarser(chunks))
    }

    fn shards(&self, _source: &dyn Source) -> Option<Vec<u64>> {
        None
    }

    fn metadata(&self, source: &dyn Source) -> Metadata {
        let mut metadata = source.metadata();
        for (axis, factor) in metadata.axes.iter_mut().zip(&self.parameters.factors) {
            axis.scale = axis.scale.map(|size| size * *factor as f64);
        }
        metadata
    }

    fn taken(&self, block_shape: &[u64]) -> Vec<u64> {
        let extents = block_shape.iter().zip(&self.parameters.factors).zip(&self.source_shape);
        extents.map(|((n, factor), extent)| n.saturating_mul(*factor).min(*extent)).collect()
    }

    fn read(&self, source: &dyn Source, region: &Region) -> Result<Array> {
        let Window { factors, method } = &self.parameters;
        let start: Vec<u64> = region.start.iter().zip(factors).map(|(at, f)| at * f).collect();
        let end = region.end();
        let shape = (0..start.len())
            .map(|axis| (end[axis] * factors[axis]).min(self.source_shape[axis]) - start[axis]);
        let windows = Region { shape: shape.collect(), start };
        downsample(&source.read(&windows)?, factors, *method)
    }
}
