//! Shapes of the objects of a label image that a table lists.

use super::objects;
use super::rows::{LabelMap, label_bits};
use super::runs::Changes;
use super::surface::Surfaces;
use crate::array::{Array, Scalar};
use crate::cast::Number;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::{Block, Grid, Region};
use crate::op::kernel::distance::distances;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Objects: for each its label, its centre of mass and the first and last corner of its bounding box, in
/// voxels, the last one exclusive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Objects {
    /// The bits of the labels, no two of which are alike.
    labels: Vec<u64>,
    /// Whether the labels are signed.
    is_signed: bool,
    /// As many values as there are axes, for each.
    pub centres: Vec<f64>,
    /// As many values as there are axes, for each.
    pub begins: Vec<u64>,
    /// As many values as there are axes, for each.
    pub ends: Vec<u64>,
    #[serde(skip)]
    rows: OnceLock<LabelMap<u64>>,
}

/// A row of objects.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Its label.
    pub label: i128,
    /// Its centre of mass.
    pub centre: &'a [f64],
    /// The first corner of its bounding box.
    pub begin: &'a [u64],
    /// The last one, which does not belong to it.
    pub end: &'a [u64],
}

impl Objects {
    /// Those that were found in a label image.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn found(found: objects::Objects) -> Result<Objects> {
        let is_signed = found.labels.dtype() == DType::I64;
        let labels = dispatch!(found.labels.dtype(), T => {
            found.labels.values::<T>()?.iter().map(|label| label_bits(*label)).collect()
        });
        let objects::Objects { centres, begins, ends, .. } = found;
        Ok(Objects { labels, is_signed, centres, begins, ends, rows: OnceLock::new() })
    }

    fn label(&self, row: usize) -> i128 {
        let bits = self.labels[row];
        if self.is_signed { i128::from(bits as i64) } else { i128::from(bits) }
    }

    /// The labels, as `int64` where that holds them all.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn label_column(&self) -> Result<Array> {
        let shape = [self.len() as u64];
        let signed: Vec<i64> = self.labels.iter().map(|label| *label as i64).collect();
        if self.is_signed || signed.iter().all(|label| *label >= 0) {
            return Array::from_values(&shape, &signed);
        }
        Array::from_values(&shape, &self.labels)
    }

    /// Checks that they are objects of an image of this shape.
    ///
    /// # Errors
    /// `invalid-argument` for a label that is there twice, other numbers of values than of objects, or a
    /// bounding box outside the image.
    pub fn check(&self, shape: &[u64]) -> Result<()> {
        let (count, ndim) = (self.labels.len(), shape.len());
        let values = [self.centres.len(), self.begins.len(), self.ends.len()];
        if values != [count * ndim; 3] {
            return Err(Error::argument(format!(
                "{count} objects in {ndim} axes have {values:?} values of centres, first and last \
                 corners"
            )));
        }
        if let Some(bad) = (0..count).map(|row| self.get(row, ndim)).find(|object| {
            let axes = object.begin.iter().zip(object.end).zip(shape);
            axes.into_iter().any(|((begin, end), extent)| begin > end || end > extent)
        }) {
            return Err(Error::argument(format!(
                "the bounding box of object {}, from {:?} to {:?}, does not lie in the image of \
                 shape {shape:?}",
                bad.label, bad.begin, bad.end
            ))
            .fix("Give the table of objects of this image."));
        }
        if self.rows().len() < count {
            return Err(Error::argument("an object is listed twice").fix("List it once."));
        }
        Ok(())
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// An object by its row.
    pub fn get(&self, row: usize, ndim: usize) -> Object<'_> {
        let axes = row * ndim..(row + 1) * ndim;
        Object {
            label: self.label(row),
            centre: &self.centres[axes.clone()],
            begin: &self.begins[axes.clone()],
            end: &self.ends[axes],
        }
    }

    /// Rows by the bits of labels, of which there are less than objects where those of two are alike.
    fn rows(&self) -> &LabelMap<u64> {
        self.rows.get_or_init(|| {
            self.labels.iter().enumerate().map(|(row, label)| (*label, row)).collect()
        })
    }
}

impl Object<'_> {
    /// Its bounding box.
    pub fn region(&self) -> Region {
        let shape = self.begin.iter().zip(self.end).map(|(begin, end)| end - begin);
        Region { start: self.begin.to_vec(), shape: shape.collect() }
    }

    /// The voxel of its centre, if that lies in its bounding box.
    fn central_voxel(&self) -> Option<Vec<u64>> {
        let axes = self.centre.iter().zip(self.begin).zip(self.end);
        axes.map(|((centre, begin), end)| {
            let place = (centre - *begin as f64).round_ties_even();
            let inside = (0.0..(end - begin) as f64).contains(&place);
            inside.then(|| begin + place as u64)
        })
        .collect()
    }
}

/// What blocks tell of objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partial(BTreeMap<u64, Sums>);

/// Of an object, with coordinates from the first corner of its bounding box on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sums {
    voxels: u64,
    coordinates: Vec<u128>,
    /// For each pair of axes.
    products: Vec<u128>,
    surface: f64,
    is_central: bool,
}

/// The shape of an object, in units of the resolution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The number of voxels.
    pub voxels: u64,
    /// The longest axis of an ellipsoid of the same moments.
    pub major: f64,
    /// The shortest axis of that ellipsoid.
    pub minor: f64,
    /// The area of the surface, where it was asked for.
    pub surface: f64,
    /// Whether its centre lies in it.
    pub is_central: bool,
}

impl Partial {
    /// What a block tells, from the voxels of its inner region; for `surfaces` also from those right
    /// before them, unless the image begins there: from the beginning of the outer region on. Where both
    /// regions end alike, the image ends. Takes 4 bytes a voxel with surfaces, and 200 for each object.
    ///
    /// # Errors
    /// `corrupt-data` for a `bool` that is neither 0 nor 1.
    pub fn of_block(
        objects: &Objects,
        voxels: &Array,
        block: &Block,
        surfaces: Option<&Surfaces>,
    ) -> Result<Partial> {
        let (inner, outer) = (&block.inner, &block.outer);
        let region = Region { start: outer.start.clone(), shape: voxels.shape().to_vec() };
        let mut found = Found {
            objects,
            region: &region,
            inner: &inner.start,
            inner_end: &inner.end(),
            numbers: Vec::new(),
            slots: LabelMap::default(),
            entries: Vec::new(),
        };
        if surfaces.is_some() {
            found.numbers.resize(voxels.voxels() as usize, 0);
        }
        dispatch!(voxels.dtype(), T => found.scan(voxels.values::<T>()?));
        if let (Some(surfaces), &[depth, height, width]) = (surfaces, &*region.shape) {
            let shape = [depth, height, width].map(|extent| extent as usize);
            let begins = [0, 1, 2].map(|axis| inner.start[axis] == outer.start[axis]);
            let ends = [0, 1, 2].map(|axis| inner.end()[axis] == outer.end()[axis]);
            let mut areas = vec![0.0; found.entries.len() + 1];
            surfaces.add(&found.numbers, shape, begins, ends, &mut areas)?;
            for (entry, area) in found.entries.iter_mut().zip(&areas[1..]) {
                entry.sums.surface = *area;
            }
        }
        Ok(Partial(found.entries.into_iter().map(|entry| (entry.row as u64, entry.sums)).collect()))
    }

    /// Takes in what the next block tells.
    pub fn merge(&mut self, other: Partial) {
        for (row, sums) in other.0 {
            match self.0.entry(row) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(sums);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    entry.get_mut().add(&sums);
                }
            }
        }
    }

    /// The shapes of so many objects, with this distance between voxels. One that no block has told of
    /// has no voxel.
    pub fn finish(self, count: usize, resolution: &[f64]) -> Vec<Shape> {
        let mut shapes = vec![Shape::default(); count];
        for (row, sums) in self.0 {
            let (major, minor) = sums.axis_lengths(resolution);
            shapes[row as usize] = Shape {
                voxels: sums.voxels,
                major,
                minor,
                surface: sums.surface,
                is_central: sums.is_central,
            };
        }
        shapes
    }
}

/// What is found in a block.
struct Found<'a> {
    objects: &'a Objects,
    region: &'a Region,
    /// Where the voxels begin and end that count.
    inner: &'a [u64],
    inner_end: &'a [u64],
    /// For each voxel the number of its object, from 1 on, or 0; empty where nobody needs it.
    numbers: Vec<u32>,
    /// Places of rows in `entries`.
    slots: LabelMap<u64>,
    entries: Vec<Entry>,
}

/// An object in a block.
struct Entry {
    row: usize,
    /// The voxel of its centre.
    centre: Option<Vec<u64>>,
    sums: Sums,
}

impl Found<'_> {
    /// Goes through the rows of voxels, a run of equal labels at a time.
    fn scan<T: Number>(&mut self, values: &[T]) {
        let ndim = self.region.ndim();
        let len = self.region.shape.last().map_or(1, |extent| *extent as usize);
        if values.is_empty() || ndim == 0 {
            return;
        }
        let objects = self.objects;
        let mut position = self.region.start.clone();
        let last = ndim - 1;
        let mut changes = Changes::default();
        for (line, values) in values.chunks_exact(len).enumerate() {
            changes.reset(len);
            changes.mark(values);
            changes.for_each_run(|start, end| {
                let Some(&row) = objects.rows().get(&label_bits(values[start])) else { return };
                let object = objects.get(row, ndim);
                // Labels of other types may have the same bits.
                if T::saturate(Scalar::Integer(object.label)) != values[start]
                    || values[start].widen() != Scalar::Integer(object.label)
                {
                    return;
                }
                let run = (self.region.start[last] + start as u64, end as u64 - start as u64);
                self.add_run(row, &object, &position, run, line * len + start);
            });
            for axis in (0..last).rev() {
                position[axis] += 1;
                if position[axis] < self.region.start[axis] + self.region.shape[axis] {
                    break;
                }
                position[axis] = self.region.start[axis];
            }
        }
    }

    /// Adds what of a run lies in the object's bounding box. It begins at `at` along the last axis and is
    /// as long as `len`; its first voxel is the block's `voxel`.
    fn add_run(
        &mut self,
        row: usize,
        object: &Object,
        position: &[u64],
        (at, len): (u64, u64),
        voxel: usize,
    ) {
        let last = position.len() - 1;
        let others = position[..last].iter().zip(object.begin).zip(object.end);
        let is_within = others.clone().all(|((at, begin), end)| (begin..end).contains(&at));
        let (first, end) = (at.max(object.begin[last]), (at + len).min(object.end[last]));
        if !is_within || first >= end {
            return;
        }
        let slot = self.slot(row, object);
        if let Some(numbers) = self.numbers.get_mut(voxel..voxel + len as usize) {
            numbers[(first - at) as usize..(end - at) as usize].fill(slot as u32 + 1);
        }
        let is_inner = position[..last]
            .iter()
            .zip(self.inner)
            .zip(self.inner_end)
            .all(|((at, start), end)| (start..end).contains(&at));
        let (first, end) = (first.max(self.inner[last]), end.min(self.inner_end[last]));
        if !is_inner || first >= end {
            return;
        }
        let Entry { centre, sums, .. } = &mut self.entries[slot];
        sums.is_central |= centre.as_ref().is_some_and(|centre| {
            centre[..last] == position[..last] && (first..end).contains(&centre[last])
        });
        sums.add_run(position, object.begin, first, end);
    }

    fn slot(&mut self, row: usize, object: &Object) -> usize {
        *self.slots.entry(row as u64).or_insert_with(|| {
            let ndim = object.begin.len();
            let sums = Sums {
                voxels: 0,
                coordinates: vec![0; ndim],
                products: vec![0; ndim * ndim],
                surface: 0.0,
                is_central: false,
            };
            self.entries.push(Entry { row, centre: object.central_voxel(), sums });
            self.entries.len() - 1
        })
    }
}

impl Sums {
    fn add(&mut self, other: &Sums) {
        self.voxels += other.voxels;
        let pairs = |to: &mut [u128], from: &[u128]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        };
        pairs(&mut self.coordinates, &other.coordinates);
        pairs(&mut self.products, &other.products);
        self.surface += other.surface;
        self.is_central |= other.is_central;
    }

    /// Adds the voxels from `first` up to `end` along the last axis.
    fn add_run(&mut self, position: &[u64], begin: &[u64], first: u64, end: u64) {
        let ndim = position.len();
        let last = ndim - 1;
        let up_to = |n: u64| {
            let n = u128::from(n);
            // Sums of all whole numbers below n and of their squares.
            let before = n.saturating_sub(1);
            [n * before / 2, n * before * (2 * n).saturating_sub(1) / 6]
        };
        let (above, below) = (up_to(end - begin[last]), up_to(first - begin[last]));
        let (count, sum) = (u128::from(end - first), above[0] - below[0]);
        self.voxels += end - first;
        for a in 0..ndim {
            let of_a = u128::from(position[a].wrapping_sub(begin[a]));
            self.coordinates[a] += if a == last { sum } else { of_a * count };
            for b in 0..ndim {
                let of_b = u128::from(position[b].wrapping_sub(begin[b]));
                self.products[a * ndim + b] += match (a == last, b == last) {
                    (true, true) => above[1] - below[1],
                    (true, false) => sum * of_b,
                    (false, true) => sum * of_a,
                    (false, false) => of_a * of_b * count,
                };
            }
        }
    }

    /// The longest and the shortest axis of an ellipsoid with the same moments, as scikit-image has
    /// them: from the inertia tensor, with other constants in three dimensions than in others.
    fn axis_lengths(&self, resolution: &[f64]) -> (f64, f64) {
        let ndim = resolution.len();
        if self.voxels == 0 || ndim == 0 {
            return (0.0, 0.0);
        }
        let n = i128::from(self.voxels);
        let covariance = |a: usize, b: usize| {
            let sums = self.coordinates[a] as i128 * self.coordinates[b] as i128;
            let scaled = n * self.products[a * ndim + b] as i128 - sums;
            scaled as f64 / (n as f64 * n as f64) * resolution[a] * resolution[b]
        };
        let trace: f64 = (0..ndim).map(|axis| covariance(axis, axis)).sum();
        let mut inertia = vec![0.0; ndim * ndim];
        for a in 0..ndim {
            for b in 0..ndim {
                let diagonal = if a == b { trace } else { 0.0 };
                inertia[a * ndim + b] = diagonal - covariance(a, b);
            }
        }
        let mut values: Vec<f64> =
            eigenvalues(inertia, ndim).into_iter().map(|value| value.max(0.0)).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        if let [first, second, third] = values[..] {
            let length = |value: f64| (10.0 * value).max(0.0).sqrt();
            return (length(first + second - third), length(-first + second + third));
        }
        (4.0 * values[0].sqrt(), 4.0 * values[ndim - 1].sqrt())
    }
}

/// Turns by which small symmetric matrices become diagonal; a few do.
const SWEEPS: usize = 50;

/// The eigenvalues of a symmetric matrix by Jacobi's method.
fn eigenvalues(mut matrix: Vec<f64>, n: usize) -> Vec<f64> {
    for _ in 0..SWEEPS {
        let off_diagonal: f64 =
            (0..n).flat_map(|a| (0..a).map(move |b| a * n + b)).map(|at| matrix[at].abs()).sum();
        if off_diagonal == 0.0 {
            break;
        }
        for a in 0..n {
            for b in a + 1..n {
                rotate(&mut matrix, n, a, b);
            }
        }
    }
    (0..n).map(|axis| matrix[axis * n + axis]).collect()
}

/// Turns a symmetric matrix in the plane of two axes so that what couples them vanishes.
fn rotate(matrix: &mut [f64], n: usize, a: usize, b: usize) {
    let coupling = matrix[a * n + b];
    if coupling == 0.0 {
        return;
    }
    let apart = (matrix[b * n + b] - matrix[a * n + a]) / (2.0 * coupling);
    let tangent = apart.signum() / (apart.abs() + (apart * apart + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for k in 0..n {
        let (x, y) = (matrix[k * n + a], matrix[k * n + b]);
        matrix[k * n + a] = cosine * x - sine * y;
        matrix[k * n + b] = sine * x + cosine * y;
    }
    for k in 0..n {
        let (x, y) = (matrix[a * n + k], matrix[b * n + k]);
        matrix[a * n + k] = cosine * x - sine * y;
        matrix[b * n + k] = sine * x + cosine * y;
    }
    matrix[a * n + b] = 0.0;
    matrix[b * n + a] = 0.0;
}

/// The voxels of a crop that have a label.
fn mask_of(crop: &Array, label: i128) -> Result<Vec<bool>> {
    dispatch!(crop.dtype(), T => {
        let wanted = T::saturate(Scalar::Integer(label));
        // A label that the type does not hold is nowhere.
        let exists = wanted.widen() == Scalar::Integer(label);
        Ok(crop.values::<T>()?.iter().map(|value| exists && *value == wanted).collect())
    })
}

/// Extents of the parts that a large bounding box is looked at in, and how far beyond them at first.
const PART: u64 = 128;
const MARGIN: u64 = 32;

/// The voxel of an object that is farthest from everything else in its bounding box, the first of
/// several in C order, with this distance between voxels. `read` gives the labels of a region.
///
/// A large bounding box is looked at in parts. What is read around a part grows until no background
/// behind it could be nearer. Takes 17 bytes a voxel of a part with what is around it.
///
/// # Errors
/// Those of `read`.
pub fn deepest(
    object: &Object,
    resolution: &[f64],
    mut read: impl FnMut(&Region) -> Result<Array>,
) -> Result<Vec<u64>> {
    let whole = object.region();
    let parts = Grid::new(whole.clone(), &vec![PART; whole.ndim()])?;
    let least = resolution.iter().copied().fold(f64::INFINITY, f64::min);
    let mut best: Option<(f32, Vec<u64>)> = None;
    for part in 0..parts.len() {
        let mut margin = if parts.len() == 1 { PART } else { MARGIN };
        loop {
            let block = parts.clone().with_halo(&vec![margin; whole.ndim()])?.block(part)?;
            let outer = &block.outer;
            let mask = mask_of(&read(outer)?, object.label)?;
            let is_all = *outer == whole;
            // Without background in sight nothing is known.
            let is_sure = is_all || mask.contains(&false);
            let depths = if is_sure {
                distances(&mask, &outer.shape, resolution)?
            } else {
                mask.iter().map(|_| f32::INFINITY).collect()
            };
            let Some((depth, place)) = highest(&depths, &mask, outer, &block.inner) else { break };
            let is_better = best
                .as_ref()
                .is_none_or(|(other, at)| depth > *other || (depth == *other && place < *at));
            if !is_better {
                break;
            }
            // Distances are too long at most, and none that is shorter than the margin is.
            if is_all || f64::from(depth) <= margin as f64 * least {
                best = Some((depth, place));
                break;
            }
            margin *= 2;
        }
    }
    Ok(best.map_or_else(|| whole.start.clone(), |(_, place)| place))
}

/// The greatest of the depths in a part of a region, and where it is first.
fn highest(
    depths: &[f32],
    mask: &[bool],
    region: &Region,
    part: &Region,
) -> Option<(f32, Vec<u64>)> {
    let mut found: Option<(f32, usize)> = None;
    for (voxel, (&depth, inside)) in depths.iter().zip(mask).enumerate() {
        if !inside || found.is_some_and(|(best, _)| depth <= best) {
            continue;
        }
        let place = crate::grid::unravel(voxel as u64, &region.shape);
        let axes = place.iter().zip(&region.start).zip(part.start.iter().zip(part.end()));
        if axes.into_iter().all(|((at, start), (from, to))| (*from..to).contains(&(at + start))) {
            found = Some((depth, voxel));
        }
    }
    found.map(|(depth, voxel)| {
        let place = crate::grid::unravel(voxel as u64, &region.shape);
        (depth, place.iter().zip(&region.start).map(|(at, start)| at + start).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listed(labels: &[i64], centres: Vec<f64>, begins: Vec<u64>, ends: Vec<u64>) -> Objects {
        let labels = labels.iter().map(|label| *label as u64).collect();
        Objects { labels, is_signed: true, centres, begins, ends, rows: OnceLock::new() }
    }

    fn block_of(shape: &[u64]) -> Block {
        let whole = Region::whole(shape);
        Block { id: 0, inner: whole.clone(), outer: whole }
    }

    /// The shape of the voxels that are 1 in an image, with the centre of mass as its centre.
    fn of(values: &[u8], shape: &[u64], centre: &[f64], resolution: &[f64]) -> Shape {
        let block = Array::from_values(shape, values).unwrap();
        let objects = listed(&[1], centre.to_vec(), vec![0; shape.len()], shape.to_vec());
        objects.check(shape).unwrap();
        let surfaces = Surfaces::new([1.0; 3]);
        let surfaces = (shape.len() == 3).then_some(&surfaces);
        let found = Partial::of_block(&objects, &block, &block_of(shape), surfaces).unwrap();
        found.finish(1, resolution).remove(0)
    }

    #[test]
    fn a_rod_is_as_long_as_its_ellipse() {
        // Variance of 0..n is (n² - 1) / 12; the axis of an ellipse is four deviations.
        let rod = of(&[1; 5], &[1, 5], &[0.0, 2.0], &[1.0, 1.0]);
        assert_eq!((rod.voxels, rod.is_central), (5, true));
        assert!((rod.major - 4.0 * 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(rod.minor, 0.0);
        let stretched = of(&[1; 5], &[5, 1], &[2.0, 0.0], &[3.0, 2.0]);
        assert!((stretched.major - 12.0 * 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_cube_is_as_wide_as_it_is_long() {
        let cube = of(&[1; 27], &[3, 3, 3], &[1.0; 3], &[1.0; 3]);
        // The inertia around each axis is twice the variance along one, which is 2 / 3.
        let length = (10f64 * 4.0 / 3.0).sqrt();
        assert!((cube.major - length).abs() < 1e-9, "{cube:?}");
        assert!((cube.minor - length).abs() < 1e-9);
        assert!(cube.surface > 40.0);
    }

    #[test]
    fn a_ring_has_its_centre_beside_itself_and_its_deepest_voxel_within() {
        let mut values = vec![1u8; 49];
        (0..9).for_each(|i| values[(i / 3 + 1) * 7 + i % 3 + 1] = 0);
        assert!(!of(&values, &[7, 7], &[2.4, 2.4], &[1.0; 2]).is_central);
        assert!(of(&values, &[7, 7], &[4.6, 4.4], &[1.0; 2]).is_central);
        let image = Array::from_values(&[7, 7], &values).unwrap();
        let objects = listed(&[1], vec![2.4; 2], vec![0; 2], vec![7; 2]);
        let place = deepest(&objects.get(0, 2), &[1.0; 2], |region| {
            crate::op::blockwise::cropped(&image, region)
        });
        assert_eq!(place.unwrap(), [6, 6]);
    }

    #[test]
    fn what_is_no_list_of_objects_of_the_image_is_refused() {
        let objects = |labels: &[i64], ends: Vec<u64>| {
            listed(labels, vec![0.0; labels.len()], vec![0; labels.len()], ends)
        };
        assert!(objects(&[1, -2], vec![3, 4]).check(&[4]).is_ok());
        for (bad, what) in [
            (objects(&[1, 2], vec![3, 5]), "object 2"),
            (objects(&[1, 1], vec![3, 4]), "twice"),
            (objects(&[1], vec![3, 4]), "values"),
        ] {
            let error = bad.check(&[4]).unwrap_err();
            assert!(error.message.contains(what), "{error:?}");
        }
    }

    #[test]
    fn labels_are_selected_exactly() {
        let crop = Array::from_values(&[3], &[u64::MAX, 1, u64::MAX - 1]).unwrap();
        let voxels = |crop: &Array, label: i64, is_signed: bool| {
            let objects = Objects { is_signed, ..listed(&[label], vec![0.0], vec![0], vec![3]) };
            let found = Partial::of_block(&objects, crop, &block_of(&[3]), None).unwrap();
            let voxels = found.finish(1, &[1.0])[0].voxels;
            let mask = mask_of(crop, objects.label(0)).unwrap();
            assert_eq!(mask.iter().filter(|inside| **inside).count() as u64, voxels);
            voxels
        };
        assert_eq!([voxels(&crop, -1, false), voxels(&crop, -1, true)], [1, 0]);
        let crop = Array::from_values(&[3], &[-1i8, 127, -1]).unwrap();
        assert_eq!([voxels(&crop, -1, true), voxels(&crop, 255, true)], [2, 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]
        #[test]
        fn the_deepest_voxel_is_found_in_parts_as_in_the_whole(
            holes in prop::collection::vec((0u64..300, 0u64..150), 0..60),
            resolution in prop::collection::vec(0.5f64..3.0, 2),
        ) {
            let shape = [300, 150];
            let mut values = vec![1u8; 300 * 150];
            holes.iter().for_each(|(y, x)| values[(y * 150 + x) as usize] = 0);
            let image = Array::from_values(&shape, &values).unwrap();
            let objects = listed(&[1], vec![0.0; 2], vec![0; 2], shape.to_vec());
            let place = deepest(&objects.get(0, 2), &resolution, |region| {
                crate::op::blockwise::cropped(&image, region)
            });
            let depths = distances(&values, &shape, &resolution).unwrap();
            let (whole, inside) = (Region::whole(&shape), vec![true; depths.len()]);
            let expected = highest(&depths, &inside, &whole, &whole).unwrap().1;
            prop_assert_eq!(place.unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn eigenvalues_keep_trace_and_norm(
            values in proptest::collection::vec(-9.0f64..9.0, 16),
            n in 1usize..5,
        ) {
            let matrix: Vec<f64> =
                (0..n * n).map(|at| values[at / n * n + at % n] + values[at % n * n + at / n]).collect();
            let trace: f64 = (0..n).map(|axis| matrix[axis * n + axis]).sum();
            let norm: f64 = matrix.iter().map(|value| value * value).sum();
            let found = eigenvalues(matrix, n);
            prop_assert!((found.iter().sum::<f64>() - trace).abs() < 1e-9);
            prop_assert!((found.iter().map(|v| v * v).sum::<f64>() - norm).abs() < 1e-7);
        }
    }
}
