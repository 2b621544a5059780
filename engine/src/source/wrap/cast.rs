//! Another data type.

use super::{Parameters, Transform, Wrap};
use crate::array::{Array, Cast};
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::Region;
use crate::source::Source;
use serde::{Deserialize, Serialize};

/// The same values in another data type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CastTo {
    /// The data type.
    pub dtype: DType,
    /// What happens to values that it cannot hold.
    #[serde(default)]
    pub cast: Cast,
}

pub(super) struct CastTransform {
    parameters: CastTo,
    shape: Vec<u64>,
}

impl Parameters for CastTo {
    type Transform = CastTransform;
    fn transform(self, source: &dyn Source) -> Result<CastTransform> {
        Ok(CastTransform { parameters: self, shape: source.shape().to_vec() })
    }
}

impl Transform for CastTransform {
    fn wrap(&self) -> Wrap {
        Wrap::Cast(self.parameters.clone())
    }

    fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.parameters.dtype
    }

    fn read(&self, source: &dyn Source, region: &Region) -> Result<Array> {
        let block = source.read(region)?;
        if block.dtype() == self.parameters.dtype {
            return Ok(block);
        }
        block.cast(self.parameters.dtype, self.parameters.cast)
    }
}
