//! An array seen through an affine matrix.

use super::{Parameters, Transform, Wrap};
use crate::array::{Array, Scalar};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::Region;
use crate::op::kernel::gaussian::{TRUNCATE, radius, scratch_bytes, smooth};
use crate::op::kernel::interpolate::{check_order, first_tap};
use crate::op::kernel::resample::{AffineMap, Border, Sampling, Separable};
use crate::op::kernel::{filled, to_f32};
use crate::source::{Metadata, Source};
use serde::{Deserialize, Serialize};

/// How an array is smoothed before it is sampled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smoothing {
    /// Not at all.
    #[default]
    None,
    /// By a Gaussian as wide as samples are apart: sigma = (distance - 1) / 2 voxels.
    AntiAliasing,
    /// By a Gaussian with this sigma in voxels, for each axis of the input.
    Sigma(Vec<f64>),
}

/// A Gaussian that is narrower has no weight beyond its centre.
const LEAST_SIGMA: f64 = 1e-2;

impl Smoothing {
    /// Sigma for each axis of the input; 0 where nothing is smoothed.
    pub(super) fn sigma(&self, map: &AffineMap) -> Vec<f64> {
        let sigma = match self {
            Smoothing::None => Vec::new(),
            Smoothing::AntiAliasing => map.anti_aliasing_sigma(),
            Smoothing::Sigma(sigma) => sigma.clone(),
        };
        sigma.into_iter().map(|sigma| if sigma > LEAST_SIGMA { sigma } else { 0.0 }).collect()
    }
}

/// The affine view of an array: each voxel has the value of the array at `matrix` times its position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// Shape of the result.
    pub shape: Vec<u64>,
    /// For each axis of the input, the factors of the output's axes and the offset, in voxels.
    pub matrix: Vec<Vec<Scalar>>,
    /// Interpolation order, 0 to 5.
    pub order: u8,
    /// Value of what lies outside.
    pub fill: Scalar,
    /// Smoothing before sampling.
    #[serde(default)]
    pub smoothing: Smoothing,
}

pub(super) struct AffineTransform {
    parameters: Affine,
    map: AffineMap,
    sigma: Vec<f64>,
    source_shape: Vec<u64>,
    dtype: DType,
}

impl Parameters for Affine {
    type Transform = AffineTransform;
    fn transform(self, source: &dyn Source) -> Result<AffineTransform> {
        check_order(self.order)?;
        let rows = self.matrix.iter().map(|row| row.iter().map(|m| m.as_f64()).collect()).collect();
        let map = AffineMap::new(rows)?;
        let ndim = source.shape().len();
        if self.matrix.len() != ndim || self.shape.len() != ndim {
            return Err(Error::argument(format!(
                "an affine matrix of {} axes and a shape of {} were given for an array of {ndim}",
                self.matrix.len(),
                self.shape.len()
            )));
        }
        if !map.is_diagonal() && !(2..=3).contains(&ndim) {
            return Err(Error::argument(format!(
                "arrays of {ndim} axes are not rotated or sheared"
            ))
            .fix("Take a region of two or three axes."));
        }
        let sigma = self.smoothing.sigma(&map);
        check_sampled(source, &sigma)?;
        Ok(AffineTransform {
            map,
            sigma,
            source_shape: source.shape().to_vec(),
            dtype: source.dtype(),
            parameters: self,
        })
    }
}

/// Refuses what cannot be sampled.
pub(super) fn check_sampled(source: &dyn Source, sigma: &[f64]) -> Result<()> {
    if source.shape().contains(&0) {
        return Err(Error::argument("an array without voxels cannot be sampled"));
    }
    if !sigma.is_empty() && sigma.len() != source.shape().len()
        || sigma.iter().any(|sigma| !sigma.is_finite())
    {
        return Err(Error::argument(format!("sigma {sigma:?} does not fit the array"))
            .fix("Give one finite sigma for each axis."));
    }
    Ok(())
}

/// How far smoothing reaches along each axis.
pub(super) fn margins(sigma: &[f64], ndim: usize) -> Vec<u64> {
    let reach = |axis: usize| match sigma.get(axis) {
        Some(&sigma) if sigma > 0.0 => radius(sigma, TRUNCATE) as u64,
        _ => 0,
    };
    (0..ndim).map(reach).collect()
}

/// Bytes that smoothing takes besides what is read: two buffers and the result, in single precision,
/// and its tiles.
pub(super) fn smoothing_bytes(sigma: &[f64], taken: &[u64]) -> u64 {
    if sigma.iter().all(|&sigma| sigma <= 0.0) {
        return 0;
    }
    12 * taken.iter().product::<u64>() + scratch_bytes(taken, sigma)
}

/// Reads a region, smoothed; within the reach of the Gaussian, values at ends of the region that
/// are no ends of the array are not right.
pub(super) fn read_smoothed(source: &dyn Source, region: &Region, sigma: &[f64]) -> Result<Array> {
    let block = source.read(region)?;
    if sigma.iter().all(|&sigma| sigma == 0.0) {
        return Ok(block);
    }
    let values = to_f32(&block)?;
    drop(block);
    Array::from_values(&region.shape, &smooth(values, &region.shape, sigma))
}

/// Reads what a table takes of a source, smoothed, and samples it.
pub(super) fn read_separable(
    source: &dyn Source,
    table: &Separable,
    sigma: &[f64],
    dtype: DType,
) -> Result<Option<Array>> {
    let Some(taken) = table.region() else { return Ok(None) };
    let margin = margins(sigma, taken.ndim());
    let wider = widened(taken, &margin, source.shape());
    let block = read_smoothed(source, &wider, sigma)?;
    if wider == *taken {
        return table.run(&block, dtype).map(Some);
    }
    let mut cut = Array::zeros(block.dtype(), &taken.shape);
    cut.paste(&vec![0; taken.ndim()], &block, &taken.relative_to(&wider.start))?;
    drop(block);
    table.run(&cut, dtype).map(Some)
}

fn widened(region: &Region, margin: &[u64], shape: &[u64]) -> Region {
    let start: Vec<u64> = region
        .start
        .iter()
        .zip(margin)
        .map(|(start, margin)| start.saturating_sub(*margin))
        .collect();
    let shape = (0..start.len())
        .map(|axis| (region.end()[axis] + margin[axis]).min(shape[axis]) - start[axis])
        .collect();
    Region { start, shape }
}

impl Transform for AffineTransform {
    fn wrap(&self) -> Wrap {
        Wrap::Affine(self.parameters.clone())
    }

    fn shape(&self) -> &[u64] {
        &self.parameters.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn shards(&self, _source: &dyn Source) -> Option<Vec<u64>> {
        None
    }

    /// The voxel size is known only where axes stay axes.
    fn metadata(&self, source: &dyn Source) -> Metadata {
        let mut metadata = source.metadata();
        for (axis, known) in metadata.axes.iter_mut().enumerate() {
            let factor = self.map.is_diagonal().then(|| self.map.diagonal(axis).0.abs());
            known.scale = known.scale.zip(factor).map(|(scale, factor)| scale * factor);
        }
        metadata
    }

    fn taken(&self, block_shape: &[u64]) -> Vec<u64> {
        let margin = margins(&self.sigma, block_shape.len());
        let taps = u64::from(self.parameters.order) + 1;
        self.map
            .span(block_shape)
            .iter()
            .zip(margin)
            .zip(&self.source_shape)
            .map(|((span, margin), n)| (span.ceil() as u64 + taps + 2 * margin + 4).min(*n))
            .collect()
    }

    fn scratch_bytes(&self, block_shape: &[u64], taken: &[u64]) -> u64 {
        let smoothing = smoothing_bytes(&self.sigma, taken);
        if !self.map.is_diagonal() {
            return smoothing;
        }
        smoothing + Separable::scratch_bytes(self.parameters.order, block_shape)
    }

    fn read(&self, source: &dyn Source, region: &Region) -> Result<Array> {
        let Affine { order, fill, .. } = self.parameters;
        let outside = || filled(self.dtype, &region.shape, fill);
        if self.map.is_diagonal() {
            let coordinates: Vec<Vec<f64>> = (0..region.ndim())
                .map(|axis| {
                    let (factor, offset) = self.map.diagonal(axis);
                    (region.start[axis]..region.start[axis] + region.shape[axis])
                        .map(|position| factor * position as f64 + offset)
                        .collect()
                })
                .collect();
            let table = Separable::new(order, Border::Fill, fill, &coordinates, &self.source_shape);
            return match read_separable(source, &table, &self.sigma, self.dtype)? {
                Some(block) => Ok(block),
                None => outside(),
            };
        }
        let margin = margins(&self.sigma, region.ndim());
        let Some(taken) = self.map.reads(order, region, &margin, &self.source_shape) else {
            return outside();
        };
        let block = read_smoothed(source, &taken, &self.sigma)?;
        let sampling = Sampling {
            source: &block,
            start: &taken.start,
            shape: &self.source_shape,
            order,
            fill,
            dtype: self.dtype,
        };
        sampling.affine(&self.map, region)
    }
}

/// Samples an array of two or three axes wherever `coordinates` say: for each of its axes, one
/// coordinate in voxels for every voxel of the result. What the coordinates span is read at once.
///
/// # Errors
/// `invalid-argument` for an order beyond 5 or another number of axes or of coordinates.
pub fn sample_at(
    source: &dyn Source,
    coordinates: &[f64],
    out_shape: &[u64],
    order: u8,
    fill: Scalar,
) -> Result<Array> {
    check_order(order)?;
    check_sampled(source, &[])?;
    let shape = source.shape();
    let voxels = out_shape.iter().product::<u64>() as usize;
    let mut taken = Region { start: Vec::new(), shape: Vec::new() };
    for (axis, along) in coordinates.chunks_exact(voxels.max(1)).take(shape.len()).enumerate() {
        // NaN is neither the lowest nor the highest; a coordinate that is not there reads nothing.
        let low = along.iter().copied().fold(f64::INFINITY, f64::min);
        let high = along.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let start = first_tap(order, low).clamp(0, shape[axis] as i64);
        let end = first_tap(order, high).saturating_add(i64::from(order) + 1);
        taken.start.push(start as u64);
        taken.shape.push((end.min(shape[axis] as i64) - start).max(0) as u64);
    }
    if taken.shape.contains(&0) || taken.ndim() != shape.len() {
        return filled(source.dtype(), out_shape, fill);
    }
    let block = source.read(&taken)?;
    let dtype = source.dtype();
    Sampling { source: &block, start: &taken.start, shape, order, fill, dtype }
        .at(coordinates, out_shape)
}
