//! Watershed from seeds: every seed grows over the landscape of an image, low parts first.
//!
//! Halo: as asked for; what a seed farther away would have reached stays 0 or goes to a nearer seed.
//! Memory: the blocks of heights and seeds with their halo, and some 20 bytes a voxel of it. Meyer's
//! flooding (1991) over 65536 steps of height: those of the block, or of a range that is given, with
//! which blocks of any shape have the same steps.

use super::blockwise::{cropped, write_to};
use super::kernel::to_f32;
use super::kernel::watershed::watershed;
use super::parameters::{Input, Parameters, PerAxis};
use super::{ArrayShape, BlockIo, Operation, Product, Traffic};
use crate::array::{Array, Cast};
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::error::{Error, Kind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of a watershed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Watershed {
    /// How far beyond its block a worker looks for seeds
    #[schemars(extend("unit" = "voxels"))]
    #[arg(long, value_name = "N[,N...]")]
    pub halo: PerAxis<u64>,
    /// Lowest and highest height, between which there are 65536 steps [default: those of each block]
    #[serde(default)]
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',', allow_hyphen_values = true)]
    pub range: Vec<f64>,
}

impl Parameters for Watershed {
    const NAME: &'static str = "watershed";
    const INPUTS: &'static [Input] = &[
        Input { name: "SRC", help: "Image of heights, such as boundary probabilities" },
        Input { name: "SEEDS", help: "Image of seeds: labels that grow, 0 elsewhere" },
    ];
    const PYTHON: Option<&'static str> = None;
}

impl Watershed {
    fn range(&self) -> Result<Option<[f64; 2]>> {
        match self.range[..] {
            [] => Ok(None),
            [low, high] if low < high && (high - low).is_finite() => Ok(Some([low, high])),
            _ => Err(Error::argument(format!("range {:?} is none", self.range))
                .about("range")
                .fix("Give the lowest and the highest height, such as 0,1.")),
        }
    }

    fn flood<H: Element + Into<f64>>(
        &self,
        heights: &[H],
        seeds: &Array,
        mask: Option<&[bool]>,
    ) -> Result<Array> {
        let (shape, range) = (seeds.shape(), self.range()?);
        dispatch!(seeds.dtype(), S => {
            let flooded = watershed(heights, seeds.values::<S>()?, mask, shape, range)?;
            Array::from_values(shape, &flooded)
        })
    }
}

impl Operation for Watershed {
    fn name(&self) -> &str {
        Watershed::NAME
    }

    fn halo(&self, ndim: usize) -> Vec<u64> {
        // A halo for other axes is refused before anything is read.
        self.halo.for_axes("halo", ndim).unwrap_or_else(|_| vec![0; ndim])
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        let [heights, _] = inputs else {
            let given = inputs.len();
            return Err(Error::argument(format!("watershed takes two inputs, not {given}")));
        };
        self.halo.for_axes("halo", heights.shape.len())?;
        self.range()?;
        Ok(vec![ArrayShape { shape: heights.shape.clone(), dtype: DType::U64 }])
    }

    fn check_output(&self, output: DType) -> Result<()> {
        if output.is_integer() {
            return Ok(());
        }
        Err(Error::new(
            Kind::DtypeMismatch,
            format!("output must have an integer dtype, got {output}."),
        )
        .about("dtype"))
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        let size = |arrays: &[ArrayShape]| -> u64 {
            arrays.iter().map(|array| array.dtype.size() as u64).sum()
        };
        // Heights in single precision, steps, and basins with and without the halo.
        voxels * (size(inputs) + 4 + 8 + 16 + size(outputs))
    }

    fn masks_halo(&self) -> bool {
        true
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        let outer = &io.block.outer;
        let heights = io.inputs[0].read(outer)?;
        let mut seeds = io.inputs[1].read(outer)?;
        let read = (heights.byte_len() + seeds.byte_len()) as u64;
        if !seeds.dtype().is_integer() {
            seeds = seeds.cast(DType::U32, Cast::default())?;
        }
        io.cancel.check()?;
        let mask = io.counted()?;
        let flooded = match heights.dtype() {
            DType::F32 => self.flood(heights.values::<f32>()?, &seeds, mask)?,
            DType::F64 => self.flood(heights.values::<f64>()?, &seeds, mask)?,
            _ => self.flood(&to_f32(&heights)?, &seeds, mask)?,
        };
        drop((heights, seeds));
        io.cancel.check()?;
        let basins = cropped(&flooded, &io.block.inner_in_outer())?;
        // Outside the mask there is no basin, which is written as such.
        let whole = BlockIo { mask: None, ..*io };
        let written = write_to(&whole, &*io.outputs[0], basins, Cast::default())?;
        Ok(Traffic { read, written }.into())
    }
}
