//! What was kept for later and is of no use any more.

use std::collections::HashMap;

use tokio::task::block_in_place;

use super::{Engine, Error};
use crate::client::item::ItemId;
use crate::client::local::place::{drop_part, parts};
use crate::client::local::read::{self, ReadError};
use crate::client::local::shadow::Shadows;

/// Items that are asked for at once.
const ITEMS: usize = 512;

impl Engine {
    /// Removes old bytes of what is gone or has others by now, and what came of versions that are not to come any more.
    /// What cannot be removed stays for the next time.
    pub(super) async fn clear(&self) -> Result<(), Error> {
        let kept = block_in_place(|| Shadows::kept(&self.folder)).unwrap_or_default();
        for kept in kept.chunks(ITEMS) {
            let rows = self.journal.items(&ids(kept)).await?;
            let current: HashMap<_, _> = rows.iter().map(|(row, _)| (row.id, &*row.etag)).collect();
            for (id, etag) in kept
                .iter()
                .filter(|(id, etag)| current.get(id) != Some(&&**etag))
            {
                self.shadows().forget_version(&self.folder, *id, etag).ok();
            }
        }
        let parts = block_in_place(|| parts(&self.folder)).unwrap_or_default();
        for parts in parts.chunks(ITEMS) {
            let awaited = self.journal.awaited(&ids(parts)).await?;
            for (id, etag) in parts
                .iter()
                .filter(|(id, etag)| awaited.get(id) != Some(etag))
            {
                drop_part(&self.folder, *id, etag).ok();
            }
        }
        Ok(())
    }

    /// Gives up what was begun to be sent of files that were renamed, deleted or edited since; of all when nothing is to be
    /// sent any more.
    pub(super) async fn abort_uploads(&self, all: bool) -> Result<(), Error> {
        for (path, begun) in self.journal.uploads().await? {
            let there = block_in_place(|| read::open(&self.folder, &path, &begun.stamp));
            let is_there = !matches!(there, Err(ReadError::Gone | ReadError::Changed));
            if is_there && !all {
                continue;
            }
            match self.session.abort_upload(begun.upload).await {
                Ok(()) => {}
                Err(error) if error.is_of_one() => {}
                Err(error) => {
                    tracing::debug!(path, "an upload is still there: {error}");
                    return Ok(());
                }
            }
            self.journal.end(&path).await?;
        }
        Ok(())
    }
}

fn ids(kept: &[(ItemId, String)]) -> Vec<ItemId> {
    kept.iter().map(|(id, _)| *id).collect()
}
