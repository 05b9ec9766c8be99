//! A server whose store has got another master key: it ends, because what it seals by the old one will be
//! read by nobody. `rekey` refuses while a server runs that it can see; one on PostgreSQL whose data folder
//! does not share locks, and which has done nothing for a while, it cannot see.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::{Error, KeyRing, Store};

/// How often it is looked.
const PACE: Duration = Duration::from_secs(1);
/// After this long every server has noticed that the key is another, and has ended what it was at.
pub(super) const NOTICED: Duration = Duration::from_secs(5);

/// Stops the server when the master key of its store is not the one that it has.
pub(super) async fn watch(store: Arc<Store>, stop: CancellationToken) {
    while let Some(()) = stop.run_until_cancelled(tokio::time::sleep(PACE)).await {
        let proven = KeyRing::prove(store.keys.master(), &store.meta).await;
        if let Err(error @ Error::WrongKey { .. }) = proven {
            tracing::error!("the server stops: {error}");
            return stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::crypto::MasterKey;
    use crate::store::meta::versions::Keep;
    use crate::store::meta::{Meta, testing};
    use crate::store::{Rekeyed, rekey};
    use crate::types::Clock;

    fn master(folder: &Path, name: &str) -> MasterKey {
        MasterKey::load_or_create(&folder.join(name)).unwrap().0
    }

    #[tokio::test]
    async fn a_server_whose_store_gets_another_key_stops() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let database = testing::database(folder);
        let data = folder.join("data");
        let store = Store::open(&database, &data, master(folder, "one"), Keep::default());
        let store = store.await.unwrap();
        let stop = CancellationToken::new();
        let watching = tokio::spawn(watch(Arc::clone(&store), stop.clone()));
        tokio::time::sleep(PACE * 3 / 2).await;
        assert!(!stop.is_cancelled());

        let meta = Meta::open(&database).await.unwrap();
        let keys = (master(folder, "one"), master(folder, "other"));
        let done = rekey(&meta, keys, true, Clock::system().now()).await;

        assert!(matches!(done.unwrap(), Rekeyed::Done(_)));
        tokio::time::timeout(NOTICED, watching)
            .await
            .unwrap()
            .unwrap();
        assert!(stop.is_cancelled());
        meta.close().await;
        store.close().await;
    }
}
