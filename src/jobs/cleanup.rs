//! Cleaning up now, by an age that somebody states, instead of when a job is due.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::lease::LEASE;
use super::retention::{log, trash, uploads, versions};
use super::{Error, JOBS, Job, Lease, Result, Rules, Site};
use crate::store::meta::Conn;
use crate::store::meta::versions::Keep;
use crate::tree::retain::Freed;
use crate::types::{Millis, millis};

/// How long to wait for a job that another process runs: longer than it stays with one that died.
const PATIENCE: Duration = LEASE.saturating_add(Duration::from_secs(10));
/// How often to ask whether it has ended.
const ASK: Duration = Duration::from_millis(200);

/// The jobs that clean up on demand, and what counts what each would free.
const ON_DEMAND: &[(&str, Counter)] = &[
    (trash::NAME, |conn, rules, now| {
        Box::pin(trash::count(conn, now.minus(rules.trash)))
    }),
    (versions::NAME, |conn, rules, now| {
        Box::pin(versions::count(conn, rules.versions, now))
    }),
    (uploads::NAME, |conn, _, now| {
        Box::pin(uploads::count(conn, now))
    }),
    (log::NAME, |conn, rules, now| {
        Box::pin(log::count(conn, now.minus(rules.activity)))
    }),
];

type Counter = for<'r> fn(&'r mut Conn, &'r Rules, Millis) -> BoxFuture<'r, Result<Freed>>;

/// What to clean up: everything that is older than `older_than`, and uploads that nobody can go on
/// with. The newest versions of each file stay, as `keep` says.
#[derive(Clone, Copy, Debug)]
pub struct Cleanup {
    /// How old.
    pub older_than: Duration,
    /// How many versions always stay, and how many at most.
    pub keep: Keep,
}

/// What one job did, or would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// The job.
    pub job: &'static str,
    /// What it freed.
    pub freed: Freed,
}

impl Cleanup {
    /// Runs the jobs one after the other. Waits a minute for each that another process is running.
    pub async fn run(&self, site: &Site) -> Result<Vec<Cleaned>> {
        let rules = self.rules();
        let mut cleaned = Vec::new();
        for job in ON_DEMAND.iter().filter_map(|(name, _)| find(name)) {
            let lease = wait_for(site, job.name).await?;
            let freed = (job.run)(&lease, &rules).await;
            lease.end(None).await?;
            let (job, freed) = (job.name, freed?);
            cleaned.push(Cleaned { job, freed });
        }
        Ok(cleaned)
    }

    /// What they would free, without changing anything.
    pub async fn count(&self, site: &Site) -> Result<Vec<Cleaned>> {
        let (rules, now) = (self.rules(), site.clock.now());
        let mut conn = site.store.meta.read().await?;
        let mut counted = Vec::new();
        for (job, count) in ON_DEMAND {
            let freed = count(&mut conn, &rules, now).await?;
            counted.push(Cleaned { job, freed });
        }
        Ok(counted)
    }

    fn rules(&self) -> Rules {
        let max_age = millis(self.older_than);
        Rules {
            versions: Keep {
                max_age,
                ..self.keep
            },
            trash: self.older_than,
            activity: self.older_than,
            // Not cleaned up on demand: devices would have to start over.
            feed: Duration::MAX,
        }
    }
}

fn find(name: &str) -> Option<&'static Job> {
    JOBS.iter().find(|job| job.name == name)
}

async fn wait_for(site: &Site, job: &'static str) -> Result<Lease> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(lease) = Lease::take(site, job, None).await? {
            return Ok(lease);
        }
        if Instant::now() >= until {
            return Err(Error::Taken(job));
        }
        sleep(ASK).await;
    }
}
