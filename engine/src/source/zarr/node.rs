//! The folders of a Zarr hierarchy: groups and arrays of either version.

use crate::error::{Error, Kind, Result};
use crate::source::hierarchy::Hierarchy;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Metadata of a Zarr v3 node.
pub const V3_FILE: &str = "zarr.json";
/// Metadata of a Zarr v2 array.
pub const V2_ARRAY_FILE: &str = ".zarray";
/// Says that a folder is a Zarr v2 group.
pub const V2_GROUP_FILE: &str = ".zgroup";
/// Attributes of a Zarr v2 node.
pub const V2_ATTRIBUTES_FILE: &str = ".zattrs";

/// How the arrays of a store are found.
pub const HIERARCHY: Hierarchy =
    Hierarchy { format: "Zarr", markers: "a zarr.json or .zarray", is_array };

/// What a folder is in a Zarr hierarchy.
pub enum Node {
    /// An array.
    Array(ArrayNode),
    /// A group.
    Group(GroupNode),
}

/// An array's metadata as it is stored.
pub struct ArrayNode {
    /// 2 or 3.
    pub version: u8,
    /// The file that says what the array is.
    pub file: PathBuf,
    /// Its content.
    pub json: Value,
    /// The attributes, which v2 keeps in a file of their own.
    pub attributes: Map<String, Value>,
}

/// A group's metadata.
pub struct GroupNode {
    /// 2 or 3.
    pub version: u8,
    /// The attributes.
    pub attributes: Map<String, Value>,
}

/// Reads what `folder` is; none where it holds no Zarr metadata or does not exist.
pub fn read(folder: &Path) -> Result<Option<Node>> {
    let file = folder.join(V3_FILE);
    if let Some(json) = read_json(&file)? {
        let attributes = json.get("attributes").and_then(Value::as_object).cloned();
        let attributes = attributes.unwrap_or_default();
        return match json.get("node_type").and_then(Value::as_str) {
            Some("array") => {
                Ok(Some(Node::Array(ArrayNode { version: 3, file, json, attributes })))
            }
            Some("group") => Ok(Some(Node::Group(GroupNode { version: 3, attributes }))),
            _ => Err(damaged(&file, "its node_type is neither 'array' nor 'group'")),
        };
    }
    let file = folder.join(V2_ARRAY_FILE);
    let array = read_json(&file)?;
    let is_group = array.is_none() && folder.join(V2_GROUP_FILE).is_file();
    if array.is_none() && !is_group {
        return Ok(None);
    }
    let attributes = match read_json(&folder.join(V2_ATTRIBUTES_FILE))? {
        Some(Value::Object(attributes)) => attributes,
        _ => Map::new(),
    };
    Ok(Some(match array {
        Some(json) => Node::Array(ArrayNode { version: 2, file, json, attributes }),
        None => Node::Group(GroupNode { version: 2, attributes }),
    }))
}

fn read_json(file: &Path) -> Result<Option<Value>> {
    let mut bytes = Vec::new();
    if !crate::source::store::read_whole(file, &mut bytes)? {
        return Ok(None);
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(file, &error.to_string()))
}

/// A metadata file that cannot be made sense of.
pub fn damaged(file: &Path, why: &str) -> Error {
    Error::new(
        Kind::CorruptData,
        format!("the Zarr metadata '{}' is damaged: {why}", file.display()),
    )
    .fix("Restore the file, or write the array again.")
}

/// Whether a folder says of itself that it is an array.
fn is_array(folder: &Path) -> bool {
    if folder.join(V2_ARRAY_FILE).is_file() {
        return true;
    }
    matches!(read_json(&folder.join(V3_FILE)), Ok(Some(json)) if json["node_type"] == "array")
}

/// The array at `inner` in `store`: itself, or the only one below it.
pub fn find(store: &Path, inner: &str) -> Result<(String, ArrayNode)> {
    let folder = store.join(inner);
    if !folder.is_dir() {
        return Err(HIERARCHY.missing(store, inner));
    }
    if let Some(Node::Array(node)) = read(&folder)? {
        return Ok((inner.to_owned(), node));
    }
    let only = HIERARCHY.only_below(store, inner)?;
    match read(&store.join(&only))? {
        Some(Node::Array(node)) => Ok((only, node)),
        _ => Err(HIERARCHY.missing(store, &only)),
    }
}
