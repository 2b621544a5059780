//! From an array's metadata to its grid, data type and codecs; refuses by name what is not read.

use super::codec::{codec_name, describe};
use super::node::{ArrayNode, damaged};
use super::pipeline::Pipeline;
use super::shard::ShardFormat;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use serde_json::{Value, json};
use zarrs::array::codec::api::Codec as ZarrsCodec;
use zarrs::array::{Array as ZarrsArray, ArrayMetadata, CodecChain};
use zarrs::metadata::v2::MetadataV2;
use zarrs::metadata::v3::MetadataV3;

/// What is read, for messages.
const SUPPORTED_CODECS: &str = "blosc (lz4, lz4hc, zstd, zlib, blosclz), zstd, gzip, zlib, bz2, \
    lz4, crc32c, adler32, fletcher32, shuffle, transpose, bytes and sharding_indexed";

/// How an array is laid out in files.
pub struct Description {
    pub shape: Vec<u64>,
    pub dtype: DType,
    /// Extents of what one file holds.
    pub unit: Vec<u64>,
    pub layout: Layout,
    /// Bytes of one voxel where nothing is stored.
    pub fill: Vec<u8>,
    /// Names the files.
    pub keys: ZarrsArray<()>,
    /// Everything that decides the bytes of a chunk, as text.
    pub encoding: String,
    /// The compression in a user's words.
    pub codec: String,
}

/// What a file holds.
pub enum Layout {
    /// One chunk.
    Chunk(Pipeline),
    /// Several, with an index.
    Shard(Box<ShardFormat>),
}

impl Description {
    /// Makes sense of an array's metadata; `name` is for messages.
    pub fn new(node: &ArrayNode, name: &str) -> Result<Self> {
        super::lz4::register();
        let (dtype, big_endian) = data_type(node, name)?;
        let codecs = codecs(node);
        for codec in &codecs {
            check_codec(codec, node.version, name)?;
        }
        if node.version == 3 {
            check_extensions(&node.json, name)?;
        }
        let keys = parse(node, dtype)?;
        let unit = unit_shape(node)?;
        let fill = keys.fill_value().as_ne_bytes().to_vec();
        let unreadable = |why: String| damaged(&node.file, &why);
        let layout = match sole_sharding(node.version, &codecs) {
            Some(config) => Layout::Shard(Box::new(
                ShardFormat::new(config, &unit, keys.data_type(), keys.fill_value())
                    .map_err(unreadable)?,
            )),
            None => {
                let chain = CodecChain::clone(&keys.codecs());
                Layout::Chunk(
                    Pipeline::new(chain, &unit, keys.data_type(), keys.fill_value())
                        .map_err(unreadable)?,
                )
            }
        };
        let (chunk, chunk_codecs) = match (&layout, sole_sharding(node.version, &codecs)) {
            (Layout::Shard(shards), Some(config)) => {
                let inner = config.get("codecs").and_then(Value::as_array);
                (&shards.chunk_shape, inner.cloned().unwrap_or_default())
            }
            _ => (&unit, codecs.clone()),
        };
        let encoding = canonical(&json!({
            "zarr_format": node.version,
            "chunk": chunk,
            "dtype": dtype.name(),
            "big_endian": big_endian && dtype.size() > 1,
            "order": node.json.get("order"),
            "codecs": chunk_codecs.iter().map(|codec| normal_codec(codec, dtype)).collect::<Vec<_>>(),
            "fill": fill,
        }));
        Ok(Description {
            shape: keys.shape().to_vec(),
            dtype,
            unit,
            layout,
            fill,
            keys,
            encoding,
            codec: describe(&codecs),
        })
    }
}

/// The codecs in the order of encoding: of v3 the list, of v2 the filters and the compressor.
fn codecs(node: &ArrayNode) -> Vec<Value> {
    let list = |key: &str| node.json.get(key).and_then(Value::as_array).cloned();
    if node.version == 3 {
        return list("codecs").unwrap_or_default();
    }
    let compressor = node.json.get("compressor").filter(|codec| !codec.is_null()).cloned();
    list("filters").unwrap_or_default().into_iter().chain(compressor).collect()
}

fn data_type(node: &ArrayNode, name: &str) -> Result<(DType, bool)> {
    let key = if node.version == 3 { "data_type" } else { "dtype" };
    let value = node.json.get(key).unwrap_or(&Value::Null);
    let found = match value.as_str() {
        Some(text) if node.version == 3 => {
            DType::ALL.into_iter().find(|dtype| dtype.name() == text).map(|dtype| (dtype, false))
        }
        Some(text) => v2_data_type(text),
        None => None,
    };
    found.ok_or_else(|| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let names: Vec<_> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
        Error::new(
            Kind::DtypeMismatch,
            format!("the Zarr array '{name}' has data type {text}, which is not supported"),
        )
        .fix(format!("Convert it to one of {}.", names.join(", ")))
    })
}

/// A data type as numpy writes it, in little-endian order.
pub(super) fn v2_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "|b1",
        DType::U8 => "|u1",
        DType::U16 => "<u2",
        DType::U32 => "<u4",
        DType::U64 => "<u8",
        DType::I8 => "|i1",
        DType::I16 => "<i2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
    }
}

/// A data type as numpy writes it, such as `<u2`, and whether its bytes are big endian.
fn v2_data_type(text: &str) -> Option<(DType, bool)> {
    let (order, code) = text.split_at_checked(1)?;
    let dtype = match code {
        "b1" => DType::Bool,
        "u1" => DType::U8,
        "u2" => DType::U16,
        "u4" => DType::U32,
        "u8" => DType::U64,
        "i1" => DType::I8,
        "i2" => DType::I16,
        "i4" => DType::I32,
        "i8" => DType::I64,
        "f4" => DType::F32,
        "f8" => DType::F64,
        _ => return None,
    };
    match order {
        "<" | "|" => Some((dtype, false)),
        ">" => Some((dtype, true)),
        _ => None,
    }
}

fn check_codec(codec: &Value, version: u8, name: &str) -> Result<()> {
    let codec_name = codec_name(codec).unwrap_or("without a name");
    let made = if version == 2 {
        serde_json::from_value::<MetadataV2>(codec.clone())
            .map_err(|error| error.to_string())
            .and_then(|codec| match codec.id() {
                // zarrs makes this one from more than its configuration.
                "blosc" => Ok(()),
                _ => make(ZarrsCodec::from_metadata(&codec)),
            })
    } else {
        if codec["must_understand"] == false {
            return Ok(());
        }
        for list in ["codecs", "index_codecs"] {
            let inner = codec.get("configuration").and_then(|config| config.get(list)?.as_array());
            for codec in inner.into_iter().flatten() {
                check_codec(codec, version, name)?;
            }
        }
        serde_json::from_value::<MetadataV3>(codec.clone())
            .map_err(|error| error.to_string())
            .and_then(|codec| make(ZarrsCodec::from_metadata(&codec)))
    };
    made.map_err(|why| {
        Error::new(
            Kind::UnsupportedCodec,
            format!(
                "the Zarr array '{name}' uses the codec {codec_name}, which is not read: {why}"
            ),
        )
        .fix(format!("Write the array again with one of {SUPPORTED_CODECS}."))
    })
}

fn make<T, E: ToString>(made: Result<T, E>) -> Result<(), String> {
    made.map(drop).map_err(|error| error.to_string())
}

fn check_extensions(json: &Value, name: &str) -> Result<()> {
    let unsupported = |what: String| {
        Error::new(Kind::UnsupportedFormat, format!("the Zarr array '{name}' has {what}"))
            .fix("Write the array again with a regular chunk grid and no storage transformers.")
    };
    let grid = json.get("chunk_grid").and_then(codec_name).unwrap_or("no name");
    if grid != "regular" {
        return Err(unsupported(format!("a chunk grid of kind {grid}")));
    }
    let transformers = json.get("storage_transformers").and_then(Value::as_array);
    if transformers.is_some_and(|list| !list.is_empty()) {
        return Err(unsupported("storage transformers".into()));
    }
    Ok(())
}

fn parse(node: &ArrayNode, dtype: DType) -> Result<ZarrsArray<()>> {
    let mut json = node.json.clone();
    let is_float = matches!(dtype, DType::F32 | DType::F64);
    if let Some(fill) = json.get_mut("fill_value").filter(|fill| fill.is_f64() && !is_float)
        && let Some(value) = fill.as_f64().filter(|value| *value == f64::from(*value as i32))
    {
        // z5 gives integers a fill value of 0.0.
        *fill = json!(value as i32);
    }
    let metadata = if node.version == 3 {
        serde_json::from_value(json).map(ArrayMetadata::V3)
    } else {
        serde_json::from_value(json).map(ArrayMetadata::V2)
    };
    let metadata = metadata.map_err(|error| damaged(&node.file, &error.to_string()))?;
    ZarrsArray::new_with_metadata(std::sync::Arc::new(()), "/", metadata)
        .map_err(|error| damaged(&node.file, &error.to_string()))
}

fn unit_shape(node: &ArrayNode) -> Result<Vec<u64>> {
    let shape = if node.version == 3 {
        node.json.pointer("/chunk_grid/configuration/chunk_shape")
    } else {
        node.json.get("chunks")
    };
    shape
        .and_then(Value::as_array)
        .and_then(|shape| shape.iter().map(Value::as_u64).collect())
        .ok_or_else(|| damaged(&node.file, "it has no chunk shape"))
}

/// The configuration of the sharding codec, where that is the array's only codec. Shards that are
/// transposed or compressed as a whole are decoded as one chunk.
fn sole_sharding(version: u8, codecs: &[Value]) -> Option<&Value> {
    match codecs {
        [codec] if version == 3 && codec_name(codec) == Some("sharding_indexed") => {
            codec.get("configuration")
        }
        _ => None,
    }
}

/// A codec without what makes no difference to the bytes.
fn normal_codec(codec: &Value, dtype: DType) -> Value {
    let mut codec = match codec {
        Value::String(name) => json!({ "name": name }),
        other => other.clone(),
    };
    let one_byte = dtype.size() == 1 && codec_name(&codec) == Some("bytes");
    if let Some(config) = codec.get_mut("configuration").and_then(Value::as_object_mut) {
        if one_byte {
            config.remove("endian");
        }
        if let Some(Value::Array(inner)) = config.get_mut("codecs") {
            *inner = inner.iter().map(|codec| normal_codec(codec, dtype)).collect();
        }
        if config.is_empty() {
            codec.as_object_mut().and_then(|codec| codec.remove("configuration"));
        }
    }
    codec
}

/// JSON as text, keys sorted at every level.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
