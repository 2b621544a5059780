//! Blocks as functions written in Python see them.

use bioimage_engine::grid::{Block, Grid, Region};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PySlice, PyTuple};

/// A box of voxels.
#[pyclass(frozen, eq, hash, name = "Block", module = "bioimage_rs._native")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PyBlock(pub Region);

#[pymethods]
impl PyBlock {
    #[new]
    fn new(begin: Vec<u64>, end: Vec<u64>) -> PyResult<Self> {
        let shape = begin.iter().zip(&end).map(|(begin, end)| end.checked_sub(*begin)).collect();
        match shape {
            Some(shape) if begin.len() == end.len() => Ok(PyBlock(Region { start: begin, shape })),
            _ => Err(PyValueError::new_err("begin must not lie behind end, axis by axis")),
        }
    }

    /// First voxel.
    #[getter]
    fn begin(&self) -> Vec<u64> {
        self.0.start.clone()
    }

    /// One past the last voxel.
    #[getter]
    fn end(&self) -> Vec<u64> {
        self.0.end()
    }

    /// Extents.
    #[getter]
    fn shape(&self) -> Vec<u64> {
        self.0.shape.clone()
    }

    /// Number of axes.
    #[getter]
    fn ndim(&self) -> usize {
        self.0.ndim()
    }

    /// The slices that index the box.
    #[getter]
    fn roi<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        // Made by the type itself, whose slices have no step where none was given.
        let slice = py.get_type::<PySlice>();
        let slices = self.0.start.iter().zip(self.0.end()).map(|edges| slice.call1(edges));
        PyTuple::new(py, slices.collect::<PyResult<Vec<_>>>()?)
    }

    fn __getnewargs__(&self) -> (Vec<u64>, Vec<u64>) {
        (self.begin(), self.end())
    }

    fn __repr__(&self) -> String {
        format!("<Block [{}]>", self.0)
    }
}

/// A block and what is read around it.
#[pyclass(frozen, eq, hash, name = "BlockWithHalo", module = "bioimage_rs._native")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PyBlockWithHalo {
    outer: Region,
    inner: Region,
}

impl PyBlockWithHalo {
    pub fn of(block: &Block) -> Self {
        PyBlockWithHalo { outer: block.outer.clone(), inner: block.inner.clone() }
    }
}

#[pymethods]
impl PyBlockWithHalo {
    #[new]
    fn new(outer_block: &PyBlock, inner_block: &PyBlock) -> Self {
        PyBlockWithHalo { outer: outer_block.0.clone(), inner: inner_block.0.clone() }
    }

    /// What is read.
    #[getter]
    fn outer_block(&self) -> PyBlock {
        PyBlock(self.outer.clone())
    }

    /// What is written.
    #[getter]
    fn inner_block(&self) -> PyBlock {
        PyBlock(self.inner.clone())
    }

    /// What is written, seen from the start of what is read.
    #[getter]
    fn inner_block_local(&self) -> PyBlock {
        PyBlock(self.inner.relative_to(&self.outer.start))
    }

    fn __getnewargs__(&self) -> (PyBlock, PyBlock) {
        (self.outer_block(), self.inner_block())
    }

    fn __repr__(&self) -> String {
        format!("<BlockWithHalo [{}] in [{}]>", self.inner, self.outer)
    }
}

/// A regular grid of blocks, numbered from 0 in C order; the last along an axis are clipped.
#[pyclass(frozen, eq, module = "bioimage_rs._native")]
#[derive(PartialEq)]
pub struct Blocking {
    grid: Grid,
}

impl Blocking {
    fn block(&self, block_id: i64, halo: Option<&[u64]>) -> PyResult<Block> {
        let out_of_range = || PyIndexError::new_err("block_id is out of range");
        let id = u64::try_from(block_id).map_err(|_| out_of_range())?;
        let grid =
            match halo {
                Some(halo) => &self.grid.clone().with_halo(halo).map_err(|_| {
                    PyValueError::new_err("halo length must match the number of axes")
                })?,
                None => &self.grid,
            };
        grid.block(id).map_err(|_| out_of_range())
    }
}

#[pymethods]
impl Blocking {
    #[new]
    fn new(roi_begin: Vec<u64>, roi_end: Vec<u64>, block_shape: Vec<u64>) -> PyResult<Self> {
        let domain = PyBlock::new(roi_begin, roi_end)?.0;
        if block_shape.len() != domain.ndim() {
            return Err(PyValueError::new_err("block_shape length must match roi_begin length"));
        }
        let grid = Grid::new(domain, &block_shape)
            .map_err(|_| PyValueError::new_err("block_shape values must be positive"))?;
        Ok(Blocking { grid })
    }

    /// Number of axes.
    #[getter]
    fn ndim(&self) -> usize {
        self.grid.ndim()
    }

    /// First voxel of the region that the blocks cover.
    #[getter]
    fn roi_begin(&self) -> Vec<u64> {
        self.grid.domain.start.clone()
    }

    /// One past its last voxel.
    #[getter]
    fn roi_end(&self) -> Vec<u64> {
        self.grid.domain.end()
    }

    /// Extents of a block that is not clipped.
    #[getter]
    fn block_shape(&self) -> Vec<u64> {
        self.grid.block_shape.clone()
    }

    /// Number of blocks along each axis.
    #[getter]
    fn blocks_per_axis(&self) -> Vec<u64> {
        self.grid.blocks_per_axis()
    }

    /// Number of blocks.
    #[getter]
    fn number_of_blocks(&self) -> u64 {
        self.grid.len()
    }

    /// The block with a number.
    fn get_block(&self, block_id: i64) -> PyResult<PyBlock> {
        Ok(PyBlock(self.block(block_id, None)?.inner))
    }

    /// The block with a number, and what lies around it inside the region.
    fn get_block_with_halo(&self, block_id: i64, halo: Vec<u64>) -> PyResult<PyBlockWithHalo> {
        Ok(PyBlockWithHalo::of(&self.block(block_id, Some(&halo))?))
    }

    /// Position of a block in the grid.
    fn block_grid_position(&self, block_id: i64) -> PyResult<Vec<u64>> {
        Ok(self.grid.position(self.block(block_id, None)?.id))
    }

    /// Number of the block that a voxel lies in.
    fn coordinates_to_block_id(&self, coordinates: Vec<u64>) -> PyResult<u64> {
        let Region { start, shape } = &self.grid.domain;
        let position: Option<Vec<u64>> = (0..self.grid.ndim())
            .map(|axis| {
                let from_start = coordinates.get(axis)?.checked_sub(start[axis])?;
                (from_start < shape[axis]).then_some(from_start / self.grid.block_shape[axis])
            })
            .collect();
        match position {
            Some(position) if coordinates.len() == self.grid.ndim() => {
                Ok(self.grid.id_at(&position))
            }
            _ => Err(PyIndexError::new_err("coordinates lie outside of the blocks")),
        }
    }

    /// Number of the block before (`lower`) or behind a block along an axis; -1 at the border.
    fn get_neighbor_id(&self, block_id: i64, axis: usize, lower: bool) -> PyResult<i64> {
        let mut position = self.block_grid_position(block_id)?;
        let Some(along) = position.get_mut(axis) else {
            return Err(PyIndexError::new_err("axis is out of range"));
        };
        let neighbor = if lower { along.checked_sub(1) } else { Some(*along + 1) };
        match neighbor.filter(|&n| n < self.grid.blocks_per_axis()[axis]) {
            Some(neighbor) => {
                *along = neighbor;
                Ok(self.grid.id_at(&position) as i64)
            }
            None => Ok(-1),
        }
    }

    fn __getnewargs__(&self) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
        (self.roi_begin(), self.roi_end(), self.block_shape())
    }
}
