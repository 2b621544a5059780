//! The grid of blocks over an array: everything about a block follows from its number.

mod ownership;
mod region;

pub use ownership::{Ownership, lcm, safe_block_shape};
pub use region::Region;

use crate::error::{Error, Kind, Result};

/// A regular grid of blocks over a domain, the last block of an axis clipped at the domain's end.
///
/// Block ids run from 0 in C order. Nothing is stored for a block.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Grid {
    /// The region of the array that the blocks cover.
    pub domain: Region,
    /// Extents of a block.
    pub block_shape: Vec<u64>,
    /// Extents by which a block is widened for reading, before it is clipped at the domain.
    pub halo: Vec<u64>,
}

/// One block of a [`Grid`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub id: u64,
    /// What it writes.
    pub inner: Region,
    /// What it reads: the inner region and the halo, clipped at the domain.
    pub outer: Region,
}

impl Block {
    /// The inner region relative to the start of the outer one.
    pub fn inner_in_outer(&self) -> Region {
        self.inner.relative_to(&self.outer.start)
    }
}

impl Grid {
    /// A grid of blocks of `block_shape` over `domain`, without a halo.
    ///
    /// # Errors
    /// `invalid-argument` if the block shape has another number of axes or an extent of zero.
    pub fn new(domain: Region, block_shape: &[u64]) -> Result<Self> {
        if block_shape.len() != domain.ndim() {
            return Err(Error::argument(format!(
                "block shape {} has {} axes, the array has {}",
                shape_text(block_shape),
                block_shape.len(),
                domain.ndim()
            ))
            .about("block_shape")
            .fix("Give one extent for each axis of the array."));
        }
        if block_shape.contains(&0) {
            return Err(Error::argument(format!(
                "block shape {} has an extent of 0",
                shape_text(block_shape)
            ))
            .about("block_shape")
            .fix("Every extent must be at least 1."));
        }
        let halo = vec![0; domain.ndim()];
        Ok(Grid { domain, block_shape: block_shape.to_vec(), halo })
    }

    /// The same grid with a halo.
    ///
    /// # Errors
    /// `invalid-argument` if the halo has another number of axes.
    pub fn with_halo(mut self, halo: &[u64]) -> Result<Self> {
        if halo.len() != self.domain.ndim() {
            return Err(Error::argument(format!(
                "halo {} does not match the {} axes of the array",
                shape_text(halo),
                self.domain.ndim()
            )));
        }
        self.halo = halo.to_vec();
        Ok(self)
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.block_shape.len()
    }

    /// Number of blocks along each axis.
    pub fn blocks_per_axis(&self) -> Vec<u64> {
        self.domain.shape.iter().zip(&self.block_shape).map(|(n, b)| n.div_ceil(*b)).collect()
    }

    /// Number of blocks.
    pub fn len(&self) -> u64 {
        self.blocks_per_axis().iter().product()
    }

    /// Whether there is no block at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Voxels of the outer regions of all blocks together.
    pub fn outer_voxels(&self) -> f64 {
        let along = |axis: usize| -> f64 {
            let (extent, halo) = (self.domain.shape[axis], self.halo[axis]);
            let starts = (0..extent).step_by(self.block_shape[axis] as usize);
            let outer = |start: u64| {
                let end = (start + self.block_shape[axis]).min(extent);
                (end + halo).min(extent) - start.saturating_sub(halo)
            };
            starts.map(|start| outer(start) as f64).sum()
        };
        (0..self.ndim()).map(along).product()
    }

    /// Position of a block in the grid.
    pub fn position(&self, id: u64) -> Vec<u64> {
        unravel(id, &self.blocks_per_axis())
    }

    /// Number of the block at a position in the grid.
    pub fn id_at(&self, position: &[u64]) -> u64 {
        ravel(position, &self.blocks_per_axis())
    }

    /// The block with this number.
    ///
    /// # Errors
    /// `invalid-argument` if there is no such block.
    pub fn block(&self, id: u64) -> Result<Block> {
        if id >= self.len() {
            return Err(Error::argument(format!(
                "block {id} does not exist: the grid has {} blocks",
                self.len()
            ))
            .fix("Block ids run from 0."));
        }
        let position = self.position(id);
        let mut inner = Region { start: Vec::new(), shape: Vec::new() };
        let mut outer = inner.clone();
        for axis in 0..self.ndim() {
            let domain_start = self.domain.start[axis];
            let domain_end = domain_start + self.domain.shape[axis];
            let start = domain_start + position[axis] * self.block_shape[axis];
            let end = (start + self.block_shape[axis]).min(domain_end);
            let outer_start = start.saturating_sub(self.halo[axis]).max(domain_start);
            let outer_end = (end + self.halo[axis]).min(domain_end);
            inner.start.push(start);
            inner.shape.push(end - start);
            outer.start.push(outer_start);
            outer.shape.push(outer_end - outer_start);
        }
        Ok(Block { id, inner, outer })
    }
}

/// A part of a C-order array that lies in one piece: as many whole rows, planes and so on as have about
/// so many voxels.
pub fn slab(shape: &[u64], voxels: u64) -> Vec<u64> {
    let mut block = vec![1; shape.len()];
    let mut left = voxels.max(1);
    for axis in (0..shape.len()).rev() {
        let extent = shape[axis].max(1);
        // What is made of whole planes reads whole planes.
        block[axis] = if extent <= 4 * left { extent } else { left };
        left /= block[axis];
        if left <= 1 {
            break;
        }
    }
    block
}

/// Position of item `index` in a C-order array of this shape.
pub fn unravel(mut index: u64, shape: &[u64]) -> Vec<u64> {
    let mut position = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        if shape[axis] > 0 {
            position[axis] = index % shape[axis];
            index /= shape[axis];
        }
    }
    position
}

/// Number of the item at `position` in a C-order array of this shape.
pub fn ravel(position: &[u64], shape: &[u64]) -> u64 {
    position.iter().zip(shape).fold(0, |index, (i, n)| index * n + i)
}

/// A shape as it is written on the command line: `64,64,64`.
pub fn shape_text(shape: &[u64]) -> String {
    shape.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// Checks that two shapes are the same.
///
/// # Errors
/// `shape-mismatch`, naming both arrays.
pub fn same_shape(what: &str, shape: &[u64], other: &str, other_shape: &[u64]) -> Result<()> {
    if shape == other_shape {
        return Ok(());
    }
    Err(Error::new(
        Kind::ShapeMismatch,
        format!(
            "{what} has shape {}, {other} has shape {}",
            shape_text(shape),
            shape_text(other_shape)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_block_is_clipped_and_the_halo_stays_inside() {
        let grid = Grid::new(Region::new([2, 0], [10, 7]), &[4, 4]).unwrap();
        let grid = grid.with_halo(&[1, 9]).unwrap();
        assert_eq!(grid.len(), 6);
        let block = grid.block(5).unwrap();
        assert_eq!(block.inner, Region::new([10, 4], [2, 3]));
        assert_eq!(block.outer, Region::new([9, 0], [3, 7]));
        assert_eq!(block.inner_in_outer(), Region::new([1, 4], [2, 3]));
        assert!(grid.block(6).is_err());
    }

    #[test]
    fn the_voxels_of_all_outer_regions_are_counted() {
        for (shape, block, halo) in
            [([10, 7], [4, 4], [1, 9]), ([8, 8], [8, 8], [3, 3]), ([9, 5], [2, 5], [0, 2])]
        {
            let grid = Grid::new(Region::new([2, 0], shape), &block).unwrap();
            let grid = grid.with_halo(&halo).unwrap();
            let outer = (0..grid.len()).map(|id| grid.block(id).unwrap().outer.voxels());
            assert_eq!(grid.outer_voxels(), outer.sum::<u64>() as f64);
        }
    }

    #[test]
    fn an_empty_axis_has_no_blocks() {
        let grid = Grid::new(Region::new([0, 0], [0, 7]), &[4, 4]).unwrap();
        assert_eq!(grid.len(), 0);
    }

    proptest! {
        #[test]
        fn blocks_cover_every_voxel_once(
            shape in prop::collection::vec(1u64..9, 1..4),
            seed in prop::collection::vec(1u64..5, 4),
            start in prop::collection::vec(0u64..3, 4),
        ) {
            let ndim = shape.len();
            let domain = Region { start: start[..ndim].to_vec(), shape: shape.clone() };
            let grid = Grid::new(domain, &seed[..ndim]).unwrap();
            let mut hits = vec![0u8; shape.iter().product::<u64>() as usize];
            for id in 0..grid.len() {
                prop_assert_eq!(grid.id_at(&grid.position(id)), id);
                let inner = grid.block(id).unwrap().inner.relative_to(&start[..ndim]);
                for voxel in 0..inner.voxels() {
                    let local = unravel(voxel, &inner.shape);
                    let at: Vec<u64> = local.iter().zip(&inner.start).map(|(a, b)| a + b).collect();
                    hits[ravel(&at, &shape) as usize] += 1;
                }
            }
            prop_assert!(hits.iter().all(|&n| n == 1));
        }
    }
}
