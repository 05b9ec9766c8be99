//! What tests of other modules need of a tree.

use std::sync::Arc;

use super::{DEFAULT_FOLDERS, NewSpace, Result, User, create_space};
use crate::store::Store;
use crate::types::{AccountId, Millis, SpaceId};

/// Makes a space, in which there are the usual folders when it is one user's.
///
/// # Panics
/// When it cannot be made.
pub(crate) async fn space(
    store: &Arc<Store>,
    name: &str,
    everyone: bool,
    quota: Option<u64>,
    at: Millis,
) -> SpaceId {
    let (inner, name) = (Arc::clone(store), name.to_owned());
    let made = store.meta.write(move |conn| {
        Box::pin(async move {
            let new = NewSpace {
                name: &name,
                everyone,
                quota,
                folders: if everyone { &[] } else { DEFAULT_FOLDERS },
            };
            create_space(conn, &inner.keys, new, at).await
        })
    });
    let made: Result<SpaceId> = made.await;
    made.unwrap()
}

/// A user of a space, on no device.
pub(crate) fn user(account: i64, name: &str, space: SpaceId) -> User {
    User {
        account: AccountId(account),
        name: name.to_owned(),
        space,
        device: None,
    }
}
