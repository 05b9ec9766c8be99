//! The right to run a job, for a minute at a time.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::{Error, Result, Site};
use crate::store;
use crate::store::meta::jobs::{self, Claim};
use crate::store::meta::{Conn, Meta};
use crate::types::{Millis, SpaceId, millis};

/// How long a job that does not move stays with its process. A step may wait for a busy database, but
/// not for so long.
pub(super) const LEASE: Duration = Duration::from_mins(1);

/// One run of a job. Each step asks anew, in its own transaction, whether the job is still ours.
pub struct Lease {
    site: Site,
    name: &'static str,
    holder: i64,
}

impl Lease {
    /// Takes a job; `None` when another run has it. With `every`, the time from one run to the next,
    /// also `None` when it is not due.
    pub async fn take(
        site: &Site,
        name: &'static str,
        every: Option<Duration>,
    ) -> Result<Option<Self>> {
        let (holder, now) = (drawn()?, site.clock.now());
        let taken: store::Result<bool> = site
            .store
            .meta
            .write(move |conn| {
                Box::pin(async move {
                    let claim = Claim {
                        name,
                        holder,
                        now,
                        lease: millis(LEASE),
                        every: every.map(millis),
                    };
                    jobs::take(conn, &claim).await
                })
            })
            .await;
        let site = site.clone();
        Ok(taken?.then_some(Self { site, name, holder }))
    }

    /// Runs one step in a transaction of its own, and then lets others write for as long as it took.
    /// Nothing is done when another run has the job or the process is stopping.
    pub async fn step<T, F>(&self, work: F) -> Result<T>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        if self.site.stop.is_cancelled() {
            return Err(Error::Stopping);
        }
        let (name, holder) = (self.name, self.holder);
        let until = self.now().plus(LEASE);
        let began = Instant::now();
        let done = self.meta().write(move |conn| {
            Box::pin(async move {
                if !jobs::hold(conn, name, holder, until).await? {
                    return Err(Error::Lost);
                }
                work(conn).await
            })
        });
        let done = done.await?;
        sleep(began.elapsed()).await;
        Ok(done)
    }

    /// Gives the job back; with `after` it is due again then.
    pub async fn end(self, after: Option<Duration>) -> Result<()> {
        let (name, holder) = (self.name, self.holder);
        let due = after.map(|after| self.now().plus(after));
        let ended: store::Result<()> = self
            .meta()
            .write(move |conn| Box::pin(async move { jobs::end(conn, name, holder, due).await }))
            .await;
        Ok(ended?)
    }

    /// The present time.
    pub fn now(&self) -> Millis {
        self.site.clock.now()
    }

    /// What was there so long ago, or before, is `time` old.
    pub fn before(&self, time: Duration) -> Millis {
        self.now().minus(time)
    }

    /// The database, for reading; [`Lease::step`] writes.
    pub fn meta(&self) -> &Meta {
        &self.site.store.meta
    }

    /// What the job works on.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Wakes those who wait for changes to a space; after a step that made some.
    pub fn announce(&self, space: SpaceId) {
        self.site.store.events.announce(space);
    }
}

/// A positive random number.
fn drawn() -> Result<i64> {
    let number = getrandom::u64().map_err(|_unavailable| crate::crypto::Error::Random);
    let number = number.map_err(store::Error::from)? >> 1;
    Ok(i64::try_from(number).unwrap_or(i64::MAX))
}
