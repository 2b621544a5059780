//! The codecs of one chunk: voxels to bytes and back.
//!
//! zarrs does the work, but for what is met most: chunks that are stored as they are or with zstd
//! alone are coded straight into the caller's memory with contexts that each thread keeps.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::cell::RefCell;
use std::num::NonZeroU64;
use zarrs::array::codec::{BytesCodec, ZstdCodec};
use zarrs::array::{
    ArrayBytes, ArrayToBytesCodecTraits, CodecChain, CodecMetadataOptions, CodecOptions, DataType,
    FillValue,
};

/// Codes chunks of one shape and data type.
pub struct Pipeline {
    chain: CodecChain,
    shape: Vec<NonZeroU64>,
    data_type: DataType,
    fill_value: FillValue,
    /// Bytes of a decoded chunk.
    len: usize,
    shortcut: Shortcut,
    options: CodecOptions,
}

/// What can be coded without zarrs.
#[derive(Clone, Copy)]
enum Shortcut {
    /// The voxels are stored as they lie in memory.
    Raw,
    /// The same, compressed.
    Zstd { level: i32, checksum: bool },
    /// Nothing.
    None,
}

impl Pipeline {
    /// A pipeline for chunks of `shape`.
    pub fn new(
        chain: CodecChain,
        shape: &[u64],
        data_type: &DataType,
        fill_value: &FillValue,
    ) -> Result<Self, String> {
        let item = data_type.fixed_size().ok_or("its voxels have no fixed size")?;
        let len = shape
            .iter()
            .try_fold(item, |len, &n| len.checked_mul(usize::try_from(n).ok()?))
            .ok_or("its chunks are too large")?;
        let shape = shape
            .iter()
            .map(|&n| NonZeroU64::new(n).ok_or("a chunk has an extent of 0"))
            .collect::<Result<_, _>>()?;
        Ok(Pipeline {
            shortcut: Shortcut::of(&chain, item),
            chain,
            shape,
            data_type: data_type.clone(),
            fill_value: fill_value.clone(),
            len,
            // Blocks are worked on in parallel, not the codecs of one chunk.
            options: CodecOptions::default()
                .with_concurrent_target(1)
                .with_validate_checksums(true),
        })
    }

    /// Bytes of a decoded chunk.
    pub fn decoded_len(&self) -> usize {
        self.len
    }

    /// Bytes of an encoded chunk, where they do not depend on the voxels.
    pub fn encoded_len(&self) -> Option<u64> {
        use zarrs::array::BytesRepresentation;
        match self.chain.encoded_representation(&self.shape, &self.data_type, &self.fill_value) {
            Ok(BytesRepresentation::FixedSize(len)) => Some(len),
            _ => None,
        }
    }

    /// Decodes a chunk into memory of its size. The error says why the bytes do not decode.
    pub fn decode(&self, encoded: &[u8], target: &mut [u8]) -> Result<(), String> {
        match self.shortcut {
            Shortcut::Raw => fill_exactly(target, encoded),
            Shortcut::Zstd { .. } => decompress(encoded, target),
            Shortcut::None => {
                let decoded = self
                    .chain
                    .decode(
                        Cow::Borrowed(encoded),
                        &self.shape,
                        &self.data_type,
                        &self.fill_value,
                        &self.options,
                    )
                    .map_err(|error| error.to_string())?;
                let decoded = decoded.into_fixed().map_err(|error| error.to_string())?;
                fill_exactly(target, &decoded)
            }
        }
    }

    /// Encodes a chunk; the bytes are in `buffer` or the voxels themselves.
    pub fn encode<'a>(&self, voxels: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        match self.shortcut {
            Shortcut::Raw => Ok(voxels),
            Shortcut::Zstd { level, checksum } => {
                compress(voxels, buffer, level, checksum)
                    .map_err(|error| Error::internal(format!("zstd cannot compress: {error}")))?;
                Ok(buffer)
            }
            Shortcut::None => {
                let encoded = self
                    .chain
                    .encode(
                        ArrayBytes::new_flen(voxels),
                        &self.shape,
                        &self.data_type,
                        &self.fill_value,
                        &self.options,
                    )
                    .map_err(|error| {
                        Error::internal(format!("a chunk cannot be encoded: {error}"))
                    })?;
                match encoded {
                    Cow::Borrowed(bytes) => Ok(bytes),
                    Cow::Owned(bytes) => {
                        *buffer = bytes;
                        Ok(buffer)
                    }
                }
            }
        }
    }
}

impl Shortcut {
    fn of(chain: &CodecChain, item: usize) -> Self {
        let options = CodecMetadataOptions::default();
        let bytes = chain.array_to_bytes_codec();
        let stored_as_is = bytes.as_any().is::<BytesCodec>()
            && (item == 1
                || bytes.configuration_v3(&options).is_some_and(|bytes| {
                    let native = if cfg!(target_endian = "big") { "big" } else { "little" };
                    bytes.get("endian").and_then(|endian| endian.as_str()) == Some(native)
                }));
        if !stored_as_is || !chain.array_to_array_codecs().is_empty() {
            return Shortcut::None;
        }
        match chain.bytes_to_bytes_codecs() {
            [] => Shortcut::Raw,
            [codec] if codec.as_any().is::<ZstdCodec>() => {
                let Some(zstd) = codec.configuration_v3(&options) else { return Shortcut::None };
                let level = zstd.get("level").and_then(|level| level.as_i64()).unwrap_or(0);
                let checksum = zstd.get("checksum").and_then(|on| on.as_bool()).unwrap_or(false);
                Shortcut::Zstd { level: level as i32, checksum }
            }
            _ => Shortcut::None,
        }
    }
}

fn fill_exactly(target: &mut [u8], decoded: &[u8]) -> Result<(), String> {
    if target.len() != decoded.len() {
        return Err(format!("it has {} bytes instead of {}", decoded.len(), target.len()));
    }
    target.copy_from_slice(decoded);
    Ok(())
}

type Compressor = (i32, bool, zstd::bulk::Compressor<'static>);

thread_local! {
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
}

fn decompress(encoded: &[u8], target: &mut [u8]) -> Result<(), String> {
    let len = DECOMPRESSOR
        .with_borrow_mut(|kept| {
            let decompressor = match kept {
                Some(decompressor) => decompressor,
                None => kept.insert(zstd::bulk::Decompressor::new()?),
            };
            decompressor.decompress_to_buffer(encoded, target)
        })
        .map_err(|error| error.to_string())?;
    if len != target.len() {
        return Err(format!("it decodes to {len} bytes instead of {}", target.len()));
    }
    Ok(())
}

fn compress(
    voxels: &[u8],
    buffer: &mut Vec<u8>,
    level: i32,
    checksum: bool,
) -> std::io::Result<usize> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some((at, sums, compressor)) if (*at, *sums) == (level, checksum) => compressor,
            _ => {
                let mut compressor = zstd::bulk::Compressor::new(level)?;
                compressor.include_checksum(checksum)?;
                &mut kept.insert((level, checksum, compressor)).2
            }
        };
        buffer.clear();
        buffer.reserve(zstd::zstd_safe::compress_bound(voxels.len()));
        compressor.compress_to_buffer(voxels, buffer)
    })
}
