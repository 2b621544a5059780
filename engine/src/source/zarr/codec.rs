//! Compression as a user writes it, and as a Zarr array names it.

use crate::dtype::DType;
use crate::error::{Error, Result, nearest};
use serde_json::{Value, json};
use std::fmt;

/// How the chunks of a new array are compressed: `none`, `zstd:3`, `gzip:6`, `blosc-lz4:5` ...
///
/// All of these are part of Zarr v3 and read by zarr-python and tensorstore without extras; plain
/// `lz4` is none of them and stands for `blosc-lz4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not compressed.
    None,
    /// Zstandard.
    Zstd {
        /// 1 (fast) to 22 (small).
        level: i64,
    },
    /// Gzip.
    Gzip {
        /// 0 (fast) to 9 (small).
        level: i64,
    },
    /// Blosc, which shuffles the bytes of the voxels before it compresses them.
    Blosc {
        /// The compressor inside.
        compressor: &'static str,
        /// 0 (fast) to 9 (small).
        level: i64,
    },
}

impl Default for Codec {
    fn default() -> Self {
        Codec::Zstd { level: 3 }
    }
}

const BLOSC: [&str; 5] = ["lz4", "lz4hc", "zstd", "zlib", "blosclz"];

impl Codec {
    /// What can be written, for help and completion; all but `none` take a level, as in `zstd:3`.
    pub const CHOICES: [&str; 9] = [
        "none",
        "zstd",
        "gzip",
        "lz4",
        "blosc-lz4",
        "blosc-lz4hc",
        "blosc-zstd",
        "blosc-zlib",
        "blosc-blosclz",
    ];

    /// Reads what a user typed.
    ///
    /// # Errors
    /// `invalid-argument`, listing the choices.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let level = |otherwise: i64, most: i64| match level {
            None => Ok(otherwise),
            Some(level) => {
                level.parse().ok().filter(|level| (0..=most).contains(level)).ok_or_else(|| {
                    Error::argument(format!("codec '{text}': '{level}' is not a level of {name}"))
                        .fix(format!(
                            "Use a level from 0 to {most}, for example {name}:{otherwise}."
                        ))
                })
            }
        };
        let blosc = name.strip_prefix("blosc-").or((name == "lz4").then_some(name));
        if let Some(compressor) = blosc.and_then(|name| BLOSC.into_iter().find(|c| *c == name)) {
            return Ok(Codec::Blosc { compressor, level: level(5, 9)? });
        }
        match name {
            "none" if text == name => Ok(Codec::None),
            "zstd" => Ok(Codec::Zstd { level: level(3, 22)? }),
            "gzip" => Ok(Codec::Gzip { level: level(6, 9)? }),
            _ => {
                let near = nearest(name, Codec::CHOICES.into_iter())
                    .filter(|near| *near != name)
                    .map_or(String::new(), |near| format!("Did you mean '{near}'? "));
                Err(Error::argument(format!("unknown codec '{text}'"))
                    .fix(format!("{near}Use one of {}.", Codec::CHOICES.join(", "))))
            }
        }
    }

    /// The codecs of a chunk in the metadata of a Zarr v3 array.
    pub(super) fn to_json(self, dtype: DType) -> Vec<Value> {
        // As zarr-python has it: single bytes have no order.
        let bytes = match dtype.size() {
            1 => json!({"name": "bytes"}),
            _ => json!({"name": "bytes", "configuration": {"endian": "little"}}),
        };
        let compression = match self {
            Codec::None => return vec![bytes],
            Codec::Zstd { level } => {
                json!({"name": "zstd", "configuration": {"level": level, "checksum": false}})
            }
            Codec::Gzip { level } => json!({"name": "gzip", "configuration": {"level": level}}),
            Codec::Blosc { compressor, level } => json!({"name": "blosc", "configuration": {
                "cname": compressor,
                "clevel": level,
                "shuffle": if dtype.size() == 1 { "bitshuffle" } else { "shuffle" },
                "typesize": dtype.size(),
                "blocksize": 0,
            }}),
        };
        vec![bytes, compression]
    }

    /// The compressor in the metadata of a Zarr v2 array.
    pub(super) fn to_v2_json(self, dtype: DType) -> Value {
        match self {
            Codec::None => Value::Null,
            Codec::Zstd { level } => json!({"id": "zstd", "level": level}),
            Codec::Gzip { level } => json!({"id": "gzip", "level": level}),
            Codec::Blosc { compressor, level } => json!({
                "id": "blosc",
                "cname": compressor,
                "clevel": level,
                // Of bits for single bytes, else of bytes.
                "shuffle": if dtype.size() == 1 { 2 } else { 1 },
                "blocksize": 0,
            }),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codec::None => f.write_str("none"),
            Codec::Zstd { level } => write!(f, "zstd:{level}"),
            Codec::Gzip { level } => write!(f, "gzip:{level}"),
            Codec::Blosc { compressor, level } => write!(f, "blosc-{compressor}:{level}"),
        }
    }
}

impl std::str::FromStr for Codec {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Codec::parse(text)
    }
}

/// The compression that the metadata of an array names, in the words of [`Codec`] where it has them.
pub(super) fn describe<'a>(codecs: impl IntoIterator<Item = &'a Value>) -> String {
    let parts: Vec<String> = codecs.into_iter().filter_map(describe_one).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join("+") }
}

fn describe_one(codec: &Value) -> Option<String> {
    let name = codec_name(codec)?;
    let options = codec.get("configuration").unwrap_or(codec);
    let level = |key: &str| options.get(key).and_then(Value::as_i64);
    match name {
        "bytes" | "transpose" => None,
        "sharding_indexed" => {
            let inner = options.get("codecs").and_then(Value::as_array)?;
            Some(describe(inner)).filter(|text| text != "none")
        }
        "blosc" => {
            let compressor = options.get("cname").and_then(Value::as_str).unwrap_or("lz4");
            Some(format!("blosc-{compressor}:{}", level("clevel").unwrap_or(5)))
        }
        _ => {
            let short = name.strip_prefix("numcodecs.").unwrap_or(name);
            Some(match level("level") {
                Some(level) => format!("{short}:{level}"),
                None => short.to_owned(),
            })
        }
    }
}

/// The name of a codec in the metadata of either version.
pub(super) fn codec_name(codec: &Value) -> Option<&str> {
    codec.as_str().or_else(|| codec.get("name").or_else(|| codec.get("id"))?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn every_choice_is_read_and_written_back() {
        for choice in Codec::CHOICES {
            let codec = Codec::parse(choice).unwrap();
            assert_eq!(Codec::parse(&codec.to_string()).unwrap(), codec);
            assert_eq!(describe(&codec.to_json(DType::U16)), codec.to_string());
        }
        assert_eq!(Codec::parse("zstd:9").unwrap(), Codec::Zstd { level: 9 });
        assert_eq!(Codec::parse("lz4").unwrap(), Codec::parse("blosc-lz4:5").unwrap());
    }

    #[test]
    fn what_is_no_codec_lists_the_choices() {
        for text in ["zst", "zstd:x", "zstd:23", "gzip:-1", "blosc", "blosc-snappy", "none:1", ""] {
            let error = Codec::parse(text).unwrap_err();
            assert_eq!(error.kind, Kind::InvalidArgument, "{text}");
            assert!(error.fix.is_some(), "{text}");
        }
        assert!(Codec::parse("zst").unwrap_err().fix.unwrap().contains("Did you mean 'zstd'"));
    }
}
