//! The chunks that readers have begun and will go on with: bounded for all of them together.
//!
//! A client that reads slowly asks for the next piece of a chunk in seconds, one that stands still
//! never. The chunks nobody asked for the longest go first; their readers get them again when they
//! need to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Bytes of all chunks on the shelf: eight of the longest, hundreds of common ones.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where readers leave chunks between two reads.
#[derive(Default)]
pub struct Shelf(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// By when they were asked for last.
    chunks: BTreeMap<u64, Bytes>,
    bytes: usize,
    now: u64,
}

/// A chunk left on the shelf; taken away when dropped.
pub(super) struct Kept {
    shelf: Arc<Shelf>,
    at: u64,
}

impl Shelf {
    /// Leaves a chunk, for as long as there is room.
    pub(super) fn put(self: &Arc<Self>, chunk: Bytes) -> Kept {
        let at = self.lock().put(chunk);
        Kept {
            shelf: Arc::clone(self),
            at,
        }
    }

    /// Whether there is no room for chunks that nobody has asked for yet.
    pub(super) fn is_crowded(&self) -> bool {
        self.lock().bytes > BYTES_MAX / 2
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, chunk: Bytes) -> u64 {
        self.now += 1;
        self.bytes += chunk.len();
        self.chunks.insert(self.now, chunk);
        while self.bytes > BYTES_MAX
            && let Some((_, oldest)) = self.chunks.pop_first()
        {
            self.bytes -= oldest.len();
        }
        self.now
    }

    fn take(&mut self, at: u64) -> Option<Bytes> {
        let chunk = self.chunks.remove(&at)?;
        self.bytes -= chunk.len();
        Some(chunk)
    }
}

impl Kept {
    /// The chunk, if it is still there; now it is the one asked for last.
    pub(super) fn get(&mut self) -> Option<Bytes> {
        let mut inner = self.shelf.lock();
        let chunk = inner.take(self.at)?;
        self.at = inner.put(chunk.clone());
        Some(chunk)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.shelf.lock().take(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: usize = 2 * 1024 * 1024;

    fn chunk(byte: u8) -> Bytes {
        vec![byte; LONGEST].into()
    }

    #[test]
    fn what_nobody_asked_for_the_longest_goes_first() {
        let shelf = Arc::new(Shelf::default());
        let (mut first, mut second) = (shelf.put(chunk(1)), shelf.put(chunk(2)));
        let mut others: Vec<_> = (0..BYTES_MAX / LONGEST - 2)
            .map(|_| shelf.put(chunk(3)))
            .collect();
        assert_eq!(first.get(), Some(chunk(1)));

        others.push(shelf.put(chunk(4)));

        assert_eq!((first.get(), second.get()), (Some(chunk(1)), None));
        assert!(shelf.is_crowded());
        assert!(others.iter_mut().all(|kept| kept.get().is_some()));
    }

    #[test]
    fn a_reader_that_ends_leaves_nothing() {
        let shelf = Arc::new(Shelf::default());
        let mut kept = shelf.put(chunk(1));
        kept.get();
        assert_eq!(shelf.lock().bytes, LONGEST);
        drop(kept);
        assert!(shelf.lock().chunks.is_empty());
        assert_eq!(shelf.lock().bytes, 0);
    }
}
