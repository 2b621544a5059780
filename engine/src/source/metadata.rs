//! What is known of an array besides its voxels, in whatever format it was stored.

use serde::{Deserialize, Serialize};

/// One axis of an array.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// `t`, `c`, `z`, `y` or `x`, or any other name that the file gives; empty if unknown.
    pub name: String,
    /// Distance between neighbouring voxels (or frames), where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Unit of `scale` as OME-Zarr spells it, such as `micrometer` or `second`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Facts about an array that are carried over to an output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// One entry for each axis, or none where nothing is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<Axis>,
    /// Other attributes, as they were found.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

impl Metadata {
    /// The voxel size, where it is known for every axis.
    pub fn voxel_size(&self) -> Option<Vec<f64>> {
        if self.axes.is_empty() {
            return None;
        }
        self.axes.iter().map(|axis| axis.scale).collect()
    }
}
