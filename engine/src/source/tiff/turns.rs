//! Readers of the same images at the same time, each of which begins at another one.

use std::sync::atomic::{AtomicU64, Ordering};

/// The readers at work, one bit each.
///
/// Blocks side by side need the same strips. If their readers all began with the first image, each
/// strip would be decoded by one of them while the others wait for it; so they share the work.
#[derive(Default)]
pub(super) struct Turns(AtomicU64);

/// One reader's place; free again when it is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    place: u32,
}

impl Turns {
    /// Takes the lowest place that is free. Beyond 64 readers all share the last one.
    pub(super) fn take(&self) -> Turn<'_> {
        let with_lowest = |taken: u64| Some(taken | taken.wrapping_add(1));
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_lowest);
        let place = taken.unwrap_or_else(|taken| taken).trailing_ones().min(63);
        Turn { turns: self, place }
    }
}

impl Turn<'_> {
    /// The numbers below `count`, from a start that is far from those of the other places: 0, 1/2,
    /// 1/4, 3/4, 1/8, ... of them.
    pub(super) fn order(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let start = (u64::from(self.place.reverse_bits()) * count as u64) >> 32;
        (start as usize..count).chain(0..start as usize)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.0.fetch_and(!(1 << self.place), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_at_the_same_time_begin_apart_and_read_all() {
        let turns = Turns::default();
        let (first, second, third) = (turns.take(), turns.take(), turns.take());
        let order = |turn: &Turn| turn.order(8).collect::<Vec<_>>();
        assert_eq!(order(&first), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(order(&second), [4, 5, 6, 7, 0, 1, 2, 3]);
        assert_eq!(order(&third), [2, 3, 4, 5, 6, 7, 0, 1]);
        drop(first);
        assert_eq!(
            order(&turns.take())[0],
            0,
            "a place that is free again is the next to be taken"
        );
        assert_eq!(second.order(0).count(), 0);
    }

    #[test]
    fn more_readers_than_places_read_all_the_same() {
        let turns = Turns::default();
        let many: Vec<Turn> = (0..70).map(|_| turns.take()).collect();
        for turn in &many {
            let mut order: Vec<usize> = turn.order(5).collect();
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4]);
        }
    }
}
