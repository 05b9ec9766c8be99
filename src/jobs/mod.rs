//! What the server does by itself: each job in steps of one short transaction, under a lease, so that
//! only one process runs it. Which things go when is up to `tree` and `accounts`; here is how often,
//! and in which steps.

mod cleanup;
pub mod collect;
mod error;
pub mod export;
pub mod fsck;
mod lease;
mod pace;
pub mod recover;
pub mod reseal;
mod retention;
mod schedule;
pub mod scrub;
pub mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use cleanup::{Cleaned, Cleanup};
pub use error::{Error, Result};
pub use lease::Lease;
pub use schedule::Schedule;

use crate::store::Store;
use crate::store::meta::versions::Keep;
use crate::tree::retain::Freed;
use crate::types::Clock;
use retention::{conflicts, feed, locks, log, quota, tokens, trash, uploads, versions};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Every job there is. Those that are due run one after the other, in this order.
pub const JOBS: &[Job] = &[
    Job {
        name: trash::NAME,
        every: HOUR,
        run: |lease, rules| Box::pin(trash::run(lease, rules.trash)),
    },
    Job {
        name: versions::NAME,
        every: DAY,
        run: |lease, rules| Box::pin(versions::run(lease, rules.versions)),
    },
    Job {
        name: quota::NAME,
        every: HOUR,
        run: |lease, rules| Box::pin(quota::run(lease, rules.versions)),
    },
    Job {
        name: uploads::NAME,
        every: HOUR,
        run: |lease, _| Box::pin(uploads::run(lease)),
    },
    Job {
        name: tokens::NAME,
        every: HOUR,
        run: |lease, _| Box::pin(tokens::run(lease)),
    },
    Job {
        name: locks::NAME,
        every: HOUR,
        run: |lease, _| Box::pin(locks::run(lease)),
    },
    Job {
        name: conflicts::NAME,
        every: DAY,
        run: |lease, _| Box::pin(conflicts::run(lease)),
    },
    Job {
        name: log::NAME,
        every: DAY,
        run: |lease, rules| Box::pin(log::run(lease, rules.activity)),
    },
    Job {
        name: feed::NAME,
        every: DAY,
        run: |lease, rules| Box::pin(feed::run(lease, rules.feed)),
    },
];

/// Something to do now and then.
#[derive(Clone, Copy)]
pub struct Job {
    /// What the database, the log and the metrics call it.
    pub name: &'static str,
    /// From the end of one run to the next.
    pub every: Duration,
    /// Does it, once.
    pub run: Runner,
}

/// Runs a job to its end and says what it freed.
pub type Runner = for<'r> fn(&'r Lease, &'r Rules) -> BoxFuture<'r, Result<Freed>>;

/// How long things stay (`versions`, `trash`, `activity` and `feed` of the configuration).
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Previous contents of files.
    pub versions: Keep,
    /// Deleted files.
    pub trash: Duration,
    /// Lines of the activity log.
    pub activity: Duration,
    /// What the feed remembers of things that are gone; cursors hold as long.
    pub feed: Duration,
}

/// What jobs work on, and what ends them.
#[derive(Clone)]
pub struct Site {
    /// Names and bytes.
    pub store: Arc<Store>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Ends a job at its next step.
    pub stop: CancellationToken,
}
