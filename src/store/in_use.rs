//! Which unfinished uploads somebody works on right now: one at a time for each.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::types::UploadId;

/// The uploads that are taken. Lives in this process only: whoever held one when it died is gone, too.
#[derive(Default)]
pub struct InUse(watch::Sender<HashSet<UploadId>>);

/// An upload that its holder works on alone, until this is dropped.
pub struct Taken {
    of: Arc<InUse>,
    id: UploadId,
}

impl InUse {
    /// Takes an upload; waits up to `patience` for one who has it to let go. `None` when he did not.
    pub async fn take(self: &Arc<Self>, id: UploadId, patience: Duration) -> Option<Taken> {
        timeout(patience, self.wait(id)).await.ok()
    }

    /// Returns once nothing is taken, or after `patience`.
    pub async fn idle(&self, patience: Duration) {
        let mut taken = self.0.subscribe();
        // Who is not done by then loses only what he did not save.
        let _late = timeout(patience, taken.wait_for(HashSet::is_empty)).await;
    }

    async fn wait(self: &Arc<Self>, id: UploadId) -> Taken {
        let mut taken = self.0.subscribe();
        while !self.0.send_if_modified(|taken| taken.insert(id)) {
            // The sender lives as long as `self`.
            let _free = taken.wait_for(|taken| !taken.contains(&id)).await;
        }
        Taken {
            of: Arc::clone(self),
            id,
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.of.0.send_if_modified(|taken| taken.remove(&self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn each_upload_is_taken_by_one_at_a_time_and_comes_free_again() {
        let in_use = Arc::new(InUse::default());
        let (one, other) = (UploadId(1), UploadId(2));
        let held = in_use.take(one, SHORT).await.unwrap();
        assert!(in_use.take(one, SHORT).await.is_none());
        let beside = in_use.take(other, SHORT).await.unwrap();
        drop(held);
        let again = in_use.take(one, SHORT).await.unwrap();
        // Whoever waits gets it as soon as it is free.
        let (waited, ()) = tokio::join!(in_use.take(one, LONG), async { drop(again) });
        assert!(waited.is_some());
        drop((waited, beside));
        in_use.idle(LONG).await;
    }
}
