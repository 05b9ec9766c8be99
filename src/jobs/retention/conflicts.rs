//! Conflicts that were resolved long ago. The files themselves are not touched.

use std::time::Duration;

use crate::jobs::{Lease, Result};
use crate::store::meta::conflicts;
use crate::tree::retain::Freed;

pub(in crate::jobs) const NAME: &str = "conflicts";
/// How long a resolved one is remembered, for whoever wants to know what happened.
const KEEP: Duration = Duration::from_hours(90 * 24);

/// Forgets them.
pub(in crate::jobs) async fn run(lease: &Lease) -> Result<Freed> {
    let until = lease.before(KEEP);
    let gone = lease.step(move |conn| {
        Box::pin(async move { Ok(conflicts::forget_resolved(conn, until).await?) })
    });
    let items = gone.await?;
    Ok(Freed { items, bytes: 0 })
}
