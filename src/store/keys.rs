//! The keys of the spaces, unwrapped once and kept.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::meta::{self, Meta, spaces};
use super::{Error, Result};
use crate::crypto::{MasterKey, SpaceKey, SpaceKeys};
use crate::types::SpaceId;

const FINGERPRINT: &str = "master_key_fingerprint";

/// Opens space keys with the master key and remembers them.
pub struct KeyRing {
    master: MasterKey,
    opened: RwLock<HashMap<SpaceId, Arc<SpaceKeys>>>,
}

impl KeyRing {
    /// Whether a database belongs to a key already.
    pub async fn is_marked(meta: &Meta) -> Result<bool> {
        let mark = meta::settings::get(&mut *meta.read().await?, FINGERPRINT).await?;
        Ok(mark.is_some())
    }

    /// Proves that `master` is the key of this database, or marks a new database with it.
    pub(super) async fn open(master: MasterKey, meta: &Meta) -> Result<Self> {
        let found = hex(&master.fingerprint());
        let mine = found.clone();
        let expected = meta
            .write(move |tx| {
                Box::pin(async move { meta::settings::get_or_put(tx, FINGERPRINT, &mine).await })
            })
            .await?;
        if expected != found {
            return Err(Error::WrongKey { expected, found });
        }
        Ok(Self {
            master,
            opened: RwLock::default(),
        })
    }

    /// A fresh key for a new space, wrapped for its row.
    pub fn new_space_key(&self, space: SpaceId) -> Result<Vec<u8>> {
        Ok(self.master.wrap(space, &SpaceKey::generate()?)?)
    }

    /// The key that signs access tokens; the same after a restart.
    pub fn token_key(&self) -> Zeroizing<[u8; 32]> {
        self.master.token_key()
    }

    /// The key that hashes pairing codes; the same after a restart.
    pub fn code_key(&self) -> Zeroizing<[u8; 32]> {
        self.master.code_key()
    }

    /// Whether the sealed key of a space opens.
    pub fn opens(&self, space: SpaceId, wrapped: &[u8]) -> Result<()> {
        self.master.unwrap(space, wrapped)?;
        Ok(())
    }

    /// The keys of a space.
    pub async fn of(&self, meta: &Meta, space: SpaceId) -> Result<Arc<SpaceKeys>> {
        if let Some(keys) = self
            .opened
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&space)
        {
            return Ok(Arc::clone(keys));
        }
        let wrapped = spaces::wrapped_key(&mut *meta.read().await?, space).await?;
        let keys = Arc::new(SpaceKeys::derive(
            space,
            &self.master.unwrap(space, &wrapped)?,
        ));
        self.opened
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(space, Arc::clone(&keys));
        Ok(keys)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _done = write!(text, "{byte:02x}");
        text
    })
}
