//! Uploads that were begun and never finished.

use crate::jobs::{Lease, Result};
use crate::store::meta::Conn;
use crate::tree::retain::{self, Freed};
use crate::types::Millis;

pub(in crate::jobs) const NAME: &str = "uploads";
/// Uploads forgotten in one step; each may hold a list of chunks of some MB.
const STEP: i64 = 50;

/// Forgets the uploads that nobody can go on with any more.
pub(in crate::jobs) async fn run(lease: &Lease) -> Result<Freed> {
    let mut freed = Freed::default();
    loop {
        let now = lease.now();
        let gone = lease.step(move |conn| {
            Box::pin(async move { Ok(retain::forget_uploads(conn, now, STEP).await?) })
        });
        let gone = gone.await?;
        if gone.items == 0 {
            return Ok(freed);
        }
        freed += gone;
    }
}

/// How many there are.
pub(in crate::jobs) async fn count(conn: &mut Conn, now: Millis) -> Result<Freed> {
    Ok(retain::stale_uploads(conn, now).await?)
}
