//! Points and the objects that are nearest to them.
//!
//! Exact as long as distances are no longer than the halo. Halo: as asked for. Memory: the block with its
//! halo, and 13 bytes a voxel of it, 4 more for each axis; 8 bytes for each coordinate of a point, and for
//! the merge 20 bytes for each point. Blocks without points are not read.

use super::kernel::distance::distances_and_indices;
use super::parameters::PerAxis;
use super::passes::Successive;
use super::table::Table;
use super::{ArrayShape, BlockIo};
use crate::array::{Array, Scalar};
use crate::cast::Number;
use crate::dispatch;
use crate::error::{Error, Kind, Result};
use crate::grid::{Block, Region, ravel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Parameters of a mapping from points to objects.
///
/// The result has a row for each point that is near an object, in the order of the points: its number
/// `point`, the object's `label`, of which negative ones are those of `uint64` with the same bits, and the
/// `distance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct MapPoints {
    /// How far beyond its block a worker looks: the longest distance that is exact
    #[arg(long, value_name = "N[,N...]")]
    pub halo: PerAxis<u64>,
    /// Extents of a voxel [default: 1 along every axis]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "X[,X...]")]
    pub sampling: Option<PerAxis<f64>>,
    /// The coordinates of the points, as many values as there are axes for each.
    #[serde(default)]
    #[schemars(skip)]
    #[arg(skip)]
    pub points: Vec<u64>,
    /// The points' numbers in the order of their first coordinates.
    #[serde(skip)]
    #[schemars(skip)]
    #[arg(skip)]
    order: OnceLock<Vec<usize>>,
}

/// The objects that are nearest to points, as far as a block can tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    point: u64,
    label: u64,
    distance: f32,
}

impl MapPoints {
    fn sampling(&self, ndim: usize) -> Result<Vec<f64>> {
        match &self.sampling {
            Some(sampling) => sampling.for_axes("sampling", ndim),
            None => Ok(vec![1.0; ndim]),
        }
    }

    fn point(&self, point: usize, ndim: usize) -> &[u64] {
        &self.points[point * ndim..][..ndim]
    }

    /// The points in a region, by their numbers.
    fn within(&self, region: &Region) -> impl Iterator<Item = usize> {
        let (ndim, end) = (region.ndim().max(1), region.end());
        let order = self.order.get_or_init(|| {
            let mut order: Vec<usize> = (0..self.points.len() / ndim).collect();
            order.sort_by_key(|&point| self.points[point * ndim]);
            order
        });
        let bound = |at: Option<&u64>| {
            let at = at.copied().unwrap_or(0);
            order.partition_point(|&point| self.points[point * ndim] < at)
        };
        let candidates = bound(region.start.first())..bound(end.first());
        order[candidates].iter().copied().filter(move |&point| {
            let axes = self.point(point, ndim).iter().zip(&region.start).zip(&end);
            axes.into_iter().all(|((at, start), end)| (start..end).contains(&at))
        })
    }
}

impl Successive for MapPoints {
    type Partial = Vec<Nearest>;
    type State = ();

    const NAME: &'static str = "map-points";

    fn check(&self, inputs: &[ArrayShape]) -> Result<()> {
        for ArrayShape { shape, dtype } in inputs {
            if !dtype.is_integer() {
                return Err(Error::new(
                    Kind::DtypeMismatch,
                    format!("map_points_to_objects expects labels, got dtype {dtype}"),
                )
                .fix("Convert the image to an integer type."));
            }
            self.halo.for_axes("halo", shape.len())?;
            if let Some(bad) =
                self.sampling(shape.len())?.iter().find(|one| !one.is_finite() || **one <= 0.0)
            {
                return Err(Error::argument(format!(
                    "sampling must be positive and finite, got {bad}"
                ))
                .fix("Give the extents of a voxel."));
            }
        }
        Ok(())
    }

    fn passes(&self) -> usize {
        1
    }

    fn stage(&self, _: usize) -> &'static str {
        Self::NAME
    }

    fn halo(&self, _: usize, ndim: usize) -> Vec<u64> {
        // A halo for other axes is refused before anything is read.
        self.halo.for_axes("halo", ndim).unwrap_or_else(|_| vec![0; ndim])
    }

    fn region(&self, _: Option<&()>, block: &Block) -> Option<Region> {
        self.within(&block.outer).next().map(|_| block.outer.clone())
    }

    fn block_bytes(&self, voxels: u64) -> u64 {
        // Coordinates along three axes.
        voxels * 25
    }

    fn of_block(&self, _: Option<&()>, io: &BlockIo, blocks: &[Array]) -> Result<Vec<Nearest>> {
        let outer = &io.block.outer;
        let Some(block) = blocks.first() else { return Ok(Vec::new()) };
        let sampling = self.sampling(outer.ndim())?;
        dispatch!(block.dtype(), T => {
            let values = block.values::<T>()?;
            let background: Vec<bool> = values.iter().map(|one| *one == T::default()).collect();
            if !background.contains(&false) {
                return Ok(Vec::new());
            }
            let (distances, places) =
                distances_and_indices(&background, &outer.shape, &sampling)?;
            io.cancel.check()?;
            let nearest = self.within(outer).map(|point| {
                let at = self.point(point, outer.ndim()).iter().zip(&outer.start);
                let at: Vec<u64> = at.map(|(at, start)| at - start).collect();
                let voxel = ravel(&at, &outer.shape) as usize;
                let nearest = places.chunks_exact(values.len()).map(|axis| axis[voxel] as u64);
                let nearest = ravel(&nearest.collect::<Vec<u64>>(), &outer.shape) as usize;
                let label = match values[nearest].widen() {
                    Scalar::Integer(label) => label as u64,
                    Scalar::Float(label) => label as u64,
                };
                Nearest { point: point as u64, label, distance: distances[voxel] }
            });
            Ok(nearest.collect())
        })
    }

    fn merge(&self, into: &mut Vec<Nearest>, other: Vec<Nearest>) {
        into.extend(other);
    }

    fn advance(&self, _: Option<&()>, _: Option<Vec<Nearest>>) -> Result<()> {
        Ok(())
    }

    fn finish(&self, _: Option<&()>, whole: Option<Vec<Nearest>>) -> Result<Table> {
        let mut found = whole.unwrap_or_default();
        // Of objects at the same distance the one counts that the first block has found.
        found.sort_by(|a, b| a.point.cmp(&b.point).then(a.distance.total_cmp(&b.distance)));
        found.dedup_by_key(|nearest| nearest.point);
        let shape = [found.len() as u64];
        let points: Vec<u64> = found.iter().map(|one| one.point).collect();
        let labels: Vec<u64> = found.iter().map(|one| one.label).collect();
        let distances: Vec<f32> = found.iter().map(|one| one.distance).collect();
        Ok(Table::default()
            .with("point", Array::from_values(&shape, &points)?)
            .with("label", Array::from_values(&shape, &labels)?)
            .with("distance", Array::from_values(&shape, &distances)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_found_by_region() {
        let points = MapPoints {
            halo: PerAxis::All(0),
            sampling: None,
            points: vec![5, 5, 0, 9, 3, 1, 5, 4],
            order: OnceLock::new(),
        };
        let within = |start: [u64; 2], shape: [u64; 2]| {
            points.within(&Region::new(start, shape)).collect::<Vec<usize>>()
        };
        assert_eq!(within([0, 0], [10, 10]), [1, 2, 0, 3]);
        assert_eq!(within([3, 1], [3, 4]), [2, 3]);
        assert_eq!(within([5, 5], [1, 1]), [0]);
        assert_eq!(within([6, 0], [4, 10]), [] as [usize; 0]);
    }

    #[test]
    fn of_several_blocks_the_nearest_object_counts_and_the_first_of_equal_ones() {
        let nearest = |point, label, distance| Nearest { point, label, distance };
        let mapping = MapPoints {
            halo: PerAxis::All(0),
            sampling: None,
            points: Vec::new(),
            order: OnceLock::new(),
        };
        let mut whole = vec![nearest(1, 8, 2.0), nearest(0, 7, 3.0)];
        mapping.merge(&mut whole, vec![nearest(0, 9, 1.0), nearest(1, 6, 2.0)]);
        let table = mapping.finish(None, Some(whole)).unwrap();
        assert_eq!(table.column("label").unwrap().values::<u64>().unwrap(), [9, 8]);
        assert_eq!(table.column("distance").unwrap().values::<f32>().unwrap(), [1.0, 2.0]);
    }
}
