//! Sealing anew what older keys have sealed, beside everything else.

use std::time::Duration;

use crate::jobs::{Error, Lease, Result, Site, reseal};
use crate::store;

/// When a run that left something, or that failed, is followed by the next.
const AGAIN: Duration = Duration::from_mins(10);
/// When it is looked whether the server that has the job still has it, and when a run is repeated that was in the
/// way of somebody's write.
const TAKEN: Duration = Duration::from_mins(1);

/// Goes on until nothing is left. It begins only while no server runs (`rekey --reseal`), so one that
/// finds nothing at its start is done.
pub(super) async fn run(site: Site, rate: u64) {
    loop {
        let pause = match once(&site, rate).await {
            Ok(Some(true)) | Err(Error::Stopping) => return,
            Ok(Some(false)) => AGAIN,
            Ok(None) | Err(Error::Store(store::Error::Busy)) => TAKEN,
            Err(error) => {
                tracing::error!(job = reseal::NAME, "job failed: {error}");
                AGAIN
            }
        };
        tokio::select! {
            () = site.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether nothing is left; `None` when another server has the job.
async fn once(site: &Site, rate: u64) -> Result<Option<bool>> {
    if !reseal::under_way(&site.store.meta).await? {
        return Ok(Some(true));
    }
    let Some(lease) = Lease::take(site, reseal::NAME, None).await? else {
        return Ok(None);
    };
    // At a low rate it waits for long between its steps, and a server that stops does not.
    let run = reseal::run(&lease, Some(rate));
    let done = site.stop.run_until_cancelled(run).await;
    lease.end(None).await?;
    done.unwrap_or(Err(Error::Stopping)).map(Some)
}
