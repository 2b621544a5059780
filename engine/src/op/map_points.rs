//! Points and the objects that are nearest to them.
//!
//! Exact as long as distances are no longer than the halo. Halo: as asked for. Memory: the block with its
//! halo, and 13 bytes a voxel of it, 4 more for each axis; 8 bytes for each coordinate of a point, and for
//! the merge 20 bytes for each point. Blocks without points are not read.

use super::kernel::distance::{distances, distances_and_indices};
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
                .about("sampling")
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
            let locate = |point| {
                let at = self.point(point, outer.ndim()).iter().zip(&outer.start);
                at.map(|(at, start)| at - start).collect::<Vec<u64>>()
            };
            let points: Vec<(usize, Vec<u64>)> =
                self.within(outer).map(|point| (point, locate(point))).collect();
            let nearest = nearest(&background, &outer.shape, &sampling, &points)?;
            let found = points.iter().zip(nearest).map(|((point, _), (distance, voxel))| {
                let label = match values[voxel].widen() {
                    Scalar::Integer(label) => label as u64,
                    Scalar::Float(label) => label as u64,
                };
                Nearest { point: *point as u64, label, distance }
            });
            Ok(found.collect())
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

/// The distance from each place in a block to the nearest voxel that is no background, and that voxel:
/// of several the one that [`distances_and_indices`] takes.
fn nearest(
    background: &[bool],
    shape: &[u64],
    sampling: &[f64],
    points: &[(usize, Vec<u64>)],
) -> Result<Vec<(f32, usize)>> {
    let voxel_of = |at: &[u64]| ravel(at, shape) as usize;
    // Where squares of distances are whole numbers, few voxels are found faster than the nearest ones of
    // all.
    if sampling.iter().all(|extent| *extent == 1.0) && !shape.is_empty() {
        let distances = distances(background, shape, sampling)?;
        let squared = |at: &[u64]| {
            let distance = f64::from(distances[voxel_of(at)]);
            (distance * distance).round() as u64
        };
        let work = points.iter().map(|(_, at)| {
            let width = 2 * squared(at).isqrt() + 1;
            width.saturating_pow(shape.len() as u32 - 1)
        });
        if work.fold(0, u64::saturating_add) <= background.len() as u64 {
            let found: Option<Vec<(f32, usize)>> = points
                .iter()
                .map(|(_, at)| {
                    let mut place = at.clone();
                    let is_object = |place: &[u64]| !background[voxel_of(place)];
                    let (last, left) = (shape.len() - 1, squared(at));
                    find(last, left, at, shape, &mut place, &is_object)
                        .then(|| (distances[voxel_of(at)], voxel_of(&place)))
                })
                .collect();
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }
    let (distances, places) = distances_and_indices(background, shape, sampling)?;
    let found = points.iter().map(|(_, at)| {
        let voxel = voxel_of(at);
        let axes = places.chunks_exact(background.len()).map(|axis| axis[voxel] as u64);
        (distances[voxel], voxel_of(&axes.collect::<Vec<u64>>()))
    });
    Ok(found.collect())
}

/// Finds the first voxel at a distance, whose square is `left`: that with the lowest coordinate along
/// `axis`, among these the lowest along the one before, and so on. `place` becomes that voxel.
fn find(
    axis: usize,
    left: u64,
    at: &[u64],
    shape: &[u64],
    place: &mut [u64],
    is_object: &impl Fn(&[u64]) -> bool,
) -> bool {
    let (here, reach) = (at[axis], left.isqrt());
    if axis == 0 {
        // Along the last axis that is left there are two voxels at most.
        let both = [here.checked_sub(reach), here.checked_add(reach)];
        return reach * reach == left
            && both.into_iter().flatten().filter(|to| *to < shape[0]).any(|to| {
                place[0] = to;
                is_object(place)
            });
    }
    for to in here.saturating_sub(reach)..=(here + reach).min(shape[axis] - 1) {
        place[axis] = to;
        let step = here.abs_diff(to);
        if find(axis - 1, left - step * step, at, shape, place, is_object) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nearest_voxels_are_those_of_the_transform(
            (shape, background) in prop::collection::vec(1u64..12, 1..4).prop_flat_map(|shape| {
                let voxels = shape.iter().product::<u64>() as usize;
                (Just(shape), prop::collection::vec(prop::bool::weighted(0.95), voxels))
            }),
            voxel in any::<prop::sample::Index>(),
            extent in prop_oneof![Just(1.0), Just(0.5)],
        ) {
            prop_assume!(background.contains(&false));
            let voxel = voxel.index(background.len());
            let at = crate::grid::unravel(voxel as u64, &shape);
            let sampling = vec![extent; shape.len()];
            let (distances, places) =
                distances_and_indices(&background, &shape, &sampling).unwrap();
            let place: Vec<u64> =
                places.chunks_exact(background.len()).map(|axis| axis[voxel] as u64).collect();
            let found = nearest(&background, &shape, &sampling, &[(0, at)]).unwrap();
            prop_assert_eq!(found[0].1 as u64, ravel(&place, &shape));
            prop_assert!((found[0].0 - distances[voxel]).abs() <= 1e-6 * distances[voxel]);
        }
    }

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
