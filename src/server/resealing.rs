//! Sealing anew what older keys have sealed, beside everything else.

use std::time::Duration;

use crate::jobs::{Error, Lease, Result, Site, reseal};

/// When a run that left something, or that another server may have, is looked at again.
const AGAIN: Duration = Duration::from_mins(10);

/// Goes on until nothing is left. It begins only while no server runs (`rekey --reseal`), so one that
/// finds nothing at its start is done.
pub(super) async fn run(site: Site, rate: u64) {
    loop {
        match once(&site, rate).await {
            Ok(true) | Err(Error::Stopping) => return,
            Ok(false) => {}
            Err(error) => tracing::error!(job = reseal::NAME, "job failed: {error}"),
        }
        tokio::select! {
            () = site.stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Whether nothing is left.
async fn once(site: &Site, rate: u64) -> Result<bool> {
    if !reseal::under_way(&site.store.meta).await? {
        return Ok(true);
    }
    let Some(lease) = Lease::take(site, reseal::NAME, None).await? else {
        return Ok(false);
    };
    let done = reseal::run(&lease, Some(rate)).await;
    lease.end(None).await?;
    done
}
