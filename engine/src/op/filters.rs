//! Filters made of Gaussians and their derivatives: smoothing, edges, ridges, structure.
//!
//! Halo: the kernel's support, per axis. Memory: the block, 4 bytes for each voxel and channel of the
//! result (12 for `float64`) and a few megabytes, or what [`Filter::scratch_bytes`] says of one that
//! reaches far; the structure tensor in addition 4 for each axis and voxel, and 4 for each of its
//! entries and voxel. It computes in single precision; the result does not depend on the blocks, to
//! the last bit.

use super::ArrayShape;
use super::blockwise::{BlockOperation, only_block, only_input};
use super::kernel::Voxel;
use super::kernel::filter::{Filter, FilterKind};
use super::parameters::PerAxis;
use crate::array::Array;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::{Block, unravel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the passes of a filter take at least, besides the tiles of one that reaches far.
const TILES: u64 = 4 << 20;

/// A filter and what is asked of it.
struct Asked<'a> {
    kind: FilterKind,
    sigma: &'a PerAxis<f64>,
    outer_scale: Option<&'a PerAxis<f64>>,
    channel: Option<usize>,
}

impl Asked<'_> {
    fn filter(&self, ndim: usize) -> Result<Filter> {
        let [inner_name, outer_name] = self.kind.scale_names();
        let sigma = self.sigma.for_axes(inner_name, ndim)?;
        let outer = self.outer_scale.map(|scale| scale.for_axes(outer_name, ndim));
        Filter::new(self.kind, &sigma, &outer.transpose()?.unwrap_or_default(), self.channel)
    }

    fn halo(&self, ndim: usize) -> Vec<u64> {
        // What is no filter has been refused with its outputs.
        self.filter(ndim).map_or_else(|_| vec![0; ndim], |filter| filter.halo())
    }

    fn output(&self, operation: &str, inputs: &[ArrayShape]) -> Result<ArrayShape> {
        let input = only_input(operation, inputs)?;
        let dtype = if input.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let shape = self.filter(input.shape.len())?.output_shape(&input.shape);
        Ok(ArrayShape { shape, dtype })
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape]) -> u64 {
        let ndim = inputs.first().map_or(0, |input| input.shape.len()) as u64;
        let double = inputs.iter().any(|input| input.dtype == DType::F64);
        let read: u64 = inputs.iter().map(|input| input.dtype.size() as u64).sum();
        let channels = if self.kind.has_channels() && self.channel.is_none() { ndim } else { 1 };
        let results = channels * if double { 12 } else { 4 };
        let tensor = match self.kind {
            FilterKind::StructureTensorEigenvalues => 4 * ndim + 4 * ndim * (ndim + 1) / 2,
            _ => 0,
        };
        let shape = inputs.first().map_or(&[][..], |input| &input.shape);
        let tiles = self.filter(shape.len()).map_or(0, |filter| filter.scratch_bytes(shape));
        voxels * (read + results + tensor) + tiles.max(TILES)
    }

    fn compute(&self, blocks: Vec<Array>, block: &Block) -> Result<Array> {
        let outer = only_block(blocks)?;
        check_finite(self.kind, &outer, block)?;
        self.filter(outer.shape().len())?.apply(&outer, &block.inner_in_outer())
    }
}

/// Checks that a block's values are finite in single precision.
fn check_finite(kind: FilterKind, values: &Array, block: &Block) -> Result<()> {
    if !values.dtype().is_float() {
        return Ok(());
    }
    dispatch!(values.dtype(), T => {
        let values = values.values::<T>()?;
        let finite = |value: &T| (value.to_f64() as f32).is_finite();
        // Without a way out of the loop it is done many values at a time.
        let all = |part: &[T]| part.iter().fold(true, |all, value| all & finite(value));
        if values.chunks(1024).all(all) {
            return Ok(());
        }
        let Some((index, value)) = values.iter().enumerate().find(|(_, value)| !finite(value))
        else {
            return Ok(());
        };
        let position = unravel(index as u64, &block.outer.shape);
        let position: Vec<u64> =
            position.iter().zip(&block.outer.start).map(|(at, start)| at + start).collect();
        Err(Error::argument(format!(
            "{kind}: image must contain only finite values; the voxel at {position:?}, read for block {}, is {}",
            block.id,
            value.to_f64()
        ))
        .fix("Replace such values first, for instance with numpy.nan_to_num."))
    })
}

macro_rules! by_filter {
    ($name:ident = $verb:literal, $python:literal) => {
        impl BlockOperation for $name {
            const NAME: &'static str = $verb;
            const PYTHON: Option<&'static str> = Some($python);

            fn halo(&self, ndim: usize) -> Vec<u64> {
                self.asked().halo(ndim)
            }

            fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape> {
                self.asked().output(Self::NAME, inputs)
            }

            fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape]) -> u64 {
                self.asked().block_bytes(outer_voxels, inputs)
            }

            fn compute(&self, blocks: Vec<Array>, block: &Block) -> Result<Array> {
                self.asked().compute(blocks, block)
            }
        }
    };
}

macro_rules! filters {
    ($($(#[$doc:meta])* $name:ident = $verb:literal, $python:literal, $kind:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    } outer $outer:expr, channel $channel:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
        pub struct $name {
            /// Standard deviation of the Gaussian, in voxels, such as 2 or 1,2,2
            #[schemars(extend("unit" = "voxels", "exclusiveMinimum" = 0))]
            #[arg(long, value_name = "S[,S...]")]
            pub sigma: PerAxis<f64>,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            fn asked(&self) -> Asked<'_> {
                let outer_scale: fn(&Self) -> Option<&PerAxis<f64>> = $outer;
                let channel: fn(&Self) -> Option<usize> = $channel;
                Asked {
                    kind: FilterKind::$kind,
                    sigma: &self.sigma,
                    outer_scale: outer_scale(self),
                    channel: channel(self),
                }
            }
        }

        by_filter!($name = $verb, $python);
    )*};
}

filters! {
    /// Parameters of smoothing with a Gaussian.
    Gaussian = "gaussian", "bp.filters.gaussian_smoothing", GaussianSmoothing {
    } outer |_| None, channel |_| None;

    /// Parameters of the gradient's length.
    Gradient = "gradient", "bp.filters.gaussian_gradient_magnitude", GaussianGradientMagnitude {
    } outer |_| None, channel |_| None;

    /// Parameters of the Laplacian.
    Laplace = "laplace", "bp.filters.laplacian_of_gaussian", LaplacianOfGaussian {
    } outer |_| None, channel |_| None;

    /// Parameters of the Hessian's eigenvalues.
    Hessian = "hessian", "bp.filters.hessian_of_gaussian_eigenvalues",
    HessianOfGaussianEigenvalues {
        /// The only eigenvalue that is written, from 0, the largest [default: all, as channels]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[arg(long, value_name = "N")]
        return_channel: Option<usize>,
    } outer |_| None, channel |asked| asked.return_channel;

    /// Parameters of the structure tensor's eigenvalues.
    Structure = "structure", "bp.filters.structure_tensor_eigenvalues",
    StructureTensorEigenvalues {
        /// Standard deviation of the second Gaussian, which smooths the products of derivatives
        #[schemars(extend("unit" = "voxels", "exclusiveMinimum" = 0))]
        #[arg(long, value_name = "S[,S...]")]
        outer_scale: PerAxis<f64>,
        /// The only eigenvalue that is written, from 0, the largest [default: all, as channels]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[arg(long, value_name = "N")]
        return_channel: Option<usize>,
    } outer |asked| Some(&asked.outer_scale), channel |asked| asked.return_channel;
}

/// Parameters of a difference of Gaussians.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct DifferenceOfGaussians {
    /// Standard deviation of the Gaussian that smooths what is kept, in voxels, such as 1 or 0.5,1,1
    #[schemars(extend("unit" = "voxels", "exclusiveMinimum" = 0))]
    #[arg(long, value_name = "S[,S...]")]
    pub sigma_low: PerAxis<f64>,
    /// Standard deviation of the Gaussian that smooths what is taken away
    #[schemars(extend("unit" = "voxels", "exclusiveMinimum" = 0))]
    #[arg(long, value_name = "S[,S...]")]
    pub sigma_high: PerAxis<f64>,
}

impl DifferenceOfGaussians {
    fn asked(&self) -> Asked<'_> {
        Asked {
            kind: FilterKind::DifferenceOfGaussians,
            sigma: &self.sigma_low,
            outer_scale: Some(&self.sigma_high),
            channel: None,
        }
    }
}

by_filter!(DifferenceOfGaussians = "difference-of-gaussians", "bp.filters.difference_of_gaussians");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{Grid, Region};

    fn structure(channel: Option<usize>) -> Structure {
        Structure {
            sigma: PerAxis::Each(vec![1.0, 0.7]),
            outer_scale: PerAxis::All(1.5),
            return_channel: channel,
        }
    }

    #[test]
    fn channels_come_first_and_doubles_stay_doubles() {
        let input = |dtype| [ArrayShape { shape: vec![5, 7], dtype }];
        let made = structure(None).output(&input(DType::F64)).unwrap();
        assert_eq!((made.shape, made.dtype), (vec![2, 5, 7], DType::F64));
        let made = structure(Some(1)).output(&input(DType::U32)).unwrap();
        assert_eq!((made.shape, made.dtype), (vec![5, 7], DType::F32));
        // Half its order more than three times the inner sigma, and three times the outer one.
        assert_eq!(structure(None).halo(2), [4 + 5, 3 + 5]);
        assert!(structure(Some(2)).output(&input(DType::U8)).is_err());
        for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let gaussian = Gaussian { sigma: PerAxis::All(sigma) };
            assert!(gaussian.output(&input(DType::U8)).is_err(), "{sigma}");
        }
    }

    #[test]
    fn a_difference_reaches_as_far_as_its_wider_gaussian() {
        let scales = |low: f64, high: f64| DifferenceOfGaussians {
            sigma_low: PerAxis::All(low),
            sigma_high: PerAxis::Each(vec![high, 1.0]),
        };
        assert_eq!(scales(2.0, 3.0).halo(2), [9, 6]);
        let input = ArrayShape { shape: vec![5, 7], dtype: DType::U8 };
        let error = scales(1.0, 0.0).output(&[input]).unwrap_err();
        assert!(error.message.contains("sigma_high values must be"), "{}", error.message);
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_named_by_its_place_in_the_image() {
        let grid = Grid::new(Region::whole(&[8]), &[4]).unwrap().with_halo(&[2]).unwrap();
        let block = grid.block(1).unwrap();
        let gaussian = Gaussian { sigma: PerAxis::All(0.5) };
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let values = Array::from_values(&[6], &[0.0, 1.0, 2.0, bad, bad, 5.0]).unwrap();
            let error = gaussian.compute(vec![values], &block).unwrap_err();
            assert!(error.message.contains("voxel at [5], read for block 1"), "{}", error.message);
        }
        let values = Array::from_values(&[6], &[0.0; 6]).unwrap();
        assert_eq!(gaussian.compute(vec![values], &block).unwrap().shape(), [4]);
    }
}
