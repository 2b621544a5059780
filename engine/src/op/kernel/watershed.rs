//! Watershed from seeds: basins grow from the lowest heights to the highest.

use crate::array::{for_each_run, strides};
use crate::dtype::Element;
use crate::error::{Error, Kind, Result};

/// Number of steps into which heights are cut.
const LEVELS: usize = 1 << 16;

/// The lowest and the highest of the finite heights, where a mask holds if there is one.
pub fn height_range<H: Element + Into<f64>>(
    heights: &[H],
    mask: Option<&[bool]>,
) -> Option<[f64; 2]> {
    let mut range: Option<[f64; 2]> = None;
    for (at, &height) in heights.iter().enumerate() {
        let height: f64 = height.into();
        if height.is_finite() && mask.is_none_or(|mask| mask[at]) {
            let [low, high] = range.unwrap_or([height, height]);
            range = Some([low.min(height), high.max(height)]);
        }
    }
    range
}

/// Floods a C-order landscape from seeds: voxels other than 0, which keep their value. Neighbours are
/// voxels one step apart along one axis. Voxels that no flood reaches are 0, as are those where the
/// mask does not hold; seeds there are of no account.
///
/// Heights are cut into 65536 even steps over `range`, or over [`height_range`] without one; what lies
/// outside counts as its nearer end, and what is not a number as its upper end. With the same range,
/// a voxel has the same step in every block. Within a step the voxel that was reached last comes
/// first, its neighbours along the first axis before others, those before it before those behind it.
///
/// Takes 4 bytes a voxel, 4 more for each that was reached and not yet gone on from, which is few of
/// them unless most are seeds, the seeds' bytes once more for the result, and 5 MB.
///
/// ```
/// use bioimage_engine::op::kernel::watershed::watershed;
/// let heights = [0.0f32, 1.0, 5.0, 2.0, 0.0];
/// let seeds = [3u16, 0, 0, 0, 7];
/// assert_eq!(watershed(&heights, &seeds, None, &[5], None)?, [3, 3, 3, 7, 7]);
/// # Ok::<(), bioimage_engine::Error>(())
/// ```
///
/// # Errors
/// `shape-mismatch` for seeds or a mask of another number of voxels, `invalid-argument` for a block of
/// 2^31 voxels or more, or a range that is not finite.
pub fn watershed<H: Element + Into<f64>, S: Element>(
    heights: &[H],
    seeds: &[S],
    mask: Option<&[bool]>,
    shape: &[u64],
    range: Option<[f64; 2]>,
) -> Result<Vec<S>> {
    let voxels = shape.iter().product::<u64>() as usize;
    let lengths = [heights.len(), seeds.len(), mask.map_or(voxels, <[bool]>::len)];
    if lengths.iter().any(|&len| len != voxels) {
        return Err(Error::new(
            Kind::ShapeMismatch,
            format!("heights, seeds and mask have {lengths:?} voxels instead of {voxels} each"),
        ));
    }
    if let Some(range) = range.filter(|[low, high]| !(high - low).is_finite()) {
        return Err(Error::argument(format!("the range of heights {range:?} is not finite")));
    }
    let range = range.or_else(|| height_range(heights, mask)).unwrap_or([0.0, 0.0]);
    let mut flood = Flood::new(shape)?;
    let names = distinct(seeds);
    let origin = vec![0; shape.len()];
    let inside = vec![1; shape.len()];
    let framed: Vec<u64> = shape.iter().map(|extent| extent + 2).collect();
    let framed = (framed.as_slice(), inside.as_slice());
    for_each_run((shape, &origin), framed, shape, 1, |voxel, place, len| {
        let mut last = (S::default(), CLOSED);
        for nth in 0..len {
            if mask.is_some_and(|mask| !mask[voxel + nth]) {
                continue;
            }
            let step = step_of(heights[voxel + nth].into(), range);
            let seed = seeds[voxel + nth];
            if seed == S::default() {
                flood.cells[place + nth] = OPEN | step;
                continue;
            }
            if seed != last.0 || last.1 == CLOSED {
                last = (seed, 1 + names.partition_point(|name| *name < seed) as u32);
            }
            flood.cells[place + nth] = last.1;
            flood.reached.push(step, (place + nth) as u32);
        }
    })?;
    flood.run();
    let mut labels = vec![S::default(); voxels];
    for_each_run((shape, &origin), framed, shape, 1, |voxel, place, len| {
        for (label, &cell) in labels[voxel..voxel + len].iter_mut().zip(&flood.cells[place..]) {
            if cell != CLOSED && cell < OPEN {
                *label = names[cell as usize - 1];
            }
        }
    })?;
    Ok(labels)
}

/// The different seeds, in order.
fn distinct<S: Element>(seeds: &[S]) -> Vec<S> {
    let mut names: Vec<S> = Vec::new();
    let mut sorted = 0;
    for &seed in seeds {
        if seed != S::default() && names.last() != Some(&seed) {
            names.push(seed);
            // Seeds of many voxels are met again and again.
            if names.len() >= 2 * sorted + (1 << 16) {
                sort(&mut names);
                sorted = names.len();
            }
        }
    }
    sort(&mut names);
    names
}

fn sort<S: Element>(names: &mut Vec<S>) {
    names.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    names.dedup();
}

/// The step of a height.
#[inline(always)]
fn step_of(height: f64, [low, high]: [f64; 2]) -> u32 {
    let top = (LEVELS - 1) as f64;
    if height.is_nan() {
        return top as u32;
    }
    // An empty range divides nothing by nothing, which is no number and becomes 0.
    ((height - low) / (high - low) * top).clamp(0.0, top) as u32
}

/// A cell that is never reached; the lowest label is 1.
const CLOSED: u32 = 0;
/// The bit of cells that are not reached yet, and hold their step.
const OPEN: u32 = 1 << 31;

/// A landscape in a closed frame of one more cell on all sides.
struct Flood {
    /// For each voxel its label or, until it is reached, its step.
    cells: Vec<u32>,
    reached: Stacks,
    /// The way to the next neighbour along each axis.
    strides: Vec<usize>,
}

impl Flood {
    fn new(shape: &[u64]) -> Result<Flood> {
        let framed: Vec<u64> = shape.iter().map(|extent| extent + 2).collect();
        let cells = framed.iter().try_fold(1u64, |cells, &extent| cells.checked_mul(extent));
        let cells = cells.filter(|&cells| cells < u64::from(OPEN)).ok_or_else(|| {
            Error::argument(format!(
                "a block of shape {shape:?} has more voxels than a watershed takes at once"
            ))
            .fix("Use a smaller block shape.")
        })?;
        Ok(Flood {
            cells: vec![CLOSED; cells as usize],
            reached: Stacks::new(),
            strides: strides(&framed).iter().map(|&stride| stride as usize).collect(),
        })
    }

    fn run(&mut self) {
        for step in 0..LEVELS as u32 {
            while let Some(cell) = self.reached.pop(step) {
                let cell = cell as usize;
                if let Some(soon) = self.reached.soon(step) {
                    self.fetch(soon as usize);
                }
                let label = self.cells[cell];
                for &stride in &self.strides {
                    for neighbour in [cell - stride, cell + stride] {
                        let state = &mut self.cells[neighbour];
                        if *state >= OPEN {
                            let own = *state & !OPEN;
                            *state = label;
                            self.reached.push(own.max(step), neighbour as u32);
                        }
                    }
                }
            }
        }
    }

    /// Has the neighbours of a cell brought from memory while others are worked on: cells of a step
    /// lie anywhere, and to wait for each of them takes most of the time.
    #[inline(always)]
    fn fetch(&self, cell: usize) {
        #[cfg(target_arch = "x86_64")]
        for &stride in &self.strides {
            for neighbour in [cell - stride, cell + stride] {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                let place = self.cells.as_ptr().wrapping_add(neighbour);
                // SAFETY: a hint about an address; it neither reads nor faults, wherever that is.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
            }
        }
    }
}

/// The cells that were reached in each step, the last on top.
///
/// Stacks are chains of small pieces of one array. The first place of a piece says which place was on
/// top of the piece below.
struct Stacks {
    places: Vec<u32>,
    /// The place on top of each stack.
    tops: Vec<u32>,
    /// Pieces that are free again.
    free: Vec<u32>,
}

/// Places of a piece of a stack: a line of the processor's cache.
const PIECE: u32 = 16;
/// The place on top of an empty stack, the last of a piece that has no other use.
const BOTTOM: u32 = PIECE - 1;

impl Stacks {
    fn new() -> Stacks {
        Stacks { places: vec![0; PIECE as usize], tops: vec![BOTTOM; LEVELS], free: Vec::new() }
    }

    #[inline(always)]
    fn push(&mut self, step: u32, cell: u32) {
        let top = self.tops[step as usize];
        let mut place = top + 1;
        if place.is_multiple_of(PIECE) {
            let piece = self.free.pop().unwrap_or_else(|| {
                self.places.resize(self.places.len() + PIECE as usize, 0);
                self.places.len() as u32 - PIECE
            });
            self.places[piece as usize] = top;
            place = piece + 1;
        }
        self.places[place as usize] = cell;
        self.tops[step as usize] = place;
    }

    #[inline(always)]
    fn pop(&mut self, step: u32) -> Option<u32> {
        let top = self.tops[step as usize];
        if top == BOTTOM {
            return None;
        }
        self.tops[step as usize] = top - 1;
        if top % PIECE == 1 {
            self.tops[step as usize] = self.places[top as usize - 1];
            self.free.push(top - 1);
        }
        Some(self.places[top as usize])
    }

    /// A cell that will be popped after some others.
    #[inline(always)]
    fn soon(&self, step: u32) -> Option<u32> {
        let top = self.tops[step as usize];
        (top != BOTTOM && top % PIECE > AHEAD).then(|| self.places[(top - AHEAD) as usize])
    }
}

/// How many cells ahead memory is asked for.
const AHEAD: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{ravel, unravel};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The same flood, said plainly.
    fn plain(
        heights: &[f32],
        seeds: &[i16],
        mask: &[bool],
        shape: &[u64],
        [low, high]: [f64; 2],
    ) -> Vec<i16> {
        let step = |voxel: usize| {
            let height = f64::from(heights[voxel]);
            let part = if high > low { (height - low) / (high - low) } else { 0.0 };
            (part * 65535.0).clamp(0.0, 65535.0) as u32
        };
        let mut labels = vec![0; heights.len()];
        let mut stacks: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for voxel in 0..heights.len() {
            if mask[voxel] && seeds[voxel] != 0 {
                labels[voxel] = seeds[voxel];
                stacks.entry(step(voxel)).or_default().push(voxel);
            }
        }
        while let Some(mut stack) = stacks.first_entry() {
            let now = *stack.key();
            let Some(voxel) = stack.get_mut().pop() else {
                stack.remove();
                continue;
            };
            for axis in 0..shape.len() {
                for way in [-1, 1] {
                    let mut place = unravel(voxel as u64, shape);
                    let Some(at) = place[axis].checked_add_signed(way) else { continue };
                    place[axis] = at;
                    if at >= shape[axis] {
                        continue;
                    }
                    let next = ravel(&place, shape) as usize;
                    if mask[next] && labels[next] == 0 {
                        labels[next] = labels[voxel];
                        stacks.entry(step(next).max(now)).or_default().push(next);
                    }
                }
            }
        }
        labels
    }

    fn landscapes() -> impl Strategy<Value = (Vec<u64>, Vec<f32>, Vec<i16>, Vec<bool>)> {
        prop::collection::vec(0u64..=12, 1..=3).prop_flat_map(|shape| {
            let voxels = shape.iter().product::<u64>() as usize;
            // Few heights make long stacks, of which the last in is the first out.
            let height = prop_oneof![(0u8..4).prop_map(f32::from), -2.0f32..2.0];
            let seed = prop_oneof![40 => Just(0i16), 1 => -3i16..=3, 1 => Just(i16::MAX)];
            (
                Just(shape),
                prop::collection::vec(height, voxels),
                prop::collection::vec(seed, voxels),
                prop::collection::vec(prop::bool::weighted(0.9), voxels),
            )
        })
    }

    proptest! {
        #[test]
        fn floods_are_those_of_plain_words((shape, heights, seeds, mask) in landscapes()) {
            let range = height_range(&heights, None).unwrap_or([0.0; 2]);
            let everywhere = vec![true; heights.len()];
            prop_assert_eq!(
                watershed(&heights, &seeds, None, &shape, None).unwrap(),
                plain(&heights, &seeds, &everywhere, &shape, range)
            );
            let range = height_range(&heights, Some(&mask)).unwrap_or([0.0; 2]);
            prop_assert_eq!(
                watershed(&heights, &seeds, Some(&mask), &shape, None).unwrap(),
                plain(&heights, &seeds, &mask, &shape, range)
            );
            prop_assert_eq!(
                watershed(&heights, &seeds, None, &shape, Some([0.5, 2.5])).unwrap(),
                plain(&heights, &seeds, &everywhere, &shape, [0.5, 2.5])
            );
        }
    }

    #[test]
    fn stacks_of_many_pieces_are_emptied_in_turn() {
        let mut stacks = Stacks::new();
        for round in 0..3 {
            for cell in 1..100 {
                stacks.push(cell % 2, cell + round);
            }
            for cell in (1..100).rev() {
                assert_eq!(stacks.pop(cell % 2), Some(cell + round));
            }
            assert_eq!((stacks.pop(0), stacks.pop(1)), (None, None));
        }
        assert!(stacks.places.len() < 200, "pieces are used again");
    }

    #[test]
    fn with_one_range_a_part_is_flooded_as_the_whole() {
        let heights = [0.0f64, 0.2, 0.4, 0.3, 0.1, 9.0, 3.0];
        let seeds = [1u64, 0, 0, 0, u64::MAX, 0, 0];
        let range = height_range(&heights, None);
        assert_eq!(range, Some([0.0, 9.0]));
        let whole = watershed(&heights, &seeds, None, &[7], range).unwrap();
        let part = watershed(&heights[..5], &seeds[..5], None, &[5], range).unwrap();
        assert_eq!(whole[..5], part);
        assert_eq!(whole[5..], [u64::MAX; 2]);
    }

    #[test]
    fn heights_without_a_number_are_flooded_last_and_give_no_range() {
        for high in [f32::NAN, f32::INFINITY] {
            let heights = [f32::NEG_INFINITY, high, 1.0, 2.0, 3.0];
            assert_eq!(height_range(&heights, None), Some([1.0, 3.0]));
            let labels = watershed(&heights, &[1u8, 0, 0, 2, 0], None, &[5], None).unwrap();
            assert_eq!(labels, [1, 1, 2, 2, 2]);
        }
        assert_eq!(height_range(&[f32::NAN], None), None);
        assert_eq!(watershed(&[f32::NAN; 3], &[0i64, -5, 0], None, &[3], None).unwrap(), [-5; 3]);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let refused = |seeds: &[u8], mask, range| {
            watershed(&[0.0f32; 4], seeds, mask, &[2, 2], range).unwrap_err().kind
        };
        assert_eq!(refused(&[0; 3], None, None), Kind::ShapeMismatch);
        assert_eq!(refused(&[0; 4], Some(&[true][..]), None), Kind::ShapeMismatch);
        assert_eq!(refused(&[0; 4], None, Some([0.0, f64::NAN])), Kind::InvalidArgument);
    }
}
