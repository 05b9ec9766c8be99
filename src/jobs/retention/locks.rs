//! Locks that have ended in spaces where nobody locks any more; a new lock removes those before it.

use crate::jobs::{Lease, Result};
use crate::store::meta::locks;
use crate::tree::retain::{self, Freed};

pub(in crate::jobs) const NAME: &str = "locks";

/// Removes them, so that writes to the spaces need not look for locks.
pub(in crate::jobs) async fn run(lease: &Lease) -> Result<Freed> {
    let mut freed = Freed::default();
    let now = lease.now();
    let spaces = locks::expired(&mut *lease.meta().read().await?, now).await?;
    for space in spaces {
        let ended = lease.step(move |conn| {
            Box::pin(async move { Ok(retain::expire_locks(conn, space, now).await?) })
        });
        let items = ended.await?;
        freed += Freed { items, bytes: 0 };
    }
    Ok(freed)
}
