//! The folders of a Zarr hierarchy: groups and arrays of either version.

use crate::error::{Error, Kind, Result, nearest};
use serde_json::{Map, Value};
use std::path::{Component, Path, PathBuf};

/// Folders that a listing looks into before it gives up on what is no hierarchy.
const MOST_FOLDERS: usize = 10_000;

/// Metadata of a Zarr v3 node.
pub const V3_FILE: &str = "zarr.json";
/// Metadata of a Zarr v2 array.
pub const V2_ARRAY_FILE: &str = ".zarray";
const V2_GROUP_FILE: &str = ".zgroup";
const V2_ATTRIBUTES_FILE: &str = ".zattrs";

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
    if !super::store::read_whole(file, &mut bytes)? {
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

/// Paths of the arrays below `folder`, sorted; the empty path if it is an array itself. Folders
/// without metadata are looked into, since some writers leave out the groups.
pub fn list(folder: &Path) -> Result<Vec<String>> {
    let mut arrays = Vec::new();
    let mut pending = vec![(folder.to_owned(), String::new())];
    let mut seen = 0;
    while let Some((folder, name)) = pending.pop() {
        if is_array(&folder) {
            arrays.push(name);
            continue;
        }
        for entry in folder.read_dir().map_err(|error| Error::read(&folder, &error))?.flatten() {
            let Ok(child) = entry.file_name().into_string() else { continue };
            if child.starts_with('.') || !entry.path().is_dir() {
                continue;
            }
            seen += 1;
            if seen > MOST_FOLDERS {
                return Err(Error::new(
                    Kind::UnsupportedFormat,
                    format!("'{}' holds too many folders to be searched", folder.display()),
                )
                .fix("Name the array itself."));
            }
            let path = if name.is_empty() { child } else { format!("{name}/{child}") };
            pending.push((entry.path(), path));
        }
    }
    arrays.sort();
    Ok(arrays)
}

/// The path of an array inside a store, without what does not belong there.
pub fn inner_path(array: &str) -> Result<String> {
    let inner = array.trim_matches('/');
    let plain = Path::new(inner).components().all(|part| matches!(part, Component::Normal(_)));
    if plain {
        return Ok(inner.to_owned());
    }
    Err(Error::argument(format!("'{array}' is not a path inside a Zarr store"))
        .fix("Use names separated by '/', for example em/s0."))
}

/// The array at `inner` in `store`: itself, or the only one below it.
pub fn find(store: &Path, inner: &str) -> Result<(String, ArrayNode)> {
    let folder = store.join(inner);
    if !folder.is_dir() {
        return Err(missing(store, inner));
    }
    if let Some(Node::Array(node)) = read(&folder)? {
        return Ok((inner.to_owned(), node));
    }
    let arrays: Vec<String> = list(&folder)?
        .into_iter()
        .map(|below| if inner.is_empty() { below } else { format!("{inner}/{below}") })
        .collect();
    match arrays.as_slice() {
        [] => {
            Err(Error::new(Kind::NotFound, format!("'{}' holds no Zarr array", folder.display()))
                .fix("Name a folder with a zarr.json or .zarray, or a group that holds one."))
        }
        [only] => match read(&store.join(only))? {
            Some(Node::Array(node)) => Ok((only.clone(), node)),
            _ => Err(missing(store, only)),
        },
        _ => Err(Error::new(
            Kind::AmbiguousArray,
            format!("'{}' holds {} arrays: {}", folder.display(), arrays.len(), some_of(&arrays)),
        )
        .fix(format!("Name one of them, for example {}::{}.", store.display(), arrays[0]))),
    }
}

fn missing(store: &Path, inner: &str) -> Error {
    if store.is_file() {
        return Error::new(
            Kind::UnsupportedFormat,
            format!("'{}' is a file; Zarr arrays are folders", store.display()),
        )
        .fix("Unpack it if it is an archive of a Zarr store.");
    }
    let folder = store.join(inner);
    let error = Error::new(Kind::NotFound, format!("'{}' does not exist", folder.display()));
    if store.is_dir() {
        let arrays = list(store).unwrap_or_default();
        return match nearest(inner, arrays.iter().map(String::as_str)) {
            Some(near) => error.fix(format!("Did you mean '{}::{near}'?", store.display())),
            None if arrays.is_empty() => error.fix("The store holds no array."),
            None => error.fix(format!("The store holds: {}.", some_of(&arrays))),
        };
    }
    let siblings: Vec<String> = store
        .parent()
        .and_then(|parent| parent.read_dir().ok())
        .map(|entries| entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    let name = store.file_name().unwrap_or_default().to_string_lossy();
    match nearest(&name, siblings.iter().map(String::as_str)) {
        Some(near) => {
            error.fix(format!("Did you mean '{}'?", store.with_file_name(near).display()))
        }
        None => error.fix("Check the path."),
    }
}

/// The first names of a list that may be long.
pub fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}
