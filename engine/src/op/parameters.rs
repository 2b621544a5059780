//! What the front ends know of an operation: its name, its arrays and its parameters. From that the
//! `bp` verb, the code of a run and the form of an operation are made.

use super::{Operation, OperationSpec};
use crate::error::{Error, Result};
use crate::source::zarr::Version;
use crate::source::{Metadata, Source};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Debug, Display};
use std::str::FromStr;
use std::sync::Arc;

/// An array that a verb reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// How it is called where the verb is explained, such as `SRC`.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
}

/// The one input of most operations.
pub const ONE_INPUT: &[Input] = &[Input {
    name: "SRC",
    help: "Array to read: vol.zarr, vol.zarr/s0, vol.n5, stack.tif, slices/*.tif, map.mrc, image.nii.gz",
}];

/// A group of arrays that one operation makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The arrays, in the order of the operation's outputs.
    pub arrays: Vec<GroupArray>,
    /// What the group says of them.
    pub attributes: serde_json::Map<String, serde_json::Value>,
    /// Version of the format.
    pub version: Version,
}

/// An array of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupArray {
    /// Its name in the group.
    pub name: String,
    /// Its axes and voxel size.
    pub metadata: Metadata,
}

/// The parameters of an operation. A field is an option of the verb, an argument of the Python function
/// and a property of the schema by the same name, and its comment explains it in all three; its default
/// is given to clap and to serde.
pub trait Parameters:
    Operation + clap::Args + Serialize + DeserializeOwned + JsonSchema + Clone + Debug + PartialEq
{
    /// The operation's name: of the verb, and in run folders.
    const NAME: &'static str;

    /// The arrays that it reads.
    const INPUTS: &'static [Input];

    /// The Python function that does the same, such as `bp.filters.gaussian_smoothing`. It takes the
    /// inputs, the parameters that have no default, the output, and the rest by name. Without one the
    /// code for Python is the line of the verb.
    const PYTHON: Option<&'static str>;

    /// Whether it makes a group of arrays, which [`Parameters::group`] describes, and not one array.
    const MAKES_GROUP: bool = false;

    /// The group that it makes of an image. What the parameters leave to the image is decided then.
    ///
    /// # Errors
    /// `invalid-argument` for an image that it does not take.
    fn group(&mut self, image: &dyn Source) -> Result<Group> {
        let _ = image;
        Err(Error::internal(format!("{} makes no group", Self::NAME)))
    }

    /// What is read instead of the inputs, where part of the work is done while they are read.
    ///
    /// # Errors
    /// `invalid-argument` for parameters that do not fit the inputs.
    fn over(&self, inputs: Vec<Arc<dyn Source>>) -> Result<Vec<Arc<dyn Source>>> {
        Ok(inputs)
    }

    /// The operation as it stands in a run folder.
    fn spec(&self) -> OperationSpec {
        OperationSpec {
            name: Self::NAME.to_owned(),
            parameters: serde_json::to_value(self).unwrap_or_default(),
            language: None,
        }
    }
}

/// A parameter that is one for all axes, or one for each: `2`, or `1,2,2`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PerAxis<T> {
    /// The same for all axes.
    All(T),
    /// One for each axis, slowest axis first.
    Each(Vec<T>),
}

impl<T: Clone> PerAxis<T> {
    /// The value of each axis; `option` is the parameter's name.
    ///
    /// # Errors
    /// `invalid-argument` if there are values for another number of axes.
    pub fn for_axes(&self, option: &str, ndim: usize) -> Result<Vec<T>> {
        match self {
            PerAxis::All(value) => Ok(vec![value.clone(); ndim]),
            PerAxis::Each(values) if values.len() == ndim => Ok(values.clone()),
            PerAxis::Each(values) => Err(Error::argument(format!(
                "{option} has {} values, the array has {ndim} axes",
                values.len()
            ))
            .about(option)
            .fix("Give one value for all axes, or one for each.")),
        }
    }
}

impl<T: FromStr> FromStr for PerAxis<T> {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let one = |text: &str| {
            text.trim().parse().map_err(|_| {
                Error::argument(format!("'{text}' is not understood as such a number"))
                    .fix("Give one value for all axes, or one for each, such as 1,2,2.")
            })
        };
        match text.contains(',') {
            false => one(text).map(PerAxis::All),
            true => text.split(',').map(one).collect::<Result<_>>().map(PerAxis::Each),
        }
    }
}

impl<T: Display> Display for PerAxis<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PerAxis::All(value) => value.fmt(f),
            PerAxis::Each(values) => {
                let values: Vec<String> = values.iter().map(T::to_string).collect();
                f.write_str(&values.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_for_all_axes_or_for_each() {
        let one: PerAxis<f64> = "1.5".parse().unwrap();
        let each: PerAxis<f64> = "1, 2,0.5".parse().unwrap();
        assert_eq!(one.for_axes("--sigma", 2).unwrap(), [1.5, 1.5]);
        assert_eq!(each.for_axes("--sigma", 3).unwrap(), [1.0, 2.0, 0.5]);
        assert_eq!(each.to_string(), "1,2,0.5");
        for value in [&one, &each] {
            let json = serde_json::to_string(value).unwrap();
            assert_eq!(serde_json::from_str::<PerAxis<f64>>(&json).unwrap(), *value);
        }
        let error = each.for_axes("--sigma", 2).unwrap_err();
        assert!(error.message.contains("--sigma has 3 values"), "{error:?}");
        for bad in ["", "1,", "a", "1,b"] {
            assert!(bad.parse::<PerAxis<u64>>().is_err(), "{bad}");
        }
    }
}
