//! A flag that asks work to stop, shared by everything that works on one run.

use crate::error::{Error, Kind, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Asks work to stop. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    is_set: AtomicBool,
    /// Held while the flag is set, so that nobody falls asleep just then.
    setting: Mutex<()>,
    set: Condvar,
}

impl CancelToken {
    /// A flag that is not set.
    pub fn new() -> Self {
        CancelToken::default()
    }

    /// Sets the flag.
    pub fn cancel(&self) {
        let _setting = self.0.setting.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.is_set.store(true, Ordering::Relaxed);
        self.0.set.notify_all();
    }

    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_set.load(Ordering::Relaxed)
    }

    /// Fails if the flag is set.
    ///
    /// # Errors
    /// `cancelled`.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(Kind::Cancelled, "the run was asked to stop"));
        }
        Ok(())
    }

    /// Waits, but no longer than until the flag is set.
    pub fn sleep(&self, time: Duration) {
        let setting = self.0.setting.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.0.set.wait_timeout_while(setting, time, |()| !self.is_cancelled());
    }
}
