//! A flag that asks work to stop, shared by everything that works on one run.

use crate::error::{Error, Kind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Asks work to stop. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A flag that is not set.
    pub fn new() -> Self {
        CancelToken::default()
    }

    /// Sets the flag.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
        let end = Instant::now() + time;
        while !self.is_cancelled() {
            let Some(left) = end.checked_duration_since(Instant::now()) else { return };
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }
}
