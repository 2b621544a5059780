//! The compressions of N5.

use super::lz4;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use zarrs::array::codec::api::{BytesToBytesCodecTraits, Codec as ZarrsCodec};
use zarrs::array::{BytesRepresentation, CodecOptions};
use zarrs::metadata::v3::MetadataV3;

/// What is read, for messages.
const SUPPORTED: &str = "raw, gzip, zstd, blosc, bzip2 and lz4";
const DEFAULT_GZIP: i32 = 6;
const DEFAULT_ZSTD: i32 = 3;

/// How a block's voxels are compressed.
pub enum Codec {
    Raw,
    Gzip {
        level: i32,
    },
    /// Gzip with `useZlib`: the same in a smaller wrapping.
    Zlib {
        level: i32,
    },
    Zstd {
        level: i32,
    },
    /// Read only: programs disagree on how it is written.
    Lz4,
    /// Blosc and bzip2, as Zarr has them.
    Zarr {
        name: String,
        codec: Arc<dyn BytesToBytesCodecTraits>,
    },
}

impl Codec {
    /// The codec that the `compression` of an array in `folder` names.
    pub fn new(compression: &Value, dtype: DType, folder: &Path) -> Result<Self> {
        let name = compression.get("type").and_then(Value::as_str).unwrap_or("without a name");
        let number = |key: &str| compression.get(key).and_then(Value::as_i64);
        // Some writers put -1 for their library's default.
        let level = |default: i32| match number("level") {
            Some(level @ 0..=22) => level as i32,
            _ => default,
        };
        let zarr = |name: String, json: Value| {
            serde_json::from_value::<MetadataV3>(json)
                .map_err(|error| error.to_string())
                .and_then(|codec| {
                    ZarrsCodec::from_metadata(&codec).map_err(|error| error.to_string())
                })
                .and_then(|codec| match codec {
                    ZarrsCodec::BytesToBytes(codec) => Ok(Codec::Zarr { name, codec }),
                    _ => Err("it does not compress".to_owned()),
                })
        };
        let made = match name {
            "raw" => Ok(Codec::Raw),
            "gzip" if compression.get("useZlib") == Some(&Value::Bool(true)) => {
                Ok(Codec::Zlib { level: level(DEFAULT_GZIP) })
            }
            "gzip" => Ok(Codec::Gzip { level: level(DEFAULT_GZIP) }),
            "zstd" => Ok(Codec::Zstd { level: level(DEFAULT_ZSTD) }),
            "lz4" => Ok(Codec::Lz4),
            "bzip2" => {
                let level = number("blockSize").filter(|n| (1..=9).contains(n)).unwrap_or(9);
                let json = json!({"name": "numcodecs.bz2", "configuration": {"level": level}});
                zarr(format!("bzip2:{level}"), json)
            }
            "blosc" => {
                let inner = compression.get("cname").and_then(Value::as_str).unwrap_or("blosclz");
                let level = number("clevel").unwrap_or(5);
                let shuffle = match number("shuffle") {
                    Some(0) => "noshuffle",
                    Some(2) => "bitshuffle",
                    _ => "shuffle",
                };
                let json = json!({"name": "blosc", "configuration": {
                    "cname": inner,
                    "clevel": level,
                    "shuffle": shuffle,
                    "typesize": dtype.size(),
                    "blocksize": number("blocksize").unwrap_or(0),
                }});
                zarr(format!("blosc-{inner}:{level}"), json)
            }
            _ => Err("it is not known here".to_owned()),
        };
        made.map_err(|why| {
            Error::new(
                Kind::UnsupportedCodec,
                format!(
                    "the N5 array '{}' uses the codec {name}, which is not read: {why}",
                    folder.display()
                ),
            )
            .fix(format!("Write the array again with one of {SUPPORTED}."))
        })
    }

    /// Refuses an output whose blocks other programs might not read.
    pub fn check_writable(&self, folder: &Path) -> Result<()> {
        if !matches!(self, Codec::Lz4) {
            return Ok(());
        }
        Err(Error::new(
            Kind::UnsupportedCodec,
            format!(
                "the N5 array '{}' uses the codec lz4, which is only read: programs disagree on \
                 how it is stored",
                folder.display()
            ),
        )
        .fix("Create the output with gzip or zstd."))
    }

    /// Decodes into memory of the decoded size. The error says why the bytes do not decode.
    pub fn decode(&self, encoded: &[u8], target: &mut [u8]) -> Result<(), String> {
        let len = match self {
            Codec::Raw => {
                return if encoded.len() == target.len() {
                    target.copy_from_slice(encoded);
                    Ok(())
                } else {
                    Err(wrong_len(encoded.len(), target.len()))
                };
            }
            Codec::Gzip { .. } => Decompressor::new()
                .gzip_decompress(encoded, target)
                .map_err(|error| error.to_string())?,
            Codec::Zlib { .. } => Decompressor::new()
                .zlib_decompress(encoded, target)
                .map_err(|error| error.to_string())?,
            Codec::Zstd { .. } => zstd::bulk::decompress_to_buffer(encoded, target)
                .map_err(|error| error.to_string())?,
            Codec::Lz4 => lz4::decode(encoded, target)?,
            Codec::Zarr { codec, .. } => {
                let size = BytesRepresentation::FixedSize(target.len() as u64);
                let decoded = codec
                    .decode(Cow::Borrowed(encoded), &size, &CodecOptions::default())
                    .map_err(|error| error.to_string())?;
                if decoded.len() == target.len() {
                    target.copy_from_slice(&decoded);
                }
                decoded.len()
            }
        };
        if len == target.len() { Ok(()) } else { Err(wrong_len(len, target.len())) }
    }

    /// Encodes voxels and appends them.
    pub fn encode(&self, voxels: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let failed = |error: String| Error::internal(format!("a block cannot be encoded: {error}"));
        match self {
            Codec::Raw => out.extend_from_slice(voxels),
            Codec::Gzip { level } | Codec::Zlib { level } => {
                let level = CompressionLvl::new((*level).clamp(0, 12))
                    .map_err(|_| Error::internal(format!("gzip has no level {level}")))?;
                let mut compressor = Compressor::new(level);
                let header = out.len();
                let len = if matches!(self, Codec::Gzip { .. }) {
                    out.resize(header + compressor.gzip_compress_bound(voxels.len()), 0);
                    compressor.gzip_compress(voxels, &mut out[header..])
                } else {
                    out.resize(header + compressor.zlib_compress_bound(voxels.len()), 0);
                    compressor.zlib_compress(voxels, &mut out[header..])
                };
                let len = len.map_err(|error| failed(error.to_string()))?;
                out.truncate(header + len);
            }
            Codec::Zstd { level } => {
                let encoded = zstd::bulk::compress(voxels, *level)
                    .map_err(|error| failed(error.to_string()))?;
                out.extend_from_slice(&encoded);
            }
            Codec::Lz4 => return Err(failed("lz4 is only read".into())),
            Codec::Zarr { codec, .. } => {
                let encoded = codec
                    .encode(Cow::Borrowed(voxels), &CodecOptions::default())
                    .map_err(|error| failed(error.to_string()))?;
                out.extend_from_slice(&encoded);
            }
        }
        Ok(())
    }
}

fn wrong_len(len: usize, expected: usize) -> String {
    format!("it decodes to {len} bytes instead of {expected}")
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codec::Raw => f.write_str("none"),
            Codec::Gzip { level } => write!(f, "gzip:{level}"),
            Codec::Zlib { level } => write!(f, "zlib:{level}"),
            Codec::Zstd { level } => write!(f, "zstd:{level}"),
            Codec::Lz4 => f.write_str("lz4"),
            Codec::Zarr { name, .. } => f.write_str(name),
        }
    }
}
