//! Zarr arrays: versions 2 and 3 are read and written, new ones are version 3 unless asked otherwise.
//!
//! zarrs knows the metadata and the codecs; files are read and written here (see [`super::store`]), so that
//! no reader and no later attempt ever meets a torn chunk.
//!
//! Every chunk that a block covers is stored, also where it holds nothing but the fill value: when
//! a run is resumed, a missing file then proves that the block was not written. The exception are
//! chunks that a source does not store and that are passed through encoded ([`Sink::write_encoded`]
//! with `None`, which writes 0 bytes). Inside a shard, chunks of nothing but fill value are left out.

mod attributes;
mod blocks;
mod codec;
mod create;
mod description;
mod lz4;
mod node;
mod pipeline;
mod shard;

pub use codec::Codec;
pub use create::{GroupDescription, describe_group_above, multiscales_in};

use super::cache::ChunkCache;
use super::chunked::{self, layer_bytes};
use super::path::absolute;
use super::store;
use super::{Held, Metadata, ReadEncoded, Sink, Source, Spec};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::Region;
use description::{Description, Layout};
use node::ArrayNode;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A Zarr array, version 2 or 3.
pub struct ZarrArray {
    store: PathBuf,
    inner: String,
    folder: PathBuf,
    metadata_file: PathBuf,
    metadata: Metadata,
    description: Description,
    cache: ChunkCache,
}

/// Version of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// Zarr v2, which knows no shards.
    V2,
    /// Zarr v3.
    #[default]
    V3,
}

/// What a new array is to be.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NewArray {
    /// Extents.
    pub shape: Vec<u64>,
    /// Data type.
    pub dtype: DType,
    /// Extents of a chunk (of an inner chunk, where there are shards).
    pub chunks: Vec<u64>,
    /// Extents of a shard: multiples of the chunk's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<Vec<u64>>,
    /// Compression, as the command line writes it (see [`Codec`]).
    pub codec: String,
    /// Axes, voxel size and attributes.
    pub metadata: Metadata,
    /// Version of the format.
    #[serde(default)]
    pub version: Version,
}

impl ZarrArray {
    /// Opens the array at `array` inside the store at `path`; `array` may be empty or name a group
    /// if it holds exactly one array.
    ///
    /// # Errors
    /// `not-found` with the nearest name, `ambiguous-array` listing the arrays, `unsupported-codec`,
    /// `dtype-mismatch` or `unsupported-format` naming what is not read, `corrupt-data` for damaged
    /// metadata.
    pub fn open(path: &Path, array: &str) -> Result<Self> {
        let store = absolute(path);
        let (inner, node) = node::find(&store, &node::HIERARCHY.inner_path(array)?)?;
        ZarrArray::from_node(store, inner, &node)
    }

    fn from_node(store: PathBuf, inner: String, node: &ArrayNode) -> Result<Self> {
        let name = Spec::Zarr { path: store.clone(), array: inner.clone() }.display();
        let description = Description::new(node, &name)?;
        Ok(ZarrArray {
            // Joined with an empty path, the folder would end in a separator.
            folder: if inner.is_empty() { store.clone() } else { store.join(&inner) },
            metadata: attributes::read(&store, &inner, node, description.shape.len()),
            metadata_file: node.file.clone(),
            store,
            inner,
            description,
            cache: ChunkCache::default(),
        })
    }

    /// Creates an array (Zarr v3), and the groups above it if it lies inside a store.
    ///
    /// # Errors
    /// `invalid-argument` for a grid or codec that cannot be; `already-exists` if something is in
    /// its place, unless that is an array and `overwrite` is set.
    pub fn create(path: &Path, array: &str, new: &NewArray, overwrite: bool) -> Result<Self> {
        let store = absolute(path);
        let inner = node::HIERARCHY.inner_path(array)?;
        create::create(&store, &inner, new, overwrite)?;
        ZarrArray::open(&store, &inner)
    }

    /// Checks that an array can be created, without doing so.
    ///
    /// # Errors
    /// Those of [`ZarrArray::create`].
    pub fn check_new(path: &Path, array: &str, new: &NewArray, overwrite: bool) -> Result<()> {
        let inner = node::HIERARCHY.inner_path(array)?;
        create::check(&absolute(path), &inner, new, overwrite).map(|_| ())
    }

    /// Paths of the arrays inside the store at `path`; the empty path if it is an array itself.
    ///
    /// # Errors
    /// `not-found` and the like where the folder cannot be listed.
    pub fn list(path: &Path) -> Result<Vec<String>> {
        node::HIERARCHY.list(path)
    }
}

impl Source for ZarrArray {
    fn shape(&self) -> &[u64] {
        &self.description.shape
    }

    fn dtype(&self) -> DType {
        self.description.dtype
    }

    fn chunks(&self) -> Option<Vec<u64>> {
        Some(self.chunk_shape().to_vec())
    }

    fn shards(&self) -> Option<Vec<u64>> {
        matches!(self.description.layout, Layout::Shard(_)).then(|| self.description.unit.clone())
    }

    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn codec(&self) -> Option<String> {
        Some(self.description.codec.clone())
    }

    fn spec(&self) -> Option<Spec> {
        Some(Spec::Zarr { path: self.store.clone(), array: self.inner.clone() })
    }

    /// Changes with the metadata, and with the names, sizes and times of the first few thousand
    /// chunk files and folders. Chunks that are added, removed or replaced by rename change the time
    /// of their folder; one that is rewritten in place behind those thousands goes unnoticed.
    fn fingerprint(&self) -> Result<String> {
        chunked::fingerprint(&self.folder, &self.metadata_file)
    }

    /// Chunks that a block covers in part are kept until its neighbours have read the rest: along
    /// the first axis on which blocks cut chunks, that is a layer of chunks over all later axes.
    fn held_bytes(&self, block_shape: &[u64], halo: &[u64]) -> Held {
        Held::up_to(layer_bytes(self.shape(), self.chunk_shape(), self.dtype(), block_shape, halo))
    }

    fn hold_at_most(&self, bytes: u64, again: bool) {
        self.cache.set_budget(bytes, again);
    }

    fn stored_bytes(&self) -> Option<u64> {
        chunked::stored_bytes(&self.folder)
    }

    fn read(&self, region: &Region) -> Result<Array> {
        self.read_region(region)
    }

    fn read_encoded(&self, chunk: &Region, bytes: &mut Vec<u8>) -> Result<bool> {
        self.read_encoded_chunk(chunk, bytes)
    }

    fn encoding(&self) -> Option<String> {
        Some(self.description.encoding.clone())
    }
}

impl Sink for ZarrArray {
    fn write_unit(&self) -> Option<Vec<u64>> {
        Some(self.description.unit.clone())
    }

    fn write(&self, region: &Region, block: &Array) -> Result<u64> {
        self.write_region(region, block)
    }

    fn write_encoded(&self, unit: &Region, read: &mut ReadEncoded) -> Result<u64> {
        self.forget_cached(unit);
        self.write_encoded_unit(unit, read)
    }

    /// Takes one system call a unit, however many files there are.
    fn discard_leftovers(&self, region: &Region) -> Result<()> {
        self.units_of(region)
            .try_for_each(|position| store::remove_leftover(&self.unit_path(&position)))
    }

    fn verify(&self, region: &Region, decode: bool) -> Result<bool> {
        self.verify_region(region, decode)
    }

    fn storage(&self) -> Option<PathBuf> {
        Some(self.folder.clone())
    }

    fn as_source(self: Arc<Self>) -> Arc<dyn Source> {
        self
    }
}
