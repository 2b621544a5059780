//! Sources that change another source while it is read: one pass over the block, nothing in between
//! on disk.

mod affine;
mod axes;
mod cast;
mod normalize;
mod pad;
mod resize;
mod roi;
mod threshold;

pub use affine::{Affine, Smoothing, sample_at};
pub use axes::{Axes, AxesSource};
pub use cast::CastTo;
pub use normalize::Normalize;
pub use pad::{Pad, PadMode};
pub use resize::{Align, Resize};
pub use roi::RoiSource;
pub use threshold::{Comparison, Threshold};

use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::Region;
use crate::source::{Metadata, Sink, Source, Spec};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is done to a source, as plain parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wrapper", rename_all = "kebab-case")]
pub enum Wrap {
    /// Takes a region; also for writing.
    Roi {
        /// The region.
        roi: Region,
    },
    /// Rearranges, adds and drops axes; also for writing.
    Axes(Axes),
    /// Compares with a number.
    Threshold(Threshold),
    /// Scales what is read to [0, 1].
    Normalize(Normalize),
    /// Changes the data type.
    Cast(CastTo),
    /// Continues the array behind its end.
    Pad(Pad),
    /// Samples through an affine matrix.
    Affine(Affine),
    /// Samples on a finer or coarser grid.
    Resize(Resize),
}

impl Wrap {
    /// The wrapped source.
    ///
    /// # Errors
    /// `invalid-argument` for parameters that do not fit the source.
    pub fn over(self, source: Arc<dyn Source>) -> Result<Arc<dyn Source>> {
        Ok(match self {
            Wrap::Roi { roi } => Arc::new(RoiSource::new(source, roi)?),
            Wrap::Axes(axes) => Arc::new(AxesSource::new(source, axes)?),
            Wrap::Threshold(threshold) => wrapped(source, threshold)?,
            Wrap::Normalize(normalize) => wrapped(source, normalize)?,
            Wrap::Cast(cast) => wrapped(source, cast)?,
            Wrap::Pad(pad) => wrapped(source, pad)?,
            Wrap::Affine(affine) => wrapped(source, affine)?,
            Wrap::Resize(resize) => wrapped(source, resize)?,
        })
    }

    /// The wrapped array for writing; nothing where that has no meaning.
    ///
    /// # Errors
    /// As [`Wrap::over`].
    pub fn over_sink(self, sink: Arc<dyn Sink>) -> Result<Option<Arc<dyn Sink>>> {
        Ok(match self {
            Wrap::Roi { roi } => Some(Arc::new(RoiSource::new(sink, roi)?)),
            Wrap::Axes(axes) => Some(Arc::new(AxesSource::new(sink, axes)?)),
            _ => None,
        })
    }
}

/// Parameters that make a [`Transform`] once the source is known.
trait Parameters {
    type Transform: Transform + 'static;
    fn transform(self, source: &dyn Source) -> Result<Self::Transform>;
}

fn wrapped<P: Parameters>(source: Arc<dyn Source>, parameters: P) -> Result<Arc<dyn Source>> {
    let transform = parameters.transform(&*source)?;
    Ok(Arc::new(Wrapped { source, transform }))
}

/// What a wrapper that is only read does.
trait Transform: Send + Sync {
    /// The parameters.
    fn wrap(&self) -> Wrap;

    fn shape(&self) -> &[u64];

    fn dtype(&self) -> DType;

    fn chunks(&self, source: &dyn Source) -> Option<Vec<u64>> {
        source.chunks()
    }

    fn shards(&self, source: &dyn Source) -> Option<Vec<u64>> {
        source.shards()
    }

    fn metadata(&self, source: &dyn Source) -> Metadata {
        source.metadata()
    }

    /// The largest block that is read of the source for a block of this shape.
    fn taken(&self, block_shape: &[u64]) -> Vec<u64> {
        block_shape.to_vec()
    }

    /// Bytes that a block takes besides itself and what is read for it.
    fn scratch_bytes(&self, block_shape: &[u64], taken: &[u64]) -> u64 {
        let _ = (block_shape, taken);
        0
    }

    fn read(&self, source: &dyn Source, region: &Region) -> Result<Array>;
}

struct Wrapped<T> {
    source: Arc<dyn Source>,
    transform: T,
}

impl<T: Transform> Source for Wrapped<T> {
    fn shape(&self) -> &[u64] {
        self.transform.shape()
    }

    fn dtype(&self) -> DType {
        self.transform.dtype()
    }

    fn chunks(&self) -> Option<Vec<u64>> {
        self.transform.chunks(&*self.source)
    }

    fn shards(&self) -> Option<Vec<u64>> {
        self.transform.shards(&*self.source)
    }

    fn metadata(&self) -> Metadata {
        self.transform.metadata(&*self.source)
    }

    fn spec(&self) -> Option<Spec> {
        let source = Box::new(self.source.spec()?);
        Some(Spec::Wrapped { source, wrap: self.transform.wrap() })
    }

    fn fingerprint(&self) -> Result<String> {
        self.source.fingerprint()
    }

    fn held_bytes(&self, block_shape: &[u64]) -> u64 {
        self.source.held_bytes(&self.transform.taken(block_shape))
    }

    fn read_bytes(&self, block_shape: &[u64]) -> u64 {
        let taken = self.transform.taken(block_shape);
        let read = taken.iter().product::<u64>() * self.source.dtype().size() as u64;
        self.source.read_bytes(&taken) + read + self.transform.scratch_bytes(block_shape, &taken)
    }

    fn hold_at_most(&self, bytes: u64) {
        self.source.hold_at_most(bytes);
    }

    fn read(&self, region: &Region) -> Result<Array> {
        self.transform.read(&*self.source, region)
    }
}
