//! Having an upload for oneself: here by memory, among servers that share a database by its row.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Result, UploadError};
use crate::store::meta::uploads;
use crate::store::{self, Store, Taken};
use crate::tree::Tree;
use crate::types::{Clock, UploadId};

/// How long a request waits for the one before to save what arrived and let go.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it asks whether another server has let go.
const ASK: Duration = Duration::from_millis(50);
/// How long an upload stays with a server that says nothing more: others wait so long when it was killed.
const LEASE: Duration = Duration::from_secs(30);
/// How often it says that it goes on.
const RENEW: Duration = Duration::from_secs(10);

/// An upload that its holder works on alone, until this is dropped.
pub(super) struct Claim {
    _here: Option<Taken>,
    _everywhere: Option<DropGuard>,
}

impl Tree {
    /// Takes an upload. Waits a second for one who has it.
    pub(super) async fn claim(&self, id: UploadId) -> Result<Claim> {
        let taken = self.store.in_use.take(id, PATIENCE).await;
        let taken = taken.ok_or(UploadError::Busy)?;
        if !self.store.meta.is_shared() {
            return Ok(Claim {
                _here: Some(taken),
                _everywhere: None,
            });
        }
        let until = Instant::now() + PATIENCE;
        while !take(&self.store, id, &self.clock).await? {
            // Nobody has one that was given up.
            self.upload_row(id).await?;
            if Instant::now() >= until {
                return Err(UploadError::Busy);
            }
            sleep(ASK).await;
        }
        let (store, clock, done) = (
            Arc::clone(&self.store),
            self.clock.clone(),
            CancellationToken::new(),
        );
        tokio::spawn(keep(store, id, clock, taken, done.clone()));
        Ok(Claim {
            _here: None,
            _everywhere: Some(done.drop_guard()),
        })
    }
}

/// Lets go of the uploads that servers had who were killed. Only for one who knows to be the only one.
pub async fn free_uploads(store: &Store) -> store::Result<()> {
    if !store.meta.is_shared() {
        return Ok(());
    }
    let freed = store
        .meta
        .write(|conn| Box::pin(async move { uploads::let_all_go(conn).await }));
    freed.await
}

/// Says that the upload is still taken until its holder is done, and then lets go.
async fn keep(
    store: Arc<Store>,
    id: UploadId,
    clock: Clock,
    taken: Taken,
    done: CancellationToken,
) {
    while done.run_until_cancelled(sleep(RENEW)).await.is_some() {
        // When another server has it nevertheless, saving finds that out.
        if let Err(error) = take(&store, id, &clock).await {
            tracing::warn!(%error, "an upload could not be kept from other servers");
        }
    }
    let by = store.number;
    let gone: store::Result<()> = store
        .meta
        .write(move |conn| Box::pin(async move { uploads::let_go(conn, id, by).await }))
        .await;
    if let Err(error) = gone {
        tracing::warn!(%error, "other servers wait half a minute for an upload");
    }
    // Only now, so that whoever has it next here is not let go of.
    drop(taken);
}

async fn take(store: &Store, id: UploadId, clock: &Clock) -> store::Result<bool> {
    let (by, now) = (store.number, clock.now());
    let times = (now.plus(LEASE), now);
    store
        .meta
        .write(move |conn| Box::pin(async move { uploads::take(conn, id, by, times).await }))
        .await
}
