//! Every operation of the engine, by its name.

use super::arithmetic::Arithmetic;
use super::blockwise::{BlockOperation, Blockwise};
use super::dice::Dice;
use super::expr::Expr;
use super::map_points::MapPoints;
use super::parameters::Parameters;
use super::passes::{Passes, Successive};
use super::percentiles::Percentiles;
use super::reduce::{Reduce, Reduction};
use super::relabel::Relabel;
use super::{Operation, OperationSpec};
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Calls a macro with the operations that have a verb: what the verb does, its name, and the type of
/// its parameters.
macro_rules! operations {
    ($then:ident) => {
        $then! {
            /// Copy an array into another grid, codec, data type or format
            Copy($crate::op::copy::Copy),
            /// Tell how far each voxel that is not zero lies from the nearest zero
            Distance($crate::op::distance::Distance),
            /// Put an array on a coarser grid
            Downsample($crate::op::blockwise::Blockwise<$crate::op::downsample::Downsample>),
            /// Write an image and coarser and coarser ones as OME-Zarr
            Pyramid($crate::op::pyramid::Pyramid),
            /// Smooth an image with a Gaussian
            Gaussian($crate::op::blockwise::Blockwise<$crate::op::filters::Gaussian>),
            /// Show edges: the length of the gradient of the smoothed image
            Gradient($crate::op::blockwise::Blockwise<$crate::op::filters::Gradient>),
            /// Show blobs and edges: the Laplacian of the smoothed image
            Laplace($crate::op::blockwise::Blockwise<$crate::op::filters::Laplace>),
            /// Show ridges, tubes and blobs: eigenvalues of the second derivatives of the smoothed image
            Hessian($crate::op::blockwise::Blockwise<$crate::op::filters::Hessian>),
            /// Show edges, corners and texture: eigenvalues of the structure tensor
            Structure($crate::op::blockwise::Blockwise<$crate::op::filters::Structure>),
            /// Show what is of one size: a smoothed image less a smoother one
            DifferenceOfGaussians($crate::op::blockwise::Blockwise<$crate::op::filters::DifferenceOfGaussians>),
            /// Take the middle value of each voxel's neighbourhood: noise goes, edges stay
            Median($crate::op::blockwise::Blockwise<$crate::op::median::Median>),
            /// Take the least value of each voxel's neighbourhood: what is bright shrinks
            Erosion($crate::op::blockwise::Blockwise<$crate::op::grey::Erosion>),
            /// Take the greatest value of each voxel's neighbourhood: what is bright grows
            Dilation($crate::op::blockwise::Blockwise<$crate::op::grey::Dilation>),
            /// Erode and dilate: bright parts that are smaller than the neighbourhood go
            Opening($crate::op::blockwise::Blockwise<$crate::op::grey::Opening>),
            /// Dilate and erode: dark parts that are smaller than the neighbourhood go
            Closing($crate::op::blockwise::Blockwise<$crate::op::grey::Closing>),
            /// Show bright parts that are smaller than the neighbourhood: the image less its opening
            WhiteTophat($crate::op::blockwise::Blockwise<$crate::op::grey::WhiteTophat>),
            /// Show dark parts that are smaller than the neighbourhood: the closing less the image
            BlackTophat($crate::op::blockwise::Blockwise<$crate::op::grey::BlackTophat>),
            /// Compare each voxel with a number: a mask
            Threshold($crate::op::blockwise::Blockwise<$crate::op::threshold::Threshold>),
            /// Tell which voxels have one of some values: a mask
            Isin($crate::op::blockwise::Blockwise<$crate::op::isin::IsIn>),
            /// Label the connected components of an array with 1, 2, 3, ...
            Label($crate::op::label::Label),
            /// Grow seeds over an image of heights, low parts first
            Watershed($crate::op::watershed::Watershed),
            /// Give the labels of an image new ones without gaps
            RelabelConsecutive($crate::op::relabel::RelabelConsecutive),
            /// Remove objects that are too small or too large
            SizeFilter($crate::op::relabel::SizeFilter),
        }
    };
}
pub(crate) use operations;

/// Calls a macro with the operations that measure, as [`operations`] does with those that make an
/// array.
macro_rules! measurements {
    ($then:ident) => {
        $then! {
            /// Count the voxels of an array and tell their least, greatest and mean value and deviation
            Statistics($crate::op::reduce::Reduce<$crate::op::statistics::Statistics>),
            /// List the values of an array and count how often each occurs
            Unique($crate::op::reduce::Reduce<$crate::op::unique::Unique>),
            /// Count the voxels of an array in bins of equal width
            Histogram($crate::op::passes::Passes<$crate::op::histogram::Histogram>),
            /// Find voxels that none near them exceeds: peaks, centres of spots
            LocalMaxima($crate::op::passes::Passes<$crate::op::local_maxima::LocalMaxima>),
            /// Measure size, centre of mass and bounding box of each label
            Morphology($crate::op::reduce::Reduce<$crate::op::morphology::Morphology>),
            /// Measure volume, extent, axes, centre and surface of each label
            Regionprops($crate::op::passes::Passes<$crate::op::regionprops::RegionProps>),
            /// Tell how well a segmentation agrees with a reference
            Compare($crate::op::reduce::Reduce<$crate::op::compare::Compare>),
        }
    };
}
pub(crate) use measurements;

macro_rules! names {
    ($($(#[doc = $help:literal])* $verb:ident($parameters:ty),)*) => {
        [$((<$parameters as Parameters>::NAME, concat!($($help),*).trim_ascii())),*]
    };
}

/// The names of the operations that have a verb, and what each does.
pub fn verbs() -> Vec<(&'static str, &'static str)> {
    let mut all = operations!(names).to_vec();
    all.extend(measurements!(names));
    all
}

macro_rules! schemas {
    ($($(#[$help:meta])* $verb:ident($parameters:ty),)*) => {
        |name: &str| match name {
            $(<$parameters as Parameters>::NAME => Some(schemars::schema_for!($parameters)),)*
            _ => None,
        }
    };
}

/// The JSON Schema of the parameters of an operation that has a verb.
pub fn schema(name: &str) -> Option<serde_json::Value> {
    let (arrays, measurements) = (operations!(schemas), measurements!(schemas));
    arrays(name).or_else(|| measurements(name)).map(schemars::Schema::to_value)
}

macro_rules! finder {
    ($($(#[$help:meta])* $verb:ident($parameters:ty),)*) => {
        |spec: &OperationSpec| -> Option<Result<Arc<dyn Operation>>> {
            match spec.name.as_str() {
                $(<$parameters as Parameters>::NAME => Some(built::<$parameters>(spec)),)*
                _ => None,
            }
        }
    };
}

/// The operation that a spec of the engine's own describes.
///
/// # Errors
/// `invalid-argument` for an unknown name or parameters that do not fit.
pub fn build(spec: &OperationSpec) -> Result<Arc<dyn Operation>> {
    let (arrays, measurements) = (operations!(finder), measurements!(finder));
    arrays(spec)
        .or_else(|| measurements(spec))
        .or_else(|| without_verb(spec))
        .unwrap_or_else(|| Err(Error::argument(format!("there is no operation '{}'", spec.name))))
}

/// Operations of Python functions whose verb would be as many as there are functions, or which take
/// what is no option of a verb, such as arrays by names.
fn without_verb(spec: &OperationSpec) -> Option<Result<Arc<dyn Operation>>> {
    match spec.name.as_str() {
        Arithmetic::NAME => Some(built::<Blockwise<Arithmetic>>(spec)),
        Relabel::NAME => Some(given::<Relabel>(spec).map(Relabel::operation)),
        Expr::NAME => Some(built::<Blockwise<Expr>>(spec)),
        Dice::NAME => Some(built::<Reduce<Dice>>(spec)),
        Percentiles::NAME => Some(built::<Passes<Percentiles>>(spec)),
        MapPoints::NAME => Some(built::<Passes<MapPoints>>(spec)),
        _ => None,
    }
}

fn built<P: Parameters + 'static>(spec: &OperationSpec) -> Result<Arc<dyn Operation>> {
    Ok(Arc::new(given::<P>(spec)?))
}

fn given<T: DeserializeOwned>(spec: &OperationSpec) -> Result<T> {
    serde_json::from_value(spec.parameters.clone()).map_err(|error| {
        Error::argument(format!(
            "the parameters of operation '{}' are not understood: {error}",
            spec.name
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    /// The words of the verb, the serialised parameters and the schema agree with each other.
    fn check<P: Parameters + 'static>(verb: &str) {
        assert_eq!(verb.to_lowercase(), P::NAME.replace('-', ""));
        let schema = serde_json::to_value(schemars::schema_for!(P)).unwrap();
        // Without parameters there is no such entry.
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        let command = P::augment_args(clap::Command::new(P::NAME));
        let mut given = serde_json::Map::new();
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            let property = &properties[id];
            let help = argument.get_help().unwrap().to_string();
            assert!(property["description"].as_str().unwrap().starts_with(&help), "{verb} {id}");
            assert_eq!(argument.get_long(), Some(&*id.replace('_', "-")), "{verb}");
            if argument.is_required_set() {
                given.insert(id.to_owned(), Json::Null);
            } else {
                assert!(argument.get_action().takes_values() || property["default"] == false);
            }
        }
        assert_eq!(properties.len(), command.get_arguments().count(), "{verb}");
        let required = schema.get("required").and_then(Json::as_array).map_or(0, Vec::len);
        assert_eq!(required, given.len(), "{verb}");
    }

    macro_rules! checks {
        ($($(#[$help:meta])* $verb:ident($parameters:ty),)*) => {
            || { $(check::<$parameters>(stringify!($verb));)* }
        };
    }

    #[test]
    fn options_arguments_and_schemas_agree() {
        operations!(checks)();
        measurements!(checks)();
    }

    #[test]
    fn an_unknown_operation_or_parameter_is_refused() {
        let spec = |name: &str, parameters: Json| OperationSpec {
            name: name.to_owned(),
            parameters,
            language: None,
        };
        assert!(build(&spec("copy", serde_json::json!({ "cast": "checked" }))).is_ok());
        for bad in [spec("cpoy", Json::Null), spec("copy", serde_json::json!({ "cast": "x" }))] {
            assert!(build(&bad).is_err(), "{bad:?}");
        }
    }
}
