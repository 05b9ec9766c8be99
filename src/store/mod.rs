//! Where things lie: names in a database ([`meta`]), bytes in sealed segments ([`blob`]).
//! Holds no rules about who may do what; `tree` and `accounts` do.

pub mod blob;
pub mod content;
pub mod damage;
mod error;
mod events;
pub(crate) mod fault;
mod in_use;
mod keys;
pub mod meta;
mod mounts;
mod others;
mod process;
mod proofs;
mod shares;
mod shelf;
pub mod snapshot;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use error::{Error, Result};
pub use events::Events;
pub use in_use::{InUse, Taken};
pub use keys::{KeyRing, Rekeyed, rekey};
pub use mounts::Mounts;
pub use others::watch_others;
pub use process::{Pin, Process};
pub use shares::{Held, Shares};
#[cfg(any(test, fuzzing))]
pub(crate) use {
    blob::fuzzing::{record as fuzz_record, segment as fuzz_segment},
    snapshot::fuzzing::snapshot as fuzz_snapshot,
};

use self::proofs::Proofs;
use self::shelf::Shelf;
use crate::crypto::{self, MasterKey};
use crate::types::{Epoch, SpaceId};
use meta::{Database, Meta};

/// How long a clean stop waits for uploads to save what arrived: one last wait for the disk each.
const SAVE_MAX: Duration = Duration::from_secs(1);

/// The opened store of one server process.
pub struct Store {
    /// Names.
    pub meta: Meta,
    /// Bytes.
    pub segments: blob::Segments,
    /// Keys of the spaces.
    pub keys: KeyRing,
    /// The spaces everyone sees.
    pub mounts: Mounts,
    /// Memory for uploads above inline size.
    pub uploading: Shares<SpaceId>,
    /// Memory for comparing contents, in KiB.
    pub comparing: Shares<SpaceId>,
    /// Memory for patches on their way in, in KiB.
    pub patching: Shares<SpaceId>,
    /// The chunks that readers will go on with.
    pub shelf: Arc<Shelf>,
    /// The contents whose rows were proven a moment ago.
    pub proofs: Proofs,
    /// Which database this is, for its cursors.
    pub epoch: Epoch,
    /// Who waits for changes.
    pub events: Events,
    /// This process among those that use the store.
    pub process: Arc<Process>,
    /// Tells this process from others that have the store open.
    pub number: i64,
    /// Small contents, for the day on which the database is lost.
    pub recent: snapshot::Recent,
    /// The unfinished uploads that somebody works on.
    pub in_use: Arc<InUse>,
    /// Which previous contents stay.
    pub keep: meta::versions::Keep,
}

impl Store {
    /// Opens (or creates) database and segment folder, and proves that `master` is their key.
    pub async fn open(
        database: &Database,
        data: &Path,
        master: MasterKey,
        keep: meta::versions::Keep,
    ) -> Result<Arc<Self>> {
        Self::with(Meta::open(database).await?, data, master, keep).await
    }

    /// The same for a database that is open.
    pub async fn with(
        meta: Meta,
        data: &Path,
        master: MasterKey,
        keep: meta::versions::Keep,
    ) -> Result<Arc<Self>> {
        let keys = KeyRing::open(master, &meta).await?;
        Self::over(meta, data, keys, keep).await
    }

    /// A store over a database that is being made from a snapshot. It is nobody's until
    /// [`KeyRing::mark`].
    pub async fn recovering(
        meta: Meta,
        data: &Path,
        master: MasterKey,
        keep: meta::versions::Keep,
    ) -> Result<Arc<Self>> {
        Self::over(meta, data, KeyRing::unmarked(master), keep).await
    }

    async fn over(
        meta: Meta,
        data: &Path,
        keys: KeyRing,
        keep: meta::versions::Keep,
    ) -> Result<Arc<Self>> {
        let epoch = meta::settings::epoch(&meta).await?;
        let segments = blob::Segments::open(data).await?;
        Ok(Arc::new(Self::of((meta, segments, keys), epoch, keep)?))
    }

    /// Opens what is there without writing to it. Nothing that is read is kept from being collected.
    pub async fn open_to_read(
        database: &Database,
        data: &Path,
        master: MasterKey,
    ) -> Result<Arc<Self>> {
        let meta = Meta::open_to_read(database).await?;
        let keys = KeyRing::open_to_read(master, &meta).await?;
        let epoch = meta::settings::known_epoch(&mut *meta.read().await?).await?;
        let (segments, keep) = (blob::Segments::at(data), meta::versions::Keep::default());
        Ok(Arc::new(Self::of((meta, segments, keys), epoch, keep)?))
    }

    fn of(
        (meta, segments, keys): (Meta, blob::Segments, KeyRing),
        epoch: Epoch,
        keep: meta::versions::Keep,
    ) -> Result<Self> {
        let number = getrandom::u64().map_err(|_unavailable| crypto::Error::Random)?;
        Ok(Self {
            meta,
            segments,
            keys,
            epoch,
            mounts: Mounts::default(),
            uploading: Shares::new(content::UPLOAD_SHARES),
            comparing: Shares::new(content::DIFF_SHARES),
            patching: Shares::new(content::PATCH_SHARES),
            shelf: Arc::default(),
            proofs: Proofs::default(),
            events: Events::default(),
            process: Arc::default(),
            number: (number >> 1).cast_signed(),
            recent: snapshot::Recent::default(),
            in_use: Arc::default(),
            keep,
        })
    }

    /// Lets interrupted uploads save what arrived, finishes queued writes and closes the database;
    /// the last step of a clean stop.
    pub async fn close(&self) {
        self.in_use.idle(SAVE_MAX).await;
        if let Err(error) = self.process.leave(self).await {
            // Others wait a minute for it then.
            tracing::warn!(%error, "leaving the store");
        }
        self.meta.close().await;
    }
}
