//! Collection at intervals, beside everything else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::ops::metrics::Metrics;
use crate::jobs::Site;
use crate::jobs::collect::{self, Collect, Round};
use crate::store::meta::collect::Traces;
use crate::store::{self, Store};

/// A round takes no more than one part in so many of the time.
const SHARE: u32 = 20;
/// Pause before the next round when one has left something that only waits for it.
const SOON: Duration = Duration::from_mins(1);

/// Collects at intervals until told to stop.
pub(super) async fn run(Site { store, clock, stop }: Site, config: Config, metrics: Arc<Metrics>) {
    let how = Collect {
        grace: config.collect.grace,
        rate: Some(config.collect.rate.as_u64()),
        clock,
    };
    let (mut pause, mut before) = (config.collect.every, None);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let began = Instant::now();
        pause = config.collect.every;
        match once(&store, &config, &how, &mut before, &stop).await {
            Ok(Some(round)) => {
                metrics.collected(round.freed, round.moved);
                if round.waiting > 0 {
                    pause = pause.min(SOON);
                }
            }
            Ok(None) | Err(store::Error::Closing) => {}
            Err(error) => tracing::error!(%error, "a collection has failed"),
        }
        pause = pause.max(began.elapsed() * SHARE);
    }
}

/// A round, unless nothing happened since the last one or somebody else collects.
async fn once(
    store: &Arc<Store>,
    config: &Config,
    how: &Collect,
    before: &mut Option<Traces>,
    stop: &CancellationToken,
) -> store::Result<Option<Round>> {
    let traces = collect::traces(store).await?;
    if *before == Some(traces) {
        return Ok(None);
    }
    let Some(_lock) = collect::lock(&config.data_path)? else {
        return Ok(None);
    };
    let round = collect::round(store, how, stop).await?;
    // What waits for its time to come leaves no trace when it does.
    *before = (round.waiting == 0 && round.later == 0).then_some(traces);
    if round.freed > 0 {
        tracing::info!(
            bytes.freed = round.freed,
            bytes.moved = round.moved,
            "collected"
        );
    }
    Ok(Some(round))
}
