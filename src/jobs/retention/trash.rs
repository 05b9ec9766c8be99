//! Deleted files: gone for good after a while.

use std::time::Duration;

use crate::jobs::{Lease, Result};
use crate::store::meta::trash::{self, Expired, GOING};
use crate::store::meta::{Conn, subtree};
use crate::tree::retain::{self, Freed, PART_MAX};
use crate::types::{Millis, NodeId};

pub(in crate::jobs) const NAME: &str = "trash";
/// Deleted nodes looked up at once.
const PAGE: i64 = 100;
/// Nodes of a large collection looked up at once, for several steps: 400 KB.
const LOOKED_UP: i64 = 50_000;

/// Forgets what has been in trash for `keep`.
pub(in crate::jobs) async fn run(lease: &Lease, keep: Duration) -> Result<Freed> {
    let until = until(lease.before(keep));
    let mut freed = Freed::default();
    loop {
        let found = trash::expired(&mut *lease.meta().read().await?, until, PAGE).await?;
        if found.is_empty() {
            return Ok(freed);
        }
        for found in found {
            freed += forget(lease, found).await?;
        }
    }
}

/// How much has been there since `until` or longer.
pub(in crate::jobs) async fn count(conn: &mut Conn, at: Millis) -> Result<Freed> {
    Ok(Freed::of(trash::expired_total(conn, until(at)).await?))
}

/// What a run before has begun to forget is finished whatever the age.
fn until(at: Millis) -> Millis {
    at.max(GOING)
}

/// Forgets one deleted node with everything below, a large collection part by part from below.
pub(super) async fn forget(lease: &Lease, found: Expired) -> Result<Freed> {
    let now = lease.now();
    let whole = lease.step(move |conn| {
        Box::pin(async move { Ok(retain::forget_expired(conn, &found, now).await?) })
    });
    if let Some(freed) = whole.await? {
        lease.announce(found.space);
        return Ok(freed);
    }
    loop {
        let below = {
            let mut conn = lease.meta().read().await?;
            subtree::deepest(&mut conn, found.id, LOOKED_UP).await?
        };
        for part in below.chunks(PART_MAX) {
            if !forget_part(lease, found, part.to_vec()).await? {
                return Ok(Freed::default());
            }
        }
        if below.last() == Some(&found.id) {
            return Ok(Freed::of((1, found.size)));
        }
    }
}

async fn forget_part(lease: &Lease, top: Expired, part: Vec<NodeId>) -> Result<bool> {
    let now = lease.now();
    let done = lease.step(move |conn| {
        Box::pin(async move { Ok(retain::forget_part(conn, &top, &part, now).await?) })
    });
    let done = done.await?;
    lease.announce(top.space);
    Ok(done)
}
