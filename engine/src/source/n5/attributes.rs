//! `attributes.json`: what an N5 array is.

use super::codec::Codec;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::source::hierarchy::Hierarchy;
use crate::source::{Axis, Metadata, store, units};
use serde_json::{Map, Value};
use std::path::Path;

/// The file that says what a folder is.
pub const FILE: &str = "attributes.json";

/// How the arrays of a store are found.
pub const HIERARCHY: Hierarchy = Hierarchy {
    format: "N5",
    markers: "an attributes.json that has dimensions",
    is_array: |folder| matches!(read(folder), Ok(Some(_))),
};

/// An array's grid, data type and compression, slowest axis first.
pub struct Attributes {
    pub shape: Vec<u64>,
    pub chunks: Vec<u64>,
    pub dtype: DType,
    pub codec: Codec,
    pub metadata: Metadata,
}

/// Whether a folder says of itself that it is an N5 store or an array in one.
pub fn is_container(folder: &Path) -> bool {
    matches!(read_json(folder), Ok(Some(json)) if json.contains_key("n5") || is_array(&json))
}

/// The attributes of a folder that is an array.
pub fn read(folder: &Path) -> Result<Option<Map<String, Value>>> {
    Ok(read_json(folder)?.filter(is_array))
}

fn is_array(json: &Map<String, Value>) -> bool {
    json.contains_key("dimensions") && json.contains_key("dataType")
}

fn read_json(folder: &Path) -> Result<Option<Map<String, Value>>> {
    let mut bytes = Vec::new();
    if !store::read_whole(&folder.join(FILE), &mut bytes)? {
        return Ok(None);
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(json)) => Ok(Some(json)),
        Ok(_) => Err(damaged(folder, "it is no object")),
        Err(error) => Err(damaged(folder, &error.to_string())),
    }
}

fn damaged(folder: &Path, why: &str) -> Error {
    Error::new(
        Kind::CorruptData,
        format!("the N5 metadata '{}' is damaged: {why}", folder.join(FILE).display()),
    )
    .fix("Restore the file, or write the array again.")
}

impl Attributes {
    pub fn new(folder: &Path, mut json: Map<String, Value>) -> Result<Self> {
        let mut extents = |key: &str| {
            let list = json.remove(key);
            let list = list.as_ref().and_then(Value::as_array);
            list.and_then(|list| list.iter().rev().map(Value::as_u64).collect::<Option<Vec<_>>>())
                .filter(|list| !list.is_empty())
                .ok_or_else(|| damaged(folder, &format!("'{key}' is no list of extents")))
        };
        let (shape, chunks) = (extents("dimensions")?, extents("blockSize")?);
        if shape.len() != chunks.len() || chunks.contains(&0) {
            return Err(damaged(folder, "its blockSize does not suit its dimensions"));
        }
        let name = json.remove("dataType");
        let dtype = name.as_ref().and_then(Value::as_str).and_then(data_type).ok_or_else(|| {
            let name = name.unwrap_or_default();
            Error::new(
                Kind::DtypeMismatch,
                format!(
                    "the N5 array '{}' has data type {name}, which is not supported",
                    folder.display()
                ),
            )
            .fix("Convert it to an integer or float type.")
        })?;
        let bytes = chunks.iter().try_fold(dtype.size(), |bytes, &extent| {
            bytes
                .checked_mul(usize::try_from(extent).ok()?)
                .filter(|bytes| *bytes < isize::MAX as usize)
        });
        if bytes.is_none() {
            return Err(damaged(folder, "its blocks are too large"));
        }
        // N5 before 2.0 had nothing but a name.
        let compression = json
            .remove("compression")
            .or_else(|| {
                json.remove("compressionType").map(|name| serde_json::json!({"type": name}))
            })
            .ok_or_else(|| damaged(folder, "it has no compression"))?;
        let codec = Codec::new(&compression, dtype, folder)?;
        let axes = take_axes(&mut json, shape.len());
        Ok(Attributes {
            shape,
            chunks,
            dtype,
            codec,
            metadata: Metadata { axes, attributes: json },
        })
    }
}

/// N5 names its types as numpy does, and has no booleans.
fn data_type(name: &str) -> Option<DType> {
    DType::ALL.into_iter().find(|dtype| dtype.name() == name && *dtype != DType::Bool)
}

/// Axes and voxel size, in the words of COSEM (`axes`, `units`, `resolution`) and of N5 viewer
/// (`pixelResolution`).
fn take_axes(json: &mut Map<String, Value>, ndim: usize) -> Vec<Axis> {
    let mut axes = vec![Axis::default(); ndim];
    let mut set = |key: &str, set: &dyn Fn(&mut Axis, &Value)| {
        if json.get(key).and_then(Value::as_array).is_some_and(|list| list.len() == ndim)
            && let Some(Value::Array(list)) = json.remove(key)
        {
            axes.iter_mut().rev().zip(&list).for_each(|(axis, value)| set(axis, value));
        }
    };
    set("axes", &|axis, name| axis.name = name.as_str().unwrap_or_default().to_owned());
    set("units", &|axis, unit| axis.unit = unit.as_str().and_then(units::ome_zarr));
    set("resolution", &|axis, scale| axis.scale = scale.as_f64());
    if let Some(resolution) = json.get("pixelResolution") {
        let unit = resolution.get("unit").and_then(Value::as_str).and_then(units::ome_zarr);
        let scales = resolution.get("dimensions").unwrap_or(resolution).as_array();
        if let Some(scales) = scales.filter(|scales| scales.len() == ndim) {
            for (axis, scale) in axes.iter_mut().rev().zip(scales) {
                axis.scale = axis.scale.or(scale.as_f64());
                axis.unit = axis.unit.take().or(unit.clone());
            }
            json.remove("pixelResolution");
        }
    }
    if axes.iter().all(|axis| *axis == Axis::default()) { Vec::new() } else { axes }
}
