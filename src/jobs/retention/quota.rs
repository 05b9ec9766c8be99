//! Versions and trash of a space with a quota take at most half of what live files leave free; the
//! oldest leave first. What is a day old at most goes only when it does not fit in at all, so that
//! a folder deleted by mistake can be restored even where little is free.

use std::time::Duration;

use crate::jobs::{Lease, Result};
use crate::store::meta::nodes;
use crate::store::meta::spaces::{self, Limited};
use crate::store::meta::subtree;
use crate::store::meta::totals;
use crate::store::meta::trash::{self, Expired};
use crate::store::meta::versions::{self, Keep, Replaced};
use crate::tree::retain::{self, Freed};
use crate::types::{Millis, SpaceId};

use super::trash::forget;

pub(in crate::jobs) const NAME: &str = "quota";
/// How long something stays although there is too much.
const FRESH: Duration = Duration::from_hours(24);
/// Versions and deleted nodes looked up at once.
const PAGE: usize = 500;

/// Brings all spaces with a quota down to it; the newest versions of each file stay, as `keep` says.
pub(in crate::jobs) async fn run(lease: &Lease, keep: Keep) -> Result<Freed> {
    let mut freed = Freed::default();
    let limited = spaces::limited(&mut *lease.meta().read().await?).await?;
    for space in limited {
        freed += shrink(lease, space, keep).await?;
    }
    Ok(freed)
}

async fn shrink(lease: &Lease, limited: Limited, keep: Keep) -> Result<Freed> {
    let root = nodes::by_id(&mut *lease.meta().read().await?, limited.root).await?;
    let live = root.map_or(0, |root| root.tree_size);
    let free = (limited.quota - live).max(0);
    let mut freed = Freed::default();
    for (most, until) in [(free, lease.now()), (free / 2, lease.before(FRESH))] {
        freed += shrink_to(lease, limited.space, (most, until), keep).await?;
    }
    Ok(freed)
}

/// Forgets the oldest of what was deleted or replaced at `until` or before, until at most `most` bytes
/// are held.
async fn shrink_to(
    lease: &Lease,
    space: SpaceId,
    (most, until): (i64, Millis),
    keep: Keep,
) -> Result<Freed> {
    let mut freed = Freed::default();
    loop {
        let held = held(lease, space).await?;
        let mut excess = u64::try_from(held - most).unwrap_or(0);
        if excess == 0 {
            return Ok(freed);
        }
        let mut moved = false;
        for left in oldest(lease, space, until, keep).await? {
            let along = left.versions(lease).await?;
            let gone = left.forget(lease, keep).await?;
            moved |= gone.items > 0;
            freed += gone;
            excess = excess.saturating_sub(gone.bytes);
            if gone.items > 0 {
                excess = excess.saturating_sub(along);
            }
            if excess == 0 {
                return Ok(freed);
            }
        }
        if !moved {
            return Ok(freed);
        }
    }
}

async fn held(lease: &Lease, space: SpaceId) -> Result<i64> {
    let mut conn = lease.meta().read().await?;
    let (versions, trash) = totals::held(&mut conn, space).await?;
    Ok(versions + trash)
}

/// Something that is kept although it is not live.
enum Left {
    Deleted(Expired),
    Replaced(Replaced),
}

impl Left {
    fn since(&self) -> Millis {
        match self {
            Self::Deleted(node) => node.trashed,
            Self::Replaced(version) => version.replaced,
        }
    }

    /// Bytes of the versions that leave with it.
    async fn versions(&self, lease: &Lease) -> Result<u64> {
        let Self::Deleted(node) = self else {
            return Ok(0);
        };
        let bytes = subtree::versions(&mut *lease.meta().read().await?, node.id).await?;
        Ok(bytes.unsigned_abs())
    }

    async fn forget(self, lease: &Lease, keep: Keep) -> Result<Freed> {
        match self {
            Self::Deleted(node) => forget(lease, node).await,
            Self::Replaced(version) => {
                let gone = lease.step(move |conn| {
                    Box::pin(async move {
                        Ok(retain::forget_version(conn, version, keep.always).await?)
                    })
                });
                gone.await
            }
        }
    }
}

/// What may leave, oldest first, at most a page.
async fn oldest(lease: &Lease, space: SpaceId, until: Millis, keep: Keep) -> Result<Vec<Left>> {
    let mut conn = lease.meta().read().await?;
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let deleted = trash::oldest(&mut conn, space, until, limit).await?;
    let replaced = versions::oldest(&mut conn, space, (keep.always, until), limit).await?;
    let mut left: Vec<_> = deleted.into_iter().map(Left::Deleted).collect();
    left.extend(replaced.into_iter().map(Left::Replaced));
    left.sort_by_key(Left::since);
    left.truncate(PAGE);
    Ok(left)
}
