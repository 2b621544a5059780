//! Runs of equal values: a label image is worked through a run at a time.

use multiversion::multiversion;

/// Where values of a piece of an image differ from the next.
#[derive(Default)]
pub(super) struct Changes {
    len: usize,
    /// A byte for each value, filled up with zeros: not 0 where a run ends.
    ends: Vec<[u8; 8]>,
}

impl Changes {
    /// Forgets the piece before and begins one of some values, which are one run so far.
    pub fn reset(&mut self, len: usize) {
        self.len = len;
        self.ends.clear();
        self.ends.resize(len.div_ceil(8), [0; 8]);
        if let Some(last) = self.ends.as_flattened_mut()[..len].last_mut() {
            *last = 1;
        }
    }

    /// Ends runs where values change. Of several images, runs end where one of them changes.
    pub fn mark<T: Copy + PartialEq>(&mut self, values: &[T]) {
        mark(values, &mut self.ends.as_flattened_mut()[..self.len]);
    }

    /// Calls `visit` with the start and end of each run.
    pub fn for_each_run(&self, mut visit: impl FnMut(usize, usize)) {
        let mut start = 0;
        for (word, ends) in self.ends.iter().enumerate() {
            let mut bits = u64::from_le_bytes(*ends);
            while bits != 0 {
                let end = 8 * word + bits.trailing_zeros() as usize / 8 + 1;
                visit(start, end);
                start = end;
                bits &= bits - 1;
            }
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn mark<T: Copy + PartialEq>(values: &[T], ends: &mut [u8]) {
    let next = values.get(1..).unwrap_or_default();
    for ((end, value), next) in ends.iter_mut().zip(values).zip(next) {
        *end |= u8::from(value != next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_those_of_both_images(
            values in proptest::collection::vec((0u8..3, 0u32..2), 0..70),
        ) {
            let (a, b): (Vec<u8>, Vec<u32>) = values.iter().copied().unzip();
            let mut changes = Changes::default();
            // What was there before is forgotten.
            changes.reset(100);
            changes.reset(values.len());
            changes.mark(&a);
            changes.mark(&b);
            let mut runs = Vec::new();
            changes.for_each_run(|start, end| runs.push(values[start..end].to_vec()));
            let expected: Vec<_> =
                values.chunk_by(|a, b| a == b).map(<[(u8, u32)]>::to_vec).collect();
            prop_assert_eq!(runs, expected);
        }
    }
}
