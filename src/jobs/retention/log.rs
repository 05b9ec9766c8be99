//! Old lines of the activity log.

use std::time::Duration;

use crate::jobs::{Lease, Result};
use crate::store::meta::{Conn, synclog};
use crate::tree::retain::Freed;
use crate::types::Millis;

pub(in crate::jobs) const NAME: &str = "log";
/// Lines deleted in one step.
const STEP: i64 = 1000;

/// Deletes the lines that are `keep` old.
pub(in crate::jobs) async fn run(lease: &Lease, keep: Duration) -> Result<Freed> {
    let (mut freed, until) = (Freed::default(), lease.before(keep));
    loop {
        let gone = lease.step(move |conn| {
            Box::pin(async move { Ok(synclog::forget(conn, until, STEP).await?) })
        });
        let items = gone.await?;
        if items == 0 {
            return Ok(freed);
        }
        freed += Freed { items, bytes: 0 };
    }
}

/// How many lines are of `until` or before.
pub(in crate::jobs) async fn count(conn: &mut Conn, until: Millis) -> Result<Freed> {
    Ok(Freed::of((synclog::count_until(conn, until).await?, 0)))
}
