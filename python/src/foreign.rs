//! Arrays that only Python can read and write: anything with a shape, a dtype and slicing.

use crate::errors::from_python;
use bioimage_engine::array::Array as Block;
use bioimage_engine::dtype::DType;
use bioimage_engine::grid::Region;
use bioimage_engine::source::{Sink, Source, Spec};
use bioimage_engine::{Error, Result};
use numpy::{PyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// A Python array. Every read and write holds the interpreter lock.
pub struct ForeignArray {
    object: Py<PyAny>,
    shape: Vec<u64>,
    dtype: DType,
    chunks: Option<Vec<u64>>,
    shards: Option<Vec<u64>>,
    spec: Option<Spec>,
}

impl ForeignArray {
    /// An array of which Python has told shape, dtype and grid.
    pub fn new(
        object: Py<PyAny>,
        shape: Vec<u64>,
        dtype: DType,
        chunks: Option<Vec<u64>>,
        shards: Option<Vec<u64>>,
        spec: Option<Spec>,
    ) -> Self {
        ForeignArray { object, shape, dtype, chunks, shards, spec }
    }
}

/// The bytes of a numpy array in C order and of native byte order, as a block.
pub fn to_block(array: &Bound<'_, PyUntypedArray>, dtype: DType) -> Result<Block> {
    let shape: Vec<u64> = array.shape().iter().map(|&n| n as u64).collect();
    bioimage_engine::dispatch!(dtype, T => {
        let typed = array.cast::<PyArrayDyn<T>>().map_err(|_| {
            Error::new(bioimage_engine::Kind::DtypeMismatch, format!("an array is not of dtype {dtype}"))
        })?;
        let readonly = numpy::PyArrayMethods::try_readonly(typed)
            .map_err(|error| Error::internal(format!("an array is borrowed: {error}")))?;
        let values = readonly
            .as_slice()
            .map_err(|_| Error::internal("an array is not contiguous"))?;
        Block::from_values::<T>(&shape, values)
    })
}

impl Source for ForeignArray {
    fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn chunks(&self) -> Option<Vec<u64>> {
        self.chunks.clone()
    }

    fn shards(&self) -> Option<Vec<u64>> {
        self.shards.clone()
    }

    fn spec(&self) -> Option<Spec> {
        self.spec.clone()
    }

    fn fingerprint(&self) -> Result<String> {
        Ok(format!("python {:?} {}", self.shape, self.dtype))
    }

    fn read(&self, region: &Region) -> Result<Block> {
        Python::attach(|py| {
            let read = || -> PyResult<Bound<'_, PyAny>> {
                py.import("bioimage_rs._blocks")?.call_method1(
                    "read",
                    (&self.object, region.start.clone(), region.end(), self.dtype.name()),
                )
            };
            let array = read().map_err(|error| {
                from_python(py, &error, &format!("reading region {region} failed"))
            })?;
            let untyped = array
                .cast::<PyUntypedArray>()
                .map_err(|_| Error::internal("a block read by Python is not an array"))?;
            to_block(untyped, self.dtype)
        })
    }
}

impl Sink for ForeignArray {
    fn write_unit(&self) -> Option<Vec<u64>> {
        self.shards.clone().or_else(|| self.chunks.clone())
    }

    fn write(&self, region: &Region, block: &Block) -> Result<u64> {
        Python::attach(|py| {
            let write = || -> PyResult<()> {
                let bytes = PyBytes::new(py, block.bytes());
                py.import("bioimage_rs._blocks")?.call_method1(
                    "write",
                    (&self.object, region.start.clone(), region.end(), bytes, self.dtype.name()),
                )?;
                Ok(())
            };
            write().map_err(|error| {
                from_python(py, &error, &format!("writing region {region} failed"))
            })
        })?;
        Ok(block.byte_len() as u64)
    }

    fn as_source(self: Arc<Self>) -> Arc<dyn Source> {
        self
    }
}
