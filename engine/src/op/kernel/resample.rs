//! Sampling an array between its voxels: along the axes, through an affine matrix, or wherever
//! coordinates say.
//!
//! Coordinates beyond the first and last voxel give the fill value in orders 0, 1 and 3; voxels that
//! a kernel takes from beyond the array have the fill value, too.

use super::interpolate::{MAX_TAPS, first_tap, is_strict, taps, taps_of};
use super::{Voxel, filled, rounded, values_mut};
use crate::array::{Array, Scalar, strides};
use crate::cast::Number;
use crate::dispatch;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grid::Region;
use std::ops::Range;

/// What a kernel takes from beyond the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// The fill value.
    Fill,
    /// The nearest voxel.
    Nearest,
}

/// A sampling whose coordinate along each axis depends on the position along that axis alone: every
/// axis is a table, and is worked through by itself.
pub struct Separable {
    order: u8,
    fill: Scalar,
    axes: Vec<AxisTable>,
    region: Option<Region>,
}

/// For each position along an axis, the voxels it takes and their weights.
struct AxisTable {
    /// Number of positions.
    count: usize,
    /// Number of voxels that are read.
    extent: usize,
    /// For each tap, for each position: the voxel, `extent` for the fill value, `extent + 1` for
    /// a tap without weight.
    index: Vec<usize>,
    /// As `index`.
    weight: Vec<f64>,
    /// Whether a position has a value at all.
    inside: Vec<bool>,
}

impl AxisTable {
    /// The table and the first voxel that is read.
    fn new(order: u8, border: Border, coordinates: &[f64], extent: u64) -> (AxisTable, u64) {
        let count = coordinates.len();
        let taps = usize::from(order) + 1;
        let last = extent as i64 - 1;
        // Where a coordinate is so far outside that it takes no voxel is of no account.
        let far = last as f64 + 2.0 * MAX_TAPS as f64;
        let mut voxels: Vec<Option<i64>> = vec![None; taps * count];
        let mut weight = vec![0.0; taps * count];
        let mut inside = vec![false; count];
        for (position, &coordinate) in coordinates.iter().enumerate() {
            let within = (0.0..=last as f64).contains(&coordinate);
            if !within && (is_strict(order) || coordinate.is_nan()) {
                continue;
            }
            inside[position] = true;
            let (first, weights) = taps_of(order, coordinate.clamp(-2.0 * MAX_TAPS as f64, far));
            for tap in 0..taps {
                let voxel = first + tap as i64;
                weight[tap * count + position] = weights[tap];
                voxels[tap * count + position] = match border {
                    _ if (0..=last).contains(&voxel) => Some(voxel),
                    Border::Nearest => Some(voxel.clamp(0, last)),
                    Border::Fill => None,
                };
            }
        }
        let taken =
            || voxels.iter().zip(&weight).filter(|(_, w)| **w != 0.0).filter_map(|(v, _)| *v);
        let start = taken().min().unwrap_or(0);
        let extent = taken().max().map_or(0, |end| (end + 1 - start) as usize);
        let index = voxels
            .iter()
            .zip(&weight)
            .map(|(voxel, &weight)| match voxel {
                _ if weight == 0.0 => extent + 1,
                Some(voxel) => (voxel - start) as usize,
                None => extent,
            })
            .collect();
        (AxisTable { count, extent, index, weight, inside }, start as u64)
    }

    /// Samples a row, which is followed by the fill value and by zero.
    fn row(&self, row: &[f64], fill: f64, out: &mut [f64]) {
        let taps = self.index.chunks_exact(self.count).zip(self.weight.chunks_exact(self.count));
        for (tap, (index, weight)) in taps.enumerate() {
            let pairs = out.iter_mut().zip(index).zip(weight);
            if tap == 0 {
                pairs.for_each(|((out, &index), weight)| *out = weight * row[index]);
            } else {
                pairs.for_each(|((out, &index), weight)| *out += weight * row[index]);
            }
        }
        for (out, inside) in out.iter_mut().zip(&self.inside) {
            if !inside {
                *out = fill;
            }
        }
    }
}

/// Slices that were sampled along the axes behind an axis, and are taken several times.
#[derive(Default)]
struct Ring {
    slices: Vec<(usize, Vec<f64>)>,
}

impl Separable {
    /// The sampling of an array of shape `shape` at these coordinates along each axis.
    pub fn new(
        order: u8,
        border: Border,
        fill: Scalar,
        coordinates: &[Vec<f64>],
        shape: &[u64],
    ) -> Separable {
        let mut axes = Vec::new();
        let mut region = Region { start: Vec::new(), shape: Vec::new() };
        for (coordinates, &extent) in coordinates.iter().zip(shape) {
            let (table, start) = AxisTable::new(order, border, coordinates, extent);
            region.start.push(start);
            region.shape.push(table.extent as u64);
            axes.push(table);
        }
        let region = Some(region).filter(|region| !region.shape.contains(&0));
        Separable { order, fill, axes, region }
    }

    /// What is read of the array; nothing where all is fill value.
    pub fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    /// Bytes that sampling a block takes besides what is read and what is made.
    pub fn scratch_bytes(order: u8, shape: &[u64]) -> u64 {
        let slices = if order == 0 { 0 } else { u64::from(order) + 2 };
        (1..shape.len()).map(|axis| shape[axis..].iter().product::<u64>() * slices * 8).sum()
    }

    /// Samples what was read of the array: its values, or smoothed ones as `f32`.
    ///
    /// # Errors
    /// `corrupt-data` for a `bool` that is neither 0 nor 1.
    pub fn run(&self, source: &Array, dtype: DType) -> Result<Array> {
        if self.order == 0 {
            let gathered = self.gather(source)?;
            return if source.dtype() == dtype { Ok(gathered) } else { rounded(&gathered, dtype) };
        }
        let mut out = Array::zeros(dtype, &self.shape());
        let fill = dispatch!(dtype, T => T::wrap(self.fill).to_f64());
        dispatch!(source.dtype(), S => {
            let values = source.values::<S>()?;
            self.interpolate::<S>(values, fill, &mut |offset, slab| store(&mut out, offset, slab))?;
        });
        Ok(out)
    }

    fn shape(&self) -> Vec<u64> {
        self.axes.iter().map(|axis| axis.count as u64).collect()
    }

    fn gather(&self, source: &Array) -> Result<Array> {
        let mut out = Array::zeros(source.dtype(), &self.shape());
        dispatch!(source.dtype(), T => {
            let values = source.values::<T>()?;
            gather_axis(&self.axes, values, T::wrap(self.fill), values_mut::<T>(&mut out)?);
        });
        Ok(out)
    }

    /// Gives each slice of the first axis (the whole, where there is no other) with its offset.
    fn interpolate<S: Voxel>(
        &self,
        values: &[S],
        fill: f64,
        store: &mut dyn FnMut(usize, &[f64]) -> Result<()>,
    ) -> Result<()> {
        let mut work = Work {
            axes: &self.axes,
            fill,
            rings: (1..self.axes.len()).map(|_| Ring::default()).collect(),
            row: Vec::new(),
        };
        let Some(first) = self.axes.first() else { return Ok(()) };
        if self.axes.len() == 1 {
            let mut slab = vec![0.0; first.count];
            work.slice(0, values, &mut slab);
            return store(0, &slab);
        }
        let mut slab = vec![0.0; self.axes[1..].iter().map(|axis| axis.count).product()];
        work.begin(0, slab.len());
        for position in 0..first.count {
            work.position(0, position, values, &mut slab);
            store(position * slab.len(), &slab)?;
        }
        Ok(())
    }
}

/// Copies the nearest voxels; slices that are the same are copied from the one before.
fn gather_axis<T: Voxel>(axes: &[AxisTable], values: &[T], fill: T, out: &mut [T]) {
    let Some((axis, behind)) = axes.split_first() else { return };
    if behind.is_empty() {
        for ((out, &index), inside) in out.iter_mut().zip(&axis.index).zip(&axis.inside) {
            *out = if *inside { values[index] } else { fill };
        }
        return;
    }
    let (from, to) = (values.len() / axis.extent, out.len() / axis.count);
    for position in 0..axis.count {
        let here = position * to;
        let index = axis.index[position];
        if !axis.inside[position] {
            out[here..here + to].fill(fill);
        } else if position > 0 && axis.inside[position - 1] && axis.index[position - 1] == index {
            out.copy_within(here - to..here, here);
        } else {
            gather_axis(behind, &values[index * from..][..from], fill, &mut out[here..here + to]);
        }
    }
}

struct Work<'a> {
    axes: &'a [AxisTable],
    fill: f64,
    rings: Vec<Ring>,
    row: Vec<f64>,
}

impl Work<'_> {
    /// Samples what lies behind the axes before `axis`.
    fn slice<S: Voxel>(&mut self, axis: usize, values: &[S], out: &mut [f64]) {
        let table = &self.axes[axis];
        if axis + 1 == self.axes.len() {
            self.row.clear();
            self.row.extend(values.iter().map(|value| value.to_f64()));
            self.row.extend([self.fill, 0.0]);
            table.row(&self.row, self.fill, out);
            return;
        }
        let len = out.len() / table.count;
        self.begin(axis, len);
        for (position, out) in out.chunks_exact_mut(len).enumerate() {
            self.position(axis, position, values, out);
        }
    }

    /// Makes the ring of an axis ready for slices of another part of the array.
    fn begin(&mut self, axis: usize, len: usize) {
        let taps = self.axes[axis].index.len() / self.axes[axis].count;
        self.rings[axis].slices.resize_with(taps, Default::default);
        for (voxel, slice) in &mut self.rings[axis].slices {
            *voxel = usize::MAX;
            slice.resize(len, 0.0);
        }
    }

    /// One position along an axis that is not the last.
    fn position<S: Voxel>(&mut self, axis: usize, position: usize, values: &[S], out: &mut [f64]) {
        let table = &self.axes[axis];
        if !table.inside[position] {
            out.fill(self.fill);
            return;
        }
        let from = values.len() / table.extent;
        let taps = table.index.len() / table.count;
        out.fill(0.0);
        for tap in 0..taps {
            let (voxel, weight) = (
                table.index[tap * table.count + position],
                table.weight[tap * table.count + position],
            );
            if voxel > table.extent {
                continue;
            }
            if voxel == table.extent {
                out.iter_mut().for_each(|out| *out += weight * self.fill);
                continue;
            }
            // Taps are neighbours, so that each has its own place in the ring.
            let mut slice = std::mem::take(&mut self.rings[axis].slices[voxel % taps]);
            if slice.0 != voxel {
                self.slice(axis + 1, &values[voxel * from..][..from], &mut slice.1);
                slice.0 = voxel;
            }
            for (out, value) in out.iter_mut().zip(&slice.1) {
                *out += weight * value;
            }
            self.rings[axis].slices[voxel % taps] = slice;
        }
    }
}

/// Stores values from an offset on, in the array's type.
fn store(out: &mut Array, offset: usize, values: &[f64]) -> Result<()> {
    dispatch!(out.dtype(), T => {
        for (to, from) in values_mut::<T>(out)?[offset..].iter_mut().zip(values) {
            *to = T::from_f64(*from);
        }
    });
    Ok(())
}

/// A map from output to input coordinates: for each input axis the factors of the output axes, then
/// the offset.
#[derive(Clone, Debug, PartialEq)]
pub struct AffineMap {
    rows: Vec<Vec<f64>>,
}

impl AffineMap {
    /// The map with these rows, of one number more than there are rows.
    ///
    /// # Errors
    /// `invalid-argument` for other lengths, or for numbers that are not finite.
    pub fn new(rows: Vec<Vec<f64>>) -> Result<AffineMap> {
        let ndim = rows.len();
        if rows.iter().any(|row| row.len() != ndim + 1) {
            return Err(Error::argument(format!(
                "{ndim} axes need a matrix of {ndim} x {}",
                ndim + 1
            )));
        }
        if rows.iter().flatten().any(|value| !value.is_finite()) {
            return Err(Error::argument("the affine matrix has a number that is not finite"));
        }
        Ok(AffineMap { rows })
    }

    /// The map that stretches each axis by a factor.
    pub fn scaling(factors: &[f64]) -> AffineMap {
        let row = |axis: usize| {
            let mut row = vec![0.0; factors.len() + 1];
            row[axis] = factors[axis];
            row
        };
        AffineMap { rows: (0..factors.len()).map(row).collect() }
    }

    /// Whether every input axis depends on the output axis of the same number alone.
    pub fn is_diagonal(&self) -> bool {
        let ndim = self.rows.len();
        (0..ndim).all(|i| (0..ndim).all(|j| i == j || self.rows[i][j] == 0.0))
    }

    /// The factor and the offset of an axis of a diagonal map.
    pub fn diagonal(&self, axis: usize) -> (f64, f64) {
        (self.rows[axis][axis], self.rows[axis][self.rows.len()])
    }

    /// How far neighbouring output voxels can be apart along each input axis.
    pub fn stretch(&self) -> Vec<f64> {
        let ndim = self.rows.len();
        self.rows.iter().map(|row| row[..ndim].iter().map(|m| m * m).sum::<f64>().sqrt()).collect()
    }

    /// The sigmas, for each input axis, of the Gaussian that keeps a sampling from aliasing.
    pub fn anti_aliasing_sigma(&self) -> Vec<f64> {
        self.stretch().iter().map(|stretch| ((stretch - 1.0) / 2.0).max(0.0)).collect()
    }

    /// Extents that a block of this shape spans in the input, at most.
    pub fn span(&self, block_shape: &[u64]) -> Vec<f64> {
        let extent = |row: &Vec<f64>| -> f64 {
            row.iter().zip(block_shape).map(|(m, n)| m.abs() * (n - 1) as f64).sum()
        };
        self.rows.iter().map(extent).collect()
    }

    /// What sampling a region takes of an array of this shape, with so many voxels more on each
    /// side; nothing where it lies outside.
    pub fn reads(
        &self,
        order: u8,
        region: &Region,
        margin: &[u64],
        shape: &[u64],
    ) -> Option<Region> {
        let ndim = self.rows.len();
        let mut taken = Region { start: Vec::new(), shape: Vec::new() };
        for axis in 0..ndim {
            let (mut low, mut high) = (self.rows[axis][ndim], self.rows[axis][ndim]);
            for other in 0..ndim {
                let factor = self.rows[axis][other];
                let first = factor * region.start[other] as f64;
                let last = factor * (region.start[other] + region.shape[other] - 1) as f64;
                low += first.min(last);
                high += first.max(last);
            }
            // One voxel more, since sums that are rounded in another order may differ.
            let margin = margin[axis] as i64 + 1;
            let start = first_tap(order, low).saturating_sub(margin).max(0);
            let end = first_tap(order, high).saturating_add(i64::from(order) + 1 + margin);
            let end = end.min(shape[axis] as i64);
            if end <= start {
                return None;
            }
            taken.start.push(start as u64);
            taken.shape.push((end - start) as u64);
        }
        Some(taken)
    }
}

/// What is sampled, and how.
pub struct Sampling<'a> {
    /// The part of the array that is in memory, possibly smoothed to `f32`.
    pub source: &'a Array,
    /// Where that part starts in the array.
    pub start: &'a [u64],
    /// Shape of the array.
    pub shape: &'a [u64],
    /// Interpolation order.
    pub order: u8,
    /// Value of what lies outside.
    pub fill: Scalar,
    /// Data type of the result.
    pub dtype: DType,
}

impl Sampling<'_> {
    /// Samples a region of the output through an affine map. Two or three axes.
    ///
    /// # Errors
    /// `invalid-argument` for another number of axes.
    pub fn affine(&self, map: &AffineMap, region: &Region) -> Result<Array> {
        match self.shape.len() {
            2 => self.affine_n::<2>(map, region),
            3 => self.affine_n::<3>(map, region),
            ndim => Err(unsupported(ndim)),
        }
    }

    /// Samples wherever `coordinates` say: for each axis of the array, one coordinate for every voxel
    /// of the result. Two or three axes.
    ///
    /// # Errors
    /// `invalid-argument` for another number of axes or of coordinates.
    pub fn at(&self, coordinates: &[f64], out_shape: &[u64]) -> Result<Array> {
        match self.shape.len() {
            2 => self.at_n::<2>(coordinates, out_shape),
            3 => self.at_n::<3>(coordinates, out_shape),
            ndim => Err(unsupported(ndim)),
        }
    }

    fn affine_n<const N: usize>(&self, map: &AffineMap, region: &Region) -> Result<Array> {
        let frame = Frame::<N>::new(self);
        let rows = Rows::<N>::new(map, region);
        if self.order == 0 {
            let mut out = filled(self.source.dtype(), &region.shape, self.fill)?;
            dispatch!(self.source.dtype(), S => {
                let values = self.source.values::<S>()?;
                let out = values_mut::<S>(&mut out)?;
                for row in 0..rows.count {
                    let out = &mut out[row * rows.width..][..rows.width];
                    frame.nearest_row(&rows.line(row), values, out);
                }
            });
            return if out.dtype() == self.dtype { Ok(out) } else { rounded(&out, self.dtype) };
        }
        let mut out = Array::zeros(self.dtype, &region.shape);
        let fill = self.fill_as_f64();
        let mut row = vec![0.0; rows.width];
        dispatch!(self.source.dtype(), S => {
            let values = self.source.values::<S>()?;
            for index in 0..rows.count {
                let line = rows.line(index);
                match self.order {
                    1 => frame.row::<S, 2>(&line, values, fill, &mut row),
                    2 => frame.row::<S, 3>(&line, values, fill, &mut row),
                    3 => frame.row::<S, 4>(&line, values, fill, &mut row),
                    4 => frame.row::<S, 5>(&line, values, fill, &mut row),
                    _ => frame.row::<S, 6>(&line, values, fill, &mut row),
                }
                store(&mut out, index * rows.width, &row)?;
            }
        });
        Ok(out)
    }

    fn at_n<const N: usize>(&self, coordinates: &[f64], out_shape: &[u64]) -> Result<Array> {
        let voxels = out_shape.iter().product::<u64>() as usize;
        if coordinates.len() != N * voxels {
            return Err(Error::argument(format!(
                "{} coordinates do not make {N} for each of {voxels} voxels",
                coordinates.len()
            )));
        }
        let frame = Frame::<N>::new(self);
        let point = |voxel: usize| -> [f64; N] {
            std::array::from_fn(|axis| coordinates[axis * voxels + voxel])
        };
        let exact = self.order == 0 && self.source.dtype() == self.dtype;
        let mut out = filled(self.dtype, out_shape, self.fill)?;
        if exact {
            dispatch!(self.dtype, S => {
                let values = self.source.values::<S>()?;
                for (voxel, out) in values_mut::<S>(&mut out)?.iter_mut().enumerate() {
                    let point = point(voxel);
                    if frame.contains(&point) {
                        *out = values[frame.nearest(&point)];
                    }
                }
            });
            return Ok(out);
        }
        let fill = self.fill_as_f64();
        let mut row = vec![0.0; 4096.min(voxels)];
        dispatch!(self.source.dtype(), S => {
            let values = self.source.values::<S>()?;
            let mut done = 0;
            while done < voxels {
                let len = row.len().min(voxels - done);
                for (voxel, out) in (done..).zip(&mut row[..len]) {
                    *out = frame.value(self.order, &point(voxel), values, fill);
                }
                store(&mut out, done, &row[..len])?;
                done += len;
            }
        });
        Ok(out)
    }

    fn fill_as_f64(&self) -> f64 {
        dispatch!(self.dtype, T => T::wrap(self.fill).to_f64())
    }
}

fn unsupported(ndim: usize) -> Error {
    Error::argument(format!("arrays of {ndim} axes are not sampled"))
        .fix("Take a region of two or three axes.")
}

/// The rows of an output region, each a line through the input.
struct Rows<const N: usize> {
    linear: [[f64; N]; N],
    offset: [f64; N],
    start: [u64; N],
    shape: [u64; N],
    count: usize,
    width: usize,
}

/// `point + step * x` for the positions `x` from `first` on.
struct Line<const N: usize> {
    point: [f64; N],
    step: [f64; N],
    first: u64,
}

impl<const N: usize> Line<N> {
    fn at(&self, position: usize) -> [f64; N] {
        std::array::from_fn(|axis| self.along(axis, position))
    }

    fn along(&self, axis: usize, position: usize) -> f64 {
        self.point[axis] + self.step[axis] * (self.first + position as u64) as f64
    }
}

impl<const N: usize> Rows<N> {
    fn new(map: &AffineMap, region: &Region) -> Self {
        let shape: [u64; N] = std::array::from_fn(|axis| region.shape[axis]);
        Rows {
            linear: std::array::from_fn(|i| std::array::from_fn(|j| map.rows[i][j])),
            offset: std::array::from_fn(|axis| map.rows[axis][N]),
            start: std::array::from_fn(|axis| region.start[axis]),
            shape,
            count: shape[..N - 1].iter().product::<u64>() as usize,
            width: shape[N - 1] as usize,
        }
    }

    fn line(&self, row: usize) -> Line<N> {
        let position = crate::grid::unravel(row as u64, &self.shape[..N - 1]);
        let point = std::array::from_fn(|axis| {
            let along = |other: usize| {
                self.linear[axis][other] * (self.start[other] + position[other]) as f64
            };
            (0..N - 1).map(along).sum::<f64>() + self.offset[axis]
        });
        Line {
            point,
            step: std::array::from_fn(|axis| self.linear[axis][N - 1]),
            first: self.start[N - 1],
        }
    }
}

/// The part of an array that is in memory, seen from the array's coordinates.
struct Frame<const N: usize> {
    order: u8,
    last: [f64; N],
    start: [i64; N],
    shape: [i64; N],
    strides: [i64; N],
}

impl<const N: usize> Frame<N> {
    fn new(sampling: &Sampling) -> Self {
        let part = sampling.source.shape();
        let strides = strides(part);
        Frame {
            order: sampling.order,
            last: std::array::from_fn(|axis| sampling.shape[axis] as f64 - 1.0),
            start: std::array::from_fn(|axis| sampling.start[axis] as i64),
            shape: std::array::from_fn(|axis| part[axis] as i64),
            strides: std::array::from_fn(|axis| strides[axis] as i64),
        }
    }

    fn contains(&self, point: &[f64; N]) -> bool {
        (0..N).all(|axis| point[axis] >= 0.0 && point[axis] <= self.last[axis])
    }

    /// The positions of a line that lie between the first and the last voxel.
    fn within(&self, line: &Line<N>, width: usize) -> Range<usize> {
        clip(line, 0..width, |_, c| c >= 0.0, |axis, c| c <= self.last[axis])
    }

    /// Of these positions, those whose every tap is in memory.
    fn interior(&self, line: &Line<N>, among: Range<usize>) -> Range<usize> {
        let taps = i64::from(self.order) + 1;
        clip(
            line,
            among,
            |axis, c| first_tap(self.order, c) >= self.start[axis],
            |axis, c| {
                first_tap(self.order, c).saturating_add(taps) <= self.start[axis] + self.shape[axis]
            },
        )
    }

    fn nearest(&self, point: &[f64; N]) -> usize {
        (0..N)
            .map(|axis| (first_tap(0, point[axis]) - self.start[axis]) * self.strides[axis])
            .sum::<i64>() as usize
    }

    fn nearest_row<S: Voxel>(&self, line: &Line<N>, values: &[S], out: &mut [S]) {
        for position in self.within(line, out.len()) {
            out[position] = values[self.nearest(&line.at(position))];
        }
    }

    fn row<S: Voxel, const TAPS: usize>(
        &self,
        line: &Line<N>,
        values: &[S],
        fill: f64,
        out: &mut [f64],
    ) {
        let within =
            if is_strict(self.order) { self.within(line, out.len()) } else { 0..out.len() };
        let interior = self.interior(line, within.clone());
        out[..within.start].fill(fill);
        out[within.end..].fill(fill);
        for position in (within.start..interior.start).chain(interior.end..within.end) {
            out[position] = self.value(self.order, &line.at(position), values, fill);
        }
        for position in interior {
            let point = line.at(position);
            let mut offset = 0;
            let mut weights = [[0.0; TAPS]; N];
            for axis in 0..N {
                let (first, along) = taps::<TAPS>(point[axis]);
                offset += (first - self.start[axis]) * self.strides[axis];
                weights[axis] = along;
            }
            out[position] = self.weigh(values, offset as usize, &weights);
        }
    }

    /// The weighted sum of `TAPS` voxels along each axis from an offset on, all of them in memory.
    #[inline(always)]
    fn weigh<S: Voxel, const TAPS: usize>(
        &self,
        values: &[S],
        offset: usize,
        weights: &[[f64; TAPS]; N],
    ) -> f64 {
        let planes = if N == 3 { TAPS } else { 1 };
        let mut sum = 0.0;
        for plane in 0..planes {
            let mut in_plane = 0.0;
            for line in 0..TAPS {
                let mut at = offset + line * self.strides[N - 2] as usize;
                if N == 3 {
                    at += plane * self.strides[0] as usize;
                }
                let voxels = &values[at..at + TAPS];
                let along: f64 =
                    (0..TAPS).map(|tap| weights[N - 1][tap] * voxels[tap].to_f64()).sum();
                in_plane += weights[N - 2][line] * along;
            }
            sum += if N == 3 { weights[0][plane] * in_plane } else { in_plane };
        }
        sum
    }

    /// The value at any point.
    fn value<S: Voxel>(&self, order: u8, point: &[f64; N], values: &[S], fill: f64) -> f64 {
        let outside = is_strict(order) && !self.contains(point);
        if outside || point.iter().any(|coordinate| coordinate.is_nan()) {
            return fill;
        }
        let taps = usize::from(order) + 1;
        let along: [(i64, [f64; MAX_TAPS]); N] = std::array::from_fn(|axis| {
            // Where a coordinate is so far outside that it takes no voxel is of no account.
            let far = 2.0 * MAX_TAPS as f64;
            taps_of(order, point[axis].clamp(-far, self.last[axis] + far))
        });
        let mut sum = 0.0;
        for tap in 0..taps.pow(N as u32) {
            let (mut weight, mut offset, mut inside, mut rest) = (1.0, 0, true, tap);
            for axis in 0..N {
                let (first, weights) = &along[axis];
                let voxel = first + (rest % taps) as i64 - self.start[axis];
                weight *= weights[rest % taps];
                offset += voxel * self.strides[axis];
                inside &= (0..self.shape[axis]).contains(&voxel);
                rest /= taps;
            }
            if weight != 0.0 {
                sum += weight * if inside { values[offset as usize].to_f64() } else { fill };
            }
        }
        sum
    }
}

/// The positions of a line, among these, where all coordinates are high enough and low enough. Since
/// a coordinate only rises or only falls along a line, that is a range.
fn clip<const N: usize>(
    line: &Line<N>,
    among: Range<usize>,
    high_enough: impl Fn(usize, f64) -> bool,
    low_enough: impl Fn(usize, f64) -> bool,
) -> Range<usize> {
    let (mut start, mut end) = (among.start, among.end);
    for axis in 0..N {
        let high = |position: usize| high_enough(axis, line.along(axis, position));
        let low = |position: usize| low_enough(axis, line.along(axis, position));
        if line.step[axis] >= 0.0 {
            start = first_where(start..end, high);
            end = first_where(start..end, |position| !low(position));
        } else {
            start = first_where(start..end, low);
            end = first_where(start..end, |position| !high(position));
        }
    }
    start..end
}

/// The first position of a range from which on something holds; the end if it never does.
fn first_where(range: Range<usize>, holds: impl Fn(usize) -> bool) -> usize {
    let (mut start, mut end) = (range.start, range.end);
    while start < end {
        let middle = start + (end - start) / 2;
        if holds(middle) {
            end = middle;
        } else {
            start = middle + 1;
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> Array {
        let values: Vec<f32> = (0..4 * 5 * 6).map(|v| ((v * 37) % 101) as f32).collect();
        Array::from_values(&[4, 5, 6], &values).unwrap()
    }

    fn sampling<'a>(source: &'a Array, order: u8) -> Sampling<'a> {
        Sampling {
            source,
            start: &[0, 0, 0],
            shape: &[4, 5, 6],
            order,
            fill: Scalar::Float(-3.0),
            dtype: DType::F32,
        }
    }

    #[test]
    fn tables_matrices_and_coordinates_agree_in_every_order() {
        let source = volume();
        let factors = [(0.7, -0.4), (1.3, 0.25), (-0.5, 4.5)];
        let rows = (0..3)
            .map(|i| {
                let mut row = vec![0.0; 4];
                row[i] = factors[i].0;
                row[3] = factors[i].1;
                row
            })
            .collect();
        let map = AffineMap::new(rows).unwrap();
        assert!(map.is_diagonal());
        let out = [7u64, 4, 11];
        let coordinates: Vec<Vec<f64>> = (0..3)
            .map(|i| (0..out[i]).map(|o| factors[i].1 + factors[i].0 * o as f64).collect())
            .collect();
        let mut points = Vec::new();
        for axis in 0..3 {
            for voxel in 0..out.iter().product() {
                let position = crate::grid::unravel(voxel, &out);
                points.push(coordinates[axis][position[axis] as usize]);
            }
        }
        for order in 0..=5 {
            let sampling = sampling(&source, order);
            let through = sampling.affine(&map, &Region::whole(&out)).unwrap();
            let at = sampling.at(&points, &out).unwrap();
            let table = Separable::new(
                order,
                Border::Fill,
                Scalar::Float(-3.0),
                &coordinates,
                source.shape(),
            );
            let region = table.region().unwrap();
            let mut part = Array::zeros(DType::F32, &region.shape);
            part.paste(&[0; 3], &source, region).unwrap();
            let tabled = table.run(&part, DType::F32).unwrap();
            let close = |a: &Array, b: &Array| {
                let (a, b) = (a.values::<f32>().unwrap(), b.values::<f32>().unwrap());
                assert_eq!(a.len(), b.len());
                a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
            };
            assert!(close(&through, &at), "order {order}");
            assert!(close(&through, &tabled), "order {order}");
            assert!(through.values::<f32>().unwrap().iter().any(|v| *v >= 0.0));
        }
    }

    #[test]
    fn a_part_of_the_output_is_that_part_of_the_whole() {
        let source = volume();
        let map = AffineMap::new(vec![
            vec![0.9, 0.3, -0.1, 0.2],
            vec![-0.3, 0.8, 0.2, 1.1],
            vec![0.1, -0.2, 1.1, -0.3],
        ])
        .unwrap();
        for order in 0..=5 {
            let whole = sampling(&source, order).affine(&map, &Region::whole(&[5, 6, 7])).unwrap();
            let region = Region::new([1, 2, 3], [3, 3, 4]);
            let taken = map.reads(order, &region, &[0; 3], source.shape()).unwrap();
            let mut part = Array::zeros(DType::F32, &taken.shape);
            part.paste(&[0; 3], &source, &taken).unwrap();
            let sampled =
                Sampling { source: &part, start: &taken.start, ..sampling(&source, order) };
            let mut expected = Array::zeros(DType::F32, &region.shape);
            expected.paste(&[0; 3], &whole, &region).unwrap();
            assert_eq!(sampled.affine(&map, &region).unwrap(), expected, "order {order}");
        }
    }

    #[test]
    fn labels_beyond_double_precision_are_kept() {
        let big = (1u64 << 53) + 1;
        let source = Array::from_values::<u64>(&[1, 2], &[big, u64::MAX]).unwrap();
        let sampling = Sampling {
            source: &source,
            start: &[0, 0],
            shape: &[1, 2],
            order: 0,
            fill: Scalar::Integer(7),
            dtype: DType::U64,
        };
        let at = sampling.at(&[0.0, 0.0, 0.0, 0.4, 0.5, 1.5], &[1, 3]).unwrap();
        assert_eq!(at.values::<u64>().unwrap(), [big, u64::MAX, 7]);
    }

    #[test]
    fn the_border_may_be_the_nearest_voxel() {
        let source = Array::from_values::<u8>(&[3], &[10, 20, 30]).unwrap();
        let table = Separable::new(
            5,
            Border::Nearest,
            Scalar::Integer(0),
            &[vec![0.0, -9.0, 40.0, f64::NAN]],
            &[3],
        );
        let out = table.run(&source, DType::U8).unwrap();
        assert_eq!(out.values::<u8>().unwrap(), [12, 10, 30, 0]);
    }
}
