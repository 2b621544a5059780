//! Grey morphology: erosion, dilation and what is made of them. A binary image is one of two values.
//!
//! Halo: the radius, twice for what erodes and dilates. Memory: the block, and as much twice more; for
//! the top-hats three times. There is nothing outside the image. NaN spreads as far as it is reached.

use super::ArrayShape;
use super::blockwise::{BlockOperation, cropped, only_block, only_input};
use super::kernel::grey::{Extreme, Neighbourhood, Shape, difference};
use super::parameters::PerAxis;
use crate::array::Array;
use crate::error::Result;
use crate::grid::{Block, Region};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is made of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// The extreme values.
    Once(Extreme),
    /// The extreme values, and of these the opposite ones.
    Twice(Extreme),
    /// The same, and the difference from the image.
    Difference(Extreme),
}

impl Made {
    fn halo(self, element: Result<Neighbourhood>, ndim: usize) -> Vec<u64> {
        let times = if matches!(self, Made::Once(_)) { 1 } else { 2 };
        // What is no neighbourhood has been refused with its outputs.
        let radius = element.map_or_else(|_| vec![0; ndim], |element| element.radius().to_vec());
        radius.iter().map(|radius| times * radius).collect()
    }

    fn block_bytes(self, voxels: u64, inputs: &[ArrayShape]) -> u64 {
        let blocks = if matches!(self, Made::Difference(_)) { 4 } else { 3 };
        blocks * voxels * inputs.iter().map(|input| input.dtype.size() as u64).sum::<u64>()
    }

    fn compute(self, outer: Array, element: &Neighbourhood, inner: &Region) -> Result<Array> {
        match self {
            Made::Once(extreme) => element.extreme(&outer, inner, extreme),
            Made::Twice(first) => twice(outer, element, inner, first),
            Made::Difference(first) => {
                let image = cropped(&outer, inner)?;
                let result = twice(outer, element, inner, first)?;
                match first {
                    Extreme::Least => difference(&image, &result),
                    Extreme::Greatest => difference(&result, &image),
                }
            }
        }
    }
}

/// The extreme values of what is needed for the inner region, and of these the opposite ones.
fn twice(outer: Array, element: &Neighbourhood, inner: &Region, first: Extreme) -> Result<Array> {
    let sides = inner.start.iter().zip(inner.end()).zip(element.radius()).zip(outer.shape());
    let (start, shape): (Vec<u64>, Vec<u64>) = sides
        .map(|(((start, end), radius), extent)| {
            let first = start.saturating_sub(*radius);
            (first, (end + radius).min(*extent) - first)
        })
        .unzip();
    let inner = inner.relative_to(&start);
    let step = element.extreme(&outer, &Region::new(start, shape), first)?;
    drop(outer);
    let opposite = match first {
        Extreme::Least => Extreme::Greatest,
        Extreme::Greatest => Extreme::Least,
    };
    element.extreme(&step, &inner, opposite)
}

macro_rules! grey {
    ($($(#[$doc:meta])* $name:ident = $verb:literal, $python:literal, $made:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
        pub struct $name {
            /// How far the neighbourhood reaches from its voxel, such as 1 or 0,2,2
            #[schemars(extend("unit" = "voxels"))]
            #[arg(long, value_name = "N[,N...]")]
            pub radius: PerAxis<u64>,
            /// Which voxels within the radius are neighbours
            #[serde(default)]
            #[arg(long, value_name = "SHAPE", default_value_t, value_enum)]
            pub shape: Shape,
        }

        impl $name {
            fn element(&self, ndim: usize) -> Result<Neighbourhood> {
                Neighbourhood::new(self.shape, &self.radius.for_axes("radius", ndim)?)
            }
        }

        impl BlockOperation for $name {
            const NAME: &'static str = $verb;
            const PYTHON: Option<&'static str> = Some($python);

            fn halo(&self, ndim: usize) -> Vec<u64> {
                $made.halo(self.element(ndim), ndim)
            }

            fn output(&self, inputs: &[ArrayShape]) -> Result<ArrayShape> {
                let input = only_input(Self::NAME, inputs)?;
                self.element(input.shape.len())?;
                Ok(input.clone())
            }

            fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape]) -> u64 {
                $made.block_bytes(outer_voxels, inputs)
            }

            fn compute(&self, blocks: Vec<Array>, block: &Block) -> Result<Array> {
                let element = self.element(block.outer.ndim())?;
                $made.compute(only_block(blocks)?, &element, &block.inner_in_outer())
            }
        }
    )*};
}

grey! {
    /// Parameters of an erosion.
    Erosion = "erosion", "bp.filters.erosion", Made::Once(Extreme::Least);

    /// Parameters of a dilation.
    Dilation = "dilation", "bp.filters.dilation", Made::Once(Extreme::Greatest);

    /// Parameters of an opening.
    Opening = "opening", "bp.filters.opening", Made::Twice(Extreme::Least);

    /// Parameters of a closing.
    Closing = "closing", "bp.filters.closing", Made::Twice(Extreme::Greatest);

    /// Parameters of a white top-hat.
    WhiteTophat = "white-tophat", "bp.filters.white_tophat", Made::Difference(Extreme::Least);

    /// Parameters of a black top-hat.
    BlackTophat = "black-tophat", "bp.filters.black_tophat", Made::Difference(Extreme::Greatest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::grid::Grid;

    fn applied<T: BlockOperation>(operation: &T, image: &Array, block_shape: &[u64]) -> Array {
        let ndim = image.shape().len();
        let grid = Grid::new(Region::whole(image.shape()), block_shape).unwrap();
        let grid = grid.with_halo(&operation.halo(ndim)).unwrap();
        let mut made = Array::zeros(image.dtype(), image.shape());
        for id in 0..grid.len() {
            let block = grid.block(id).unwrap();
            let outer = cropped(image, &block.outer).unwrap();
            let part = operation.compute(vec![outer], &block).unwrap();
            made.paste(&block.inner.start, &part, &Region::whole(part.shape())).unwrap();
        }
        made
    }

    #[test]
    fn what_is_narrower_than_the_neighbourhood_goes_and_is_the_tophat() {
        let values = [0u8, 7, 0, 5, 5, 6, 5, 0, 3, 3];
        let image = Array::from_values(&[10], &values).unwrap();
        let (radius, shape) = (PerAxis::All(1), Shape::Box);
        let opening = Opening { radius: radius.clone(), shape };
        let tophat = WhiteTophat { radius: radius.clone(), shape };
        let closing = Closing { radius: radius.clone(), shape };
        let black = BlackTophat { radius, shape };
        for block in [10, 4, 1] {
            let opened = [0, 0, 0, 5, 5, 5, 5, 0, 3, 3];
            assert_eq!(applied(&opening, &image, &[block]).values::<u8>().unwrap(), opened);
            let left: Vec<u8> = values.iter().zip(opened).map(|(a, b)| a - b).collect();
            assert_eq!(applied(&tophat, &image, &[block]).values::<u8>().unwrap(), left);
            let closed = [7, 7, 5, 5, 5, 6, 5, 3, 3, 3];
            assert_eq!(applied(&closing, &image, &[block]).values::<u8>().unwrap(), closed);
            let left: Vec<u8> = closed.iter().zip(values).map(|(a, b)| a - b).collect();
            assert_eq!(applied(&black, &image, &[block]).values::<u8>().unwrap(), left);
        }
    }

    #[test]
    fn a_radius_is_for_all_axes_or_for_each() {
        let erosion = |radius| Erosion { radius, shape: Shape::Ball };
        let input = [ArrayShape { shape: vec![5, 7], dtype: DType::F32 }];
        assert_eq!(erosion(PerAxis::Each(vec![0, 3])).halo(2), [0, 3]);
        assert_eq!(erosion(PerAxis::All(2)).output(&input).unwrap(), input[0]);
        let error = erosion(PerAxis::Each(vec![1])).output(&input).unwrap_err();
        assert!(error.message.contains("radius has 1 values"), "{}", error.message);
        assert!(erosion(PerAxis::All(1 << 40)).output(&input).is_err());
        let closing = Closing { radius: PerAxis::All(3), shape: Shape::Box };
        assert_eq!(closing.halo(2), [6, 6]);
    }
}
