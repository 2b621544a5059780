//! Pyramid: an image and coarser and coarser ones, each made from the one above, in one OME-Zarr group.
//!
//! One pass for each level, over its own blocks: the first copies the image, every other reads what the
//! pass before it has written. Halo: none. Memory: the block, and the windows of the level above that it
//! is made from.

use super::blockwise::{only_input, write_to};
use super::copy::Copy;
use super::downsample::{Downsample, Method};
use super::parameters::{Group, GroupArray, Input, ONE_INPUT, Parameters, PerAxis};
use super::{ArrayShape, BlockIo, Operation, Product, Traffic, Writes};
use crate::array::Cast;
use crate::error::{Error, Result};
use crate::source::wrap::Align;
use crate::source::zarr::Version;
use crate::source::{Axis, Metadata, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Parameters of a pyramid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct Pyramid {
    /// How many arrays there are, the whole image included [default: until one has at most 64^3 voxels]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub levels: Option<u8>,
    /// Voxels that become one from level to level, such as 1,2,2 [default: 2 along axes of space]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("unit" = "voxels", "minimum" = 1))]
    #[arg(long, short = 'f', value_name = "N[,N...]")]
    pub scale_factor: Option<PerAxis<u64>>,
    /// How voxels become one; mode and sample are for labels
    #[serde(default = "mean")]
    #[arg(long, value_name = "HOW", default_value = "mean", value_enum)]
    pub method: Method,
    /// Version of OME-Zarr: 0.5, on Zarr v3, or 0.4, on Zarr v2
    #[serde(default)]
    #[arg(long, value_name = "VERSION", default_value_t, value_enum)]
    pub ome_zarr: OmeZarr,
    /// What happens to values that the output's data type cannot hold.
    #[serde(default)]
    #[arg(long, value_name = "HOW", default_value_t, value_enum, help_heading = "Output")]
    pub cast: Cast,
    /// The level that this pass makes.
    #[serde(skip)]
    #[schemars(skip)]
    #[arg(skip)]
    level: usize,
}

fn mean() -> Method {
    Method::Mean
}

/// A version of OME-Zarr.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
pub enum OmeZarr {
    /// On Zarr v2, for older readers.
    #[serde(rename = "0.4")]
    #[value(name = "0.4")]
    V0_4,
    /// On Zarr v3.
    #[default]
    #[serde(rename = "0.5")]
    #[value(name = "0.5")]
    V0_5,
}

/// Where no number of levels is given, the last one has no more voxels than this.
const SMALL: u64 = 1 << 18;

/// Most levels that there are.
const MOST_LEVELS: usize = 32;

/// One level.
#[derive(Clone, Debug, PartialEq)]
struct Level {
    shape: Vec<u64>,
    /// Voxels of the image for each of its voxels.
    scale: Vec<f64>,
    /// Where the centre of its first voxel lies, in voxels of the image.
    shift: Vec<f64>,
}

impl Pyramid {
    fn factors(&self, ndim: usize) -> Result<Vec<u64>> {
        let factor = self.scale_factor.clone().unwrap_or(PerAxis::All(2));
        let factors = factor.for_axes("scale_factor", ndim)?;
        if factors.contains(&0) {
            return Err(Error::argument(format!("scale_factor {factor} has a 0"))
                .about("scale_factor")
                .fix("Give factors of at least 1; an axis with factor 1 stays as it is."));
        }
        Ok(factors)
    }

    fn levels_of(&self, shape: &[u64]) -> Result<Vec<Level>> {
        let factors = self.factors(shape.len())?;
        let first = Level {
            shape: shape.to_vec(),
            scale: vec![1.0; shape.len()],
            shift: vec![0.0; shape.len()],
        };
        let mut levels = vec![first.clone()];
        let mut last = first;
        for _ in 1..self.levels.map_or(MOST_LEVELS, usize::from) {
            let mut next = last.clone();
            for (axis, factor) in factors.iter().enumerate() {
                let extent = last.shape[axis];
                let coarse = extent.div_ceil(*factor).max(1);
                // A window is no larger than the array; samples lie between its first and last voxel.
                let (ratio, shift) = match self.method.of_window() {
                    Some(_) => {
                        let window = (*factor).min(extent.max(1)) as f64;
                        (window, (window - 1.0) / 2.0)
                    }
                    None => (extent as f64 / coarse as f64, 0.0),
                };
                next.shape[axis] = coarse;
                next.scale[axis] = last.scale[axis] * ratio;
                next.shift[axis] = last.shift[axis] + last.scale[axis] * shift;
            }
            let enough = last.shape.iter().product::<u64>() <= SMALL || next.shape == last.shape;
            if self.levels.is_none() && enough {
                break;
            }
            levels.push(next.clone());
            last = next;
        }
        Ok(levels)
    }

    fn downsample(&self, ndim: usize) -> Result<Downsample> {
        Ok(Downsample {
            scale_factor: PerAxis::Each(self.factors(ndim)?),
            method: self.method,
            order: 0,
            anti_aliasing: false,
            align: Align::default(),
        })
    }
}

/// The axes as OME-Zarr has them: named, with a type, time before channels before space.
fn ome_axes(ndim: usize, known: &Metadata) -> Result<Vec<Axis>> {
    const NAMES: [&str; 5] = ["t", "c", "z", "y", "x"];
    let refused = |why: String| {
        Err(Error::argument(why).fix(
            "OME-Zarr has t, c, then two or three axes of space; transpose, or take a region.",
        ))
    };
    if !(2..=5).contains(&ndim) {
        return refused(format!("an image with {ndim} axes is none of OME-Zarr"));
    }
    let mut axes = known.axes.clone();
    axes.resize(ndim, Axis::default());
    if axes.iter().any(|axis| axis.name.is_empty()) {
        for (axis, name) in axes.iter_mut().zip(&NAMES[5 - ndim..]) {
            axis.name = (*name).to_owned();
        }
    }
    let order = |axis: &Axis| ["time", "channel", "space"].iter().position(|t| *t == kind(axis));
    let space = axes.iter().filter(|axis| kind(axis) == "space").count();
    let in_order = axes.windows(2).all(|pair| {
        let [before, after] = [order(&pair[0]), order(&pair[1])];
        before < after || (before == after && kind(&pair[0]) == "space")
    });
    let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
    let twice = (1..ndim).any(|index| names[..index].contains(&names[index]));
    if !(2..=3).contains(&space) || !in_order || twice {
        return refused(format!("an image with axes {} is none of OME-Zarr", names.join(", ")));
    }
    Ok(axes)
}

fn kind(axis: &Axis) -> &'static str {
    match axis.name.as_str() {
        "t" => "time",
        "c" => "channel",
        _ => "space",
    }
}

fn ome_axis(axis: &Axis) -> Value {
    let mut entry = json!({ "name": axis.name, "type": kind(axis) });
    if let Some(unit) = &axis.unit {
        entry["unit"] = json!(unit);
    }
    entry
}

impl Parameters for Pyramid {
    const NAME: &'static str = "pyramid";
    const INPUTS: &'static [Input] = ONE_INPUT;
    const PYTHON: Option<&'static str> = Some("bp.pyramid");
    const MAKES_GROUP: bool = true;

    fn group(&mut self, image: &dyn Source) -> Result<Group> {
        let shape = image.shape();
        if shape.contains(&0) {
            return Err(Error::argument("an image without voxels has no levels"));
        }
        let axes = ome_axes(shape.len(), &image.metadata())?;
        // From here on nothing is left to the image, which later passes do not ask.
        let factors = match &self.scale_factor {
            Some(_) => self.factors(shape.len())?,
            None => axes.iter().map(|axis| if kind(axis) == "space" { 2 } else { 1 }).collect(),
        };
        self.scale_factor = Some(PerAxis::Each(factors));
        let levels = self.levels_of(shape)?;
        self.levels = Some(levels.len() as u8);
        let size: Vec<f64> = axes.iter().map(|axis| axis.scale.unwrap_or(1.0)).collect();
        let times = |factors: &[f64]| -> Vec<f64> {
            factors.iter().zip(&size).map(|(factor, size)| factor * size).collect()
        };
        let mut datasets = Vec::new();
        let mut arrays = Vec::new();
        for (number, level) in levels.into_iter().enumerate() {
            let name = format!("s{number}");
            datasets.push(json!({
                "path": name,
                "coordinateTransformations": [
                    { "type": "scale", "scale": times(&level.scale) },
                    { "type": "translation", "translation": times(&level.shift) },
                ],
            }));
            let mut metadata = Metadata { axes: axes.clone(), ..Metadata::default() };
            for (axis, scale) in metadata.axes.iter_mut().zip(&level.scale) {
                axis.scale = axis.scale.map(|size| size * scale);
            }
            arrays.push(GroupArray { name, metadata });
        }
        let mut multiscale = json!({
            "axes": axes.iter().map(ome_axis).collect::<Vec<_>>(),
            "datasets": datasets,
            "type": self.method,
        });
        let (version, name, value) = match self.ome_zarr {
            OmeZarr::V0_4 => {
                multiscale["version"] = json!("0.4");
                (Version::V2, "multiscales", json!([multiscale]))
            }
            OmeZarr::V0_5 => {
                let ome = json!({ "version": "0.5", "multiscales": [multiscale] });
                (Version::V3, "ome", ome)
            }
        };
        let attributes = [(name.to_owned(), value)].into_iter().collect();
        Ok(Group { arrays, attributes, version })
    }
}

impl Operation for Pyramid {
    fn name(&self) -> &str {
        Pyramid::NAME
    }

    fn stage(&self) -> &str {
        if self.level == 0 { "copy" } else { "make a level" }
    }

    fn outputs(&self, inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        let input = only_input(Pyramid::NAME, inputs)?;
        let levels = self.levels_of(&input.shape)?.into_iter();
        Ok(levels.map(|level| ArrayShape { shape: level.shape, dtype: input.dtype }).collect())
    }

    fn block_bytes(&self, voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        let size = |arrays: &[ArrayShape]| arrays.first().map_or(0, |a| a.dtype.size() as u64);
        let (read, written) = (size(inputs), size(outputs));
        if self.level == 0 {
            return voxels * (read + written);
        }
        let ndim = inputs.first().map_or(0, |input| input.shape.len());
        let windows = self.factors(ndim).map_or(1, |factors| factors.iter().product());
        // What is read of chunks is there a second time while it is put together.
        voxels.saturating_mul(written).saturating_mul(1 + 2 * windows)
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        let Some(output) = io.outputs.get(self.level) else {
            return Err(Error::internal("a level has no array"));
        };
        if self.level == 0 {
            let io = BlockIo { outputs: &io.outputs[..1], ..*io };
            return Copy { cast: self.cast }.run(&io);
        }
        let above: Arc<dyn Source> = io.outputs[self.level - 1].clone().as_source();
        let block = self.downsample(above.shape().len())?.resized(above)?.read(&io.block.inner)?;
        io.cancel.check()?;
        let read = block.byte_len() as u64;
        let written = write_to(io, &**output, block, self.cast)?;
        Ok(Traffic { read, written }.into())
    }

    fn next(&self, _merged: Option<&Path>) -> Result<Option<Arc<dyn Operation>>> {
        let level = self.level + 1;
        let more = self.levels.is_some_and(|levels| level < usize::from(levels));
        Ok(more.then(|| Arc::new(Pyramid { level, ..self.clone() }) as Arc<dyn Operation>))
    }

    fn writes(&self) -> Writes {
        Writes::One(self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::source::memory::MemoryArray;

    fn pyramid(levels: Option<u8>, scale_factor: Option<PerAxis<u64>>) -> Pyramid {
        Pyramid {
            levels,
            scale_factor,
            method: Method::Mean,
            ome_zarr: OmeZarr::default(),
            cast: Cast::default(),
            level: 0,
        }
    }

    #[test]
    fn levels_lie_where_their_windows_do() {
        let levels = pyramid(Some(4), None).levels_of(&[1, 3, 9]).unwrap();
        let shapes: Vec<&[u64]> = levels.iter().map(|level| &level.shape[..]).collect();
        assert_eq!(shapes, [[1, 3, 9], [1, 2, 5], [1, 1, 3], [1, 1, 2]]);
        assert_eq!(levels[2].scale, [1.0, 4.0, 4.0]);
        // The mean of voxels 0 to 3 lies in the middle of them.
        assert_eq!(levels[2].shift, [0.0, 1.5, 1.5]);
        assert_eq!(levels[3].scale, [1.0, 4.0, 8.0]);
        let sampled = Pyramid { method: Method::Sample, ..pyramid(Some(2), None) };
        let levels = sampled.levels_of(&[9]).unwrap();
        assert_eq!((levels[1].scale[0], levels[1].shift[0]), (9.0 / 5.0, 0.0));
    }

    #[test]
    fn without_a_number_levels_end_where_one_is_small_or_the_same() {
        let count = |factor, shape: &[u64]| {
            pyramid(None, factor).levels_of(shape).map(|levels| levels.len()).unwrap()
        };
        assert_eq!(count(None, &[64, 64, 64]), 1);
        assert_eq!(count(None, &[65, 64, 64]), 2);
        assert_eq!(count(None, &[2048, 2048]), 3);
        assert_eq!(count(Some(PerAxis::All(1)), &[2048, 2048]), 1);
    }

    #[test]
    fn axes_are_named_and_only_those_of_space_become_coarser() {
        let image = MemoryArray::zeros(DType::U8, &[3, 700, 900]);
        let mut made = pyramid(Some(2), None);
        let group = made.group(&image).unwrap();
        assert_eq!(made.scale_factor, Some(PerAxis::Each(vec![2, 2, 2])));
        let ome = &group.attributes["ome"]["multiscales"][0];
        assert_eq!(ome["axes"][0], json!({ "name": "z", "type": "space" }));
        assert_eq!(group.arrays.len(), 2);
        let named = |names: &[&str]| {
            let axis = |name: &&str| Axis { name: (*name).to_owned(), ..Axis::default() };
            ome_axes(
                names.len(),
                &Metadata { axes: names.iter().map(axis).collect(), ..Metadata::default() },
            )
        };
        assert!(named(&["t", "c", "y", "x"]).is_ok());
        for bad in [&["c", "t", "y", "x"][..], &["y", "x", "c"], &["y", "y"], &["c", "x"], &["x"]] {
            assert!(named(bad).is_err(), "{bad:?}");
        }
    }
}
