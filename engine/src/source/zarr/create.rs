//! New arrays and the groups above them.

use super::attributes::{add_dimensions, dimension_names, multiscales, to_attributes};
use super::codec::Codec;
use super::description::v2_name;
use super::node::{self, Node, V2_ARRAY_FILE, V2_ATTRIBUTES_FILE, V2_GROUP_FILE, V3_FILE};
use super::{NewArray, Version};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::shape_text;
use crate::source::hierarchy::some_of;
use crate::source::store;
use serde_json::{Map, Value, json};
use std::path::{Component, Path, PathBuf};

/// The length field of a blosc buffer has 31 bits, and its header takes 16 bytes.
const MOST_BLOSC_BYTES: u64 = i32::MAX as u64 - 16;

/// Creates the array at `inner` in `store`.
pub fn create(store: &Path, inner: &str, new: &NewArray, overwrite: bool) -> Result<()> {
    // Everything that may refuse comes before anything is removed or written.
    let groups = check(store, inner, new, overwrite)?;
    let metadata = metadata(new)?;
    let folder = folder_of(store, inner);
    // An array that is reached by a symbolic link is replaced where it lies.
    let folder = folder.canonicalize().unwrap_or(folder);
    if matches!(node::read(&folder)?, Some(Node::Array(_))) {
        remove_array(&folder)?;
    }
    for group in groups {
        write_group(&group, new.version, Map::new())?;
    }
    match new.version {
        Version::V3 => write_json(&folder.join(V3_FILE), &metadata),
        Version::V2 => {
            let mut attributes = to_attributes(&new.metadata);
            add_dimensions(&new.metadata, &mut attributes);
            write_json(&folder.join(V2_ATTRIBUTES_FILE), &Value::Object(attributes))?;
            write_json(&folder.join(V2_ARRAY_FILE), &metadata)
        }
    }
}

/// Checks that the array at `inner` in `store` can be created; gives the folders that are to become
/// groups.
pub fn check(store: &Path, inner: &str, new: &NewArray, overwrite: bool) -> Result<Vec<PathBuf>> {
    metadata(new)?;
    check_room(&folder_of(store, inner), overwrite)?;
    missing_groups(store, inner, new.version)
}

fn folder_of(store: &Path, inner: &str) -> PathBuf {
    if inner.is_empty() { store.to_owned() } else { store.join(inner) }
}

/// What the group above an array is to say.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupDescription {
    /// Its attributes, besides those that it has.
    pub attributes: Map<String, Value>,
    /// Version of the format, which is that of its arrays.
    pub version: Version,
    /// Arrays in it that nothing tells of any more, and that are removed.
    pub replaced: Vec<String>,
}

/// Describes the group above the array at `inner` in `store`.
///
/// # Errors
/// `write-failed` and the like; `invalid-argument` where the array is the store itself.
pub fn describe_group_above(
    store: &Path,
    inner: &str,
    description: GroupDescription,
) -> Result<()> {
    let folder = store.join(inner);
    let group = match folder.parent() {
        Some(group) if !inner.is_empty() => group,
        _ => return Err(Error::argument("an array that is a store lies in no group")),
    };
    let mut all = match node::read(group)? {
        Some(Node::Group(found)) => found.attributes,
        _ => Map::new(),
    };
    for array in description.replaced {
        remove_array(&group.join(array))?;
    }
    all.extend(description.attributes);
    write_group(group, description.version, all)
}

/// The arrays of the multiscales that lies in a folder, if one does.
///
/// # Errors
/// `corrupt-data` for metadata that cannot be read.
pub fn multiscales_in(folder: &Path) -> Result<Vec<String>> {
    let Some(Node::Group(found)) = node::read(folder)? else { return Ok(Vec::new()) };
    let datasets = multiscales(&found.attributes)
        .filter_map(|multiscale| multiscale.get("datasets")?.as_array())
        .flatten();
    let paths = datasets.filter_map(|one| one.get("path")?.as_str());
    let is_array = |path: &&str| {
        Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
            && matches!(node::read(&folder.join(path)), Ok(Some(Node::Array(_))))
    };
    Ok(paths.filter(is_array).map(str::to_owned).collect())
}

fn write_group(folder: &Path, version: Version, attributes: Map<String, Value>) -> Result<()> {
    match version {
        Version::V3 => {
            let json = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes});
            write_json(&folder.join(V3_FILE), &json)
        }
        Version::V2 => {
            write_json(&folder.join(V2_GROUP_FILE), &json!({"zarr_format": 2}))?;
            if attributes.is_empty() {
                return Ok(());
            }
            write_json(&folder.join(V2_ATTRIBUTES_FILE), &Value::Object(attributes))
        }
    }
}

/// The metadata of a new array.
fn metadata(new: &NewArray) -> Result<Value> {
    check_grid(new)?;
    let codec = Codec::parse(&new.codec)?;
    let chunk_bytes = new.chunks.iter().fold(new.dtype.size() as u64, |n, e| n.saturating_mul(*e));
    if matches!(codec, Codec::Blosc { .. }) && chunk_bytes > MOST_BLOSC_BYTES {
        return Err(Error::argument(format!(
            "chunks of {} have {chunk_bytes} bytes; blosc takes at most {MOST_BLOSC_BYTES}",
            shape_text(&new.chunks)
        ))
        .about("codec")
        .fix("Use smaller chunks, or zstd."));
    }
    if new.version == Version::V2 {
        return Ok(json!({
            "zarr_format": 2,
            "shape": new.shape,
            "chunks": new.chunks,
            "dtype": v2_name(new.dtype),
            "compressor": codec.to_v2_json(new.dtype),
            "fill_value": zero(new.dtype),
            "order": "C",
            "filters": null,
            "dimension_separator": "/",
        }));
    }
    let codecs = codec.to_json(new.dtype);
    let (unit, codecs) = match &new.shards {
        None => (&new.chunks, codecs),
        Some(shards) => {
            let index = [
                json!({"name": "bytes", "configuration": {"endian": "little"}}),
                json!({"name": "crc32c"}),
            ];
            let sharding = json!({"name": "sharding_indexed", "configuration": {
                "chunk_shape": new.chunks,
                "codecs": codecs,
                "index_codecs": index,
                "index_location": "end",
            }});
            (shards, vec![sharding])
        }
    };
    let mut metadata = json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": new.shape,
        "data_type": new.dtype.name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": unit}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": zero(new.dtype),
        "codecs": codecs,
        "attributes": to_attributes(&new.metadata),
        "storage_transformers": [],
    });
    if let Some(names) = dimension_names(&new.metadata) {
        metadata["dimension_names"] = names;
    }
    Ok(metadata)
}

fn zero(dtype: DType) -> Value {
    match dtype {
        DType::Bool => json!(false),
        DType::F32 | DType::F64 => json!(0.0),
        _ => json!(0),
    }
}

fn check_grid(new: &NewArray) -> Result<()> {
    let axes = new.metadata.axes.len();
    if axes != 0 && axes != new.shape.len() {
        return Err(Error::internal("a new array has metadata for another number of axes"));
    }
    for (what, extents) in [("chunk", Some(&new.chunks)), ("shard", new.shards.as_ref())] {
        let Some(extents) = extents else { continue };
        if extents.len() != new.shape.len() || extents.contains(&0) {
            return Err(Error::argument(format!(
                "the {what} shape {} does not suit an array of shape {}",
                shape_text(extents),
                shape_text(&new.shape)
            ))
            .about(&format!("{what}s"))
            .fix("Give one extent of at least 1 for each axis."));
        }
    }
    let Some(shards) = &new.shards else { return Ok(()) };
    if new.version == Version::V2 {
        return Err(Error::argument("Zarr v2 has no shards")
            .about("shards")
            .fix("Leave --shards out, or write Zarr v3 (OME-Zarr 0.5)."));
    }
    if shards.iter().zip(&new.chunks).all(|(shard, chunk)| shard.is_multiple_of(*chunk)) {
        return Ok(());
    }
    let fitting: Vec<u64> = shards
        .iter()
        .zip(&new.chunks)
        .map(|(shard, chunk)| shard.next_multiple_of(*chunk))
        .collect();
    Err(Error::argument(format!(
        "shards of {} do not consist of whole chunks of {}",
        shape_text(shards),
        shape_text(&new.chunks)
    ))
    .about("shards")
    .fix(format!(
        "Use multiples of the chunk shape, for example shards of {}.",
        shape_text(&fitting)
    )))
}

/// Checks that nothing is in the place of a new array but an array that may be overwritten.
fn check_room(folder: &Path, overwrite: bool) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let exists = |what: &str| {
        Error::new(
            Kind::AlreadyExists,
            format!("'{}' already exists and is {what}", folder.display()),
        )
    };
    match node::read(folder) {
        Ok(Some(Node::Array(_))) if overwrite => Ok(()),
        Ok(Some(Node::Array(_))) => {
            Err(exists("a Zarr array").fix("Overwrite it (--overwrite), or write elsewhere."))
        }
        Ok(Some(Node::Group(_))) => {
            let arrays = node::HIERARCHY.list(folder).unwrap_or_default();
            let what = match arrays.as_slice() {
                [] => "a Zarr group".to_owned(),
                _ => format!("a Zarr group that holds {}", some_of(&arrays)),
            };
            Err(exists(&what)
                .fix(format!("Name an array inside it, for example {}::data.", folder.display())))
        }
        Ok(None) if folder.read_dir().is_ok_and(|mut entries| entries.next().is_none()) => Ok(()),
        Ok(None) => Err(exists("no Zarr array").fix("Write elsewhere, or remove it by hand.")),
        Err(error) => Err(error),
    }
}

/// Removes an array. It is moved aside first: what an interrupted removal leaves is hidden, and
/// taken away by the next.
fn remove_array(folder: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::write(folder, &error);
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.with_file_name(format!(".{name}.bp-removed"));
    match std::fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::fs::rename(folder, &aside).map_err(failed)?;
    std::fs::remove_dir_all(&aside).map_err(failed)
}

/// The folders above an array that are to become groups.
fn missing_groups(store: &Path, inner: &str, version: Version) -> Result<Vec<PathBuf>> {
    let number = match version {
        Version::V2 => 2,
        Version::V3 => 3,
    };
    let parts: Vec<&str> = inner.split('/').filter(|part| !part.is_empty()).collect();
    let mut missing = Vec::new();
    for depth in 0..parts.len() {
        let group = store.join(parts[..depth].join("/"));
        match node::read(&group)? {
            None => missing.push(group),
            Some(Node::Group(found)) if found.version == number => {}
            Some(Node::Group(found)) => {
                return Err(Error::argument(format!(
                    "'{}' is a Zarr v{} group, in which a new array (Zarr v{number}) would not be seen",
                    group.display(),
                    found.version
                ))
                .fix("Write to another store."));
            }
            Some(Node::Array(_)) => {
                return Err(Error::new(
                    Kind::AlreadyExists,
                    format!("'{}' is a Zarr array, which cannot hold another", group.display()),
                )
                .fix("Write beside it."));
            }
        }
    }
    Ok(missing)
}

fn write_json(path: &Path, json: &Value) -> Result<()> {
    let text = serde_json::to_vec_pretty(json)
        .map_err(|error| Error::internal(format!("metadata of an array: {error}")))?;
    store::replace(path, &text)
}
