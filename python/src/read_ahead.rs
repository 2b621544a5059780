//! Reads the block that comes next while a function works on the one before.

use bioimage_engine::array::Array;
use bioimage_engine::dtype::DType;
use bioimage_engine::grid::{Block, Region};
use bioimage_engine::source::{Held, Metadata, Source, Spec};
use bioimage_engine::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Blocks that are read ahead and that nobody asked for are given up beyond this number.
const MOST: usize = 8;

const UNKNOWN: u8 = 0;
const INNER: u8 = 1;
const OUTER: u8 = 2;

thread_local! {
    /// The block that this thread's function works on.
    static IN_HAND: RefCell<Option<Block>> = const { RefCell::new(None) };
}

/// Notes which block this thread's function works on from now on.
pub fn take_in_hand(block: Option<&Block>) {
    IN_HAND.set(block.cloned());
}

/// A source of which a thread of its own reads the next block, once it is known whether a function
/// reads its blocks with their halo or without.
pub struct ReadAhead {
    source: Arc<dyn Source>,
    habit: AtomicU8,
    slots: Mutex<HashMap<Region, Arc<Slot>>>,
    queue: Sender<Arc<Slot>>,
}

struct Slot {
    region: Region,
    state: Mutex<State>,
    read: Condvar,
}

enum State {
    Queued,
    Reading,
    Read(Result<Array>),
    GivenUp,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ReadAhead {
    /// A source that is read ahead.
    ///
    /// # Errors
    /// `internal` if there is no thread to be had.
    pub fn new(source: Arc<dyn Source>) -> Result<Self> {
        let (queue, slots) = channel::<Arc<Slot>>();
        let of_reader = source.clone();
        std::thread::Builder::new()
            .name("read ahead".into())
            .spawn(move || read_queued(&*of_reader, &slots))
            .map_err(|error| Error::internal(format!("no thread to read ahead: {error}")))?;
        let (habit, slots) = (AtomicU8::new(UNKNOWN), Mutex::default());
        Ok(ReadAhead { source, habit, slots, queue })
    }

    /// Starts to read what a function will want of a block.
    pub fn prepare(&self, block: &Block) {
        let region = match self.habit.load(Ordering::Relaxed) {
            INNER => &block.inner,
            OUTER => &block.outer,
            _ => return,
        };
        let mut slots = lock(&self.slots);
        if slots.contains_key(region) {
            return;
        }
        if slots.len() >= MOST {
            slots.drain().for_each(|(_, slot)| *lock(&slot.state) = State::GivenUp);
        }
        let slot = Arc::new(Slot {
            region: region.clone(),
            state: Mutex::new(State::Queued),
            read: Condvar::new(),
        });
        slots.insert(region.clone(), slot.clone());
        // Without a reader, whoever wants the block reads it.
        drop(self.queue.send(slot));
    }

    /// Lets go of what was read of a block that is done.
    pub fn forget(&self, block: &Block) {
        let mut slots = lock(&self.slots);
        if slots.is_empty() {
            return;
        }
        for region in [&block.inner, &block.outer] {
            if let Some(slot) = slots.remove(region) {
                *lock(&slot.state) = State::GivenUp;
            }
        }
    }

    /// What was read of a region ahead of time.
    fn take(&self, region: &Region) -> Option<Result<Array>> {
        let slot = lock(&self.slots).remove(region)?;
        let mut state = lock(&slot.state);
        loop {
            match mem::replace(&mut *state, State::GivenUp) {
                State::Read(result) => return Some(result),
                State::Queued | State::GivenUp => return None,
                State::Reading => {
                    *state = State::Reading;
                    state = slot.read.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn learn(&self, region: &Region) {
        let habit = IN_HAND.with_borrow(|block| match block {
            Some(block) if *region == block.inner => INNER,
            Some(block) if *region == block.outer => OUTER,
            _ => UNKNOWN,
        });
        self.habit.store(habit, Ordering::Relaxed);
    }
}

fn read_queued(source: &dyn Source, queue: &Receiver<Arc<Slot>>) {
    while let Ok(slot) = queue.recv() {
        {
            let mut state = lock(&slot.state);
            if !matches!(*state, State::Queued) {
                continue;
            }
            *state = State::Reading;
        }
        let read = catch_unwind(AssertUnwindSafe(|| source.read(&slot.region)));
        // Whoever wants the block meets the panic itself.
        let result = read.map_or(State::GivenUp, State::Read);
        let mut state = lock(&slot.state);
        if matches!(*state, State::Reading) {
            *state = result;
        }
        slot.read.notify_all();
    }
}

impl Source for ReadAhead {
    fn shape(&self) -> &[u64] {
        self.source.shape()
    }

    fn dtype(&self) -> DType {
        self.source.dtype()
    }

    fn chunks(&self) -> Option<Vec<u64>> {
        self.source.chunks()
    }

    fn shards(&self) -> Option<Vec<u64>> {
        self.source.shards()
    }

    fn metadata(&self) -> Metadata {
        self.source.metadata()
    }

    fn spec(&self) -> Option<Spec> {
        self.source.spec()
    }

    fn fingerprint(&self) -> Result<String> {
        self.source.fingerprint()
    }

    fn held_bytes(&self, block_shape: &[u64], halo: &[u64]) -> Held {
        self.source.held_bytes(block_shape, halo)
    }

    fn hold_at_most(&self, bytes: u64, again: bool) {
        self.source.hold_at_most(bytes, again);
    }

    fn read(&self, region: &Region) -> Result<Array> {
        self.learn(region);
        self.take(region).unwrap_or_else(|| self.source.read(region))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bioimage_engine::grid::Grid;
    use bioimage_engine::source::memory::MemoryArray;

    /// Counts reads, and by which thread.
    struct Counting(MemoryArray, Mutex<Vec<(Region, Option<String>)>>);

    impl Source for Counting {
        fn shape(&self) -> &[u64] {
            self.0.shape()
        }
        fn dtype(&self) -> DType {
            self.0.dtype()
        }
        fn spec(&self) -> Option<Spec> {
            None
        }
        fn fingerprint(&self) -> Result<String> {
            self.0.fingerprint()
        }
        fn read(&self, region: &Region) -> Result<Array> {
            let thread = std::thread::current().name().map(str::to_owned);
            lock(&self.1).push((region.clone(), thread));
            self.0.read(region)
        }
    }

    #[test]
    fn the_next_block_is_read_once_and_by_another_thread() {
        let values: Vec<u8> = (0..12).collect();
        let array = Array::from_values::<u8>(&[12], &values).unwrap();
        let memory = MemoryArray::from_array(&array).unwrap();
        let counting = Arc::new(Counting(memory, Mutex::default()));
        let ahead = ReadAhead::new(counting.clone()).unwrap();
        let grid = Grid::new(Region::whole(&[12]), &[4]).unwrap().with_halo(&[1]).unwrap();
        for id in 0..3 {
            let block = grid.block(id).unwrap();
            take_in_hand(Some(&block));
            if let Ok(next) = grid.block(id + 1) {
                ahead.prepare(&next);
            }
            let read = ahead.read(&block.outer).unwrap();
            let (start, end) = (block.outer.start[0] as usize, block.outer.end()[0] as usize);
            assert_eq!(read.values::<u8>().unwrap(), &values[start..end]);
            // The reader is given the time that a function would take.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let mut reads = lock(&counting.1);
        reads.sort_by_key(|(region, _)| region.start[0]);
        let regions: Vec<u64> = reads.iter().map(|(region, _)| region.start[0]).collect();
        // Nothing is known of the function's habit when the first block is worked on.
        assert_eq!(regions, [0, 3, 7]);
        assert_eq!(reads[2].1.as_deref(), Some("read ahead"));
    }
}
