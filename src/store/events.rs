//! Tells those who wait that a space has changed. A hint only: what changed is in the feed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::types::SpaceId;

/// Who waits for which space. Holds nothing for spaces that nobody waits for.
#[derive(Default)]
pub struct Events(Mutex<HashMap<SpaceId, watch::Sender<()>>>);

impl Events {
    /// A receiver that is told of every change to the space from now on; changes that come quickly
    /// one after the other are told once.
    pub fn subscribe(&self, space: SpaceId) -> watch::Receiver<()> {
        let mut waited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waited.retain(|_, sender| sender.receiver_count() > 0);
        waited
            .entry(space)
            .or_insert_with(|| watch::channel(()).0)
            .subscribe()
    }

    /// Whether nobody waits for anything.
    pub fn is_idle(&self) -> bool {
        let waited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waited.values().all(|sender| sender.receiver_count() == 0)
    }

    /// Wakes all who wait for the space; called once a change to it is durable.
    pub fn announce(&self, space: SpaceId) {
        let waited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = waited.get(&space) {
            sender.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_those_who_wait_for_the_space_are_told_and_once_for_many_changes() {
        let events = Events::default();
        let mut mine = events.subscribe(SpaceId(1));
        let mut other = events.subscribe(SpaceId(2));

        events.announce(SpaceId(1));
        events.announce(SpaceId(1));

        assert!(mine.has_changed().unwrap());
        mine.mark_unchanged();
        assert!(!mine.has_changed().unwrap());
        assert!(!other.has_changed().unwrap());
        events.announce(SpaceId(2));
        other.changed().await.unwrap();
    }

    #[test]
    fn spaces_that_nobody_waits_for_any_more_are_forgotten() {
        let events = Events::default();
        assert!(events.is_idle());
        let waiting = events.subscribe(SpaceId(1));
        assert!(!events.is_idle());
        drop(waiting);
        assert!(events.is_idle());
        for space in 0..100 {
            drop(events.subscribe(SpaceId(space)));
        }
        assert_eq!(events.0.lock().unwrap().len(), 1);
    }
}
