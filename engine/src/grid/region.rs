//! A box of voxels.

use std::fmt;

/// A box of voxels: where it starts and how far it extends, slowest axis first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Region {
    /// First voxel.
    pub start: Vec<u64>,
    /// Extents.
    pub shape: Vec<u64>,
}

impl Region {
    /// A region from arrays or vectors.
    pub fn new(start: impl Into<Vec<u64>>, shape: impl Into<Vec<u64>>) -> Self {
        Region { start: start.into(), shape: shape.into() }
    }

    /// The whole of an array.
    pub fn whole(shape: &[u64]) -> Self {
        Region { start: vec![0; shape.len()], shape: shape.to_vec() }
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// Number of voxels.
    pub fn voxels(&self) -> u64 {
        self.shape.iter().product()
    }

    /// One past the last voxel.
    pub fn end(&self) -> Vec<u64> {
        self.start.iter().zip(&self.shape).map(|(start, n)| start + n).collect()
    }

    /// The same box seen from another origin, which must not lie behind its start.
    pub fn relative_to(&self, origin: &[u64]) -> Region {
        let start = self.start.iter().zip(origin).map(|(start, o)| start - o).collect();
        Region { start, shape: self.shape.clone() }
    }

    /// The same box moved by an offset.
    pub fn moved_by(&self, offset: &[u64]) -> Region {
        let start = self.start.iter().zip(offset).map(|(start, o)| start + o).collect();
        Region { start, shape: self.shape.clone() }
    }

    /// The box in an array that has these extents, of which the last axes are the box's own: whole
    /// along the axes that come before them.
    pub fn in_trailing_axes(&self, shape: &[u64]) -> Region {
        let leading = &shape[..shape.len().saturating_sub(self.ndim())];
        let start = leading.iter().map(|_| 0).chain(self.start.iter().copied()).collect();
        Region { start, shape: [leading, &self.shape].concat() }
    }

    /// The part that both boxes have in common, if any.
    pub fn intersection(&self, other: &Region) -> Option<Region> {
        let start: Vec<u64> = self.start.iter().zip(&other.start).map(|(a, b)| *a.max(b)).collect();
        let shape: Option<Vec<u64>> = self
            .end()
            .iter()
            .zip(other.end())
            .zip(&start)
            .map(|((a, b), start)| (*a).min(b).checked_sub(*start).filter(|n| *n > 0))
            .collect();
        Some(Region { start, shape: shape? })
    }

    /// Whether the box lies inside an array of this shape.
    pub fn fits(&self, shape: &[u64]) -> bool {
        self.ndim() == shape.len() && self.end().iter().zip(shape).all(|(end, n)| end <= n)
    }
}

/// As the command line writes it: `0:64,128:192`.
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (axis, (start, end)) in self.start.iter().zip(self.end()).enumerate() {
            if axis > 0 {
                f.write_str(",")?;
            }
            write!(f, "{start}:{end}")?;
        }
        Ok(())
    }
}
