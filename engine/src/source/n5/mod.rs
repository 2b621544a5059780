//! N5 arrays, read and written: a file for each block, its numbers big endian.
//!
//! N5 counts axes from the fastest one on. They are presented the other way round, as in Zarr: what
//! `attributes.json` calls `[x, y, z]` has shape (z, y, x).
//!
//! A block that is not stored is all zeros. Blocks at the end of the array may be stored whole or cut
//! off at the array's border, as their header says; here they are written cut off, as most programs
//! do it.

mod attributes;
mod blocks;
mod codec;
mod lz4;

use super::cache::ChunkCache;
use super::chunked::{self, layer_bytes};
use super::path::absolute;
use super::{Held, Metadata, Sink, Source, Spec, store};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::Region;
pub(super) use attributes::is_container;
use attributes::{Attributes, HIERARCHY};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An N5 array.
pub struct N5Array {
    store: PathBuf,
    inner: String,
    folder: PathBuf,
    attributes: Attributes,
    cache: ChunkCache,
}

impl N5Array {
    /// Opens the array at `array` inside the store at `path`; `array` may be empty or name a group
    /// if it holds exactly one array.
    ///
    /// # Errors
    /// `not-found` with the nearest name, `ambiguous-array` listing the arrays, `unsupported-codec`
    /// and `dtype-mismatch` naming what is not read, `corrupt-data` for damaged metadata.
    pub fn open(path: &Path, array: &str) -> Result<Self> {
        let store = absolute(path);
        let inner = HIERARCHY.inner_path(array)?;
        let folder = store.join(&inner);
        if !folder.is_dir() {
            return Err(HIERARCHY.missing(&store, &inner));
        }
        let inner = match attributes::read(&folder)? {
            Some(_) => inner,
            None => HIERARCHY.only_below(&store, &inner)?,
        };
        // Joined with an empty path, the folder would end in a separator.
        let folder = if inner.is_empty() { store.clone() } else { store.join(&inner) };
        let json = attributes::read(&folder)?.ok_or_else(|| HIERARCHY.missing(&store, &inner))?;
        let attributes = Attributes::new(&folder, json)?;
        Ok(N5Array { store, inner, folder, attributes, cache: ChunkCache::default() })
    }

    /// Opens an array to be written.
    ///
    /// # Errors
    /// As [`N5Array::open`]; `unsupported-codec` for a compression that is only read.
    pub fn open_writable(path: &Path, array: &str) -> Result<Self> {
        let opened = N5Array::open(path, array)?;
        opened.attributes.codec.check_writable(&opened.folder)?;
        Ok(opened)
    }

    /// Paths of the arrays inside the store at `path`; the empty path if it is an array itself.
    ///
    /// # Errors
    /// `read-failed` and the like where the folder cannot be listed.
    pub fn list(path: &Path) -> Result<Vec<String>> {
        HIERARCHY.list(path)
    }
}

impl Source for N5Array {
    fn shape(&self) -> &[u64] {
        &self.attributes.shape
    }

    fn dtype(&self) -> DType {
        self.attributes.dtype
    }

    fn chunks(&self) -> Option<Vec<u64>> {
        Some(self.attributes.chunks.clone())
    }

    fn metadata(&self) -> Metadata {
        self.attributes.metadata.clone()
    }

    fn codec(&self) -> Option<String> {
        Some(self.attributes.codec.to_string())
    }

    fn spec(&self) -> Option<Spec> {
        Some(Spec::N5 { path: self.store.clone(), array: self.inner.clone() })
    }

    fn fingerprint(&self) -> Result<String> {
        chunked::fingerprint(&self.folder, &self.folder.join(attributes::FILE))
    }

    /// Blocks of the file that a block of the run covers in part are kept until its neighbours have
    /// read the rest.
    fn held_bytes(&self, block_shape: &[u64], halo: &[u64]) -> Held {
        let chunks = &self.attributes.chunks;
        Held::up_to(layer_bytes(self.shape(), chunks, self.dtype(), block_shape, halo))
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
}

impl Sink for N5Array {
    fn write_unit(&self) -> Option<Vec<u64>> {
        Some(self.attributes.chunks.clone())
    }

    fn write(&self, region: &Region, block: &Array) -> Result<u64> {
        self.write_region(region, block)
    }

    fn discard_leftovers(&self, region: &Region) -> Result<()> {
        self.chunks_of(region).try_for_each(|at| store::remove_leftover(&self.chunk_path(&at)))
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
