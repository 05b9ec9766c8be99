//! Previous contents of files that nobody writes any more; a write drops its file's own.

use crate::jobs::{Lease, Result};
use crate::store::meta::Conn;
use crate::store::meta::versions::{self, Keep, Overdue};
use crate::tree::retain::{self, Freed};
use crate::types::{Millis, NodeId};

pub(in crate::jobs) const NAME: &str = "versions";
/// Files with versions looked at together.
const PAGE: i64 = 1000;
/// Files whose versions go in one step: a few statements each.
const STEP: usize = 100;
/// Before all nodes.
const FIRST: NodeId = NodeId(0);

/// Drops the versions that `keep` does not hold.
pub(in crate::jobs) async fn run(lease: &Lease, keep: Keep) -> Result<Freed> {
    let (mut freed, mut after) = (Freed::default(), FIRST);
    loop {
        let page = {
            let mut conn = lease.meta().read().await?;
            versions::overdue(&mut conn, after, keep, lease.now(), PAGE).await?
        };
        let Some((found, last)) = page else {
            return Ok(freed);
        };
        for found in found.chunks(STEP) {
            freed += prune(lease, found, keep).await?;
        }
        after = last;
    }
}

async fn prune(lease: &Lease, found: &[Overdue], keep: Keep) -> Result<Freed> {
    let files: Vec<_> = found.iter().map(|found| found.node).collect();
    let now = lease.now();
    let pruned = lease.step(move |conn| {
        Box::pin(async move { Ok(retain::prune_versions(conn, &files, keep, now).await?) })
    });
    pruned.await
}

/// How many versions `keep` does not hold.
pub(in crate::jobs) async fn count(conn: &mut Conn, keep: Keep, now: Millis) -> Result<Freed> {
    let (mut all, mut after) = (Freed::default(), FIRST);
    while let Some((found, last)) = versions::overdue(conn, after, keep, now, PAGE).await? {
        for found in found {
            all += Freed::of((found.versions, found.bytes));
        }
        after = last;
    }
    Ok(all)
}
