//! What was found damaged. It stays where it is and is noted, so that nobody who looks for bytes that
//! are stored already is offered it, and the next upload of the same bytes brings it back.

use super::meta::chunks::Located;
use super::meta::damage;
use super::{Error, Result, Store};
use crate::types::{Millis, SpaceId};

/// Notes that the record of a chunk did not open when somebody wanted it.
pub(super) async fn found(store: &Store, space: SpaceId, chunk: &Located, error: &Error) {
    let (segment, offset) = (chunk.place.segment, chunk.place.offset);
    tracing::error!(%segment, offset, %error, "a damaged record is not served");
    store.proofs.clear();
    if chunk.damaged {
        return;
    }
    let (row, now) = (chunk.row, Millis::from(std::time::SystemTime::now()));
    let noted: Result<bool> = store
        .meta
        .write(move |conn| {
            Box::pin(async move {
                let Some(held) = damage::named(conn, segment).await? else {
                    return Ok(false);
                };
                let at = damage::At {
                    row,
                    segment: held,
                    start: i64::try_from(offset).unwrap_or(i64::MAX),
                };
                damage::mark(conn, space, &[at], now)
                    .await
                    .map(|marked| marked > 0)
            })
        })
        .await;
    if let Err(error) = noted {
        tracing::warn!(%error, "a damaged record could not be noted");
    }
}
