//! Decoded chunks that neighbouring blocks share.

use crate::array::Array;
use crate::error::Result;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Chunks by number, least recently used first to go, and gone once every voxel was asked for.
#[derive(Default)]
pub struct ChunkCache {
    budget: AtomicU64,
    /// Whether voxels are asked for several times.
    again: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: HashMap<u64, Slot>,
    /// Chunk numbers by when they were last used.
    order: BTreeMap<u64, u64>,
    clock: u64,
    bytes: u64,
}

struct Slot {
    /// Locked while the chunk is decoded, so that it is decoded once.
    chunk: Arc<Mutex<Option<Arc<Array>>>>,
    bytes: u64,
    unread: u64,
    used: u64,
}

/// The part of a chunk that is wanted.
pub struct Wanted {
    /// The chunk's number.
    pub chunk: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Its voxels inside the array.
    pub voxels: u64,
    /// How many of them are read now.
    pub now: u64,
}

impl ChunkCache {
    /// Sets how many bytes may be kept, and whether voxels are asked for `again`.
    pub fn set_budget(&self, bytes: u64, again: bool) {
        self.again.store(again, Ordering::Relaxed);
        self.budget.store(bytes, Ordering::Relaxed);
        self.lock().shrink(bytes);
    }

    /// Whether a chunk of that many bytes is to be kept when a part, or all of it, is read.
    pub fn takes(&self, bytes: u64, is_part: bool) -> bool {
        (is_part || self.again.load(Ordering::Relaxed))
            && bytes <= self.budget.load(Ordering::Relaxed)
    }

    /// The chunk, decoded by the first who asks for it.
    pub fn get(
        &self,
        wanted: &Wanted,
        decode: impl FnOnce() -> Result<Array>,
    ) -> Result<Arc<Array>> {
        let now = if self.again.load(Ordering::Relaxed) { 0 } else { wanted.now };
        let slot = self.lock().slot(wanted, now, self.budget.load(Ordering::Relaxed));
        let mut content = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(array) = content.as_ref() {
            return Ok(Arc::clone(array));
        }
        match decode() {
            Ok(array) => Ok(Arc::clone(content.insert(Arc::new(array)))),
            Err(error) => {
                self.forget(wanted.chunk);
                Err(error)
            }
        }
    }

    /// Drops a chunk whose stored bytes changed.
    pub fn forget(&self, chunk: u64) {
        self.lock().remove(chunk);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn slot(&mut self, wanted: &Wanted, now: u64, budget: u64) -> Arc<Mutex<Option<Arc<Array>>>> {
        self.clock += 1;
        let (clock, bytes) = (self.clock, &mut self.bytes);
        let slot = self.slots.entry(wanted.chunk).or_insert_with(|| {
            *bytes += wanted.bytes;
            Slot { chunk: Arc::default(), bytes: wanted.bytes, unread: wanted.voxels, used: clock }
        });
        self.order.remove(&slot.used);
        self.order.insert(clock, wanted.chunk);
        slot.used = clock;
        slot.unread = slot.unread.saturating_sub(now);
        let (chunk, read) = (Arc::clone(&slot.chunk), slot.unread == 0);
        if read {
            self.remove(wanted.chunk);
        }
        self.shrink(budget);
        chunk
    }

    fn remove(&mut self, chunk: u64) {
        if let Some(slot) = self.slots.remove(&chunk) {
            self.order.remove(&slot.used);
            self.bytes -= slot.bytes;
        }
    }

    fn shrink(&mut self, budget: u64) {
        while self.bytes > budget {
            let Some((_, &oldest)) = self.order.first_key_value() else { return };
            self.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use std::sync::atomic::AtomicUsize;

    fn read(cache: &ChunkCache, decoded: &AtomicUsize, chunk: u64, now: u64) {
        let wanted = Wanted { chunk, bytes: 8, voxels: 8, now };
        cache
            .get(&wanted, || {
                decoded.fetch_add(1, Ordering::Relaxed);
                Ok(Array::zeros(DType::U8, &[8]))
            })
            .unwrap();
    }

    #[test]
    fn a_chunk_is_decoded_once_and_dropped_when_it_was_read_whole() {
        let (cache, decoded) = (ChunkCache::default(), AtomicUsize::new(0));
        cache.set_budget(16, false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| read(&cache, &decoded, 3, 2));
            }
        });
        assert_eq!(decoded.load(Ordering::Relaxed), 1);
        assert_eq!(cache.lock().bytes, 0);
        read(&cache, &decoded, 3, 2);
        assert_eq!(decoded.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn chunks_whose_voxels_are_asked_for_again_stay_while_there_is_room() {
        let (cache, decoded) = (ChunkCache::default(), AtomicUsize::new(0));
        assert!(!cache.takes(8, false));
        cache.set_budget(16, true);
        assert!(cache.takes(8, false));
        for chunk in [1, 2, 1, 2, 1, 2, 3, 2] {
            read(&cache, &decoded, chunk, 8);
        }
        assert_eq!(decoded.load(Ordering::Relaxed), 3);
        cache.set_budget(16, false);
        assert!(!cache.takes(8, false));
    }

    #[test]
    fn the_budget_holds_and_the_least_recently_used_goes_first() {
        let (cache, decoded) = (ChunkCache::default(), AtomicUsize::new(0));
        cache.set_budget(16, false);
        for chunk in [1, 2, 1, 3, 1] {
            read(&cache, &decoded, chunk, 1);
            assert!(cache.lock().bytes <= 16);
        }
        assert_eq!(decoded.load(Ordering::Relaxed), 3);
        read(&cache, &decoded, 2, 1);
        assert_eq!(decoded.load(Ordering::Relaxed), 4);
        cache.set_budget(0, false);
        assert_eq!(cache.lock().bytes, 0);
        assert!(!cache.takes(8, true));
    }
}
