//! Runs the jobs that are due, again and again.

use std::time::Duration;

use tokio::time::sleep;

use super::{Error, Job, Lease, Result, Rules, Site};
use crate::store::meta::jobs;
use crate::tree::retain::Freed;
use crate::types::Millis;

/// How often is looked whether a job is due; none is that urgent.
const TICK: Duration = Duration::from_secs(30);
/// When a job that failed is tried again, unless it is due before.
const RETRY: Duration = Duration::from_mins(10);

/// Some jobs and when they run. Two schedules with the same jobs may run together.
pub struct Schedule {
    /// What they work on.
    pub site: Site,
    /// How long things stay.
    pub rules: Rules,
    /// Which jobs.
    pub jobs: &'static [Job],
}

impl Schedule {
    /// Runs what is due until the site stops, for the first time after `start_after`. Calls `ended`
    /// after each run.
    pub async fn run<F>(self, start_after: Duration, ended: F)
    where
        F: Fn(&'static str, &Result<Freed>) + Send + Sync,
    {
        let mut wait = start_after;
        while let Some(()) = self.site.stop.run_until_cancelled(sleep(wait)).await {
            self.round(&ended).await;
            wait = TICK;
        }
    }

    /// Runs what is due now.
    pub(super) async fn round<F>(&self, ended: &F)
    where
        F: Fn(&'static str, &Result<Freed>) + Send + Sync,
    {
        for job in self.jobs {
            if self.site.stop.is_cancelled() {
                return;
            }
            let result = match self.run_if_due(job).await {
                Ok(None) => continue,
                Ok(Some(freed)) => Ok(freed),
                Err(error) => Err(error),
            };
            tell(job.name, &result);
            ended(job.name, &result);
        }
    }

    async fn run_if_due(&self, job: &Job) -> Result<Option<Freed>> {
        // Asked first, because it costs no write; who takes the lease decides.
        if !self.may_be_due(job).await? {
            return Ok(None);
        }
        let Some(lease) = Lease::take(&self.site, job.name, Some(job.every)).await? else {
            return Ok(None);
        };
        let done = (job.run)(&lease, &self.rules).await;
        match done {
            Ok(freed) => {
                lease.end(Some(job.every)).await?;
                Ok(Some(freed))
            }
            // Due as before: whoever is there next goes on.
            Err(Error::Stopping) => {
                lease.end(None).await?;
                Err(Error::Stopping)
            }
            Err(error) => {
                let ended = lease.end(Some(RETRY.min(job.every))).await;
                if let Err(second) = ended {
                    tracing::debug!(job = job.name, "not given back: {second}");
                }
                Err(error)
            }
        }
    }

    async fn may_be_due(&self, job: &Job) -> Result<bool> {
        let now = self.site.clock.now();
        let known = jobs::all(&mut *self.site.store.meta.read().await?).await?;
        let Some((_, _, due)) = known.into_iter().find(|(name, ..)| name == job.name) else {
            return Ok(true);
        };
        Ok(is_due(due, now, job.every))
    }
}

/// Times further ahead than a job is ever put off were set by a clock that was wrong.
fn is_due(due: Millis, now: Millis, every: Duration) -> bool {
    due <= now || due > now.plus(every)
}

fn tell(job: &'static str, result: &Result<Freed>) {
    match result {
        Ok(Freed { items: 0, .. }) => tracing::debug!(job, "nothing to do"),
        Ok(Freed { items, bytes }) => tracing::info!(job, items, bytes, "job done"),
        Err(error @ (Error::Lost | Error::Stopping)) => tracing::info!(job, "job ends: {error}"),
        Err(error) => tracing::error!(job, "job failed: {error}"),
    }
}
