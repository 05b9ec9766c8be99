//! Uploads in parts, those that somebody left alone, and their ends.

use super::given::{append, begin, plain};
use super::perform::{Acted, Stage};
use super::state::{Bytes, DAY};
use super::verbs::At;
use crate::tree::{Error, UPLOAD_LIFETIME, UploadError};
use crate::types::UploadId;

/// An upload that somebody left alone.
#[derive(Clone)]
pub(super) struct Parked {
    at: At,
    bytes: Bytes,
    id: UploadId,
    /// Bytes that were acknowledged.
    received: u64,
    used: i64,
}

impl Stage {
    pub(super) async fn parts(&mut self, at: &At, bytes: &Bytes, cuts: u8) -> Acted {
        let done = async {
            let id = begin(&self.trees[at.who], at, bytes.len()).await?;
            let step = bytes.len().div_ceil(usize::from(cuts % 5) + 1).max(1);
            for (nth, part) in bytes.chunks(step).enumerate() {
                append(&self.trees[at.who], id, nth * step, part).await?;
            }
            let finished = self.trees[at.who].upload_finish(id, None).await;
            if finished.is_err() && !self.has_stopped() {
                self.trees[at.who].upload_abort(id).await?;
            }
            finished.map(drop)
        };
        let done = done.await.map_err(plain);
        self.agree(&("parts", at), &done, |world| {
            world.put(at, bytes).map(drop)
        });
        Ok(())
    }

    pub(super) async fn park(&mut self, at: &At, bytes: Bytes) {
        let begun = async {
            let id = begin(&self.trees[at.who], at, bytes.len()).await?;
            append(&self.trees[at.who], id, 0, &bytes[..bytes.len() / 2]).await?;
            Ok(id)
        };
        if let Ok::<_, UploadError>(id) = begun.await {
            self.parked.push(Parked {
                at: at.clone(),
                received: (bytes.len() / 2) as u64,
                bytes,
                id,
                used: self.world.now,
            });
        }
    }

    /// An upload that is older than a week is gone.
    pub(super) async fn finish(&mut self, nth: usize) {
        if self.parked.is_empty() {
            return;
        }
        let nth = nth % self.parked.len();
        let Parked {
            at,
            bytes,
            id,
            used,
            received,
        } = self.parked[nth].clone();
        let tree = self.trees[at.who].clone();
        let mut again = false;
        let done = async {
            let there = tree.upload_get(id).await?;
            assert!(there.received >= received || there.finished, "{there:?}");
            again = there.finished;
            if !again {
                let from = usize::try_from(there.received).unwrap();
                append(&tree, id, from, &bytes[from..]).await?;
            }
            tree.upload_finish(id, None).await.map(drop)
        };
        let done = done.await.map_err(plain);
        if !self.has_stopped() {
            self.parked.remove(nth);
        }
        if self.world.now - used > 7 * DAY {
            assert!(matches!(done, Err(Error::NotFound)), "{done:?}");
            return;
        }
        if again {
            // It was finished before, and nobody was told.
            assert!(done.is_ok() || self.has_stopped(), "{done:?}");
            return;
        }
        if done.is_err() && !self.has_stopped() {
            tree.upload_abort(id).await.unwrap();
        }
        self.agree(&("finish", &at), &done, |world| {
            world.put(&at, &bytes).map(drop)
        });
    }

    /// What became of uploads that the end of the process met; nothing that was acknowledged is lost.
    pub(super) async fn look_at_parked(&mut self) {
        for parked in &mut self.parked {
            match self.trees[parked.at.who].upload_get(parked.id).await {
                Ok(there) => {
                    assert!(
                        there.received >= parked.received || there.finished,
                        "{there:?}"
                    );
                    let lifetime = i64::try_from(UPLOAD_LIFETIME.as_millis()).unwrap();
                    parked.used = there.expires.0 - lifetime;
                }
                Err(error) => assert!(self.world.now - parked.used > 7 * DAY, "{error}"),
            }
        }
    }
}
