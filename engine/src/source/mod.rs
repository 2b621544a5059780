//! Where voxels come from and go to. One file a format; every format is a [`Source`], and a [`Sink`]
//! where it can be written.

mod cache;
mod chunked;
mod file;
mod flat;
mod hierarchy;
pub mod memory;
pub mod metadata;
pub mod mrc;
pub mod n5;
pub mod nifti;
pub mod path;
mod store;
pub mod tiff;
mod units;
pub mod wrap;
pub mod zarr;

pub use metadata::{Axis, Metadata};

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::Region;
use crate::run::folder::PathMap;
use crate::run::language;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are held between blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Without which there is no reading at all, or none that ends in time.
    pub least: u64,
    /// With which nothing is decoded twice.
    pub most: u64,
}

impl Held {
    /// Bytes that cannot be less.
    pub fn exactly(bytes: u64) -> Self {
        Held { least: bytes, most: bytes }
    }

    /// Bytes that save decoding a few times.
    pub fn up_to(bytes: u64) -> Self {
        Held { least: 0, most: bytes }
    }
}

impl std::iter::Sum for Held {
    fn sum<I: Iterator<Item = Held>>(all: I) -> Held {
        all.fold(Held::default(), |sum, one| Held {
            least: sum.least.saturating_add(one.least),
            most: sum.most.saturating_add(one.most),
        })
    }
}

/// An array that regions can be read from, from any thread.
pub trait Source: Send + Sync {
    /// Extents, slowest axis first.
    fn shape(&self) -> &[u64];

    /// Data type of the voxels.
    fn dtype(&self) -> DType;

    /// What is decoded at once: the chunk, the inner chunk of a shard, or a TIFF page or tile.
    fn chunks(&self) -> Option<Vec<u64>> {
        None
    }

    /// The shard of a sharded array.
    fn shards(&self) -> Option<Vec<u64>> {
        None
    }

    /// Axes, voxel size and other facts that are carried over to an output.
    fn metadata(&self) -> Metadata {
        Metadata::default()
    }

    /// Compression and storage, as a user would write it (`zstd:3`, `deflate`, `none`).
    fn codec(&self) -> Option<String> {
        None
    }

    /// How this array is opened again elsewhere; none for arrays that live in this process only.
    fn spec(&self) -> Option<Spec>;

    /// A short text that changes when the stored data may have changed.
    ///
    /// # Errors
    /// `read-failed` and the like where the file cannot be examined.
    fn fingerprint(&self) -> Result<String>;

    /// What reading blocks of this shape, with so many voxels more on all sides, one after the other
    /// holds on to besides the blocks themselves, such as a band of decoded pages. Shared by all
    /// threads of a process.
    fn held_bytes(&self, block_shape: &[u64], halo: &[u64]) -> Held {
        let _ = (block_shape, halo);
        Held::default()
    }

    /// Bytes that reading a block of this shape takes besides the block itself, in each thread that
    /// reads.
    fn read_bytes(&self, block_shape: &[u64]) -> u64 {
        let _ = block_shape;
        0
    }

    /// Allows the source to hold that many bytes of decoded data between reads. Without a halo no
    /// voxel is read `again`.
    fn hold_at_most(&self, bytes: u64, again: bool) {
        let _ = (bytes, again);
    }

    /// Bytes on disk, where that is known without reading the data.
    fn stored_bytes(&self) -> Option<u64> {
        None
    }

    /// Reads a region, which lies inside the array.
    ///
    /// # Errors
    /// `corrupt-data`, `read-failed` and the like, naming the file.
    fn read(&self, region: &Region) -> Result<Array>;

    /// Reads the stored bytes of a chunk whose region this is exactly. Gives whether the chunk is
    /// stored; one that is not is all fill value.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn read_encoded(&self, chunk: &Region, bytes: &mut Vec<u8>) -> Result<bool> {
        let _ = (chunk, bytes);
        Err(Error::internal("this source has no encoded chunks"))
    }

    /// How chunks are encoded, in shards or not: two arrays with the same description hold the same
    /// bytes for the same voxels, so that chunks can be copied without decoding.
    fn encoding(&self) -> Option<String> {
        None
    }
}

/// Reads the stored bytes of a chunk; see [`Source::read_encoded`].
pub type ReadEncoded<'a> = dyn FnMut(&Region, &mut Vec<u8>) -> Result<bool> + 'a;

/// An array that regions can be written to, from any thread, as long as no two threads write to one
/// write unit at the same time.
pub trait Sink: Source {
    /// The extents that are written at once: the chunk, or the shard. None where any voxel can be
    /// written by itself.
    fn write_unit(&self) -> Option<Vec<u64>>;

    /// Where the first voxel lies in its write unit, if that is not the unit's start: in a region of
    /// another array.
    fn write_origin(&self) -> Option<Vec<u64>> {
        None
    }

    /// Whether write units are shards, which several blocks may fill one after the other.
    fn has_shards(&self) -> bool {
        self.shards().is_some()
    }

    /// Writes a block. Units that the block covers only in part are read, changed and written.
    /// When this returns, a reader sees either the old or the new content of a unit, never a part.
    /// Gives the number of bytes that were written.
    ///
    /// # Errors
    /// `disk-full`, `write-failed` and the like, naming the file.
    fn write(&self, region: &Region, block: &Array) -> Result<u64>;

    /// Whether the write units at the ends are whole, so that all can be stored as they are encoded.
    fn takes_encoded(&self) -> bool {
        true
    }

    /// Stores a write unit whose chunks are encoded already; `read` gives the bytes of each, as
    /// [`Source::read_encoded`] does. Gives the number of bytes that were written.
    ///
    /// # Errors
    /// As [`Sink::write`], and those of `read`.
    fn write_encoded(&self, unit: &Region, read: &mut ReadEncoded) -> Result<u64> {
        let _ = (unit, read);
        Err(Error::internal("this sink has no encoded chunks"))
    }

    /// Removes what an interrupted attempt to write this region may have left beside its units.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn discard_leftovers(&self, region: &Region) -> Result<()> {
        let _ = region;
        Ok(())
    }

    /// Whether what was written of this region is there; with `decode` also whether it decodes.
    ///
    /// # Errors
    /// As [`Source::read`] where that cannot be examined.
    fn verify(&self, region: &Region, decode: bool) -> Result<bool> {
        let _ = (region, decode);
        Ok(true)
    }

    /// The directory whose file system holds the data, to be flushed in one go.
    fn storage(&self) -> Option<PathBuf> {
        None
    }

    /// This array as a source.
    fn as_source(self: Arc<Self>) -> Arc<dyn Source>;
}

/// How an array is opened again, by any process that sees the same files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum Spec {
    /// An array in a Zarr hierarchy (v2 or v3) at `path`, inside it at `array`.
    Zarr {
        /// The store's folder.
        path: PathBuf,
        /// Path of the array in the store, empty for the root.
        #[serde(default)]
        array: String,
    },
    /// An array in an N5 store at `path`, inside it at `array`.
    N5 {
        /// The store's folder.
        path: PathBuf,
        /// Path of the array in the store, empty for the root.
        #[serde(default)]
        array: String,
    },
    /// An MRC file.
    Mrc {
        /// The file.
        path: PathBuf,
    },
    /// A NIfTI file, compressed or not.
    Nifti {
        /// The file.
        path: PathBuf,
    },
    /// A TIFF file, or slices of one stack in natural order.
    Tiff {
        /// The file, the folder of slices, or a glob pattern.
        path: PathBuf,
    },
    /// A region of another array.
    Roi {
        /// The whole array.
        source: Box<Spec>,
        /// The region.
        roi: Region,
    },
    /// Another array, changed while it is read.
    Wrapped {
        /// The array.
        source: Box<Spec>,
        /// What is done to it.
        wrap: wrap::Wrap,
    },
    /// An array that only the language which the run came from can open; `value` is its own affair.
    Foreign {
        /// Which language, such as `python`.
        language: String,
        /// The array as a user writes it.
        name: String,
        /// What the language needs.
        value: serde_json::Value,
    },
}

fn move_paths(value: &mut serde_json::Value, paths: &[PathMap]) {
    use serde_json::Value;
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| move_paths(value, paths)),
        Value::Object(fields) => {
            // What only a language can open, it opens by the same map.
            if fields.get("format").is_some_and(|format| format == "foreign")
                && let Some(Value::Object(own)) = fields.get_mut("value")
            {
                own.insert("paths".to_owned(), serde_json::json!(paths));
                return;
            }
            for (name, value) in fields {
                match value {
                    Value::String(path) if name == "path" => {
                        let moved = paths.iter().find_map(|map| {
                            Some(map.new.join(Path::new(&*path).strip_prefix(&map.old).ok()?))
                        });
                        if let Some(moved) = moved {
                            *path = moved.to_string_lossy().into_owned();
                        }
                    }
                    _ => move_paths(value, paths),
                }
            }
        }
        _ => {}
    }
}

impl Spec {
    /// The same array where folders have other names by now.
    ///
    /// # Errors
    /// `internal` where what results is no spec.
    pub fn moved(&self, paths: &[PathMap]) -> Result<Spec> {
        if paths.is_empty() {
            return Ok(self.clone());
        }
        let failed = |error: serde_json::Error| Error::internal(format!("a moved spec: {error}"));
        let mut value = serde_json::to_value(self).map_err(failed)?;
        move_paths(&mut value, paths);
        serde_json::from_value(value).map_err(failed)
    }

    /// The path as a user writes it.
    pub fn display(&self) -> String {
        match self {
            Spec::Zarr { path, array } | Spec::N5 { path, array } if !array.is_empty() => {
                format!("{}::{array}", path.display())
            }
            Spec::Zarr { path, .. }
            | Spec::N5 { path, .. }
            | Spec::Tiff { path }
            | Spec::Mrc { path }
            | Spec::Nifti { path } => path.display().to_string(),
            Spec::Roi { source, roi } => format!("{}[{roi}]", source.display()),
            Spec::Wrapped { source, .. } => source.display(),
            Spec::Foreign { name, .. } => name.clone(),
        }
    }

    /// What of the array lies in the file system, where the engine knows: its file, or the folder of
    /// its store or slices.
    pub fn path(&self) -> Option<&Path> {
        match self {
            // Of a pattern only the folder.
            Spec::Tiff { path } => path
                .ancestors()
                .find(|path| path.exists() || !path.to_string_lossy().contains(['*', '?', '['])),
            Spec::Zarr { path, .. }
            | Spec::N5 { path, .. }
            | Spec::Mrc { path }
            | Spec::Nifti { path } => Some(path),
            Spec::Roi { source, .. } | Spec::Wrapped { source, .. } => source.path(),
            Spec::Foreign { .. } => None,
        }
    }

    /// The stored array that a region is of, or that is changed while it is read; any other array
    /// itself.
    pub fn whole(&self) -> &Spec {
        match self {
            Spec::Roi { source, .. } | Spec::Wrapped { source, .. } => source.whole(),
            other => other,
        }
    }

    /// Whether writing to this array could change what the other shows: not where they are separate
    /// regions of one array.
    pub fn may_overlap(&self, other: &Spec) -> bool {
        match (self, other) {
            (Spec::Roi { source: a, roi: here }, Spec::Roi { source: b, roi: there })
                if a.is_same(b) =>
            {
                here.intersection(there).is_some()
            }
            _ => self.whole().is_same(other.whole()),
        }
    }

    /// Whether both are the same stored array, by whatever path.
    fn is_same(&self, other: &Spec) -> bool {
        let place = |spec: &Spec| match spec {
            Spec::Zarr { path, array } | Spec::N5 { path, array } => {
                path.join(array).canonicalize().ok()
            }
            Spec::Tiff { path } | Spec::Mrc { path } | Spec::Nifti { path } => {
                path.canonicalize().ok()
            }
            Spec::Roi { .. } | Spec::Wrapped { .. } | Spec::Foreign { .. } => None,
        };
        // What does not exist yet is nothing else.
        self == other || place(self).is_some_and(|here| place(other) == Some(here))
    }

    /// The language that is needed to open the array; none where the engine is enough.
    pub fn language(&self) -> Option<&str> {
        match self {
            Spec::Foreign { language, .. } => Some(language),
            Spec::Roi { source, .. } | Spec::Wrapped { source, .. } => source.language(),
            Spec::Zarr { .. }
            | Spec::N5 { .. }
            | Spec::Tiff { .. }
            | Spec::Mrc { .. }
            | Spec::Nifti { .. } => None,
        }
    }

    /// Opens the array for reading.
    ///
    /// # Errors
    /// `not-found`, `unsupported-codec`, `corrupt-data` and the like.
    pub fn open(&self) -> Result<Arc<dyn Source>> {
        match self {
            Spec::Zarr { path, array } => Ok(Arc::new(zarr::ZarrArray::open(path, array)?)),
            Spec::N5 { path, array } => Ok(Arc::new(n5::N5Array::open(path, array)?)),
            Spec::Tiff { path } => Ok(Arc::new(tiff::TiffStack::open(path)?)),
            Spec::Mrc { path } => Ok(Arc::new(mrc::MrcFile::open(path)?)),
            Spec::Nifti { path } => Ok(Arc::new(nifti::NiftiFile::open(path)?)),
            Spec::Roi { source, roi } => {
                Ok(Arc::new(wrap::RoiSource::new(source.open()?, roi.clone())?))
            }
            Spec::Wrapped { source, wrap } => wrap.clone().over(source.open()?),
            Spec::Foreign { language, value, .. } => language::find(language)?.open_source(value),
        }
    }

    /// Opens the array for writing.
    ///
    /// # Errors
    /// As [`Spec::open`]; `unsupported-format` for formats that are only read.
    pub fn open_sink(&self) -> Result<Arc<dyn Sink>> {
        match self {
            Spec::Zarr { path, array } => Ok(Arc::new(zarr::ZarrArray::open(path, array)?)),
            Spec::N5 { path, array } => Ok(Arc::new(n5::N5Array::open_writable(path, array)?)),
            Spec::Tiff { path } => Err(only_read(path, "TIFF")),
            Spec::Mrc { path } => Err(only_read(path, "MRC")),
            Spec::Nifti { path } => Err(only_read(path, "NIfTI")),
            Spec::Roi { source, roi } => {
                Ok(Arc::new(wrap::RoiSource::new(source.open_sink()?, roi.clone())?))
            }
            Spec::Wrapped { source, wrap } => {
                wrap.clone().over_sink(source.open_sink()?)?.ok_or_else(|| {
                    Error::argument(format!(
                        "'{}' is changed while it is read and cannot be an output",
                        source.display()
                    ))
                    .fix("Write to an array, or to a region of one.")
                })
            }
            Spec::Foreign { language, value, .. } => language::find(language)?.open_sink(value),
        }
    }
}

fn only_read(path: &Path, format: &str) -> Error {
    Error::new(
        Kind::UnsupportedFormat,
        format!("'{}' is a {format} file, which is only read", path.display()),
    )
    .fix("Write to a Zarr array, for example out.zarr.")
}
