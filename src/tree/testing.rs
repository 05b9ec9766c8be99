//! What tests of other modules need of a tree.

use std::sync::Arc;

use super::{NewSpace, Result, User, create_space};
use crate::store::Store;
use crate::types::{AccountId, Millis, SpaceId};

/// Makes a space.
///
/// # Panics
/// When it cannot be made.
pub(crate) async fn space(store: &Arc<Store>, new: NewSpace<'static>, at: Millis) -> SpaceId {
    let inner = Arc::clone(store);
    let made = store
        .meta
        .write(move |conn| Box::pin(async move { create_space(conn, &inner.keys, new, at).await }));
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
