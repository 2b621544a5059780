//! A region of an array as an array of its own.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::Region;
use crate::source::{Held, Metadata, ReadEncoded, Sink, Source, Spec};
use std::path::PathBuf;
use std::sync::Arc;

/// A region of a source, with coordinates that start at its corner; for writing, too, where it is one
/// over a sink.
pub struct RoiSource<S: ?Sized> {
    source: Arc<S>,
    roi: Region,
}

impl<S: Source + ?Sized> RoiSource<S> {
    /// The region `roi` of `source`.
    ///
    /// # Errors
    /// `invalid-argument` if the region does not lie inside the source.
    pub fn new(source: Arc<S>, roi: Region) -> Result<Self> {
        if !roi.fits(source.shape()) || roi.shape.contains(&0) {
            return Err(Error::argument(format!(
                "roi {roi} does not lie inside the array of shape {}",
                crate::grid::shape_text(source.shape())
            ))
            .fix("Give start:end for each axis, with start < end <= extent."));
        }
        Ok(RoiSource { source, roi })
    }

    /// Whether no box of a regular grid is cut by the region.
    fn is_whole(&self, unit: &[u64]) -> bool {
        let end = self.roi.end();
        (0..unit.len()).all(|axis| {
            self.roi.start[axis].is_multiple_of(unit[axis])
                && (end[axis].is_multiple_of(unit[axis]) || end[axis] == self.source.shape()[axis])
        })
    }
}

impl<S: Source + ?Sized> Source for RoiSource<S> {
    fn shape(&self) -> &[u64] {
        &self.roi.shape
    }

    fn dtype(&self) -> DType {
        self.source.dtype()
    }

    fn chunks(&self) -> Option<Vec<u64>> {
        self.source.chunks()
    }

    fn metadata(&self) -> Metadata {
        self.source.metadata()
    }

    fn codec(&self) -> Option<String> {
        self.source.codec()
    }

    fn spec(&self) -> Option<Spec> {
        Some(Spec::Roi { source: Box::new(self.source.spec()?), roi: self.roi.clone() })
    }

    fn fingerprint(&self) -> Result<String> {
        Ok(format!("{} {}", self.roi, self.source.fingerprint()?))
    }

    /// Blocks that do not start where the source's chunks do touch more of them, as blocks do whose
    /// extents are no multiples of a chunk's.
    fn held_bytes(&self, block_shape: &[u64], halo: &[u64]) -> Held {
        let chunks = self.source.chunks().unwrap_or_else(|| vec![1; block_shape.len()]);
        let shape: Vec<u64> = (0..block_shape.len())
            .map(|axis| {
                block_shape[axis] + u64::from(!self.roi.start[axis].is_multiple_of(chunks[axis]))
            })
            .collect();
        self.source.held_bytes(&shape, halo)
    }

    fn read_bytes(&self, block_shape: &[u64]) -> u64 {
        self.source.read_bytes(block_shape)
    }

    fn hold_at_most(&self, bytes: u64, again: bool) {
        self.source.hold_at_most(bytes, again);
    }

    fn read(&self, region: &Region) -> Result<Array> {
        self.source.read(&region.moved_by(&self.roi.start))
    }

    fn read_encoded(&self, chunk: &Region, bytes: &mut Vec<u8>) -> Result<bool> {
        self.source.read_encoded(&chunk.moved_by(&self.roi.start), bytes)
    }

    /// Chunks are those of the wrapped array only if none is cut by the region.
    fn encoding(&self) -> Option<String> {
        if self.is_whole(&self.source.chunks()?) { self.source.encoding() } else { None }
    }
}

impl Sink for RoiSource<dyn Sink> {
    fn write_unit(&self) -> Option<Vec<u64>> {
        self.source.write_unit()
    }

    fn write_origin(&self) -> Option<Vec<u64>> {
        let unit = self.source.write_unit()?;
        let mut origin = self.source.write_origin().unwrap_or_else(|| vec![0; unit.len()]);
        for axis in 0..unit.len() {
            origin[axis] = (origin[axis] + self.roi.start[axis]) % unit[axis];
        }
        Some(origin).filter(|origin| origin.iter().any(|&position| position != 0))
    }

    fn has_shards(&self) -> bool {
        self.source.has_shards()
    }

    fn write(&self, region: &Region, block: &Array) -> Result<u64> {
        self.source.write(&region.moved_by(&self.roi.start), block)
    }

    fn takes_encoded(&self) -> bool {
        self.source.takes_encoded() && self.write_unit().is_some_and(|unit| self.is_whole(&unit))
    }

    fn write_encoded(&self, unit: &Region, read: &mut ReadEncoded) -> Result<u64> {
        let start = &self.roi.start;
        self.source.write_encoded(&unit.moved_by(start), &mut |chunk, bytes| {
            read(&chunk.relative_to(start), bytes)
        })
    }

    fn discard_leftovers(&self, region: &Region) -> Result<()> {
        self.source.discard_leftovers(&region.moved_by(&self.roi.start))
    }

    fn verify(&self, region: &Region, decode: bool) -> Result<bool> {
        self.source.verify(&region.moved_by(&self.roi.start), decode)
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

    #[test]
    fn a_region_is_written_where_it_lies_and_tells_where_units_are() {
        let array = Array::from_values::<u8>(&[2, 3], &[0, 1, 2, 3, 4, 5]).unwrap();
        let whole: Arc<dyn Sink> = Arc::new(MemoryArray::from_array(&array).unwrap());
        let roi = RoiSource::new(whole.clone(), Region::new([0, 1], [2, 2])).unwrap();
        let block = Array::from_values::<u8>(&[1, 2], &[8, 9]).unwrap();
        roi.write(&Region::new([1, 0], [1, 2]), &block).unwrap();
        let all = whole.read(&Region::whole(&[2, 3])).unwrap();
        assert_eq!(all.values::<u8>().unwrap(), [0, 1, 2, 3, 8, 9]);
        assert_eq!(roi.write_origin(), None);
    }

    #[test]
    fn coordinates_start_at_the_corner() {
        let array = Array::from_values::<u8>(&[2, 3], &[0, 1, 2, 3, 4, 5]).unwrap();
        let source = Arc::new(MemoryArray::from_array(&array).unwrap());
        let roi = RoiSource::new(source.clone(), Region::new([0, 1], [2, 2])).unwrap();
        let all = roi.read(&Region::whole(roi.shape())).unwrap();
        assert_eq!(all.values::<u8>().unwrap(), [1, 2, 4, 5]);
        assert!(RoiSource::new(source, Region::new([1, 1], [2, 2])).is_err());
    }
}
