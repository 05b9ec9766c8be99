//! What tests of jobs begin with: paths, bytes and spaces.

use std::sync::Arc;

use crate::store::Store;
use crate::store::meta::peek;
use crate::tree::{self, NewSpace, create_space};
use crate::types::{Millis, NodePath, SpaceId};

pub(in crate::jobs) fn path(text: &str) -> NodePath {
    NodePath::parse(text).unwrap()
}

/// Bytes that do not compress; the same for the same seed.
pub(in crate::jobs) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let key = blake3::derive_key("tests of jobs", &seed.to_be_bytes());
    blake3::Hasher::new_keyed(&key)
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// The space of a name, made when it is not there.
pub(in crate::jobs) async fn space(
    store: &Arc<Store>,
    name: &'static str,
    everyone: bool,
) -> SpaceId {
    let inner = Arc::clone(store);
    let made = store.meta.write(move |conn| {
        Box::pin(async move {
            if let Some(there) = peek::space(conn, name).await? {
                return Ok(there);
            }
            let new = NewSpace {
                name,
                everyone,
                quota: None,
                folders: &[],
            };
            create_space(conn, &inner.keys, new, Millis(1)).await
        })
    });
    let made: tree::Result<SpaceId> = made.await;
    made.unwrap()
}
