//! Zarr arrays.

use super::{Metadata, Sink, Source, Spec};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::Region;
use std::path::Path;
use std::sync::Arc;

/// A Zarr array, version 2 or 3.
pub struct ZarrArray {}

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
    /// Compression, as the command line writes it.
    pub codec: String,
    /// Axes, voxel size and attributes.
    pub metadata: Metadata,
}

impl ZarrArray {
    /// Opens the array at `array` inside the store at `path`.
    pub fn open(_path: &Path, _array: &str) -> Result<Self> {
        Err(crate::Error::internal("not here yet"))
    }

    /// Creates an array (Zarr v3) and the groups above it.
    pub fn create(_path: &Path, _array: &str, _new: &NewArray, _overwrite: bool) -> Result<Self> {
        Err(crate::Error::internal("not here yet"))
    }

    /// Paths of the arrays inside the store at `path`.
    pub fn list(_path: &Path) -> Result<Vec<String>> {
        Err(crate::Error::internal("not here yet"))
    }
}

impl Source for ZarrArray {
    fn shape(&self) -> &[u64] {
        &[]
    }
    fn dtype(&self) -> DType {
        DType::U8
    }
    fn spec(&self) -> Option<Spec> {
        None
    }
    fn fingerprint(&self) -> Result<String> {
        Err(crate::Error::internal("not here yet"))
    }
    fn read(&self, _region: &Region) -> Result<Array> {
        Err(crate::Error::internal("not here yet"))
    }
}

impl Sink for ZarrArray {
    fn write_unit(&self) -> Option<Vec<u64>> {
        None
    }
    fn write(&self, _region: &Region, _block: &Array) -> Result<u64> {
        Err(crate::Error::internal("not here yet"))
    }
    fn as_source(self: Arc<Self>) -> Arc<dyn Source> {
        self
    }
}
