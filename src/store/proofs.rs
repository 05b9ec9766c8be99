//! Which contents were found a moment ago to name their own chunks. Clients come for many pieces of one
//! content, and each time its rows would be looked at again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::chunk::Manifest;
use crate::store::meta::contents::Content;

/// How long a proof holds: rows do not change by themselves often, and what is read is held against
/// them all the same.
const LIFE: Duration = Duration::from_mins(1);
/// Proofs that are remembered, some 64 bytes each.
const MAX: usize = 4096;

/// The proofs of one process.
#[derive(Default)]
pub struct Proofs(Mutex<HashMap<Proof, Instant>>);

/// Names exactly what was proven.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Proof([u8; 32]);

impl Proof {
    /// That a content with this row and these chunks names its own.
    pub(super) fn of(content: &Content, manifest: &Manifest) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&content.space.0.to_be_bytes());
        hasher.update(&content.root.0);
        hasher.update(&content.size.to_be_bytes());
        hasher.update(&manifest.encode());
        Self(*hasher.finalize().as_bytes())
    }
}

impl Proofs {
    /// Whether it was proven a moment ago.
    pub(super) fn holds(&self, proof: Proof) -> bool {
        let proven = self.lock().get(&proof).copied();
        proven.is_some_and(|at| at.elapsed() < LIFE)
    }

    /// Remembers it for a while.
    pub(super) fn add(&self, proof: Proof) {
        let mut proofs = self.lock();
        if proofs.len() >= MAX {
            proofs.retain(|_, at| at.elapsed() < LIFE);
        }
        if proofs.len() >= MAX {
            proofs.clear();
        }
        proofs.insert(proof, Instant::now());
    }

    /// Forgets all: something was found damaged.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Proof, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
