//! Which blocks must be written by one task because they share a chunk or shard.

use super::{Grid, ravel, shape_text, unravel};
use crate::error::{Error, Kind, Result};

/// Groups of blocks that share write units. Blocks of one group belong to one task, in sequence;
/// no two groups touch the same chunk or shard.
///
/// Along each axis a fixed number of neighbouring blocks makes a group, so that a group, too, is
/// computed from its number.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ownership {
    /// Number of blocks of a group along each axis.
    pub blocks_per_group: Vec<u64>,
}

impl Ownership {
    /// Every block is a group of its own.
    pub fn single(ndim: usize) -> Self {
        Ownership { blocks_per_group: vec![1; ndim] }
    }

    /// The smallest groups for blocks that write to an output with these write units.
    ///
    /// Units that a task may share with no other are whole shards (`regroup`), where blocks that
    /// fall into one shard are put together, or chunks, where the block shape must fit instead.
    ///
    /// # Errors
    /// `unsafe-block-shape`, with a working block shape, where blocks would share a chunk or where
    /// the grid's origin lies inside a write unit.
    pub fn plan(grid: &Grid, unit: &[u64], regroup: bool) -> Result<Self> {
        let blocks = grid.blocks_per_axis();
        let mut blocks_per_group = Vec::with_capacity(grid.ndim());
        for axis in 0..grid.ndim() {
            let (block, unit_extent) = (grid.block_shape[axis], unit[axis]);
            if blocks[axis] <= 1 {
                blocks_per_group.push(1);
                continue;
            }
            let origin_inside_unit = !grid.domain.start[axis].is_multiple_of(unit_extent);
            let period = lcm(block, unit_extent) / block;
            if origin_inside_unit || (period > 1 && !regroup) {
                return Err(unsafe_shape(grid, unit, axis, origin_inside_unit));
            }
            blocks_per_group.push(period.min(blocks[axis]));
        }
        Ok(Ownership { blocks_per_group })
    }

    /// Groups that satisfy both plans.
    pub fn join(&self, other: &Ownership) -> Ownership {
        let pairs = self.blocks_per_group.iter().zip(&other.blocks_per_group);
        Ownership { blocks_per_group: pairs.map(|(a, b)| lcm(*a, *b)).collect() }
    }

    fn groups_per_axis(&self, grid: &Grid) -> Vec<u64> {
        let blocks = grid.blocks_per_axis();
        blocks.iter().zip(&self.blocks_per_group).map(|(n, g)| n.div_ceil(*g)).collect()
    }

    /// Number of groups.
    pub fn groups(&self, grid: &Grid) -> u64 {
        self.groups_per_axis(grid).iter().product()
    }

    /// The group that a block belongs to.
    pub fn group_of(&self, grid: &Grid, block: u64) -> u64 {
        let position: Vec<u64> =
            grid.position(block).iter().zip(&self.blocks_per_group).map(|(i, g)| i / g).collect();
        ravel(&position, &self.groups_per_axis(grid))
    }

    /// The blocks of a group, in their order.
    pub fn blocks_of(&self, grid: &Grid, group: u64) -> Vec<u64> {
        if self.blocks_per_group.iter().all(|&n| n == 1) {
            return vec![group];
        }
        let blocks = grid.blocks_per_axis();
        let first: Vec<u64> = unravel(group, &self.groups_per_axis(grid))
            .iter()
            .zip(&self.blocks_per_group)
            .map(|(i, g)| i * g)
            .collect();
        let extent: Vec<u64> = (0..blocks.len())
            .map(|axis| self.blocks_per_group[axis].min(blocks[axis] - first[axis]))
            .collect();
        (0..extent.iter().product())
            .map(|i| {
                let position: Vec<u64> =
                    unravel(i, &extent).iter().zip(&first).map(|(a, b)| a + b).collect();
                ravel(&position, &blocks)
            })
            .collect()
    }
}

/// The block shape nearest to the one asked for whose blocks share no write unit.
pub fn safe_block_shape(block_shape: &[u64], unit: &[u64]) -> Vec<u64> {
    block_shape
        .iter()
        .zip(unit)
        .map(|(&block, &unit)| {
            let (below, above) = (block / unit * unit, block.div_ceil(unit) * unit);
            if below > 0 && block - below < above - block { below } else { above }
        })
        .collect()
}

fn unsafe_shape(grid: &Grid, unit: &[u64], axis: usize, origin: bool) -> Error {
    let unit_text = shape_text(unit);
    if origin {
        let start = grid.domain.start[axis];
        let aligned = start / unit[axis] * unit[axis];
        return Error::new(
            Kind::UnsafeBlockShape,
            format!(
                "the region starts at {start} on axis {axis}, inside a write unit of shape \
                 {unit_text}: blocks would share chunks"
            ),
        )
        .about("roi")
        .fix(format!("Start the region at {aligned} or {} on axis {axis}.", aligned + unit[axis]));
    }
    let safe = shape_text(&safe_block_shape(&grid.block_shape, unit));
    Error::new(
        Kind::UnsafeBlockShape,
        format!(
            "block shape {} is not a multiple of the output's chunk shape {unit_text} on axis \
             {axis}: blocks would share chunks",
            shape_text(&grid.block_shape)
        ),
    )
    .fix(format!("Use block shape {safe}."))
    .about("block_shape")
    .change(&safe)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The least common multiple.
pub fn lcm(a: u64, b: u64) -> u64 {
    a / gcd(a, b) * b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Region;
    use proptest::prelude::*;

    #[test]
    fn blocks_inside_a_shard_are_put_together() {
        let grid = Grid::new(Region::whole(&[100, 100]), &[16, 32]).unwrap();
        let ownership = Ownership::plan(&grid, &[64, 64], true).unwrap();
        assert_eq!(ownership.blocks_per_group, [4, 2]);
        assert_eq!(ownership.groups(&grid), 4);
        assert_eq!(ownership.blocks_of(&grid, 0), [0, 1, 4, 5, 8, 9, 12, 13]);
    }

    #[test]
    fn blocks_that_share_a_chunk_are_refused_with_a_shape_that_works() {
        let grid = Grid::new(Region::whole(&[100, 100]), &[24, 32]).unwrap();
        let error = Ownership::plan(&grid, &[16, 16], false).unwrap_err();
        assert_eq!(error.kind, Kind::UnsafeBlockShape);
        assert_eq!(error.fix.unwrap(), "Use block shape 32,32.");
    }

    #[test]
    fn a_region_that_starts_inside_a_chunk_is_refused() {
        let grid = Grid::new(Region::new([8], [100]), &[16]).unwrap();
        let error = Ownership::plan(&grid, &[16], true).unwrap_err();
        assert_eq!(error.kind, Kind::UnsafeBlockShape);
    }

    proptest! {
        #[test]
        fn no_two_groups_touch_one_unit_and_every_block_is_in_its_group(
            shape in prop::collection::vec(1u64..40, 2),
            block in prop::collection::vec(1u64..12, 2),
            unit in prop::collection::vec(1u64..12, 2),
        ) {
            let grid = Grid::new(Region::whole(&shape), &block).unwrap();
            let ownership = Ownership::plan(&grid, &unit, true).unwrap();
            let mut owner = std::collections::HashMap::new();
            let mut seen = 0;
            for group in 0..ownership.groups(&grid) {
                for id in ownership.blocks_of(&grid, group) {
                    seen += 1;
                    prop_assert_eq!(ownership.group_of(&grid, id), group);
                    let inner = grid.block(id).unwrap().inner;
                    for y in inner.start[0] / unit[0]..inner.end()[0].div_ceil(unit[0]) {
                        for x in inner.start[1] / unit[1]..inner.end()[1].div_ceil(unit[1]) {
                            prop_assert_eq!(*owner.entry((y, x)).or_insert(group), group);
                        }
                    }
                }
            }
            prop_assert_eq!(seen, grid.len());
        }
    }
}
