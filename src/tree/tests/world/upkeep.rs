//! What a server does by itself, and its end and beginning.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::given::{open, rules, trees};
use super::perform::{Acted, Stage};
use crate::jobs::collect::{Collect, round};
use crate::jobs::snapshot::Snapshots;
use crate::jobs::{JOBS, Lease, Site};
use crate::store::meta::peek;
use crate::types::Clock;

/// More rounds than any collection needs.
const ROUNDS: usize = 5;

impl Stage {
    /// The jobs that go by time, then collection until nothing is left to do.
    pub(super) async fn collect(&mut self) -> Acted {
        let site = Site {
            store: Arc::clone(&self.store),
            clock: self.trees[0].clock.clone(),
            stop: CancellationToken::new(),
        };
        for name in ["trash", "versions", "uploads"] {
            let job = JOBS.iter().find(|job| job.name == name).unwrap();
            let lease = Lease::take(&site, name, None).await?.unwrap();
            (job.run)(&lease, &rules()).await?;
            lease.end(None).await?;
        }
        self.world.tidy();
        let how = Collect {
            grace: Duration::ZERO,
            rate: None,
            clock: Clock::system(),
        };
        for _ in 0..ROUNDS {
            self.store.process.beat(&self.store).await?;
            let round = round(&self.store, &how, &site.stop).await?;
            assert_eq!(round.damaged, 0, "{round:?}");
        }
        if self.has_stopped() {
            return Ok(());
        }
        if let Some(contents) = self.world.contents() {
            let conn = &mut *self.store.meta.read().await.unwrap();
            let kept = peek::count(conn, "content").await.unwrap();
            assert_eq!(
                usize::try_from(kept).unwrap(),
                contents,
                "contents after collection"
            );
        }
        self.changes += 1;
        self.look().await;
        Ok(())
    }

    pub(super) async fn snapshot(&mut self) -> Acted {
        let (data, clock) = (self.folder.path().join("data"), Clock::system());
        let snapshots = self
            .snapshots
            .get_or_insert_with(|| Snapshots::new(&data, clock));
        if snapshots.take(&self.store).await?.is_some() {
            self.changes += 1;
        }
        Ok(())
    }

    pub(super) async fn reopen(&mut self) -> Acted {
        self.store.close().await;
        self.snapshots = None;
        self.store = open(&self.folder).await?;
        self.trees = trees(&self.store, self.spaces, &self.clock);
        self.look().await;
        Ok(())
    }

    /// Everything that can be seen, unless the world is about to end.
    async fn look(&mut self) {
        if !self.plan.ends() {
            self.check().await;
        }
    }
}
