//! What the feed and sync reports remember of things that are gone. Who asks with a cursor from before
//! has to list everything anew.

use std::time::Duration;

use crate::jobs::{Lease, Result};
use crate::store::meta::feed;
use crate::tree::retain::Freed;
use crate::types::SpaceId;

pub(in crate::jobs) const NAME: &str = "feed";
/// Rows deleted in one step.
const STEP: i64 = 1000;

/// Forgets what has been gone for `keep`. Runs must not lie further apart than a cursor may be
/// refused late: the turn at a time is known only for the times of runs.
pub(in crate::jobs) async fn run(lease: &Lease, keep: Duration) -> Result<Freed> {
    let now = lease.now();
    let noted =
        lease.step(move |conn| Box::pin(async move { Ok(feed::note_turns(conn, now).await?) }));
    noted.await?;
    let until = lease.before(keep);
    let risen = feed::turns_until(&mut *lease.meta().read().await?, until).await?;
    for (space, seq) in risen {
        let raised = lease.step(move |conn| {
            Box::pin(async move { Ok(feed::raise_floor(conn, space, seq, until).await?) })
        });
        raised.await?;
    }
    // After the floors are durable: a cursor is refused before what it needs is gone.
    let mut freed = Freed::default();
    let floors = feed::floors(&mut *lease.meta().read().await?).await?;
    for (space, floor) in floors {
        freed += forget(lease, space, floor).await?;
    }
    Ok(freed)
}

async fn forget(lease: &Lease, space: SpaceId, floor: i64) -> Result<Freed> {
    let mut freed = Freed::default();
    loop {
        let gone = lease.step(move |conn| {
            Box::pin(async move { Ok(feed::forget_until(conn, space, floor, STEP).await?) })
        });
        let items = gone.await?;
        if items == 0 {
            return Ok(freed);
        }
        freed += Freed { items, bytes: 0 };
    }
}
