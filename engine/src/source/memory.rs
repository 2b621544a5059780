//! Arrays in this process's memory, its own or the host language's.

use super::{Sink, Source, Spec};
use crate::array::{Array, byte_len, for_each_run};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::Region;
use std::any::Any;
use std::cell::UnsafeCell;
use std::sync::Arc;

/// A C-order array in memory that several threads read, and write in disjoint regions.
pub struct MemoryArray {
    dtype: DType,
    shape: Vec<u64>,
    data: *mut u8,
    /// Keeps the memory alive.
    _owner: Box<dyn Any + Send + Sync>,
}

// SAFETY: `data` points to memory that `_owner` keeps alive and in place. It is only accessed by
// copies of regions, and the contract of `Sink::write` is that regions written at the same time are
// disjoint from each other and from what is read.
unsafe impl Send for MemoryArray {}
// SAFETY: as for `Send`.
unsafe impl Sync for MemoryArray {}

struct OwnWords(Box<[UnsafeCell<u64>]>);

// SAFETY: the words are only reached through `MemoryArray::data`, under its contract.
unsafe impl Sync for OwnWords {}

impl MemoryArray {
    /// A new array of zeros.
    pub fn zeros(dtype: DType, shape: &[u64]) -> Self {
        let words = byte_len(dtype, shape).div_ceil(8);
        let owner = OwnWords((0..words).map(|_| UnsafeCell::new(0)).collect());
        let data = owner.0.as_ptr() as *mut u8;
        MemoryArray { dtype, shape: shape.to_vec(), data, _owner: Box::new(owner) }
    }

    /// A new array with the content of a block.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn from_array(array: &Array) -> Result<Self> {
        let memory = MemoryArray::zeros(array.dtype(), array.shape());
        memory.write(&Region::whole(array.shape()), array)?;
        Ok(memory)
    }

    /// An array over memory of somebody else's, such as a numpy array.
    ///
    /// # Safety
    /// `data` must point to a C-order array of this shape and type that stays valid and in place as
    /// long as `owner` lives; nobody else may write to a region while it is read or written here.
    pub unsafe fn borrowed(
        dtype: DType,
        shape: &[u64],
        data: *mut u8,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Self {
        MemoryArray { dtype, shape: shape.to_vec(), data, _owner: owner }
    }

    fn check(&self, region: &Region, dtype: DType, shape: &[u64]) -> Result<()> {
        if region.fits(&self.shape) && dtype == self.dtype && shape == region.shape {
            return Ok(());
        }
        Err(Error::internal(format!(
            "region {region} or its block does not fit an array in memory of shape {:?}",
            self.shape
        )))
    }
}

impl Source for MemoryArray {
    fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn spec(&self) -> Option<Spec> {
        None
    }

    fn fingerprint(&self) -> Result<String> {
        Ok(format!("memory {:?} {}", self.shape, self.dtype))
    }

    fn read(&self, region: &Region) -> Result<Array> {
        let mut block = Array::zeros(self.dtype, &region.shape);
        self.check(region, block.dtype(), block.shape())?;
        let origin = vec![0; region.ndim()];
        let bytes = block.bytes_mut();
        for_each_run(
            (&self.shape, &region.start),
            (&region.shape, &origin),
            &region.shape,
            self.dtype.size(),
            |source, target, run| {
                // SAFETY: `for_each_run` only gives runs inside both arrays; `self.data` is valid
                // for the whole of its array (see `borrowed`), and the block is not part of it.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        self.data.add(source),
                        bytes[target..target + run].as_mut_ptr(),
                        run,
                    );
                }
            },
        )?;
        Ok(block)
    }
}

impl Sink for MemoryArray {
    fn write_unit(&self) -> Option<Vec<u64>> {
        None
    }

    fn write(&self, region: &Region, block: &Array) -> Result<u64> {
        self.check(region, block.dtype(), block.shape())?;
        let origin = vec![0; region.ndim()];
        let bytes = block.bytes();
        for_each_run(
            (&region.shape, &origin),
            (&self.shape, &region.start),
            &region.shape,
            self.dtype.size(),
            |source, target, run| {
                // SAFETY: as in `read`; no other thread touches this region (contract of `Sink`).
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        bytes[source..source + run].as_ptr(),
                        self.data.add(target),
                        run,
                    );
                }
            },
        )?;
        Ok(bytes.len() as u64)
    }

    fn as_source(self: Arc<Self>) -> Arc<dyn Source> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_write_disjoint_regions_and_read_them_back() {
        let shape = [8u64, 6, 5];
        let values: Vec<i32> = (0..240).collect();
        let whole = Array::from_values(&shape, &values).unwrap();
        let source = MemoryArray::from_array(&whole).unwrap();
        let target = MemoryArray::zeros(DType::I32, &shape);
        std::thread::scope(|scope| {
            for z in 0..8 {
                let (source, target) = (&source, &target);
                scope.spawn(move || {
                    for part in
                        [Region::new([z, 0, 0], [1, 2, 5]), Region::new([z, 2, 0], [1, 4, 5])]
                    {
                        target.write(&part, &source.read(&part).unwrap()).unwrap();
                    }
                });
            }
        });
        assert_eq!(target.read(&Region::whole(&shape)).unwrap(), whole);
    }

    #[test]
    fn borrowed_memory_is_written_through_and_kept_alive() {
        let owner = Arc::new(OwnWords((0..4).map(|_| UnsafeCell::new(0)).collect()));
        let data = owner.0.as_ptr() as *mut u8;
        // SAFETY: the words live in `owner`, which the array holds; only this thread uses them.
        let array =
            unsafe { MemoryArray::borrowed(DType::U64, &[2, 2], data, Box::new(owner.clone())) };
        let block = Array::from_values::<u64>(&[1, 2], &[7, 9]).unwrap();
        array.write(&Region::new([1, 0], [1, 2]), &block).unwrap();
        assert_eq!(array.read(&Region::new([1, 1], [1, 1])).unwrap().values::<u64>().unwrap(), [9]);
        assert_eq!(Arc::strong_count(&owner), 2);
        drop(array);
        assert_eq!(Arc::strong_count(&owner), 1);
    }

    #[test]
    fn a_region_outside_is_refused() {
        let array = MemoryArray::zeros(DType::U8, &[4]);
        assert!(array.read(&Region::new([2], [3])).is_err());
    }
}
