//! The file format of a shard: encoded chunks one after the other, and an index of where they lie.

use super::pipeline::Pipeline;
use crate::error::{Error, Result};
use crate::source::store::Replacement;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use zarrs::array::{CodecChain, DataType, FillValue, data_type};
use zarrs::metadata::v3::MetadataV3;

/// Offset and length of the chunks that a shard does not store.
const ABSENT: [u64; 2] = [u64::MAX; 2];

/// Entries (16 bytes each) of all shard indices that one array keeps.
const MOST_KEPT_ENTRIES: usize = 1 << 18;

/// How the shards of an array are laid out.
pub struct ShardFormat {
    /// Codes the inner chunks.
    pub chunks: Pipeline,
    /// Extents of an inner chunk.
    pub chunk_shape: Vec<u64>,
    /// Inner chunks of a shard along each axis.
    pub chunks_per_axis: Vec<u64>,
    index: Pipeline,
    index_len: u64,
    index_at_start: bool,
    kept: Mutex<HashMap<u64, (Stamp, Arc<Index>)>>,
}

/// Where the chunks of one shard lie: offset and length of each, in C order.
pub struct Index(Vec<[u64; 2]>);

/// Tells one content of a file from another, since shards are replaced by rename.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Stamp { inode: file.ino(), len: file.len(), modified: (file.mtime(), file.mtime_nsec()) }
    }
}

impl ShardFormat {
    /// From the configuration of a sharding codec.
    pub fn new(
        config: &Value,
        shard_shape: &[u64],
        data_type: &DataType,
        fill_value: &FillValue,
    ) -> Result<Self, String> {
        let chain = |key: &str| {
            let codecs = config.get(key).cloned().unwrap_or_default();
            let codecs: Vec<MetadataV3> =
                serde_json::from_value(codecs).map_err(|error| format!("{key}: {error}"))?;
            CodecChain::from_metadata(&codecs).map_err(|error| format!("{key}: {error}"))
        };
        let chunk_shape: Vec<u64> =
            serde_json::from_value(config.get("chunk_shape").cloned().unwrap_or_default())
                .map_err(|error| format!("chunk_shape: {error}"))?;
        let divides = chunk_shape.len() == shard_shape.len()
            && chunk_shape
                .iter()
                .zip(shard_shape)
                .all(|(chunk, shard)| shard.checked_rem(*chunk) == Some(0));
        if !divides {
            return Err(format!("chunks {chunk_shape:?} do not divide shards {shard_shape:?}"));
        }
        let chunks_per_axis: Vec<u64> =
            shard_shape.iter().zip(&chunk_shape).map(|(shard, chunk)| shard / chunk).collect();
        let index_shape: Vec<u64> = chunks_per_axis.iter().copied().chain([2]).collect();
        let index = Pipeline::new(
            chain("index_codecs")?,
            &index_shape,
            &data_type::uint64(),
            &FillValue::from(u64::MAX),
        )?;
        Ok(ShardFormat {
            chunks: Pipeline::new(chain("codecs")?, &chunk_shape, data_type, fill_value)?,
            chunk_shape,
            chunks_per_axis,
            index_len: index.encoded_len().ok_or("its shard index has no fixed size")?,
            index,
            index_at_start: config.get("index_location").and_then(Value::as_str) == Some("start"),
            kept: Mutex::default(),
        })
    }

    /// Inner chunks of a shard.
    pub fn chunks_in_shard(&self) -> usize {
        self.chunks_per_axis.iter().product::<u64>() as usize
    }

    /// The index of a shard that is stored in `file`; `number` is the shard's.
    ///
    /// An index is kept for as long as the file stays the same.
    pub fn read_index(&self, number: u64, file: &File, path: &Path) -> Result<Arc<Index>, Damage> {
        let stamp = Stamp::of(&file.metadata().map_err(|error| Error::read(path, &error))?);
        if let Some((at, index)) = self.lock().get(&number)
            && *at == stamp
        {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(self.decode_index(file, path, stamp.len)?);
        let mut kept = self.lock();
        if (kept.len() + 1) * self.chunks_in_shard() > MOST_KEPT_ENTRIES {
            kept.clear();
        }
        kept.insert(number, (stamp, Arc::clone(&index)));
        Ok(index)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (Stamp, Arc<Index>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decode_index(&self, file: &File, path: &Path, len: u64) -> Result<Index, Damage> {
        let Some(end) = len.checked_sub(self.index_len) else {
            return Err(Damage::Torn(format!("it has {len} bytes, less than its index")));
        };
        let mut encoded = vec![0; self.index_len as usize];
        file.read_exact_at(&mut encoded, if self.index_at_start { 0 } else { end })
            .map_err(|error| Error::read(path, &error))?;
        let mut entries = vec![ABSENT; self.chunks_in_shard()];
        self.index
            .decode(&encoded, bytemuck::cast_slice_mut(&mut entries))
            .map_err(|why| Damage::Torn(format!("its index: {why}")))?;
        let inside =
            |[offset, size]: [u64; 2]| offset.checked_add(size).is_some_and(|end| end <= len);
        if entries.iter().any(|&entry| entry != ABSENT && !inside(entry)) {
            return Err(Damage::Torn("its index points behind its end".into()));
        }
        Ok(Index(entries))
    }

    /// Bytes before the first chunk.
    fn header_len(&self) -> u64 {
        if self.index_at_start { self.index_len } else { 0 }
    }

    /// The bytes of an index.
    fn encode_index(&self, index: &Index) -> Result<Vec<u8>> {
        let mut buffer = Vec::new();
        Ok(self.index.encode(bytemuck::cast_slice(&index.0), &mut buffer)?.to_vec())
    }
}

/// Writes a shard chunk by chunk; it takes the old one's place when it is finished.
pub struct ShardWriter<'a> {
    format: &'a ShardFormat,
    index: Index,
    file: Replacement<'a>,
}

impl<'a> ShardWriter<'a> {
    /// Begins the shard in the file `path`.
    pub fn begin(format: &'a ShardFormat, path: &'a Path) -> Result<Self> {
        let mut file = Replacement::begin(path)?;
        file.append(&vec![0; format.header_len() as usize])?;
        Ok(ShardWriter { format, index: Index(vec![ABSENT; format.chunks_in_shard()]), file })
    }

    /// Adds an encoded chunk by its number in the shard.
    pub fn add(&mut self, chunk: usize, bytes: &[u8]) -> Result<()> {
        self.index.0[chunk] = [self.file.len(), bytes.len() as u64];
        self.file.append(bytes)
    }

    /// Adds the index. Gives the bytes of the shard.
    pub fn finish(mut self) -> Result<u64> {
        let index = self.format.encode_index(&self.index)?;
        if self.format.header_len() > 0 {
            self.file.overwrite_start(&index)?;
        } else {
            self.file.append(&index)?;
        }
        let written = self.file.len();
        self.file.commit()?;
        Ok(written)
    }
}

/// Why a shard or chunk could not be read.
pub enum Damage {
    /// Its bytes make no sense.
    Torn(String),
    /// The operating system failed.
    Failed(Error),
}

impl From<Error> for Damage {
    fn from(error: Error) -> Self {
        Damage::Failed(error)
    }
}

impl Index {
    /// Reads the stored bytes of a chunk. Gives whether the shard stores it.
    pub fn read_chunk(
        &self,
        chunk: usize,
        file: &File,
        path: &Path,
        buffer: &mut Vec<u8>,
    ) -> Result<bool> {
        let [offset, len] = self.0[chunk];
        if self.0[chunk] == ABSENT {
            return Ok(false);
        }
        buffer.resize(len as usize, 0);
        file.read_exact_at(buffer, offset).map_err(|error| Error::read(path, &error))?;
        Ok(true)
    }
}
