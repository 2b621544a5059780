//! Arrays in this process's memory, its own or the host language's.

use super::{Sink, Source, Spec};
use crate::array::{Array, byte_len, for_each_run};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::{Region, ravel};
use std::any::Any;
use std::cell::UnsafeCell;
use std::sync::Arc;

/// A C-order array in memory that several threads read, and write in disjoint regions.
pub struct MemoryArray {
    dtype: DType,
    shape: Vec<u64>,
    data: *mut u8,
    /// Keeps the memory alive.
    owner: Arc<dyn Any + Send + Sync>,
    /// Whether blocks that lie together are lent instead of copied.
    lends: bool,
}

// SAFETY: `data` points to memory that `owner` keeps alive and in place. It is only accessed by
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
        MemoryArray { dtype, shape: shape.to_vec(), data, owner: Arc::new(owner), lends: false }
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
    /// `data` must point to an aligned C-order array of this shape and type that stays valid and in place as
    /// long as `owner` lives; nobody else may write to a region while it is read or written here.
    pub unsafe fn borrowed(
        dtype: DType,
        shape: &[u64],
        data: *mut u8,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        MemoryArray { dtype, shape: shape.to_vec(), data, owner, lends: false }
    }

    /// The same, which lends blocks that lie together in memory instead of copying them.
    ///
    /// # Safety
    /// The content must not change while the array or a block of it is in use.
    pub unsafe fn lending(self) -> Self {
        MemoryArray { lends: true, ..self }
    }

    /// Where a region starts whose voxels lie together, in bytes.
    fn in_one_piece(&self, region: &Region) -> Option<usize> {
        let divided = region.shape.iter().position(|&extent| extent > 1).unwrap_or(0);
        let whole =
            (divided + 1..self.shape.len()).all(|axis| region.shape[axis] == self.shape[axis]);
        whole.then(|| ravel(&region.start, &self.shape) as usize * self.dtype.size())
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
        self.check(region, self.dtype, &region.shape)?;
        if self.lends
            && let Some(start) = self.in_one_piece(region)
        {
            // SAFETY: the region lies inside the array, whose memory `owner` keeps alive and in place,
            // in C order and aligned (see `borrowed`), and which does not change (see `lending`).
            let block = unsafe {
                Array::lent(self.dtype, &region.shape, self.data.add(start), self.owner.clone())
            };
            return Ok(block);
        }
        let mut block = Array::zeros(self.dtype, &region.shape);
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
    fn pieces_are_lent_and_copied_when_they_are_changed() {
        let values: Vec<u16> = (0..60).collect();
        let own = Arc::new(values);
        let data = own.as_ptr() as *mut u8;
        // SAFETY: the values live in `own`, which the array holds, and nobody changes them.
        let array =
            unsafe { MemoryArray::borrowed(DType::U16, &[3, 4, 5], data, own.clone()).lending() };
        let read =
            |start: [u64; 3], shape: [u64; 3]| array.read(&Region::new(start, shape)).unwrap();
        let lies_in_it =
            |block: &Array| own.as_ptr_range().contains(&block.bytes().as_ptr().cast());
        for (start, shape, together) in [
            ([0, 0, 0], [3, 4, 5], true),
            ([1, 0, 0], [2, 4, 5], true),
            ([2, 1, 0], [1, 2, 5], true),
            ([2, 3, 2], [1, 1, 3], true),
            ([0, 1, 0], [2, 2, 5], false),
            ([0, 0, 0], [1, 2, 3], false),
            ([0, 0, 1], [3, 1, 1], false),
        ] {
            let block = read(start, shape);
            assert_eq!(lies_in_it(&block), together, "{start:?} {shape:?}");
            let first = (start[0] * 20 + start[1] * 5 + start[2]) as u16;
            assert_eq!(block.values::<u16>().unwrap()[0], first);
            let mut copied = Array::zeros(DType::U16, &shape);
            copied.bytes_mut().copy_from_slice(block.bytes());
            assert_eq!(copied, block);
        }
        let mut changed = read([1, 0, 0], [1, 4, 5]);
        changed.bytes_mut()[0] = 99;
        assert!(!lies_in_it(&changed));
        assert_eq!((changed.values::<u16>().unwrap()[0], own[20]), (99, 20));
        let last = read([2, 3, 0], [1, 1, 5]);
        drop(array);
        assert_eq!(last.values::<u16>().unwrap(), [55, 56, 57, 58, 59]);
        assert_eq!(Arc::strong_count(&own), 2);
    }

    #[test]
    fn borrowed_memory_is_written_through_and_kept_alive() {
        let owner = Arc::new(OwnWords((0..4).map(|_| UnsafeCell::new(0)).collect()));
        let data = owner.0.as_ptr() as *mut u8;
        // SAFETY: the words live in `owner`, which the array holds; only this thread uses them.
        let array = unsafe { MemoryArray::borrowed(DType::U64, &[2, 2], data, owner.clone()) };
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
