//! Decoded strips and tiles that are held between reads.

use crate::array::Array;
use crate::error::Result;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Names a strip or tile: its image in the stack, and its number in that.
pub(super) type Key = (u64, u32);

/// Holds decoded strips and tiles up to a number of bytes; the least recently used go first.
///
/// Threads that ask for the same one at the same time decode it once: the first does, the others
/// wait for that one alone.
pub(super) struct Cache {
    state: Mutex<State>,
    decoded: AtomicU64,
}

type Cell = Arc<OnceLock<Result<Arc<Array>>>>;

struct Slot {
    cell: Cell,
    bytes: u64,
    used: u64,
}

struct State {
    limit: u64,
    held: u64,
    clock: u64,
    slots: HashMap<Key, Slot>,
    /// Every use in order. Only the entry of a slot's last use counts.
    uses: VecDeque<(u64, Key)>,
}

impl Cache {
    pub(super) fn new(limit: u64) -> Self {
        let state =
            State { limit, held: 0, clock: 0, slots: HashMap::new(), uses: VecDeque::new() };
        Cache { state: Mutex::new(state), decoded: AtomicU64::new(0) }
    }

    pub(super) fn set_limit(&self, bytes: u64) {
        let mut state = self.lock();
        state.limit = bytes;
        state.make_room(0);
    }

    /// How many strips and tiles were decoded so far.
    pub(super) fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// The strip or tile `key` of so many bytes; `decode` makes it where it is not held. A failure
    /// is not held, since it may be one of the storage that passes.
    pub(super) fn get(
        &self,
        key: Key,
        bytes: u64,
        decode: impl FnOnce() -> Result<Array>,
    ) -> Result<Arc<Array>> {
        let counted = || {
            self.decoded.fetch_add(1, Ordering::Relaxed);
            decode().map(Arc::new)
        };
        let Some(cell) = self.lock().cell(key, bytes) else {
            return counted();
        };
        let result = cell.get_or_init(counted).clone();
        if result.is_err() {
            self.lock().forget(key, &cell);
        }
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The cell of a key, made if there is none; none if it can never fit.
    fn cell(&mut self, key: Key, bytes: u64) -> Option<Cell> {
        self.clock += 1;
        let used = self.clock;
        let cell = match self.slots.get_mut(&key) {
            Some(slot) => {
                slot.used = used;
                slot.cell.clone()
            }
            None if bytes > self.limit => return None,
            None => {
                self.make_room(bytes);
                let cell = Cell::default();
                self.held += bytes;
                self.slots.insert(key, Slot { cell: cell.clone(), bytes, used });
                cell
            }
        };
        self.uses.push_back((used, key));
        if self.uses.len() > 2 * self.slots.len() + 64 {
            let slots = &self.slots;
            self.uses.retain(|(used, key)| slots.get(key).is_some_and(|slot| slot.used == *used));
        }
        Some(cell)
    }

    fn make_room(&mut self, bytes: u64) {
        while self.held + bytes > self.limit {
            let Some((used, key)) = self.uses.pop_front() else { break };
            if self.slots.get(&key).is_some_and(|slot| slot.used == used) {
                self.remove(key);
            }
        }
    }

    fn forget(&mut self, key: Key, cell: &Cell) {
        if self.slots.get(&key).is_some_and(|slot| Arc::ptr_eq(&slot.cell, cell)) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(slot) = self.slots.remove(&key) {
            self.held -= slot.bytes;
        }
    }
}
