//! stub

use super::{Error, SpaceKey};
use crate::types::SpaceId;
use std::path::Path;

/// The key that wraps all others. Kept outside the data folder; losing it loses everything.
pub struct MasterKey(#[expect(dead_code, reason = "stub")] [u8; 32]);

/// Whether the key was there or has just been made (then the operator is told to copy it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Read from the file.
    Found,
    /// Made now.
    Created,
}

impl MasterKey {
    /// Reads the key file, or makes it (mode 0400, fsynced with its folder) when missing.
    pub fn load_or_create(_path: &Path) -> Result<(Self, Origin), Error> {
        todo!()
    }
    /// A fresh random key, for tests and for creation.
    pub fn generate() -> Result<Self, Error> {
        todo!()
    }
    /// Seals a space key: version ‖ nonce ‖ ciphertext ‖ tag, bound to the space.
    pub fn wrap(&self, _space: SpaceId, _key: &SpaceKey) -> Result<Vec<u8>, Error> {
        todo!()
    }
    /// Opens what [`Self::wrap`] made.
    pub fn unwrap(&self, _space: SpaceId, _wrapped: &[u8]) -> Result<SpaceKey, Error> {
        todo!()
    }
    /// A short public name of the key (first 8 bytes of a keyed hash), to say *which* key is wrong.
    pub fn fingerprint(&self) -> [u8; 8] {
        todo!()
    }
}
