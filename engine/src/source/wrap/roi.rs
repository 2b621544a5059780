//! A region of an array as an array of its own.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::Region;
use crate::source::{Metadata, Source, Spec};
use std::sync::Arc;

/// A region of a source, with coordinates that start at its corner.
pub struct RoiSource {
    source: Arc<dyn Source>,
    roi: Region,
}

impl RoiSource {
    /// The region `roi` of `source`.
    ///
    /// # Errors
    /// `invalid-argument` if the region does not lie inside the source.
    pub fn new(source: Arc<dyn Source>, roi: Region) -> Result<Self> {
        if !roi.fits(source.shape()) || roi.shape.contains(&0) {
            return Err(Error::argument(format!(
                "roi {roi} does not lie inside the array of shape {}",
                crate::grid::shape_text(source.shape())
            ))
            .fix("Give start:end for each axis, with start < end <= extent."));
        }
        Ok(RoiSource { source, roi })
    }
}

impl Source for RoiSource {
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
    fn held_bytes(&self, block_shape: &[u64]) -> u64 {
        let chunks = self.source.chunks().unwrap_or_else(|| vec![1; block_shape.len()]);
        let shape: Vec<u64> = (0..block_shape.len())
            .map(|axis| {
                block_shape[axis] + u64::from(!self.roi.start[axis].is_multiple_of(chunks[axis]))
            })
            .collect();
        self.source.held_bytes(&shape)
    }

    fn hold_at_most(&self, bytes: u64) {
        self.source.hold_at_most(bytes);
    }

    fn read(&self, region: &Region) -> Result<Array> {
        self.source.read(&region.moved_by(&self.roi.start))
    }

    fn read_encoded(&self, chunk: &Region, bytes: &mut Vec<u8>) -> Result<bool> {
        self.source.read_encoded(&chunk.moved_by(&self.roi.start), bytes)
    }

    /// Chunks are those of the wrapped array only if none is cut by the region.
    fn encoding(&self) -> Option<String> {
        let chunk = self.source.chunks()?;
        let end = self.roi.end();
        let whole = (0..chunk.len()).all(|axis| {
            self.roi.start[axis].is_multiple_of(chunk[axis])
                && (end[axis].is_multiple_of(chunk[axis]) || end[axis] == self.source.shape()[axis])
        });
        if whole { self.source.encoding() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::memory::MemoryArray;

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
