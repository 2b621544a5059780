//! Connected components of a block.
//!
//! Every row along the last axis is cut into runs of voxels that belong together. Rows are held as
//! bits, so that the places where runs of two neighbouring rows touch come from a few operations on
//! words of 64 voxels, and only there a union-find over the runs is asked.

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::pages::in_large_pages;

/// Which neighbouring voxels belong to the same component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Joined {
    /// Those that are not zero.
    Foreground,
    /// Those that are not zero and equal.
    EqualValues,
}

/// The components of a block, as the runs of voxels that they consist of.
#[derive(Clone, Debug)]
pub struct Components {
    runs: Runs,
    voxels: usize,
    width: usize,
    count: u32,
}

impl Components {
    /// Number of components: they are 1 to `count`, in the order of their first voxels.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Number of voxels of a row, which is looked at as a whole.
    pub fn row_len(&self) -> usize {
        self.width
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        let Runs { foreground, starts, before, parents, covering, .. } = &self.runs;
        let words = foreground.capacity() + starts.capacity() + covering.capacity();
        (8 * words + 4 * (before.capacity() + parents.capacity())) as u64
    }

    /// Takes no more than is needed.
    pub fn shrink(&mut self) {
        self.runs.parents.shrink_to_fit();
    }

    /// For each voxel its component, 0 where the value is zero.
    pub fn labels(&self) -> Vec<u32> {
        let mut labels = in_large_pages(vec![0; self.voxels]);
        self.write(0, |number| number, &mut labels);
        labels
    }

    /// Writes what `value` makes of each voxel's component, for rows from the voxel `first` on, and
    /// the default value where there is none.
    pub fn write<T: Copy + Default>(&self, first: usize, value: impl Fn(u32) -> T, to: &mut [T]) {
        to.fill(T::default());
        let mut ends = vec![0; self.runs.words];
        for (nth, line) in to.chunks_exact_mut(self.width).enumerate() {
            self.runs.write(first / self.width + nth, &value, &mut ends, line);
        }
    }

    /// Appends the components of voxels that lie together.
    pub(super) fn append(&self, first: usize, len: usize, to: &mut Vec<u32>) {
        if first.is_multiple_of(self.width) && len.is_multiple_of(self.width) {
            let before = to.len();
            to.resize(before + len, 0);
            self.write(first, |number| number, &mut to[before..]);
        } else {
            to.extend((first..first + len).map(|voxel| self.at(voxel)));
        }
    }

    fn at(&self, voxel: usize) -> u32 {
        let (row, column) = (voxel / self.width, voxel % self.width);
        let word = self.runs.foreground[row * self.runs.words + column / WORD];
        match word >> (column % WORD) & 1 {
            0 => 0,
            _ => self.runs.parents[self.runs.run_at(row, column) as usize],
        }
    }
}

/// Labels the connected components of a C-order block with any number of axes.
///
/// Voxels are neighbours if they are one step apart along at least one and at most `connectivity`
/// axes. A voxel that is not a number differs from every other, so that with
/// [`Joined::EqualValues`] it is a component by itself.
///
/// Takes 0.4 bytes a voxel for the runs' places, and 4 bytes a run: at most 2 bytes a voxel for
/// [`Joined::Foreground`] and 4 for [`Joined::EqualValues`], usually a tenth of that. A row counts as a
/// multiple of 64 voxels for the places.
///
/// ```
/// use bioimage_engine::op::kernel::components::{Joined, components};
/// let image = [5u8, 7, 0, 7, 0, 5];
/// let found = components(&image, &[2, 3], 2, Joined::EqualValues)?;
/// assert_eq!(found.labels(), [1, 2, 0, 2, 0, 3]);
/// let found = components(&image, &[2, 3], 1, Joined::Foreground)?;
/// assert_eq!((found.labels(), found.count()), (vec![1, 1, 0, 1, 0, 2], 2));
/// # Ok::<(), bioimage_engine::Error>(())
/// ```
///
/// # Errors
/// `invalid-argument` for a connectivity that is not between 1 and the number of axes, or for a block
/// of more than 2^32 runs.
pub fn components<T: Element>(
    values: &[T],
    shape: &[u64],
    connectivity: usize,
    joined: Joined,
) -> Result<Components> {
    check_connectivity(connectivity, shape.len())?;
    // Axes of one voxel have no neighbours, and rows of one voxel would be short ones.
    let mut axes = divided(shape);
    let width = axes.pop().unwrap_or(1);
    let neighbours = neighbour_rows(&axes, connectivity);
    find(values, &axes, width, &neighbours, joined)
}

/// As [`components`], for slices along the first axis that are images by themselves.
///
/// # Errors
/// As [`components`], where the first axis does not count.
pub fn components_of_slices<T: Element>(
    values: &[T],
    shape: &[u64],
    connectivity: usize,
    joined: Joined,
) -> Result<Components> {
    let (slices, shape) = shape.split_at(shape.len().min(1));
    check_connectivity(connectivity, shape.len())?;
    let mut axes = divided(shape);
    let width = axes.pop().unwrap_or(1);
    let mut neighbours = neighbour_rows(&axes, connectivity);
    neighbours.iter_mut().for_each(|neighbour| neighbour.step.insert(0, 0));
    axes.insert(0, slices.first().map_or(1, |&extent| extent as usize));
    find(values, &axes, width, &neighbours, joined)
}

fn divided(shape: &[u64]) -> Vec<usize> {
    shape.iter().map(|&extent| extent as usize).filter(|&extent| extent > 1).collect()
}

fn find<T: Element>(
    values: &[T],
    shape: &[usize],
    width: usize,
    neighbours: &[NeighbourRow],
    joined: Joined,
) -> Result<Components> {
    if values.is_empty() {
        return Ok(Components { runs: Runs::new(0, 0), voxels: 0, width: 1, count: 0 });
    }
    let mut runs = Runs::new(values.len() / width, width);
    let mut position = vec![0; shape.len()];
    for (row, line) in values.chunks_exact(width).enumerate() {
        runs.add(row, line, joined);
        if runs.parents.len() > u32::MAX as usize {
            return Err(Error::argument(format!(
                "a block of {} voxels has more than {} runs of voxels to label",
                values.len(),
                u32::MAX
            ))
            .fix("Use a smaller block shape."));
        }
        for neighbour in neighbours {
            if !neighbour.is_inside(&position, shape) {
                continue;
            }
            let other = row - neighbour.distance;
            let lines = (line, &values[other * width..][..width]);
            runs.connect((row, other), lines, neighbour, joined);
        }
        advance(&mut position, shape);
    }
    let count = runs.number();
    Ok(Components { runs, voxels: values.len(), width, count })
}

/// Checks a connectivity.
///
/// # Errors
/// `invalid-argument` if it is not between 1 and the number of axes.
pub fn check_connectivity(connectivity: usize, ndim: usize) -> Result<()> {
    if (1..=ndim).contains(&connectivity) {
        return Ok(());
    }
    Err(Error::argument(format!("connectivity must be in [1, {ndim}], got {connectivity}"))
        .about("connectivity")
        .fix(format!(
            "Use 1 for neighbours across faces, {ndim} for those across corners as well."
        )))
}

/// A row before the current one that has neighbours of its voxels.
struct NeighbourRow {
    step: Vec<isize>,
    /// How many rows before.
    distance: usize,
    /// Whether voxels one further along the row are neighbours, too.
    diagonal: bool,
    cover: Cover,
}

/// A voxel that touches the row straight before it along the first axis has most of its other
/// neighbours in common with the voxel that it touches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// This is that row.
    Covers,
    /// All neighbours in this row are such common ones.
    Covered,
    /// Some are not.
    Open,
}

impl NeighbourRow {
    fn is_inside(&self, position: &[usize], shape: &[usize]) -> bool {
        (0..shape.len()).all(|axis| {
            position[axis].checked_add_signed(self.step[axis]).is_some_and(|at| at < shape[axis])
        })
    }
}

/// The rows before a row that have neighbours of it, where `shape` is that of the axes but the last.
fn neighbour_rows(shape: &[usize], connectivity: usize) -> Vec<NeighbourRow> {
    let ndim = shape.len();
    let mut first: Option<Vec<isize>> = None;
    let mut rows = Vec::new();
    for step in steps(ndim) {
        let along = |step: &[isize]| step.iter().filter(|&&step| step != 0).count();
        let distance = -(0..ndim).fold(0, |sum, axis| sum * shape[axis] as isize + step[axis]);
        let is_before = step.iter().find(|&&step| step != 0).is_some_and(|&step| step < 0);
        if !is_before || along(&step) > connectivity {
            continue;
        }
        let diagonal = along(&step) < connectivity;
        // The order of the steps makes the row straight before come first.
        let cover = match &first {
            None => Cover::Covers,
            Some(first) => {
                let between: Vec<isize> = step.iter().zip(first).map(|(a, b)| a - b).collect();
                let near = between.iter().all(|step| step.abs() <= 1);
                if near && along(&between) + usize::from(diagonal) <= connectivity {
                    Cover::Covered
                } else {
                    Cover::Open
                }
            }
        };
        first.get_or_insert_with(|| step.clone());
        rows.push(NeighbourRow { step, distance: distance as usize, diagonal, cover });
    }
    rows
}

/// All steps of -1, 0 or 1 along each axis, those along few axes first.
pub(super) fn steps(ndim: usize) -> Vec<Vec<isize>> {
    let mut steps = vec![Vec::new()];
    for _ in 0..ndim {
        steps = steps
            .iter()
            .flat_map(|step| [-1, 0, 1].map(|next| [step.as_slice(), &[next]].concat()))
            .collect();
    }
    steps.sort_by_key(|step| step.iter().filter(|&&step| step != 0).count());
    steps
}

/// The next position in C order.
fn advance(position: &mut [usize], shape: &[usize]) {
    for axis in (0..shape.len()).rev() {
        position[axis] += 1;
        if position[axis] < shape[axis] {
            return;
        }
        position[axis] = 0;
    }
}

/// The runs of all rows so far, and which of them belong together.
#[derive(Clone, Debug)]
struct Runs {
    /// Words of a row.
    words: usize,
    /// For each voxel a bit: whether it is not zero.
    foreground: Vec<u64>,
    /// For each voxel a bit: whether a run starts there.
    starts: Vec<u64>,
    /// For each word the number of runs that start before it.
    before: Vec<u32>,
    /// Union-find over the runs; a parent is never later than its child.
    parents: Vec<u32>,
    /// Where the current row touches the row straight before it along the first axis.
    covering: Vec<u64>,
}

/// Voxels of a word.
pub(super) const WORD: usize = u64::BITS as usize;

impl Runs {
    fn new(rows: usize, width: usize) -> Runs {
        let words = width.div_ceil(WORD);
        Runs {
            words,
            foreground: vec![0; rows * words],
            starts: vec![0; rows * words],
            before: vec![0; rows * words],
            parents: Vec::new(),
            covering: vec![0; words],
        }
    }

    /// Cuts a row into runs.
    fn add<T: Element>(&mut self, row: usize, line: &[T], joined: Joined) {
        let first = self.parents.len() as u32;
        let mut runs = first;
        let mut last = 0;
        for word in 0..self.words {
            let at = row * self.words + word;
            let (begin, end) = (word * WORD, line.len().min((word + 1) * WORD));
            let part = &line[begin..end];
            let foreground = bits_where(part, part, |value, _| *value != T::default());
            let starts = match joined {
                Joined::Foreground => foreground & !(foreground << 1 | last),
                Joined::EqualValues if begin == 0 => {
                    let after = &line[1..line.len().min(WORD + 1)];
                    let changes = bits_where(after, &line[..after.len()], |a, b| a != b);
                    foreground & (changes << 1 | 1)
                }
                Joined::EqualValues => {
                    foreground & bits_where(part, &line[begin - 1..end - 1], |a, b| a != b)
                }
            };
            last = foreground >> (WORD - 1);
            self.foreground[at] = foreground;
            self.starts[at] = starts;
            self.before[at] = runs;
            runs = runs.wrapping_add(starts.count_ones());
        }
        let added = runs.wrapping_sub(first);
        self.parents.extend((0..added).map(|nth| first.wrapping_add(nth)));
        self.covering.fill(0);
    }

    /// Joins the runs of a row with those of one before it.
    fn connect<T: Element>(
        &mut self,
        (row, other): (usize, usize),
        (line, other_line): (&[T], &[T]),
        neighbour: &NeighbourRow,
        joined: Joined,
    ) {
        let (mut last, mut last_open, mut last_there) = (0, 0, 0);
        for word in 0..self.words {
            let (at, other_at) = (row * self.words + word, other * self.words + word);
            let (here, there) = (self.foreground[at], self.foreground[other_at]);
            let covering = match neighbour.cover {
                Cover::Covered => self.covering[word],
                _ => 0,
            };
            // The voxels that still need a look, and those after them.
            let open = here & !covering;
            let (after_open, after_there) = (open << 1 | last_open, there << 1 | last_there);
            last_open = open >> (WORD - 1);
            last_there = there >> (WORD - 1);
            if open | after_open == 0 {
                last = 0;
                continue;
            }
            let (first, end) = (word * WORD, line.len().min((word + 1) * WORD));
            let mut touching = open & there;
            if joined == Joined::EqualValues && touching != 0 {
                touching &= bits_where(&line[first..end], &other_line[first..end], |a, b| a == b);
            }
            if neighbour.cover == Cover::Covers {
                self.covering[word] = touching;
            }
            // One place is enough for each stretch in which neither run ends.
            let (starts, other_starts) = (self.starts[at], self.starts[other_at]);
            let after_touching = touching << 1 | last;
            let mut places = touching & (!after_touching | starts);
            last = touching >> (WORD - 1);
            while places != 0 {
                let column = first + places.trailing_zeros() as usize;
                places &= places - 1;
                self.join(self.run_at(row, column), self.run_at(other, column));
            }
            if !neighbour.diagonal {
                continue;
            }
            // Diagonal neighbours that are not beside other voxels of the same runs: one run ends
            // just before the other starts. They differ where either touches what is beside it.
            let apart = !(touching | after_touching);
            let mut falling = apart & after_open & (starts | !here) & other_starts;
            let mut rising = apart & open & starts & after_there & (other_starts | !there);
            while falling | rising != 0 {
                let column = first + (falling | rising).trailing_zeros() as usize;
                let bit = 1 << (column - first);
                let same =
                    |a: usize, b: usize| joined == Joined::Foreground || line[a] == other_line[b];
                if falling & bit != 0 && same(column - 1, column) {
                    self.join(self.run_at(row, column - 1), self.run_at(other, column));
                }
                if rising & bit != 0 && same(column, column - 1) {
                    self.join(self.run_at(row, column), self.run_at(other, column - 1));
                }
                falling &= !bit;
                rising &= !bit;
            }
        }
    }

    /// The run of a voxel that is not zero.
    fn run_at(&self, row: usize, column: usize) -> u32 {
        let word = row * self.words + column / WORD;
        let until = u64::MAX >> (WORD - 1 - column % WORD);
        self.before[word] + (self.starts[word] & until).count_ones() - 1
    }

    #[inline]
    fn join(&mut self, a: u32, b: u32) {
        if self.parents[a as usize] == self.parents[b as usize] {
            return;
        }
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b) as usize] = a.min(b);
    }

    fn root(&mut self, mut run: u32) -> u32 {
        loop {
            let parent = self.parents[run as usize];
            if parent == run {
                return run;
            }
            let above = self.parents[parent as usize];
            self.parents[run as usize] = above;
            run = above;
        }
    }

    /// Puts the number of its component in place of every run's parent; gives the number of components.
    fn number(&mut self) -> u32 {
        let mut count = 0;
        for run in 0..self.parents.len() {
            let parent = self.parents[run] as usize;
            self.parents[run] = if parent == run {
                count += 1;
                count
            } else {
                self.parents[parent]
            };
        }
        count
    }

    /// Writes what becomes of the numbers of a row's components; where its runs end is noted in `ends`.
    fn write<T: Copy>(&self, row: usize, value: impl Fn(u32) -> T, ends: &mut [u64], to: &mut [T]) {
        let here = row * self.words..(row + 1) * self.words;
        let (foreground, starts) = (&self.foreground[here.clone()], &self.starts[here.clone()]);
        let mut last = 0;
        for ((end, word), start) in ends.iter_mut().zip(foreground).zip(starts) {
            *end = (word << 1 | last) & (!word | start);
            last = word >> (WORD - 1);
        }
        let width = to.len();
        let ends = places(ends).chain(std::iter::once(width));
        let numbers = &self.parents[self.before[here.start] as usize..];
        for ((start, end), number) in places(starts).zip(ends).zip(numbers) {
            to[start..end].fill(value(*number));
        }
    }
}

/// The places of the set bits.
pub(super) fn places(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(nth, &word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let place = nth * WORD + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                place
            })
        })
    })
}

/// The bits of the places where something holds of two parts of rows, of at most a word.
#[inline(always)]
pub(super) fn bits_where<T>(a: &[T], b: &[T], holds: impl Fn(&T, &T) -> bool) -> u64 {
    let mut flags = [0; WORD];
    if let (Ok(a), Ok(b)) = (<&[T; WORD]>::try_from(a), <&[T; WORD]>::try_from(b)) {
        for ((flag, a), b) in flags.iter_mut().zip(a).zip(b) {
            *flag = u8::from(holds(a, b));
        }
    } else {
        for ((flag, a), b) in flags.iter_mut().zip(a).zip(b) {
            *flag = u8::from(holds(a, b));
        }
    }
    let mut bits = 0;
    for (nth, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        // The product moves the lowest bit of byte i to bit 56 + i.
        let word = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= word << (8 * nth);
    }
    bits
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::grid::{ravel, unravel};
    use proptest::prelude::*;

    /// Labels by flooding from each voxel in C order.
    pub(crate) fn flooded<T: Element>(
        values: &[T],
        shape: &[u64],
        connectivity: usize,
        joined: Joined,
    ) -> (Vec<u32>, u32) {
        let mut labels = vec![0; values.len()];
        let mut count = 0;
        let zero = T::default();
        let steps: Vec<_> = steps(shape.len())
            .into_iter()
            .filter(|step| step.iter().filter(|&&step| step != 0).count() <= connectivity)
            .collect();
        for first in 0..values.len() {
            if values[first] == zero || labels[first] != 0 {
                continue;
            }
            count += 1;
            labels[first] = count;
            let mut open = vec![first];
            while let Some(voxel) = open.pop() {
                let position = unravel(voxel as u64, shape);
                for step in &steps {
                    let next: Option<Vec<u64>> = (0..shape.len())
                        .map(|axis| {
                            let at = position[axis].checked_add_signed(step[axis] as i64)?;
                            (at < shape[axis]).then_some(at)
                        })
                        .collect();
                    let Some(next) = next else { continue };
                    let next = ravel(&next, shape) as usize;
                    let same = joined == Joined::Foreground || values[next] == values[voxel];
                    if values[next] != zero && same && labels[next] == 0 {
                        labels[next] = count;
                        open.push(next);
                    }
                }
            }
        }
        (labels, count)
    }

    /// A shape and values of few kinds.
    pub(crate) fn blocks(longest: u64) -> impl Strategy<Value = (Vec<u64>, Vec<u8>)> {
        prop::collection::vec(0..=longest, 1..=4).prop_flat_map(|shape| {
            let voxels = shape.iter().product::<u64>() as usize;
            (Just(shape), 1u8..=3, 0u32..=100).prop_flat_map(move |(shape, kinds, share)| {
                let value = (0u32..100, 1..=kinds)
                    .prop_map(move |(luck, value)| if luck < share { value } else { 0 });
                (Just(shape), prop::collection::vec(value, voxels))
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn components_are_those_of_a_flooding((shape, values) in blocks(6)) {
            for connectivity in 1..=shape.len() {
                for joined in [Joined::Foreground, Joined::EqualValues] {
                    let found = components(&values, &shape, connectivity, joined).unwrap();
                    prop_assert_eq!((found.labels(), found.count()), flooded(&values, &shape, connectivity, joined));
                }
            }
        }

        #[test]
        fn rows_longer_than_words_are_labelled_alike(
            (width, kinds) in (60u64..200, 1u8..=3),
            luck in prop::collection::vec((0u32..100, 0u8..3), 199 * 6),
            share in 0u32..=100,
        ) {
            let shape = [2, 3, width];
            let values: Vec<u8> = luck[..width as usize * 6]
                .iter()
                .map(|&(luck, value)| if luck < share { 1 + value % kinds } else { 0 })
                .collect();
            for connectivity in 1..=3 {
                for joined in [Joined::Foreground, Joined::EqualValues] {
                    let found = components(&values, &shape, connectivity, joined).unwrap();
                    prop_assert_eq!((found.labels(), found.count()), flooded(&values, &shape, connectivity, joined));
                }
            }
        }
    }

    #[test]
    fn every_dtype_is_labelled_and_extremes_are_values_like_others() {
        fn check<T: Element>(low: T, high: T) {
            let zero = T::default();
            let values = [low, low, zero, high, low, zero];
            let labels = |joined| components(&values, &[6], 1, joined).unwrap().labels();
            let binary = if low == zero { [0, 0, 0, 1, 0, 0] } else { [1, 1, 0, 2, 2, 0] };
            assert_eq!(labels(Joined::Foreground), binary);
            let equal = if low == zero { [0, 0, 0, 1, 0, 0] } else { [1, 1, 0, 2, 3, 0] };
            assert_eq!(labels(Joined::EqualValues), equal);
        }
        check(false, true);
        check(u8::MIN, u8::MAX);
        check(u16::MIN, u16::MAX);
        check(u32::MIN, u32::MAX);
        check(u64::MIN, u64::MAX);
        check(i8::MIN, i8::MAX);
        check(i16::MIN, i16::MAX);
        check(i32::MIN, i32::MAX);
        check(i64::MIN, i64::MAX);
        check(f32::NEG_INFINITY, f32::INFINITY);
        check(f64::NEG_INFINITY, f64::MIN_POSITIVE);
    }

    #[test]
    fn what_is_not_a_number_is_foreground_and_equals_nothing() {
        let values = [f32::NAN, f32::NAN, -0.0, f32::NAN];
        let found = components(&values, &[4], 1, Joined::Foreground).unwrap();
        assert_eq!(found.labels(), [1, 1, 0, 2]);
        let found = components(&values, &[2, 2], 2, Joined::EqualValues).unwrap();
        assert_eq!(found.labels(), [1, 2, 0, 3]);
    }

    #[test]
    fn a_connectivity_beyond_the_axes_is_refused() {
        for connectivity in [0, 3] {
            let error = components(&[1u8], &[1, 1], connectivity, Joined::Foreground).unwrap_err();
            assert_eq!(
                error.message,
                format!("connectivity must be in [1, 2], got {connectivity}")
            );
        }
    }
}
