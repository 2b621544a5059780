//! The array that a verb makes where its output is missing.

use super::options::{Shape, dtype_parser, push};
use crate::dtype::DType;
use crate::error::Result;
use crate::op::ArrayShape;
use crate::source::zarr::{Codec, NewArray, Version};
use crate::source::{Axis, Metadata, Source, Spec};

/// What may be asked of the output.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct NewArrayOptions {
    /// Extents of a chunk of a new output [default: the input's, else about 64 voxels a side]
    #[arg(long, value_name = "SHAPE", help_heading = "Output")]
    pub chunks: Option<Shape>,
    /// Extents of a shard of a new output [default: no shards]
    #[arg(long, value_name = "SHAPE", help_heading = "Output")]
    pub shards: Option<Shape>,
    /// Compression of a new output: none, zstd:3, gzip:6, blosc-lz4:5, ... [default: the input's, else zstd:3]
    #[arg(long, value_name = "CODEC", help_heading = "Output")]
    pub codec: Option<Codec>,
    /// Data type of the output [default: the input's, or what the operation gives]
    #[arg(long, value_name = "DTYPE", value_parser = dtype_parser(), help_heading = "Output")]
    pub dtype: Option<DType>,
}

impl NewArrayOptions {
    /// The options as words of the language.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        push(&mut words, "--chunks", self.chunks.as_ref());
        push(&mut words, "--shards", self.shards.as_ref());
        push(&mut words, "--codec", self.codec.as_ref());
        push(&mut words, "--dtype", self.dtype.map(DType::short_name).as_ref());
        words
    }

    /// The array to be made for a result of this shape and type, in the grid and with the codec of the
    /// input; axes and voxel size are those of what is read.
    ///
    /// # Errors
    /// `invalid-argument` for options that do not fit the shape.
    pub fn array(
        &self,
        result: &ArrayShape,
        input: &dyn Source,
        read: &dyn Source,
    ) -> Result<NewArray> {
        let ndim = result.shape.len();
        let given = |option: &str, shape: &Option<Shape>| {
            shape.as_ref().map(|shape| shape.for_axes(option, ndim)).transpose()
        };
        let metadata = with_channels(read.metadata(), ndim);
        let chunks = match given("--chunks", &self.chunks)? {
            Some(chunks) => chunks,
            None => default_chunks(input, &result.shape, &metadata),
        };
        Ok(NewArray {
            shape: result.shape.clone(),
            dtype: self.dtype.unwrap_or(result.dtype),
            shards: given("--shards", &self.shards)?,
            chunks,
            codec: self.codec.unwrap_or_else(|| default_codec(input)).to_string(),
            metadata,
            version: Version::default(),
        })
    }
}

/// The metadata of an array that has further axes, before the others: of channels.
fn with_channels(mut metadata: Metadata, ndim: usize) -> Metadata {
    let known = metadata.axes.len();
    if known > 0 && known < ndim {
        let channel = Axis { name: "c".to_owned(), ..Axis::default() };
        metadata.axes.splice(0..0, vec![channel; ndim - known]);
    }
    metadata
}

/// Voxels of a chunk where the input suggests no shape: 64 x 64 x 64, or 512 x 512.
const CHUNK_VOXELS: u64 = 1 << 18;

/// The chunks of an array made from `input`: those of a chunked array, since its author chose them;
/// pages of a TIFF file and arrays in memory give way to cubes, squares and lines of [`CHUNK_VOXELS`].
fn default_chunks(input: &dyn Source, shape: &[u64], metadata: &Metadata) -> Vec<u64> {
    if has_own_grid(input)
        && let Some(chunks) = input.chunks()
        && chunks.len() <= shape.len()
    {
        let mut all = vec![1; shape.len() - chunks.len()];
        all.extend(chunks);
        return all;
    }
    cubic_chunks(shape, metadata)
}

/// The codec of a Zarr or N5 array where it can be written, so that chunks can be passed through.
fn default_codec(input: &dyn Source) -> Codec {
    let own = input.codec().filter(|_| has_own_grid(input));
    own.and_then(|codec| Codec::parse(&codec).ok()).unwrap_or_default()
}

/// Whether somebody chose the input's chunks and codec for arrays that are worked on in blocks.
fn has_own_grid(input: &dyn Source) -> bool {
    let spec = input.spec();
    matches!(spec.as_ref().map(Spec::whole), Some(Spec::Zarr { .. } | Spec::N5 { .. }))
}

fn cubic_chunks(shape: &[u64], metadata: &Metadata) -> Vec<u64> {
    let name = |axis: usize| metadata.axes.get(axis).map_or("", |axis| axis.name.as_str());
    let mut chunks = vec![1; shape.len()];
    // The last three axes are space where the file does not say which are.
    let is_space = |axis: &usize| match name(*axis) {
        "" => *axis + 3 >= shape.len(),
        name => !matches!(name, "t" | "c"),
    };
    let mut axes: Vec<usize> = (0..shape.len()).filter(is_space).collect();
    axes.sort_by_key(|&axis| shape[axis]);
    let mut voxels = CHUNK_VOXELS as f64;
    for (done, &axis) in axes.iter().enumerate() {
        let left = (axes.len() - done) as f64;
        // The greatest power of two within the even share; a short axis leaves more to the others.
        let side = 1u64 << (voxels.powf(1.0 / left) + 1e-6).log2().floor() as u32;
        chunks[axis] = side.min(shape[axis].max(1));
        voxels /= chunks[axis] as f64;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::memory::MemoryArray;

    fn axes(names: &str) -> Metadata {
        Metadata {
            axes: names.chars().map(|c| Axis { name: c.into(), ..Axis::default() }).collect(),
            ..Metadata::default()
        }
    }

    #[test]
    fn new_chunks_are_cubes_of_space() {
        assert_eq!(cubic_chunks(&[500, 2000, 2000], &axes("zyx")), [64, 64, 64]);
        assert_eq!(cubic_chunks(&[2000, 3000], &axes("yx")), [512, 512]);
        assert_eq!(cubic_chunks(&[5, 3, 100, 900, 900], &axes("tczyx")), [1, 1, 64, 64, 64]);
        assert_eq!(cubic_chunks(&[5, 3, 100, 900, 900], &Metadata::default()), [1, 1, 64, 64, 64]);
        assert_eq!(cubic_chunks(&[10, 2000, 2000], &axes("zyx")), [10, 128, 128]);
        assert_eq!(cubic_chunks(&[100, 2000, 2000], &axes("tyx")), [1, 512, 512]);
        assert_eq!(cubic_chunks(&[1 << 20], &axes("x")), [1 << 18]);
        assert_eq!(cubic_chunks(&[0, 7], &Metadata::default()), [1, 7]);
    }

    #[test]
    fn channels_come_first_and_lie_in_chunks_of_their_own() {
        let names = |metadata: Metadata| -> String {
            metadata.axes.into_iter().map(|axis| axis.name).collect()
        };
        assert_eq!(names(with_channels(axes("zyx"), 4)), "czyx");
        assert_eq!(names(with_channels(Metadata::default(), 4)), "");
        let input = MemoryArray::zeros(DType::U8, &[300, 300, 300]);
        let result = ArrayShape { shape: vec![3, 300, 300, 300], dtype: DType::F32 };
        let new = NewArrayOptions::default().array(&result, &input, &input).unwrap();
        assert_eq!((new.chunks, new.dtype), (vec![1, 64, 64, 64], DType::F32));
    }
}
