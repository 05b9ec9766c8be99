//! What is done at the moment, for whoever wants to show it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that the work moves on and others read.
#[derive(Debug, Default)]
pub struct Progress {
    doing: Mutex<String>,
    total: AtomicU64,
    done: AtomicU64,
}

impl Progress {
    /// Something else begins.
    pub fn doing(&self, what: &str) {
        let mut doing = self
            .doing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        what.clone_into(&mut doing);
    }

    /// So many bytes are to be gone through, in files and operations on them.
    pub fn begin(&self, what: &str, total: u64) {
        self.doing(what);
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// So many of them have been.
    pub fn step(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What is done, how much of it there is, and how much was done.
    pub fn read(&self) -> (String, u64, u64) {
        let doing = self
            .doing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        (
            doing,
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        )
    }
}
