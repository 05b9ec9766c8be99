//! Tells those who wait of what other servers on the same database have written.
//!
//! By asking, not by being told: a short look a few times a second, and only while somebody waits. It
//! needs no connection of its own, survives lost ones, and passes through every pooler.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::meta::spaces;
use super::{Result, Store};
use crate::types::SpaceId;

/// How often it looks: a change elsewhere is known here after half of it on average.
const PACE: Duration = Duration::from_millis(300);

/// Looks for ever; dropping it is how it ends.
pub async fn watch_others(store: Arc<Store>) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = HashMap::new();
    loop {
        pace.tick().await;
        if store.events.is_idle() {
            known.clear();
        } else if let Err(error) = look(&store, &mut known).await {
            tracing::warn!("looking for changes of other servers: {error}");
        }
    }
}

/// Announces each space whose last turn is another than the one known; of spaces not known yet too,
/// because a hint too many costs little.
async fn look(store: &Store, known: &mut HashMap<SpaceId, i64>) -> Result<()> {
    for (space, seq) in spaces::turns(&mut *store.meta.read().await?).await? {
        if known.insert(space, seq) != Some(seq) {
            store.events.announce(space);
        }
    }
    Ok(())
}
