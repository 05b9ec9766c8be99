//! Moving chunks from one segment to another, so that the first can go.

use std::sync::Arc;

use crate::crypto::SpaceKeys;
use crate::store::blob::Piece;
use crate::store::meta::chunks::Located;
use crate::store::meta::segments::{self, Moved, Segment};
use crate::store::{Error, Result, Store};

/// Bytes of chunks in memory at once, one longest chunk more at most.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Chunks asked for at once.
const BATCH: i64 = 64;

/// What one step moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the chunks.
    pub bytes: u64,
    /// Offset in the segment to go on at.
    pub next: u64,
}

/// Moves the next few MiB of a closed segment's chunks from an offset on to the segment that its space
/// appends to; `None` when there are none left. Each is verified on the way; an error leaves the rows
/// of this step as they were.
pub async fn relocate(store: &Arc<Store>, of: &Segment, from: u64) -> Result<Option<Step>> {
    let pin = store.pin().await?;
    let keys = store.keys.of(&store.meta, of.space).await?;
    let held = {
        let mut conn = store.meta.read().await?;
        segments::held(&mut conn, of.row, from, BATCH).await?
    };
    let (mut pieces, mut moving, mut bytes) = (Vec::new(), Vec::new(), 0);
    for chunk in held {
        if bytes >= BATCH_BYTES {
            break;
        }
        bytes += u64::from(chunk.raw);
        pieces.push(verified(store, &keys, &chunk).await?);
        moving.push(chunk);
    }
    let Some(last) = moving.last() else {
        return Ok(None);
    };
    let next = last.place.offset + 1;
    let places = store.segments.append(&keys, pieces).await?;
    store.segments.sync(&places).await?;
    let moved = moving.into_iter().zip(places);
    let moved: Vec<_> = moved.map(|(from, to)| Moved { from, to }).collect();
    let at = (of.space, of.row);
    let done: Result<()> = store
        .meta
        .write(move |conn| {
            Box::pin(async move { segments::relocate(conn, pin.process(), at, &moved).await })
        })
        .await;
    done?;
    Ok(Some(Step { bytes, next }))
}

async fn verified(store: &Store, keys: &Arc<SpaceKeys>, chunk: &Located) -> Result<Piece> {
    let (id, plain) = store.segments.read(keys, chunk.place).await?;
    if keys.blind(&id) != chunk.blinded || plain.len() != chunk.raw as usize {
        return Err(Error::Corrupt("another chunk lies where the row says"));
    }
    Ok(Piece { id, plain })
}
