//! Snapshots at intervals, beside everything else.

use std::sync::Arc;
use std::time::Instant;

use super::config::Config;
use super::ops::metrics::Metrics;
use crate::jobs::Site;
use crate::jobs::snapshot::{NAME, Snapshots};
use crate::store;
use crate::store::snapshot::Kind;

/// Looks for what changed take no more than one part in so many of the time.
const SHARE: u32 = 50;
/// After a whole base, which is rare, the next look comes after so many times what that took.
const BASE_SHARE: u32 = 2;

/// Takes snapshots at intervals until told to stop.
pub(super) fn run(
    site: Site,
    config: Config,
    metrics: Arc<Metrics>,
) -> impl Future<Output = ()> + Send {
    let snapshots = Snapshots::new(&config.data_path, site.clock.clone());
    // Before the first request.
    snapshots.keep_small(&site.store);
    repeat(site, config, metrics, snapshots)
}

async fn repeat(
    Site { store, clock, stop }: Site,
    config: Config,
    metrics: Arc<Metrics>,
    mut snapshots: Snapshots,
) {
    let mut pause = config.snapshot.every;
    while let Some(()) = stop.run_until_cancelled(tokio::time::sleep(pause)).await {
        let began = Instant::now();
        let taken = stop.run_until_cancelled(snapshots.take(&store)).await;
        let is_base = matches!(&taken, Some(Ok(Some(taken))) if taken.kind == Kind::Base);
        let share = if is_base { BASE_SHARE } else { SHARE };
        pause = config.snapshot.every.max(began.elapsed() * share);
        match taken {
            None | Some(Err(store::Error::Closing)) => return,
            Some(Ok(taken)) => {
                if let Some(taken) = taken {
                    let (kind, took) = (taken.kind, began.elapsed());
                    tracing::debug!(bytes = taken.bytes, ?kind, ?took, "snapshot taken");
                }
                if snapshots.writes() {
                    metrics.job_ended(NAME, true, clock.now().secs());
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "no snapshot could be taken");
                metrics.job_ended(NAME, false, clock.now().secs());
            }
        }
    }
}
