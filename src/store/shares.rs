//! Shares of a bounded memory: nobody waits for ever, and one of those who share never takes all of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Error, Result};
/// Longest wait for shares: then the client is told to come again, before it gives up by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// So many shares for all, and half of them for one key (a space, an account) at most: slow clients of
/// one account must not keep out those of others. Keys are remembered, so they must be few.
pub struct Shares<K> {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<K, Arc<Semaphore>>>,
    for_each: usize,
}

/// Shares that somebody holds; given back when dropped.
pub struct Held {
    _of_key: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl<K: Eq + Hash> Shares<K> {
    /// `number` shares, two at least.
    pub fn new(number: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(number)),
            each: Mutex::default(),
            for_each: number / 2,
        }
    }

    /// Takes shares for a key, no more than it can ever have; [`Error::Busy`] when they do not become
    /// free within 20 seconds.
    pub async fn take(&self, key: K, number: u32) -> Result<Held> {
        let number = number.min(u32::try_from(self.for_each).unwrap_or(u32::MAX));
        let (of_key, all) = (self.of(key), Arc::clone(&self.all));
        let both = async {
            // Those of the key first: who waits for them keeps nobody else waiting.
            let of_key = of_key.acquire_many_owned(number).await;
            let of_all = all.acquire_many_owned(number).await;
            Some(Held {
                _of_key: of_key.ok()?,
                _of_all: of_all.ok()?,
            })
        };
        match timeout(PATIENCE, both).await {
            Ok(held) => held.ok_or(Error::Closing),
            Err(_elapsed) => Err(Error::Busy),
        }
    }

    fn of(&self, key: K) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let shares = each
            .entry(key)
            .or_insert_with(|| Arc::new(Semaphore::new(self.for_each)));
        Arc::clone(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SpaceId;

    #[tokio::test(start_paused = true)]
    async fn one_key_never_takes_all_and_waiting_ends() {
        let shares = Shares::new(8);
        let (slow, other) = (SpaceId(1), SpaceId(2));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(shares.take(slow, 1).await.unwrap());
        }

        assert!(matches!(shares.take(slow, 1).await, Err(Error::Busy)));
        let all = shares.take(other, 99).await.unwrap();
        assert!(matches!(shares.take(SpaceId(3), 1).await, Err(Error::Busy)));
        drop(all);
        shares.take(SpaceId(3), 1).await.unwrap();
        drop(held.pop());
        shares.take(slow, 1).await.unwrap();
    }
}
