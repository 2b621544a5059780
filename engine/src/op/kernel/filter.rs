//! Filters made of Gaussians and their derivatives, on a block with the halo that they need.

use super::cascade::{Cascade, Combine, Each, Extents, combine_rows};
use super::eigenvalues::Eigenvalues;
use super::gaussian::{Kernel, TRUNCATE, radius};
use super::{Voxel, values_mut};
use crate::array::Array;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::{Region, shape_text};
use std::fmt;

/// What a filter computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterKind {
    /// The smoothed image.
    GaussianSmoothing,
    /// The length of the gradient of the smoothed image.
    GaussianGradientMagnitude,
    /// The sum of the second derivatives of the smoothed image.
    LaplacianOfGaussian,
    /// The smoothed image less the one smoothed with the outer scale.
    DifferenceOfGaussians,
    /// The eigenvalues of the matrix of second derivatives of the smoothed image.
    HessianOfGaussianEigenvalues,
    /// The eigenvalues of the structure tensor: of the products of the first derivatives of the
    /// smoothed image, which are smoothed with the outer scale.
    StructureTensorEigenvalues,
}

impl FilterKind {
    /// Every kind.
    pub const ALL: [FilterKind; 6] = [
        FilterKind::GaussianSmoothing,
        FilterKind::GaussianGradientMagnitude,
        FilterKind::LaplacianOfGaussian,
        FilterKind::DifferenceOfGaussians,
        FilterKind::HessianOfGaussianEigenvalues,
        FilterKind::StructureTensorEigenvalues,
    ];

    /// The name of the function that applies it.
    pub fn as_str(self) -> &'static str {
        match self {
            FilterKind::GaussianSmoothing => "gaussian_smoothing",
            FilterKind::GaussianGradientMagnitude => "gaussian_gradient_magnitude",
            FilterKind::LaplacianOfGaussian => "laplacian_of_gaussian",
            FilterKind::DifferenceOfGaussians => "difference_of_gaussians",
            FilterKind::HessianOfGaussianEigenvalues => "hessian_of_gaussian_eigenvalues",
            FilterKind::StructureTensorEigenvalues => "structure_tensor_eigenvalues",
        }
    }

    /// The highest order of derivatives that it takes.
    fn order(self) -> usize {
        match self {
            FilterKind::GaussianSmoothing | FilterKind::DifferenceOfGaussians => 0,
            FilterKind::GaussianGradientMagnitude | FilterKind::StructureTensorEigenvalues => 1,
            FilterKind::LaplacianOfGaussian | FilterKind::HessianOfGaussianEigenvalues => 2,
        }
    }

    /// Whether it has an outer scale.
    pub fn has_outer_scale(self) -> bool {
        matches!(self, FilterKind::DifferenceOfGaussians | FilterKind::StructureTensorEigenvalues)
    }

    /// What its scale and its outer scale are called.
    pub fn scale_names(self) -> [&'static str; 2] {
        match self {
            FilterKind::DifferenceOfGaussians => ["sigma_low", "sigma_high"],
            _ => ["sigma", "outer_scale"],
        }
    }

    /// Whether it gives one value for each axis and voxel.
    pub fn has_channels(self) -> bool {
        matches!(
            self,
            FilterKind::HessianOfGaussianEigenvalues | FilterKind::StructureTensorEigenvalues
        )
    }
}

impl fmt::Display for FilterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A filter and its scales, for images of one, two or three axes.
///
/// It computes in single precision, mirrors the image at its ends without repeating the end voxel,
/// and lets NaN and infinity spread as far as it reaches.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    kind: FilterKind,
    sigma: Vec<f64>,
    outer_scale: Vec<f64>,
    channel: Option<usize>,
}

impl Filter {
    /// A filter with one sigma for each axis, in voxels; `outer_scale` likewise for the kinds that
    /// have one, else empty. Of a filter with channels, `channel` is the only one that is wanted.
    ///
    /// # Errors
    /// `invalid-argument` unless there are 1 to 3 axes (2 or 3 where there are channels), every
    /// sigma is finite and above zero, and the channel exists.
    pub fn new(
        kind: FilterKind,
        sigma: &[f64],
        outer_scale: &[f64],
        channel: Option<usize>,
    ) -> Result<Filter> {
        let ndim = sigma.len();
        let least = if kind.has_channels() { 2 } else { 1 };
        if !(least..=3).contains(&ndim) {
            return Err(Error::argument(format!("{kind} takes {least} to 3 axes, not {ndim}"))
                .fix("Filter a region that has fewer or more axes."));
        }
        let [inner_name, outer_name] = kind.scale_names();
        if kind.has_outer_scale() && outer_scale.is_empty() {
            return Err(Error::argument(format!("{kind} requires '{outer_name}'."))
                .about(outer_name)
                .fix("Give the sigma of the second Gaussian."));
        }
        let expected = if kind.has_outer_scale() { ndim } else { 0 };
        for (name, scale, expected) in
            [(inner_name, sigma, ndim), (outer_name, outer_scale, expected)]
        {
            if scale.len() != expected {
                return Err(Error::argument(format!(
                    "{kind} takes {expected} numbers as {name} for {ndim} axes, not {}",
                    scale.len()
                ))
                .about(name));
            }
            if let Some(bad) = scale.iter().find(|sigma| !(sigma.is_finite() && **sigma > 0.0)) {
                return Err(Error::argument(format!(
                    "{kind}: {name} values must be finite and positive, not {bad}"
                ))
                .about(name));
            }
        }
        let channels = if kind.has_channels() { ndim } else { 0 };
        if let Some(channel) = channel.filter(|channel| *channel >= channels) {
            let fix = match channels.checked_sub(1) {
                Some(last) => format!("With {ndim} axes the channels are 0 to {last}."),
                None => "It has one value for each voxel: name no channel.".into(),
            };
            return Err(Error::argument(format!("{kind} has no channel {channel}"))
                .about("return_channel")
                .fix(fix));
        }
        Ok(Filter { kind, sigma: sigma.to_vec(), outer_scale: outer_scale.to_vec(), channel })
    }

    /// How far the filter reaches from a voxel along each axis.
    pub fn halo(&self) -> Vec<u64> {
        let order = 0.5 * self.kind.order() as f64;
        let inner = self.sigma.iter().map(|sigma| radius(*sigma, TRUNCATE + order) as u64);
        let outer = self.outer_scale.iter().map(|sigma| radius(*sigma, TRUNCATE) as u64);
        match self.kind {
            FilterKind::StructureTensorEigenvalues => {
                inner.zip(outer).map(|(i, o)| i + o).collect()
            }
            FilterKind::DifferenceOfGaussians => inner.zip(outer).map(|(i, o)| i.max(o)).collect(),
            _ => inner.collect(),
        }
    }

    /// Bytes that the passes take for their tiles, at most, whatever part of an image of this shape
    /// is filtered.
    pub fn scratch_bytes(&self, image: &[u64]) -> u64 {
        let order = self.kind.order();
        let reach = |scale: &[f64], order: usize| -> Vec<u64> {
            let truncate = TRUNCATE + 0.5 * order as f64;
            scale.iter().map(|sigma| radius(*sigma, truncate) as u64).collect()
        };
        let derivatives = Cascade::bytes(&reach(&self.sigma, order), order + 1, image);
        match self.kind {
            FilterKind::StructureTensorEigenvalues => {
                derivatives.max(Cascade::bytes(&reach(&self.outer_scale, 0), 1, image))
            }
            FilterKind::DifferenceOfGaussians => Cascade::bytes(&self.halo(), 2, image),
            _ => derivatives,
        }
    }

    /// The shape of the result for a region of this shape: the channels come first.
    pub fn output_shape(&self, shape: &[u64]) -> Vec<u64> {
        let channels = if self.kind.has_channels() && self.channel.is_none() {
            Some(shape.len() as u64)
        } else {
            None
        };
        channels.into_iter().chain(shape.iter().copied()).collect()
    }

    /// The filtered `inner` region of a block, as `f32`.
    ///
    /// Around the region the block has at least the [halo](Self::halo), except where it ends with
    /// the image. Takes 4 bytes for each voxel and channel of the result and the
    /// [scratch](Self::scratch_bytes); the structure tensor in addition 4 for each axis and voxel of
    /// the region, widened by the reach of the outer scale, and 24 for each voxel of 32 of its planes.
    ///
    /// # Errors
    /// `internal` if the block, the region and the filter differ in their axes or the region does
    /// not lie in the block; `corrupt-data` for a `bool` that is neither 0 nor 1.
    ///
    /// ```
    /// use bioimage_engine::array::Array;
    /// use bioimage_engine::grid::Region;
    /// use bioimage_engine::op::kernel::filter::{Filter, FilterKind};
    /// let slope = Array::from_values::<u8>(&[1, 9], &[0, 3, 6, 9, 12, 15, 18, 21, 24])?;
    /// let filter = Filter::new(FilterKind::GaussianGradientMagnitude, &[0.5, 0.5], &[], None)?;
    /// let filtered = filter.apply(&slope, &Region::new([0, 4], [1, 1]))?;
    /// assert_eq!(filtered.values::<f32>()?, [3.0]);
    /// # Ok::<(), bioimage_engine::error::Error>(())
    /// ```
    pub fn apply(&self, block: &Array, inner: &Region) -> Result<Array> {
        let ndim = self.sigma.len();
        let outer = block.shape();
        let inside = inner.ndim() == ndim
            && outer.len() == ndim
            && inner.end().iter().zip(outer).all(|(end, n)| end <= n);
        if !inside {
            return Err(Error::internal(format!(
                "{} of {ndim} axes was applied to {} at {} of a block of {}",
                self.kind,
                shape_text(&inner.shape),
                shape_text(&inner.start),
                shape_text(outer)
            )));
        }
        let mut out = Array::zeros(DType::F32, &self.output_shape(&inner.shape));
        let extents = Extents {
            outer: three(outer, 1),
            start: three(&inner.start, 0),
            inner: three(&inner.shape, 1),
        };
        let to = values_mut::<f32>(&mut out)?;
        dispatch!(block.dtype(), T => {
            let values = block.values::<T>()?;
            let load = |offset: usize, row: &mut [f32]| {
                for (to, from) in row.iter_mut().zip(&values[offset..]) {
                    *to = from.to_f64() as f32;
                }
            };
            self.run(&load, &extents, to);
        });
        Ok(out)
    }

    fn run(&self, load: &Load<'_>, extents: &Extents, out: &mut [f32]) {
        let ndim = self.sigma.len();
        let axis_once =
            |axis: usize, order: usize| (0..ndim).map(|a| order * usize::from(a == axis)).collect();
        match self.kind {
            FilterKind::GaussianSmoothing => {
                self.derivatives(&[vec![0; ndim]]).run(load, extents, &Each, out);
            }
            FilterKind::GaussianGradientMagnitude => {
                let first: Vec<_> = (0..ndim).map(|axis| axis_once(axis, 1)).collect();
                self.derivatives(&first).run(load, extents, &Length, out);
            }
            FilterKind::LaplacianOfGaussian => {
                let second: Vec<_> = (0..ndim).map(|axis| axis_once(axis, 2)).collect();
                self.derivatives(&second).run(load, extents, &Sum, out);
            }
            FilterKind::DifferenceOfGaussians => {
                let pair = |(sigma, outer): (&f64, &f64)| {
                    vec![Kernel::gaussian(*sigma, 0), Kernel::gaussian(*outer, 0)]
                };
                let kernels: Vec<_> = self.sigma.iter().zip(&self.outer_scale).map(pair).collect();
                let cascade = Cascade::new(&kernels, &[vec![0; ndim], vec![1; ndim]]);
                cascade.run(load, extents, &Difference, out);
            }
            FilterKind::HessianOfGaussianEigenvalues => {
                let second: Vec<Vec<usize>> = upper_triangle(ndim)
                    .map(|(i, j)| {
                        (0..ndim).map(|a| usize::from(a == i) + usize::from(a == j)).collect()
                    })
                    .collect();
                self.derivatives(&second).run(load, extents, &self.eigenvalues(), out);
            }
            FilterKind::StructureTensorEigenvalues => self.structure_tensor(load, extents, out),
        }
    }

    /// The derivatives of these orders along each axis.
    fn derivatives(&self, orders: &[Vec<usize>]) -> Cascade {
        let kernels =
            |sigma: &f64| (0..=self.kind.order()).map(|o| Kernel::gaussian(*sigma, o)).collect();
        Cascade::new(&self.sigma.iter().map(kernels).collect::<Vec<_>>(), orders)
    }

    fn eigenvalues(&self) -> Eigenvalues {
        Eigenvalues { ndim: self.sigma.len(), channel: self.channel }
    }

    fn structure_tensor(&self, load: &Load<'_>, extents: &Extents, out: &mut [f32]) {
        let ndim = self.sigma.len();
        let kernel = |sigma: &f64| vec![Kernel::gaussian(*sigma, 0)];
        let kernels: Vec<_> = self.outer_scale.iter().map(kernel).collect();
        let smoothing = Cascade::new(&kernels, &[vec![0; ndim]]);

        // The gradient, as far as the products are needed.
        let reach = smoothing.reach();
        let start: [usize; 3] =
            std::array::from_fn(|axis| extents.start[axis].saturating_sub(reach[axis]));
        let shape: [usize; 3] = std::array::from_fn(|axis| {
            let end = extents.start[axis] + extents.inner[axis] + reach[axis];
            end.min(extents.outer[axis]) - start[axis]
        });
        let middle = Extents { outer: extents.outer, start, inner: shape };
        let voxels = middle.voxels();
        let mut gradient = vec![0.0; ndim * voxels];
        let first: Vec<Vec<usize>> =
            (0..ndim).map(|axis| (0..ndim).map(|a| usize::from(a == axis)).collect()).collect();
        self.derivatives(&first).run(load, &middle, &Each, &mut gradient);

        // Their products, smoothed, a few planes of the first axis at a time.
        let first_axis = 3 - ndim;
        let planes = extents.inner[first_axis];
        let plane = extents.inner[first_axis + 1..].iter().product::<usize>();
        let mut tensor = Vec::new();
        for done in (0..planes).step_by(PLANES) {
            let count = PLANES.min(planes - done);
            let mut part = Extents {
                outer: shape,
                start: std::array::from_fn(|axis| extents.start[axis] - start[axis]),
                inner: extents.inner,
            };
            part.start[first_axis] += done;
            part.inner[first_axis] = count;
            let len = count * plane;
            tensor.resize(ndim * (ndim + 1) / 2 * len, 0.0);
            for ((i, j), tensor) in upper_triangle(ndim).zip(tensor.chunks_exact_mut(len)) {
                let (left, right) = (&gradient[i * voxels..], &gradient[j * voxels..]);
                let product = |offset: usize, row: &mut [f32]| {
                    let pairs = left[offset..].iter().zip(&right[offset..]);
                    for (to, (left, right)) in row.iter_mut().zip(pairs) {
                        *to = left * right;
                    }
                };
                smoothing.run(&product, &part, &Each, tensor);
            }
            let to = &mut out[done * plane..];
            combine_rows(&self.eigenvalues(), &tensor, len, to, extents.voxels());
        }
    }
}

/// Gives the values of a block from an offset on.
type Load<'a> = dyn Fn(usize, &mut [f32]) + 'a;

/// Planes of the first axis for which the structure tensor exists at a time.
const PLANES: usize = 32;

/// The axes of the entries on and above the diagonal of a matrix, row by row.
fn upper_triangle(ndim: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..ndim).flat_map(move |i| (i..ndim).map(move |j| (i, j)))
}

/// Extents of three axes, those that are missing in front given.
fn three(extents: &[u64], missing: usize) -> [usize; 3] {
    let mut all = [missing; 3];
    for (to, from) in all.iter_mut().rev().zip(extents.iter().rev()) {
        *to = *from as usize;
    }
    all
}

/// The length of the vectors whose components the correlations are.
struct Length;

impl Combine for Length {
    #[inline(always)]
    fn row(&self, from: &[f32], stride: usize, width: usize, to: &mut [f32], _: usize) {
        let to = &mut to[..width];
        to.fill(0.0);
        for component in from.chunks_exact(stride) {
            for (to, value) in to.iter_mut().zip(component) {
                *to += value * value;
            }
        }
        to.iter_mut().for_each(|to| *to = to.sqrt());
    }
}

/// The sum of the correlations.
struct Sum;

impl Combine for Sum {
    #[inline(always)]
    fn row(&self, from: &[f32], stride: usize, width: usize, to: &mut [f32], _: usize) {
        let to = &mut to[..width];
        to.copy_from_slice(&from[..width]);
        for term in from.chunks_exact(stride).skip(1) {
            for (to, value) in to.iter_mut().zip(term) {
                *to += value;
            }
        }
    }
}

/// The first correlation less the second.
struct Difference;

impl Combine for Difference {
    #[inline(always)]
    fn row(&self, from: &[f32], stride: usize, width: usize, to: &mut [f32], _: usize) {
        for ((to, first), second) in to[..width].iter_mut().zip(from).zip(&from[stride..]) {
            *to = first - second;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gaussian::mirrored;
    use super::*;
    use crate::grid::Grid;
    use proptest::prelude::*;

    fn filter(kind: FilterKind, sigma: &[f64], channel: Option<usize>) -> Filter {
        let wider: Vec<f64> = sigma.iter().map(|sigma| sigma + 0.6).collect();
        let outer = if kind.has_outer_scale() { wider } else { Vec::new() };
        Filter::new(kind, sigma, &outer, channel).unwrap()
    }

    fn whole(filter: &Filter, block: &Array) -> Vec<f32> {
        let filtered = filter.apply(block, &Region::whole(block.shape())).unwrap();
        assert_eq!(filtered.shape(), filter.output_shape(block.shape()));
        filtered.values::<f32>().unwrap().to_vec()
    }

    /// The correlation along each axis with kernels of these orders, voxel by voxel.
    fn derivative(values: &[f64], shape: &[u64], sigma: &[f64], orders: &[usize]) -> Vec<f64> {
        let strides = crate::array::strides(shape);
        let mut values = values.to_vec();
        for axis in 0..shape.len() {
            let kernel = Kernel::gaussian(sigma[axis], orders[axis]);
            let (extent, stride) = (shape[axis] as usize, strides[axis] as usize);
            let at = |voxel: usize, distance: isize| {
                let position = voxel / stride % extent;
                let other = mirrored(position as isize + distance, extent);
                values[voxel - position * stride + other * stride]
            };
            let radius = kernel.radius() as isize;
            let weighed = |voxel: usize| -> f64 {
                (-radius..=radius)
                    .map(|distance| {
                        let sign = if kernel.odd && distance < 0 { -1.0 } else { 1.0 };
                        let weight = kernel.weights[distance.unsigned_abs()];
                        sign * f64::from(weight) * at(voxel, distance)
                    })
                    .sum()
            };
            values = (0..values.len()).map(weighed).collect();
        }
        values
    }

    fn close(values: &[f32], expected: &[f64]) {
        assert_eq!(values.len(), expected.len());
        for (value, expected) in values.iter().zip(expected) {
            assert!((f64::from(*value) - expected).abs() < 2e-3, "{value} {expected}");
        }
    }

    fn orders(ndim: usize, axes: &[usize]) -> Vec<usize> {
        (0..ndim).map(|axis| axes.iter().filter(|a| **a == axis).count()).collect()
    }

    #[test]
    fn kernels_answer_a_slope_and_a_parabola_as_derivatives_do() {
        let slope: Vec<f32> = (0..41).map(|x| 3.0 * x as f32).collect();
        let parabola: Vec<f32> = (0..41).map(|x| 2.0 * (x as f32).powi(2)).collect();
        let at = Region::new([20], [1]);
        let value = |kind, values: &[f32]| {
            let block = Array::from_values(&[41], values).unwrap();
            filter(kind, &[1.7], None).apply(&block, &at).unwrap().values::<f32>().unwrap()[0]
        };
        let near = |value: f32, expected: f32| assert!((value - expected).abs() < 1e-3, "{value}");
        near(value(FilterKind::GaussianSmoothing, &slope), 60.0);
        near(value(FilterKind::GaussianGradientMagnitude, &slope), 3.0);
        near(value(FilterKind::LaplacianOfGaussian, &slope), 0.0);
        near(value(FilterKind::GaussianGradientMagnitude, &parabola), 80.0);
        near(value(FilterKind::LaplacianOfGaussian, &parabola), 4.0);
    }

    #[test]
    fn halos_are_the_support() {
        let halo = |kind, sigma: &[f64]| filter(kind, sigma, None).halo();
        assert_eq!(halo(FilterKind::GaussianSmoothing, &[2.0, 0.1]), [6, 1]);
        assert_eq!(halo(FilterKind::GaussianGradientMagnitude, &[2.0, 0.5]), [7, 2]);
        assert_eq!(halo(FilterKind::LaplacianOfGaussian, &[2.0, 1.0]), [8, 4]);
        assert_eq!(halo(FilterKind::HessianOfGaussianEigenvalues, &[2.0, 1.0]), [8, 4]);
        assert_eq!(halo(FilterKind::DifferenceOfGaussians, &[2.0, 1.0]), [8, 5]);
        assert_eq!(halo(FilterKind::StructureTensorEigenvalues, &[2.0, 1.0]), [7 + 8, 4 + 5]);
    }

    #[test]
    fn arguments_that_fit_no_image_are_refused() {
        let refused = |kind, sigma: &[f64], outer: &[f64], channel| {
            Filter::new(kind, sigma, outer, channel).unwrap_err().message
        };
        let smoothing = FilterKind::GaussianSmoothing;
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(refused(smoothing, &[1.0, bad], &[], None).contains("sigma"));
        }
        assert!(refused(smoothing, &[1.0; 4], &[], None).contains("1 to 3 axes"));
        assert!(refused(smoothing, &[1.0], &[2.0], None).contains("outer_scale"));
        assert!(refused(smoothing, &[1.0], &[], Some(0)).contains("channel"));
        let hessian = FilterKind::HessianOfGaussianEigenvalues;
        assert!(refused(hessian, &[1.0], &[], None).contains("2 to 3 axes"));
        assert!(refused(hessian, &[1.0; 2], &[], Some(2)).contains("channel 2"));
        let tensor = FilterKind::StructureTensorEigenvalues;
        assert!(refused(tensor, &[1.0; 2], &[], None).contains("requires 'outer_scale'"));
    }

    #[test]
    fn nan_spreads_as_far_as_the_filter_reaches() {
        let mut values = vec![1.0f32; 40];
        values[20] = f32::NAN;
        let block = Array::from_values(&[1, 40], &values).unwrap();
        let filtered = whole(&filter(FilterKind::GaussianSmoothing, &[1.0, 1.0], None), &block);
        let spread: Vec<usize> = (0..40).filter(|x| filtered[*x].is_nan()).collect();
        assert_eq!(spread, (17..=23).collect::<Vec<_>>());
    }

    #[test]
    fn a_region_that_lies_outside_is_an_error() {
        let block = Array::zeros(DType::U8, &[4, 4]);
        let smoothing = filter(FilterKind::GaussianSmoothing, &[1.0, 1.0], None);
        assert!(smoothing.apply(&block, &Region::new([1, 0], [4, 4])).is_err());
        assert!(smoothing.apply(&block, &Region::new([0], [4])).is_err());
        let none = smoothing.apply(&block, &Region::new([2, 2], [0, 2])).unwrap();
        assert_eq!(none.shape(), [0, 2]);
    }

    fn volumes() -> impl Strategy<Value = (Vec<u64>, Vec<u8>, Vec<f64>)> {
        (1usize..=3)
            .prop_flat_map(|ndim| {
                let extent = if ndim == 3 { 1..12u64 } else { 1..90 };
                (
                    proptest::collection::vec(extent, ndim),
                    proptest::collection::vec(0.2f64..2.5, ndim),
                )
            })
            .prop_flat_map(|(shape, sigma)| {
                let voxels = shape.iter().product::<u64>() as usize;
                (Just(shape), proptest::collection::vec(any::<u8>(), voxels), Just(sigma))
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn filters_are_what_their_definitions_say((shape, values, sigma) in volumes()) {
            let ndim = shape.len();
            let block = Array::from_values(&shape, &values).unwrap();
            let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            let of = |sigma: &[f64], axes: &[usize]| {
                derivative(&values, &shape, sigma, &orders(ndim, axes))
            };
            let added = |parts: Vec<Vec<f64>>| -> Vec<f64> {
                (0..values.len()).map(|i| parts.iter().map(|part| part[i]).sum()).collect()
            };
            let smoothing = filter(FilterKind::GaussianSmoothing, &sigma, None);
            close(&whole(&smoothing, &block), &of(&sigma, &[]));
            let gradient = filter(FilterKind::GaussianGradientMagnitude, &sigma, None);
            let squares = (0..ndim)
                .map(|axis| of(&sigma, &[axis]).iter().map(|v| v * v).collect())
                .collect();
            let length: Vec<f64> = added(squares).iter().map(|v: &f64| v.sqrt()).collect();
            close(&whole(&gradient, &block), &length);
            let laplacian = filter(FilterKind::LaplacianOfGaussian, &sigma, None);
            let second = (0..ndim).map(|axis| of(&sigma, &[axis, axis])).collect();
            close(&whole(&laplacian, &block), &added(second));
            let wider: Vec<f64> = sigma.iter().map(|sigma| sigma + 0.6).collect();
            let difference = filter(FilterKind::DifferenceOfGaussians, &sigma, None);
            let less = of(&wider, &[]).iter().map(|v| -v).collect();
            close(&whole(&difference, &block), &added(vec![of(&sigma, &[]), less]));
            if ndim > 1 {
                let hessian = whole(
                    &filter(FilterKind::HessianOfGaussianEigenvalues, &sigma, None),
                    &block,
                );
                let sums: Vec<f64> = (0..values.len())
                    .map(|i| (0..ndim).map(|c| f64::from(hessian[c * values.len() + i])).sum())
                    .collect();
                let second = (0..ndim).map(|axis| of(&sigma, &[axis, axis])).collect();
                let trace: Vec<f32> = added(second).iter().map(|v: &f64| *v as f32).collect();
                close(&trace, &sums);
            }
        }

        #[test]
        fn a_block_with_its_halo_gives_its_part_of_the_whole_to_the_bit(
            (shape, values, sigma) in volumes(),
            block_shape in proptest::array::uniform3(1u64..70),
            kind in proptest::sample::select(&FilterKind::ALL[..]),
            channel in proptest::option::of(0usize..2),
        ) {
            let ndim = shape.len();
            prop_assume!(ndim > 1 || !kind.has_channels());
            let image = Array::from_values(&shape, &values).unwrap();
            let filter = filter(kind, &sigma, channel.filter(|_| kind.has_channels()));
            let expected = filter.apply(&image, &Region::whole(&shape)).unwrap();
            let mut pasted = Array::zeros(DType::F32, expected.shape());
            let grid = Grid::new(Region::whole(&shape), &block_shape[..ndim]).unwrap();
            let grid = grid.with_halo(&filter.halo()).unwrap();
            for id in 0..grid.len() {
                let block = grid.block(id).unwrap();
                let mut outer = Array::zeros(DType::U8, &block.outer.shape);
                outer.paste(&vec![0; ndim], &image, &block.outer).unwrap();
                let part = filter.apply(&outer, &block.inner_in_outer()).unwrap();
                let at = block.inner.in_trailing_axes(expected.shape());
                pasted.paste(&at.start, &part, &Region::whole(part.shape())).unwrap();
            }
            prop_assert_eq!(pasted, expected);
        }
    }

    #[test]
    fn every_dtype_is_filtered() {
        let reference =
            Array::from_values::<f64>(&[2, 3], &[0.0, 1.0, 1.0, 0.0, 1.0, 0.0]).unwrap();
        let smoothing = filter(FilterKind::GaussianSmoothing, &[0.5, 0.7], None);
        let expected = whole(&smoothing, &reference);
        for dtype in DType::ALL {
            let block = reference.cast(dtype, crate::array::Cast::Checked).unwrap();
            assert_eq!(whole(&smoothing, &block), expected, "{dtype}");
        }
    }
}
