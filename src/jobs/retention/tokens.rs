//! Log-ins, pairing codes and pairings of watches whose time is over: they open nothing any more.

use crate::accounts;
use crate::jobs::{Lease, Result};
use crate::tree::retain::Freed;

pub(in crate::jobs) const NAME: &str = "tokens";

/// Forgets them.
pub(in crate::jobs) async fn run(lease: &Lease) -> Result<Freed> {
    let now = lease.now();
    let gone = lease
        .step(move |conn| Box::pin(async move { Ok(accounts::forget_ended(conn, now).await?) }));
    let items = gone.await?;
    Ok(Freed { items, bytes: 0 })
}
