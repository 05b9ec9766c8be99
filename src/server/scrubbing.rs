//! Scrubbing a little at a time, beside everything else.

use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::ops::metrics::Metrics;
use crate::jobs::scrub::{self, Done, How};
use crate::jobs::{self, Site};
use crate::types::Millis;

/// Pause between two parts, in which others may go on with the pass.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it looks whether a pass is due.
const LOOK: Duration = Duration::from_mins(1);

/// Scrubs until told to stop.
pub(super) async fn run(site: Site, config: Config, metrics: Arc<Metrics>) {
    let how = How {
        rate: Some(config.scrub.rate.as_u64()),
    };
    let mut pause = config.jobs.start_after;
    loop {
        tokio::select! {
            () = site.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match part(&site, &how, config.scrub.every, &metrics).await {
            Ok(true) => PAUSE.min(config.scrub.every),
            Ok(false) => LOOK.min(config.scrub.every),
            Err(jobs::Error::Stopping) => return,
            Err(error) => {
                tracing::error!(%error, "scrubbing has failed");
                LOOK
            }
        };
    }
}

/// A part of a pass; whether there was one to do.
async fn part(site: &Site, how: &How, every: Duration, metrics: &Metrics) -> jobs::Result<bool> {
    let done = scrub::slice(site, how, every).await?;
    // Others may have scrubbed, or healed what was damaged.
    let standing = match done {
        Some(done) => done,
        None => scrub::standing(&site.store).await?,
    };
    let Done {
        bytes,
        damaged,
        ended,
        ..
    } = standing;
    metrics.scrubbed(bytes, damaged, ended.map_or(0, Millis::secs));
    Ok(done.is_some())
}
