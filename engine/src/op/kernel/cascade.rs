//! Separable correlations in single precision, several at once: what they have in common is computed
//! once, and no more than a cache-sized tile of it exists at a time.

use super::gaussian::{Kernel, mirrored};
use multiversion::multiversion;
use std::ops::{Deref, DerefMut};

/// Several separable correlations of one image of three axes. Those whose kernels along the first
/// axes are the same share the correlations along them.
///
/// Every value is summed up in the same order wherever it lies, so that a part of the result is, to
/// the bit, that part of the result for a larger block.
pub(super) struct Cascade {
    /// For each axis, the correlations along it.
    stages: [Vec<Pass>; 3],
}

/// The correlation of one channel of the stage before, which gives one channel.
#[derive(Clone)]
struct Pass {
    from: usize,
    kernel: Kernel,
}

/// Where and what is computed: extents are of three axes, the slowest first.
pub(super) struct Extents {
    /// The block that is at hand, beyond whose ends the image is mirrored.
    pub outer: [usize; 3],
    /// Where the wanted part starts in it.
    pub start: [usize; 3],
    /// Extents of the wanted part.
    pub inner: [usize; 3],
}

impl Extents {
    /// The whole of a block of up to three axes.
    pub(super) fn whole(shape: &[usize]) -> Extents {
        let mut outer = [1; 3];
        outer[3 - shape.len()..].copy_from_slice(shape);
        Extents { outer, start: [0; 3], inner: outer }
    }

    pub(super) fn voxels(&self) -> usize {
        self.inner.iter().product()
    }
}

/// Makes the values of a row of results from those of the correlations.
pub(super) trait Combine {
    /// From the rows of all correlations, one after the other at this distance, to rows of results:
    /// part `c` of them starts at `to[c * apart]` and is `width` long.
    fn row(&self, from: &[f32], stride: usize, width: usize, to: &mut [f32], apart: usize);
}

/// Results that are the correlations themselves.
pub(super) struct Each;

impl Combine for Each {
    #[inline(always)]
    fn row(&self, from: &[f32], stride: usize, width: usize, to: &mut [f32], apart: usize) {
        for (from, to) in from.chunks_exact(stride).zip(to.chunks_mut(apart)) {
            to[..width].copy_from_slice(&from[..width]);
        }
    }
}

/// Extents along the last two axes of the tile whose intermediate results exist at a time: small
/// against the cache, large against the reach of usual kernels, by which tiles overlap.
const TILE: [usize; 2] = [64, 256];

/// More bytes than any machine has.
const MOST: f64 = (1u64 << 50) as f64;

/// Values that are summed up at once, in registers.
const LANES: usize = 32;

/// Rows are a multiple of this long.
const STEP: usize = 8;

impl Cascade {
    /// The cascade of these correlations: for each, which of the kernels of each axis it takes.
    /// Axes that come before those of `kernels` are left as they are.
    pub(super) fn new(kernels: &[Vec<Kernel>], correlations: &[Vec<usize>]) -> Cascade {
        let missing = 3 - kernels.len();
        let mut stages: [Vec<Pass>; 3] = Default::default();
        stages[..missing].fill(vec![Pass { from: 0, kernel: Kernel::unit() }]);
        let mut known: Vec<&[usize]> = vec![&[]];
        for (axis, kernels) in kernels.iter().enumerate() {
            let mut next: Vec<&[usize]> = Vec::new();
            for correlation in correlations {
                let (path, before) = (&correlation[..=axis], &correlation[..axis]);
                let last = axis + 1 == correlation.len();
                if next.contains(&path) && !last {
                    continue;
                }
                let from = known.iter().position(|path| *path == before).unwrap_or(0);
                let kernel = kernels[correlation[axis]].clone();
                stages[missing + axis].push(Pass { from, kernel });
                next.push(path);
            }
            known = next;
        }
        Cascade { stages }
    }

    /// Bytes that kernels and tiles take, at most, for correlations that reach so far along each
    /// axis of an image, with so many kernels along each.
    pub(super) fn bytes(reach: &[u64], kernels: usize, image: &[u64]) -> u64 {
        let missing = 3 - reach.len();
        let along = |axis: usize| match axis.checked_sub(missing) {
            Some(axis) => (reach[axis], image[axis].max(1)),
            None => (0, 1),
        };
        let padded = |axis: usize, largest: usize| {
            let (reach, extent) = along(axis);
            extent.min(largest as u64) as f64 + 2.0 * (reach as f64 + STEP as f64)
        };
        let (reach, extent) = along(0);
        let depth = (2 * reach + 1).min(extent) as f64 + kernels as f64;
        let plane = padded(1, TILE[0]) * padded(2, TILE[1]) + 2048.0;
        // A kernel's weights, and the offsets of its taps.
        let taps: f64 = (0..3).map(|axis| along(axis).0 as f64).sum::<f64>() * kernels as f64;
        // So large a number is refused by any plan, and still leaves room to reckon with.
        (4.0 * depth * plane + 32.0 * taps).min(MOST) as u64
    }

    /// How far the correlations reach along each axis.
    pub(super) fn reach(&self) -> [usize; 3] {
        let reach = |stage: &Vec<Pass>| stage.iter().map(|pass| pass.kernel.radius()).max();
        std::array::from_fn(|axis| reach(&self.stages[axis]).unwrap_or(0))
    }

    /// Computes the wanted part: `load` gives the values of the block from an offset on.
    pub(super) fn run<C: Combine>(
        &self,
        load: &dyn Fn(usize, &mut [f32]),
        extents: &Extents,
        combine: &C,
        out: &mut [f32],
    ) {
        if extents.voxels() == 0 {
            return;
        }
        let [_, rows, columns] = extents.inner;
        let tile = [evenly(rows, TILE[0]), evenly(columns, TILE[1])];
        let mut work = Work::new(self, extents, tile);
        for row in (0..rows).step_by(tile[0]) {
            for column in (0..columns).step_by(tile[1]) {
                let size = [tile[0].min(rows - row), tile[1].min(columns - column)];
                work.tile(load, [row, column], size, combine, out);
            }
        }
    }
}

/// Zeros that start at the start of a cache line, so that vectors which start at multiples of their
/// own length do not straddle two.
struct Aligned {
    values: Vec<f32>,
    skipped: usize,
    len: usize,
}

impl Aligned {
    fn new(len: usize) -> Self {
        let values = vec![0.0; len + 16];
        let skipped = values.as_ptr().align_offset(64).min(16);
        Aligned { values, skipped, len }
    }
}

impl Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.values[self.skipped..][..self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.skipped..][..self.len]
    }
}

/// The size of parts, all about the same, of an extent, that are no larger than this.
fn evenly(extent: usize, largest: usize) -> usize {
    extent.div_ceil(extent.div_ceil(largest))
}

/// The buffers of a tile.
struct Work<'a> {
    cascade: &'a Cascade,
    extents: &'a Extents,
    reach: [usize; 3],
    /// Row length of what the last axis is still to be correlated along, and of what is behind it.
    widths: [usize; 2],
    /// Planes of the block that are held at a time: those within reach, or all that there are.
    depth: usize,
    /// Distance between planes, chosen so that voxels above each other do not compete for one place
    /// in the cache.
    plane: usize,
    /// The planes of the block that the correlations along the first axis take.
    ring: Aligned,
    /// One plane for each correlation along the first axis.
    planes: Aligned,
    /// One row for each correlation along the second axis.
    lines: Aligned,
    /// One row for each correlation along the last axis.
    results: Aligned,
}

impl<'a> Work<'a> {
    fn new(cascade: &'a Cascade, extents: &'a Extents, tile: [usize; 2]) -> Self {
        let reach = cascade.reach();
        let narrow = tile[1].next_multiple_of(STEP);
        let wide = (narrow + 2 * reach[2]).next_multiple_of(STEP);
        let rows = tile[0] + 2 * reach[1];
        let plane = (rows * wide).next_multiple_of(1024) + LANES;
        let counts = cascade.stages.each_ref().map(Vec::len);
        let depth = (2 * reach[0] + 1).min(extents.outer[0]);
        Work {
            cascade,
            extents,
            reach,
            widths: [wide, narrow],
            depth,
            plane,
            ring: Aligned::new(depth * plane),
            planes: Aligned::new(counts[0] * plane),
            lines: Aligned::new(counts[1] * wide),
            results: Aligned::new(counts[2] * narrow),
        }
    }

    /// One tile, through all planes.
    fn tile<C: Combine>(
        &mut self,
        load: &dyn Fn(usize, &mut [f32]),
        at: [usize; 2],
        size: [usize; 2],
        combine: &C,
        out: &mut [f32],
    ) {
        let Extents { outer, start, inner } = *self.extents;
        let taps = 2 * self.reach[0] + 1;
        let mut loaded = start[0].saturating_sub(self.reach[0]);
        for z in 0..inner[0] {
            let centre = start[0] + z;
            while loaded < outer[0].min(centre + self.reach[0] + 1) {
                self.load(load, loaded, at, size);
                loaded += 1;
            }
            let first = centre as isize - self.reach[0] as isize;
            let slots: Vec<usize> =
                (first..).take(taps).map(|z| self.slot(mirrored(z, outer[0]))).collect();
            let offset = (z * inner[1] + at[0]) * inner[2] + at[1];
            planes(self, &slots, size[0] + 2 * self.reach[1]);
            rows(self, size, combine, &mut out[offset..]);
        }
    }

    /// Where a plane of the block lies in the ring.
    fn slot(&self, z: usize) -> usize {
        z % self.depth * self.plane
    }

    /// Loads one plane of the block with what lies around the tile.
    fn load(
        &mut self,
        load: &dyn Fn(usize, &mut [f32]),
        z: usize,
        at: [usize; 2],
        size: [usize; 2],
    ) {
        let Extents { outer, start, .. } = *self.extents;
        let slot = self.slot(z);
        let first: [isize; 2] = std::array::from_fn(|axis| {
            (start[axis + 1] + at[axis]) as isize - self.reach[axis + 1] as isize
        });
        let width = size[1] + 2 * self.reach[2];
        // What is mirrored lies within reach of the tile, too.
        let low = first[1].max(0) as usize;
        let high = (first[1] + width as isize).min(outer[2] as isize) as usize;
        let before = (low as isize - first[1]) as usize;
        for row in 0..size[0] + 2 * self.reach[1] {
            let to = &mut self.ring[slot + row * self.widths[0]..][..width];
            let y = mirrored(first[0] + row as isize, outer[1]);
            let (start, end) = (before, before + high - low);
            load((z * outer[1] + y) * outer[2] + low, &mut to[start..end]);
            for i in (0..start).chain(end..width) {
                let x = mirrored(first[1] + i as isize, outer[2]);
                to[i] = to[x - low + before];
            }
        }
    }
}

/// Correlates along the first axis: the planes at these places of the ring give one plane for each
/// pass.
#[multiversion(targets("x86_64+avx2"))]
fn planes(work: &mut Work, slots: &[usize], rows: usize) {
    let [wide, _] = work.widths;
    let offsets: Vec<Offsets> = work.cascade.stages[0]
        .iter()
        .map(|pass| pass.offsets(|tap| slots[tap], &work.reach, 0))
        .collect();
    for row in 0..rows {
        let from = &work.ring[row * wide..];
        for (channel, (pass, offsets)) in work.cascade.stages[0].iter().zip(&offsets).enumerate() {
            let to = &mut work.planes[channel * work.plane + row * wide..][..wide];
            correlate(from, &pass.kernel, offsets, to);
        }
    }
}

/// Correlates these planes along the other axes, row by row.
#[multiversion(targets("x86_64+avx2"))]
fn rows<C: Combine>(work: &mut Work, size: [usize; 2], combine: &C, out: &mut [f32]) {
    let [wide, narrow] = work.widths;
    let [_, along, across] = &work.cascade.stages;
    let down: Vec<Offsets> =
        along.iter().map(|pass| pass.offsets(|tap| tap * wide, &work.reach, 1)).collect();
    let right: Vec<Offsets> =
        across.iter().map(|pass| pass.offsets(|tap| tap, &work.reach, 2)).collect();
    for row in 0..size[0] {
        for ((pass, offsets), to) in along.iter().zip(&down).zip(work.lines.chunks_exact_mut(wide))
        {
            let from = &work.planes[pass.from * work.plane + row * wide..];
            correlate(from, &pass.kernel, offsets, to);
        }
        for ((pass, offsets), to) in
            across.iter().zip(&right).zip(work.results.chunks_exact_mut(narrow))
        {
            correlate(&work.lines[pass.from * wide..][..wide], &pass.kernel, offsets, to);
        }
        let to = &mut out[row * work.extents.inner[2]..];
        combine.row(&work.results, narrow, size[1], to, work.extents.voxels());
    }
}

/// Combines rows of correlations that lie in memory one after the other.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn combine_rows<C: Combine>(
    combine: &C,
    from: &[f32],
    width: usize,
    to: &mut [f32],
    apart: usize,
) {
    combine.row(from, width, width, to, apart);
}

/// Where the values that a kernel takes lie.
struct Offsets {
    centre: usize,
    /// Pairs of neighbours, from the nearest outwards.
    pairs: Vec<(usize, usize)>,
}

impl Pass {
    /// From the offsets of all taps within reach, those of this kernel.
    fn offsets(&self, of: impl Fn(usize) -> usize, reach: &[usize; 3], axis: usize) -> Offsets {
        let centre = reach[axis];
        let pairs = (1..=self.kernel.radius()).map(|i| (of(centre - i), of(centre + i))).collect();
        Offsets { centre: of(centre), pairs }
    }
}

/// Correlates a row, whose length is a multiple of [`STEP`].
#[inline(always)]
fn correlate(from: &[f32], kernel: &Kernel, offsets: &Offsets, to: &mut [f32]) {
    if kernel.odd {
        correlate_as::<true>(from, kernel, offsets, to);
    } else {
        correlate_as::<false>(from, kernel, offsets, to);
    }
}

#[inline(always)]
fn correlate_as<const ODD: bool>(from: &[f32], kernel: &Kernel, offsets: &Offsets, to: &mut [f32]) {
    let (chunks, rest) = to.as_chunks_mut::<LANES>();
    let done = chunks.len() * LANES;
    for (i, to) in chunks.iter_mut().enumerate() {
        *to = sum::<ODD, LANES>(&from[i * LANES..], kernel, offsets);
    }
    for (i, to) in rest.as_chunks_mut::<STEP>().0.iter_mut().enumerate() {
        *to = sum::<ODD, STEP>(&from[done + i * STEP..], kernel, offsets);
    }
}

/// The weighted sums at several voxels, each from the centre outwards.
#[inline(always)]
fn sum<const ODD: bool, const N: usize>(
    from: &[f32],
    kernel: &Kernel,
    offsets: &Offsets,
) -> [f32; N] {
    let at = |offset: usize| &from[offset..][..N];
    let mut sum = [0.0; N];
    if !ODD {
        let centre = at(offsets.centre);
        for i in 0..N {
            sum[i] = kernel.weights[0] * centre[i];
        }
    }
    for (weight, &(left, right)) in kernel.weights[1..].iter().zip(&offsets.pairs) {
        let (left, right) = (at(left), at(right));
        for i in 0..N {
            let pair = if ODD { right[i] - left[i] } else { left[i] + right[i] };
            sum[i] += weight * pair;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_an_image_takes_more_than_foretold() {
        for (shape, sigma) in [
            (vec![40, 70, 300], vec![1.0, 2.0, 3.0]),
            (vec![5, 300, 20], vec![30.0, 1.0, 0.5]),
            (vec![9, 9, 9], vec![50.0, 50.0, 50.0]),
            (vec![600, 33], vec![20.0, 4.0]),
            (vec![1000], vec![100.0]),
            (vec![40, 40, 1], vec![60.0, 60.0, 0.3]),
        ] {
            let kernels: Vec<Vec<Kernel>> =
                sigma.iter().map(|sigma| vec![Kernel::gaussian(*sigma, 0)]).collect();
            let cascade = Cascade::new(&kernels, &[vec![0; shape.len()]]);
            let extents = Extents::whole(&shape);
            let [_, rows, columns] = extents.inner;
            let tile = [evenly(rows, TILE[0]), evenly(columns, TILE[1])];
            let work = Work::new(&cascade, &extents, tile);
            let taken = work.ring.len + work.planes.len + work.lines.len + work.results.len;
            let reach: Vec<u64> = kernels.iter().map(|kernel| kernel[0].radius() as u64).collect();
            let image: Vec<u64> = shape.iter().map(|&extent| extent as u64).collect();
            let foretold = Cascade::bytes(&reach, 1, &image);
            assert!(4 * taken as u64 <= foretold, "{shape:?}: {} of {foretold}", 4 * taken);
            assert!(foretold < 8 * taken as u64 + (1 << 20), "{shape:?}: {foretold}");
        }
        assert_eq!(Cascade::bytes(&[1 << 40; 3], 3, &[1, 1, 1]), 1 << 50);
    }

    #[test]
    fn few_planes_are_mirrored_as_often_as_a_kernel_reaches() {
        let values = [1.0f32, 4.0, 2.0];
        let kernel = Kernel::gaussian(4.0, 0);
        let unit = || vec![Kernel::unit()];
        let cascade = Cascade::new(&[vec![kernel.clone()], unit(), unit()], &[vec![0; 3]]);
        let extents = Extents::whole(&[3, 1, 1]);
        let mut out = [0.0; 3];
        let load = |at: usize, row: &mut [f32]| row.copy_from_slice(&values[at..][..row.len()]);
        cascade.run(&load, &extents, &Each, &mut out);
        for (at, found) in out.iter().enumerate() {
            let tap = |i: isize| f64::from(values[mirrored(at as isize + i, 3)]);
            let weight = |i: isize| f64::from(kernel.weights[i.unsigned_abs()]);
            let reach = kernel.radius() as isize;
            let expected: f64 = (-reach..=reach).map(|i| weight(i) * tap(i)).sum();
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}
