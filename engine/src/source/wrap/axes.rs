//! Axes in another order, new axes of extent 1, and axes of extent 1 left out.

use crate::array::{Array, strides};
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::Region;
use crate::op::kernel::values_mut;
use crate::source::wrap::Wrap;
use crate::source::{Axis, Held, Metadata, Sink, Source, Spec};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// For each axis, which axis of the source it is, or none for a new one of extent 1. Axes of the
/// source that are left out have extent 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axes {
    /// The axes.
    pub axes: Vec<Option<usize>>,
}

/// A source whose axes are rearranged; for writing, too, where it is one over a sink.
pub struct AxesSource<S: ?Sized> {
    source: Arc<S>,
    axes: Axes,
    shape: Vec<u64>,
}

impl<S: Source + ?Sized> AxesSource<S> {
    /// The axes `axes` of `source`.
    ///
    /// # Errors
    /// `invalid-argument` for an axis that does not exist or is given twice, or where an axis of
    /// more than one voxel is left out.
    pub fn new(source: Arc<S>, axes: Axes) -> Result<Self> {
        let extents = source.shape();
        let given = |axis: usize| axes.axes.iter().filter(|a| **a == Some(axis)).count();
        if axes.axes.iter().flatten().any(|&axis| axis >= extents.len() || given(axis) > 1) {
            return Err(Error::argument(format!(
                "axes {:?} are not distinct axes of an array of {} axes",
                axes.axes,
                extents.len()
            ))
            .fix("Give each axis once."));
        }
        if let Some(axis) = (0..extents.len()).find(|&axis| given(axis) == 0 && extents[axis] != 1)
        {
            return Err(Error::argument(format!(
                "axis {axis} has extent {} and cannot be left out",
                extents[axis]
            ))
            .fix("Take one position along it first."));
        }
        let shape = axes.axes.iter().map(|axis| axis.map_or(1, |axis| extents[axis])).collect();
        Ok(AxesSource { source, axes, shape })
    }

    /// Values for these axes from values for the source's axes.
    fn outwards(&self, inner: &[u64], new: u64) -> Vec<u64> {
        self.axes.axes.iter().map(|axis| axis.map_or(new, |axis| inner[axis])).collect()
    }

    /// Values for the source's axes from values for these axes.
    fn inwards(&self, outer: &[u64], left_out: u64) -> Vec<u64> {
        let mut inner = vec![left_out; self.source.shape().len()];
        for (axis, value) in self.axes.axes.iter().zip(outer) {
            if let Some(axis) = axis {
                inner[*axis] = *value;
            }
        }
        inner
    }

    fn region_inwards(&self, region: &Region) -> Region {
        Region { start: self.inwards(&region.start, 0), shape: self.inwards(&region.shape, 1) }
    }
}

/// Copies a block whose neighbours along each axis of `shape` are `steps` values apart into C order,
/// or from C order into such a block.
fn permute(from: &Array, steps: &[u64], shape: &[u64]) -> Result<Array> {
    let mut out = Array::zeros(from.dtype(), shape);
    dispatch!(from.dtype(), T => {
        let values = from.values::<T>()?;
        gather(values, 0, steps, shape, values_mut::<T>(&mut out)?);
    });
    Ok(out)
}

fn gather<T: Copy>(values: &[T], start: usize, steps: &[u64], shape: &[u64], out: &mut [T]) {
    let (Some((&extent, shape)), Some((&step, steps))) = (shape.split_first(), steps.split_first())
    else {
        if let (Some(out), Some(value)) = (out.first_mut(), values.get(start)) {
            *out = *value;
        }
        return;
    };
    if shape.is_empty() {
        for (i, out) in out.iter_mut().enumerate() {
            *out = values[start + i * step as usize];
        }
        return;
    }
    let len = out.len() / extent as usize;
    for (i, out) in out.chunks_exact_mut(len).enumerate() {
        gather(values, start + i * step as usize, steps, shape, out);
    }
}

impl<S: Source + ?Sized> Source for AxesSource<S> {
    fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.source.dtype()
    }

    fn chunks(&self) -> Option<Vec<u64>> {
        Some(self.outwards(&self.source.chunks()?, 1))
    }

    /// Only where every axis is one of the source.
    fn shards(&self) -> Option<Vec<u64>> {
        let same = self.axes.axes.iter().flatten().count();
        if same != self.shape.len() || same != self.source.shape().len() {
            return None;
        }
        Some(self.outwards(&self.source.shards()?, 1))
    }

    fn metadata(&self) -> Metadata {
        let mut metadata = self.source.metadata();
        if !metadata.axes.is_empty() {
            let axis = |axis: &Option<usize>| {
                axis.map_or_else(Axis::default, |axis| metadata.axes[axis].clone())
            };
            metadata.axes = self.axes.axes.iter().map(axis).collect();
        }
        metadata
    }

    fn spec(&self) -> Option<Spec> {
        let source = Box::new(self.source.spec()?);
        Some(Spec::Wrapped { source, wrap: Wrap::Axes(self.axes.clone()) })
    }

    fn fingerprint(&self) -> Result<String> {
        self.source.fingerprint()
    }

    fn held_bytes(&self, block_shape: &[u64], halo: &[u64]) -> Held {
        self.source.held_bytes(&self.inwards(block_shape, 1), &self.inwards(halo, 0))
    }

    fn read_bytes(&self, block_shape: &[u64]) -> u64 {
        let block = block_shape.iter().product::<u64>() * self.dtype().size() as u64;
        block + self.source.read_bytes(&self.inwards(block_shape, 1))
    }

    fn hold_at_most(&self, bytes: u64, again: bool) {
        self.source.hold_at_most(bytes, again);
    }

    fn read(&self, region: &Region) -> Result<Array> {
        let inner = self.region_inwards(region);
        let block = self.source.read(&inner)?;
        let steps = self.outwards(&strides(&inner.shape), 0);
        permute(&block, &steps, &region.shape)
    }
}

impl Sink for AxesSource<dyn Sink> {
    fn write_unit(&self) -> Option<Vec<u64>> {
        Some(self.outwards(&self.source.write_unit()?, 1))
    }

    fn write_origin(&self) -> Option<Vec<u64>> {
        Some(self.outwards(&self.source.write_origin()?, 0))
    }

    fn has_shards(&self) -> bool {
        self.source.has_shards()
    }

    fn write(&self, region: &Region, block: &Array) -> Result<u64> {
        let inner = self.region_inwards(region);
        let steps = self.inwards(&strides(&region.shape), 0);
        self.source.write(&inner, &permute(block, &steps, &inner.shape)?)
    }

    fn discard_leftovers(&self, region: &Region) -> Result<()> {
        self.source.discard_leftovers(&self.region_inwards(region))
    }

    fn verify(&self, region: &Region, decode: bool) -> Result<bool> {
        self.source.verify(&self.region_inwards(region), decode)
    }

    fn storage(&self) -> Option<PathBuf> {
        self.source.storage()
    }

    fn as_source(self: Arc<Self>) -> Arc<dyn Source> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::memory::MemoryArray;

    fn axes(axes: &[Option<usize>]) -> Axes {
        Axes { axes: axes.to_vec() }
    }

    #[test]
    fn axes_are_exchanged_added_and_left_out_for_reading_and_writing() {
        let values: Vec<u16> = (0..6).collect();
        let array = Array::from_values(&[1, 2, 3], &values).unwrap();
        let memory: Arc<dyn Sink> = Arc::new(MemoryArray::from_array(&array).unwrap());
        let source = AxesSource::new(memory, axes(&[Some(2), None, Some(1)])).unwrap();
        assert_eq!(source.shape(), [3, 1, 2]);
        let whole = source.read(&Region::whole(&[3, 1, 2])).unwrap();
        assert_eq!(whole.values::<u16>().unwrap(), [0, 3, 1, 4, 2, 5]);
        let part = Region::new([1, 0, 0], [2, 1, 1]);
        assert_eq!(source.read(&part).unwrap().values::<u16>().unwrap(), [1, 2]);
        source.write(&part, &Array::from_values::<u16>(&[2, 1, 1], &[10, 20]).unwrap()).unwrap();
        let whole = source.read(&Region::whole(&[3, 1, 2])).unwrap();
        assert_eq!(whole.values::<u16>().unwrap(), [0, 3, 10, 4, 20, 5]);
    }

    #[test]
    fn an_axis_of_several_voxels_is_not_left_out_and_none_is_given_twice() {
        let array = Array::zeros(DType::U8, &[2, 3]);
        let memory = Arc::new(MemoryArray::from_array(&array).unwrap());
        for bad in [axes(&[Some(0)]), axes(&[Some(0), Some(0), Some(1)]), axes(&[Some(2)])] {
            assert!(AxesSource::new(memory.clone(), bad).is_err());
        }
    }
}
