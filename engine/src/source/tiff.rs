//! TIFF stacks.

use super::{Source, Spec};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::Region;
use std::path::Path;

/// A stack of TIFF pages.
pub struct TiffStack {}

impl TiffStack {
    /// Opens a TIFF file, a folder of slices or a glob pattern of slices.
    pub fn open(_path: &Path) -> Result<Self> {
        Err(crate::Error::internal("not here yet"))
    }
}

impl Source for TiffStack {
    fn shape(&self) -> &[u64] {
        &[]
    }
    fn dtype(&self) -> DType {
        DType::U8
    }
    fn spec(&self) -> Option<Spec> {
        None
    }
    fn fingerprint(&self) -> Result<String> {
        Err(crate::Error::internal("not here yet"))
    }
    fn read(&self, _region: &Region) -> Result<Array> {
        Err(crate::Error::internal("not here yet"))
    }
}
