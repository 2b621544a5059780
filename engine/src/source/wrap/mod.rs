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
mod window;

pub use affine::{Affine, Smoothing, sample_at};
pub use axes::{Axes, AxesSource};
pub use cast::CastTo;
pub use normalize::Normalize;
pub use pad::{Pad, PadMode};
pub use resize::{Align, Resize};
pub use roi::RoiSource;
pub use threshold::{Comparison, Threshold};
pub use window::Window;

use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::grid::Region;
use crate::source::{Held, Metadata, Sink, Source, Spec};
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
    /// Makes one voxel of each window.
    Window(Window),
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
            Wrap::Window(window) => wrapped(source, window)?,
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

    /// How much of that is read for the next block, too, along each axis.
    fn overlap(&self) -> Vec<u64> {
        vec![0; self.shape().len()]
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

    fn held_bytes(&self, block_shape: &[u64], halo: &[u64]) -> Held {
        let grown: Vec<u64> = block_shape.iter().zip(halo).map(|(n, halo)| n + 2 * halo).collect();
        let (taken, outer) = (self.transform.taken(block_shape), self.transform.taken(&grown));
        // What two neighbours both take is a halo, too; who takes all has none.
        let own: Vec<u64> = taken
            .iter()
            .zip(self.transform.overlap())
            .zip(self.source.shape())
            .map(|((n, both), whole)| if n < whole { n.saturating_sub(both).max(1) } else { *n })
            .collect();
        let halo: Vec<u64> =
            outer.iter().zip(&own).map(|(outer, n)| outer.saturating_sub(*n).div_ceil(2)).collect();
        self.source.held_bytes(&own, &halo)
    }

    fn read_bytes(&self, block_shape: &[u64]) -> u64 {
        let taken = self.transform.taken(block_shape);
        let read = taken.iter().product::<u64>() * self.source.dtype().size() as u64;
        self.source.read_bytes(&taken) + read + self.transform.scratch_bytes(block_shape, &taken)
    }

    fn hold_at_most(&self, bytes: u64, again: bool) {
        let overlaps = self.transform.overlap().iter().any(|both| *both > 0);
        self.source.hold_at_most(bytes, again || overlaps);
    }

    fn read(&self, region: &Region) -> Result<Array> {
        self.transform.read(&*self.source, region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Scalar;
    use crate::grid::Grid;
    use crate::op::kernel::window::Method;
    use crate::source::memory::MemoryArray;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Remembers the most that was read at once.
    struct Watched {
        array: MemoryArray,
        most: AtomicU64,
    }

    impl Source for Watched {
        fn shape(&self) -> &[u64] {
            self.array.shape()
        }
        fn dtype(&self) -> DType {
            self.array.dtype()
        }
        fn spec(&self) -> Option<Spec> {
            None
        }
        fn fingerprint(&self) -> Result<String> {
            self.array.fingerprint()
        }
        fn read(&self, region: &Region) -> Result<Array> {
            self.most.fetch_max(region.voxels() * 2, Ordering::Relaxed);
            self.array.read(region)
        }
    }

    fn wraps() -> Vec<Wrap> {
        let fill = Scalar::Integer(0);
        let row = |values: [f64; 4]| values.map(Scalar::Float).to_vec();
        let resize = |shape: [u64; 3], order, anti_aliasing, align| {
            Wrap::Resize(Resize { shape: shape.to_vec(), order, fill, anti_aliasing, align })
        };
        let turned =
            vec![row([0.9, 0.4, 0.0, -1.0]), row([-0.4, 0.9, 0.1, 3.5]), row([0.0, 0.2, 1.7, 0.3])];
        let smoothing = [Smoothing::None, Smoothing::AntiAliasing, Smoothing::Sigma(vec![1.0; 3])];
        let affine = smoothing.map(|smoothing| {
            let (shape, matrix, order) = (vec![20, 20, 20], turned.clone(), 3);
            Wrap::Affine(Affine { shape, matrix, order, fill, smoothing })
        });
        let mut wraps = vec![
            resize([9, 40, 11], 0, false, Align::Corner),
            resize([9, 40, 11], 5, true, Align::Center),
            resize([30, 7, 24], 1, false, Align::Center),
            Wrap::Pad(Pad { right: vec![5, 0, 40], mode: PadMode::Wrap }),
            Wrap::Pad(Pad { right: vec![5, 0, 40], mode: PadMode::Reflect }),
            Wrap::Axes(Axes { axes: vec![Some(2), None, Some(0), Some(1)] }),
            Wrap::Normalize(Normalize { dtype: DType::F64 }),
            Wrap::Window(Window { factors: vec![3, 1, 4], method: Method::SparseMode }),
        ];
        wraps.extend(affine);
        wraps
    }

    #[test]
    fn no_block_reads_more_than_was_projected_and_specs_make_the_same_again() {
        for wrap in wraps() {
            let array = MemoryArray::zeros(DType::U16, &[24, 20, 22]);
            let watched = Arc::new(Watched { array, most: AtomicU64::new(0) });
            let source = wrap.clone().over(watched.clone()).unwrap();
            let block_shape = vec![6; source.shape().len()];
            let grid = Grid::new(Region::whole(source.shape()), &block_shape).unwrap();
            for id in 0..grid.len() {
                let region = grid.block(id).unwrap().inner;
                assert_eq!(source.read(&region).unwrap().shape(), region.shape);
            }
            let most = watched.most.load(Ordering::Relaxed);
            assert!(most > 0 && most <= source.read_bytes(&block_shape), "{wrap:?}");
            let text = serde_json::to_string(&wrap).unwrap();
            assert_eq!(serde_json::from_str::<Wrap>(&text).unwrap(), wrap);
        }
    }
}
