//! Carries the user's interrupt to whatever runs.

use crate::lock;
use bioimage_engine::run::cancel::CancelToken;
use std::sync::Mutex;

/// The cell that an interrupt is meant for.
#[derive(Default)]
pub struct Interrupt(Mutex<Option<CancelToken>>);

impl Interrupt {
    /// A cell starts: the token is set when it is interrupted.
    pub fn begin(&self) -> CancelToken {
        let token = CancelToken::new();
        *lock(&self.0) = Some(token.clone());
        token
    }

    /// The cell has ended: an interrupt that comes now is too late.
    pub fn end(&self) {
        *lock(&self.0) = None;
    }

    /// Interrupts the running cell, if any.
    pub fn request(&self) {
        if let Some(token) = &*lock(&self.0) {
            token.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_reaches_the_running_cell_only() {
        let interrupt = Interrupt::default();
        interrupt.request();
        let first = interrupt.begin();
        assert!(!first.is_cancelled());
        interrupt.request();
        assert!(first.is_cancelled());
        interrupt.end();
        interrupt.request();
        assert!(!interrupt.begin().is_cancelled());
    }
}
