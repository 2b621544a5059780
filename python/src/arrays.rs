//! An array as the engine sees it: opened natively, in numpy's memory, or worked through Python.

use crate::errors::{IntoPython, to_python};
use crate::foreign::{ForeignArray, to_block};
use crate::language;
use crate::read_ahead::ReadAhead;
use bioimage_engine::Error;
use bioimage_engine::array::Array as Block;
use bioimage_engine::dtype::DType;
use bioimage_engine::grid::Region;
use bioimage_engine::op::Traffic;
use bioimage_engine::source::memory::MemoryArray;
use bioimage_engine::source::path::{arrays_in, locate};
use bioimage_engine::source::{Sink, Source, Spec};
use numpy::ndarray::ArrayViewMut1;
use numpy::npyffi::flags::{NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_WRITEABLE};
use numpy::{PyArray1, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

/// An array that runs read, and write where it is a sink.
#[pyclass(frozen)]
pub struct Array {
    pub source: Arc<dyn Source>,
    pub sink: Option<Arc<dyn Sink>>,
    /// The same as `source` where it is read ahead.
    pub ahead: Option<Arc<ReadAhead>>,
    pub kind: &'static str,
}

impl Array {
    /// An array that a run has opened.
    pub fn opened(source: Arc<dyn Source>) -> Self {
        let kind = source.spec().as_ref().map_or("memory", kind_of);
        Array::of_source(source, kind)
    }

    /// An array that is read.
    pub fn of_source(source: Arc<dyn Source>, kind: &'static str) -> Self {
        Array { source, sink: None, ahead: None, kind }
    }

    /// An array that is written, too.
    pub fn of_sink(sink: Arc<dyn Sink>, kind: &'static str) -> Self {
        Array { source: sink.clone().as_source(), sink: Some(sink), ahead: None, kind }
    }
}

thread_local! {
    static TRAFFIC: Cell<Traffic> = const { Cell::new(Traffic { read: 0, written: 0 }) };
}

/// What this thread has read and written here since it was last asked.
pub fn count_traffic() -> Traffic {
    TRAFFIC.take()
}

fn note_traffic(read: usize, written: usize) {
    let Traffic { read: before, written: written_before } = TRAFFIC.get();
    TRAFFIC.set(Traffic { read: before + read as u64, written: written_before + written as u64 });
}

/// Keeps the memory of a block that numpy shows.
#[pyclass(frozen)]
struct Voxels {
    _block: Block,
}

#[pymethods]
impl Array {
    /// The array that a path names, for reading.
    #[staticmethod]
    fn locate(py: Python<'_>, path: &str) -> PyResult<Self> {
        let opened = py.detach(|| {
            let spec = locate(path)?;
            spec.open().map(|source| (spec, source))
        });
        let (spec, source) = opened.into_python(py)?;
        Ok(Array::of_source(source, kind_of(&spec)))
    }

    /// Paths of the arrays in a Zarr or N5 store.
    #[staticmethod]
    fn names(py: Python<'_>, path: PathBuf) -> PyResult<Vec<String>> {
        let arrays = py.detach(|| arrays_in(&path)).into_python(py)?;
        Ok(arrays.into_iter().map(|(name, _)| name).collect())
    }

    /// An array at a known place: `{"format": "zarr", "path": ..., "array": ...}` and the like.
    #[staticmethod]
    fn open(py: Python<'_>, spec: &str, writable: bool) -> PyResult<Self> {
        let spec: Spec = serde_json::from_str(spec)
            .map_err(|error| to_python(py, &Error::argument(format!("not a spec: {error}"))))?;
        let kind = kind_of(&spec);
        if writable {
            let sink = py.detach(|| spec.open_sink()).into_python(py)?;
            return Ok(Array::of_sink(sink, kind));
        }
        let source = py.detach(|| spec.open()).into_python(py)?;
        Ok(Array::of_source(source, kind))
    }

    /// A numpy array in C order and native byte order, shared without a copy. One that is not to be
    /// written to must not change as long as it is in use.
    #[staticmethod]
    fn memory(array: &Bound<'_, PyUntypedArray>, dtype: &str, writable: bool) -> PyResult<Self> {
        let py = array.py();
        let dtype = DType::parse(dtype).into_python(py)?;
        let shape: Vec<u64> = array.shape().iter().map(|&n| n as u64).collect();
        let raw = array.as_array_ptr();
        // SAFETY: the pointer is that of a live numpy array, which `array` keeps alive.
        let (flags, data) = unsafe { ((*raw).fields.flags, (*raw).fields.data.cast::<u8>()) };
        if flags & NPY_ARRAY_C_CONTIGUOUS == 0
            || flags & NPY_ARRAY_ALIGNED == 0
            || array.dtype().itemsize() != dtype.size()
        {
            let error = Error::internal("only plain C-order arrays are shared with the engine");
            return Err(to_python(py, &error));
        }
        let owner: Arc<Py<PyAny>> = Arc::new(array.clone().into_any().unbind());
        // SAFETY: C order, alignment and item size were checked; the array object, which `owner`
        // keeps alive, keeps its memory in place as long as somebody else refers to it.
        let memory = unsafe { MemoryArray::borrowed(dtype, &shape, data, owner) };
        if !writable {
            // SAFETY: who asks for an array to read promises that it is not written to meanwhile.
            return Ok(Array::of_source(Arc::new(unsafe { memory.lending() }), "memory"));
        }
        let memory = Arc::new(memory);
        if flags & NPY_ARRAY_WRITEABLE == 0 {
            return Ok(Array::of_source(memory, "memory"));
        }
        Ok(Array::of_sink(memory, "memory"))
    }

    /// Any object with shape, dtype and slicing.
    #[staticmethod]
    #[pyo3(signature = (object, shape, dtype, chunks, shards, writable, spec))]
    #[allow(clippy::too_many_arguments, reason = "an array has that many properties")]
    fn foreign(
        py: Python<'_>,
        object: Py<PyAny>,
        shape: Vec<u64>,
        dtype: &str,
        chunks: Option<Vec<u64>>,
        shards: Option<Vec<u64>>,
        writable: bool,
        spec: Option<(String, String)>,
    ) -> PyResult<Self> {
        let dtype = DType::parse(dtype).into_python(py)?;
        let spec = match spec {
            None => None,
            Some((name, value)) => {
                let value = serde_json::from_str(&value).map_err(|error| {
                    to_python(py, &Error::argument(format!("the spec is not JSON: {error}")))
                })?;
                Some(Spec::Foreign { language: language::NAME.into(), name, value })
            }
        };
        let array = Arc::new(ForeignArray::new(object, shape, dtype, chunks, shards, spec));
        if writable {
            return Ok(Array::of_sink(array, "python"));
        }
        Ok(Array::of_source(array, "python"))
    }

    /// `zarr`, `n5`, `tiff`, `mrc`, `nifti`, `memory` or `python`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.kind
    }

    #[getter]
    fn shape(&self) -> Vec<u64> {
        self.source.shape().to_vec()
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        self.source.dtype().name()
    }

    #[getter]
    fn chunks(&self) -> Option<Vec<u64>> {
        self.source.chunks()
    }

    #[getter]
    fn shards(&self) -> Option<Vec<u64>> {
        self.source.shards()
    }

    #[getter]
    fn writable(&self) -> bool {
        self.sink.is_some()
    }

    /// How the array is opened again, as JSON.
    #[getter]
    fn spec(&self) -> Option<String> {
        serde_json::to_string(&self.source.spec()?).ok()
    }

    /// Axes, voxel size and attributes, as JSON.
    #[getter]
    fn metadata(&self) -> Option<String> {
        serde_json::to_string(&self.source.metadata()).ok()
    }

    /// The bytes of a region in C order, as a flat array of `uint8`.
    fn read<'py>(&self, py: Python<'py>, start: Vec<u64>, shape: Vec<u64>) -> PyResult<Bytes<'py>> {
        let region = Region { start, shape };
        let block = py.detach(|| self.source.read(&region)).into_python(py)?;
        note_traffic(block.byte_len(), 0);
        lent(py, block)
    }

    /// Writes an array of the region's shape, in C order and native byte order.
    fn write(&self, start: Vec<u64>, array: &Bound<'_, PyUntypedArray>) -> PyResult<()> {
        let py = array.py();
        let Some(sink) = &self.sink else {
            return Err(to_python(py, &Error::argument("the array was opened for reading only")));
        };
        let block = to_block(array, self.source.dtype()).into_python(py)?;
        let region = Region { start, shape: block.shape().to_vec() };
        let written = py.detach(|| sink.write(&region, &block)).into_python(py)?;
        note_traffic(0, written as usize);
        Ok(())
    }

    /// The same array, of which the next block is read while a function works on the one before;
    /// for arrays whose reading takes time.
    fn reading_ahead(&self, py: Python<'_>) -> PyResult<Self> {
        let ahead = Arc::new(ReadAhead::new(self.source.clone()).into_python(py)?);
        Ok(Array { ahead: Some(ahead.clone()), ..Array::of_source(ahead, self.kind) })
    }
}

/// The bytes of a block as numpy shows them.
pub type Bytes<'py> = Bound<'py, PyArray1<u8>>;

/// Lends the memory of a block to numpy.
pub fn lent(py: Python<'_>, mut block: Block) -> PyResult<Bytes<'_>> {
    let (bytes, len) = (block.bytes_mut().as_mut_ptr(), block.byte_len());
    let owner = Bound::new(py, Voxels { _block: block })?.into_any();
    // SAFETY: the bytes lie on the heap, where they stay when the block is moved into `owner`,
    // which numpy keeps for as long as the array; nobody else looks at them.
    Ok(unsafe { PyArray1::borrow_from_array(&ArrayViewMut1::from_shape_ptr(len, bytes), owner) })
}

fn kind_of(spec: &Spec) -> &'static str {
    match spec {
        Spec::Zarr { .. } => "zarr",
        Spec::N5 { .. } => "n5",
        Spec::Tiff { .. } => "tiff",
        Spec::Mrc { .. } => "mrc",
        Spec::Nifti { .. } => "nifti",
        Spec::Roi { source, .. } | Spec::Wrapped { source, .. } => kind_of(source),
        Spec::Foreign { .. } => "python",
    }
}
