//! Axes, voxel size and attributes, from and to the metadata of an array and the groups above it.

use super::node::{self, ArrayNode, Node};
use crate::source::{Axis, Metadata};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Attributes that an array written here carries in addition to what OME-Zarr groups say.
const VOXEL_SIZE: &str = "voxel_size";
const UNITS: &str = "units";
const AXES: &str = "axes";
/// What xarray writes into Zarr v2 arrays.
const XARRAY_DIMENSIONS: &str = "_ARRAY_DIMENSIONS";

/// What is known of the array at `inner` in `store`. What its own metadata says comes before what a
/// multiscales group above it says.
pub fn read(store: &Path, inner: &str, node: &ArrayNode, ndim: usize) -> Metadata {
    let mut attributes = node.attributes.clone();
    let mut axes = vec![Axis::default(); ndim];
    let names = match node.json.get("dimension_names") {
        Some(names) => list_of(names, ndim, |name| Some(name.as_str().unwrap_or("").to_owned())),
        None => [AXES, XARRAY_DIMENSIONS].into_iter().find_map(|key| {
            take(&mut attributes, key, ndim, |name| Some(name.as_str()?.to_owned()))
        }),
    };
    let scales = take(&mut attributes, VOXEL_SIZE, ndim, |scale| {
        if scale.is_null() { Some(None) } else { scale.as_f64().map(Some) }
    });
    let units = take(&mut attributes, UNITS, ndim, |unit| {
        if unit.is_null() { Some(None) } else { unit.as_str().map(|unit| Some(unit.to_owned())) }
    });
    for (axis, name) in axes.iter_mut().zip(names.unwrap_or_default()) {
        axis.name = name;
    }
    for (axis, scale) in axes.iter_mut().zip(scales.unwrap_or_default()) {
        axis.scale = scale;
    }
    for (axis, unit) in axes.iter_mut().zip(units.unwrap_or_default()) {
        axis.unit = unit;
    }
    for (axis, ome) in axes.iter_mut().zip(ome_axes(store, inner, ndim).unwrap_or_default()) {
        if axis.name.is_empty() {
            axis.name = ome.name;
        }
        axis.scale = axis.scale.or(ome.scale);
        axis.unit = axis.unit.take().or(ome.unit);
    }
    let known = axes.iter().any(|axis| *axis != Axis::default());
    Metadata { axes: if known { axes } else { Vec::new() }, attributes }
}

/// The attributes that a new array gets, but for the names of axes.
pub fn to_attributes(metadata: &Metadata) -> Map<String, Value> {
    let mut attributes = metadata.attributes.clone();
    if metadata.axes.iter().any(|axis| axis.scale.is_some()) {
        let scales: Vec<_> = metadata.axes.iter().map(|axis| axis.scale).collect();
        attributes.insert(VOXEL_SIZE.into(), json!(scales));
    }
    if metadata.axes.iter().any(|axis| axis.unit.is_some()) {
        let units: Vec<_> = metadata.axes.iter().map(|axis| axis.unit.as_deref()).collect();
        attributes.insert(UNITS.into(), json!(units));
    }
    attributes
}

/// The `dimension_names` of a new array; none where no axis has a name.
pub fn dimension_names(metadata: &Metadata) -> Option<Value> {
    let named = metadata.axes.iter().any(|axis| !axis.name.is_empty());
    let names = metadata.axes.iter().map(|axis| Some(&axis.name).filter(|name| !name.is_empty()));
    named.then(|| json!(names.collect::<Vec<_>>()))
}

/// Adds the axis names, for which Zarr v2 has no place of its own.
pub fn add_dimensions(metadata: &Metadata, attributes: &mut Map<String, Value>) {
    if metadata.axes.iter().any(|axis| !axis.name.is_empty()) {
        let names: Vec<&str> = metadata.axes.iter().map(|axis| axis.name.as_str()).collect();
        attributes.insert(XARRAY_DIMENSIONS.into(), json!(names));
    }
}

fn list_of<T>(value: &Value, len: usize, item: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array().filter(|list| list.len() == len)?.iter().map(item).collect()
}

/// Takes an attribute out, if it is what its name promises.
fn take<T>(
    attributes: &mut Map<String, Value>,
    key: &str,
    len: usize,
    item: impl Fn(&Value) -> Option<T>,
) -> Option<Vec<T>> {
    let list = list_of(attributes.get(key)?, len, item)?;
    attributes.remove(key);
    Some(list)
}

/// What the multiscales of OME-Zarr (0.4 in `.zattrs`, 0.5 below `ome`) in the nearest group above say
/// about this array.
fn ome_axes(store: &Path, inner: &str, ndim: usize) -> Option<Vec<Axis>> {
    let folder = store.join(inner);
    folder.ancestors().skip(1).take(3).find_map(|group| {
        let Ok(Some(Node::Group(found))) = node::read(group) else { return None };
        let below = folder.strip_prefix(group).ok()?.to_str()?.to_owned();
        multiscales(&found.attributes).find_map(|multiscale| axes_of(multiscale, &below, ndim))
    })
}

/// The `multiscales` that a group's attributes describe.
pub fn multiscales(attributes: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let ome = attributes.get("ome").and_then(Value::as_object).unwrap_or(attributes);
    ome.get("multiscales").and_then(Value::as_array).into_iter().flatten()
}

fn axes_of(multiscale: &Value, dataset: &str, ndim: usize) -> Option<Vec<Axis>> {
    let datasets = multiscale.get("datasets")?.as_array()?;
    let dataset = datasets.iter().find(|entry| {
        entry.get("path").and_then(Value::as_str).is_some_and(|p| p.trim_matches('/') == dataset)
    })?;
    let mut axes = list_of(multiscale.get("axes")?, ndim, |axis| {
        // 0.3 has plain names here.
        let name = axis.as_str().or_else(|| axis.get("name")?.as_str())?;
        let unit = axis.get("unit").and_then(Value::as_str).map(str::to_owned);
        Some(Axis { name: name.to_owned(), scale: None, unit })
    })?;
    for part in [dataset, multiscale] {
        let transforms = part.get("coordinateTransformations").and_then(Value::as_array);
        for transform in transforms.into_iter().flatten().filter(|t| t["type"] == "scale") {
            let scale = transform.get("scale").and_then(|s| list_of(s, ndim, Value::as_f64));
            for (axis, factor) in axes.iter_mut().zip(scale.unwrap_or_default()) {
                axis.scale = Some(axis.scale.unwrap_or(1.0) * factor);
            }
        }
    }
    Some(axes)
}
