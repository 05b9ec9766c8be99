//! One step of a pass: some records, contents, tails or keys are opened, and what is found is noted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Pass, Stage};
use crate::jobs::{Error, Lease, Result};
use crate::store::content::{Parked, check_chunk, inline_damage};
use crate::store::meta::damage::{self, At, Record};
use crate::store::{self, Store};
use crate::types::{ChunkRow, ContentId, SpaceId, UploadId};

/// Chunk rows in one read.
const RECORDS: i64 = 256;
/// Contents that lie in their rows, in one read: 2 MiB at most.
const SEALED: i64 = 256;

/// What a step did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    pub(super) bytes: u64,
    /// Damage that was not known.
    pub(super) found: u64,
    /// There is nothing behind it.
    pub(super) at_end: bool,
}

/// Does the next step of a pass, of about so many bytes.
pub(super) async fn step(lease: &Lease, pass: &mut Pass, bytes_max: u64) -> Result<Step> {
    match pass.stage {
        Stage::Records => records(lease, pass, bytes_max).await,
        Stage::Sealed => sealed(lease, pass).await,
        Stage::Tails => tails(lease, pass).await,
        Stage::Keys => keys(lease, pass).await,
    }
}

/// Whether records of a space have the mark they should have.
#[derive(Default)]
struct Verdicts {
    damaged: Vec<At>,
    sound: Vec<At>,
}

async fn records(lease: &Lease, pass: &mut Pass, bytes_max: u64) -> Result<Step> {
    let (segment, start, row) = pass.behind;
    let row = ChunkRow(row);
    let behind = At {
        row,
        segment,
        start,
    };
    let page = damage::records(&mut *lease.meta().read().await?, behind, RECORDS).await?;
    let mut step = Step {
        at_end: page.is_empty(),
        ..Step::default()
    };
    let mut verdicts: BTreeMap<SpaceId, Verdicts> = BTreeMap::new();
    for record in page {
        if step.bytes >= bytes_max {
            break;
        }
        step.bytes += record.stored;
        let At {
            row,
            segment,
            start,
        } = record.at;
        let anew = segment != pass.behind.0;
        pass.behind = (segment, start, row.0);
        match (
            opens(&lease.site().store, &record, anew).await?,
            record.damaged,
        ) {
            (false, false) => verdicts
                .entry(record.space)
                .or_default()
                .damaged
                .push(record.at),
            (true, true) => verdicts
                .entry(record.space)
                .or_default()
                .sound
                .push(record.at),
            (true, false) | (false, true) => {}
        }
    }
    for (space, verdicts) in verdicts {
        step.found += note(lease, space, verdicts).await?;
    }
    Ok(step)
}

/// Whether a record opens to what its row says. What does not is asked for twice.
async fn opens(store: &Store, record: &Record, anew: bool) -> Result<bool> {
    let Ok(chunk) = &record.chunk else {
        return Ok(false);
    };
    let keys = match store.keys.of(&store.meta, record.space).await {
        Ok(keys) => keys,
        // The key is told for itself; with another one the record may open.
        Err(error) if error.is_damage() => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    if anew {
        // What was kept open may have been taken away or replaced.
        drop(
            store
                .segments
                .inspect(record.space, chunk.place.segment)
                .await,
        );
    }
    for again in [false, true] {
        match check_chunk(store, &keys, chunk).await {
            Ok(()) => return Ok(true),
            Err(error) if error.is_damage() || matches!(error, store::Error::Io { .. }) => {
                if again {
                    let (segment, offset) = (chunk.place.segment, chunk.place.offset);
                    tracing::debug!(%segment, offset, %error, "a record does not open");
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Marks what is still where it was seen; how much of it was not marked before.
async fn note(lease: &Lease, space: SpaceId, verdicts: Verdicts) -> Result<u64> {
    let now = lease.now();
    let noted = lease.step(move |conn| {
        Box::pin(async move {
            damage::clear(conn, space, &verdicts.sound).await?;
            Ok(damage::mark(conn, space, &verdicts.damaged, now).await?)
        })
    });
    let found = noted.await?;
    if found > 0 {
        tracing::error!(
            records = found,
            "damaged records were found; `sync-server fsck` names the files that need them"
        );
    }
    Ok(found)
}

async fn sealed(lease: &Lease, pass: &mut Pass) -> Result<Step> {
    let behind = ContentId(pass.behind.0);
    let page = damage::sealed(&mut *lease.meta().read().await?, behind, SEALED).await?;
    let mut step = Step {
        at_end: page.is_empty(),
        ..Step::default()
    };
    let store = &lease.site().store;
    for row in page {
        pass.behind.0 = row.id.0;
        step.bytes += row.sealed.len() as u64;
        let Ok(keys) = store.keys.of(&store.meta, row.space).await else {
            continue;
        };
        if inline_damage(&keys, &row)?.is_some() != row.damaged {
            step.found += judge(lease, row.id).await?;
        }
    }
    Ok(step)
}

/// Looks again at a content that lies in its row, and gives or takes its mark.
async fn judge(lease: &Lease, content: ContentId) -> Result<u64> {
    let (store, now) = (Arc::clone(&lease.site().store), lease.now());
    let judged = lease.step(move |conn| {
        Box::pin(async move {
            let Some(row) = damage::sealed_row(conn, content).await? else {
                return Ok(false);
            };
            // Opened before, so nothing is waited for.
            let keys = store.keys.of(&store.meta, row.space).await?;
            if inline_damage(&keys, &row)?.is_none() {
                damage::clear_content(conn, content).await?;
                return Ok(false);
            }
            Ok(damage::mark_content(conn, content, now).await?)
        })
    });
    let found = judged.await?;
    if found {
        tracing::error!(%content, "a damaged content was found; `sync-server fsck` names its files");
    }
    Ok(u64::from(found))
}

async fn tails(lease: &Lease, pass: &mut Pass) -> Result<Step> {
    let page = damage::unfinished(&mut *lease.meta().read().await?, pass.behind.0, 1).await?;
    let Some((id, space, received, manifest, tail)) = page.into_iter().next() else {
        return Ok(Step {
            at_end: true,
            ..Step::default()
        });
    };
    pass.behind.0 = id;
    let bytes = tail.as_ref().map_or(0, |tail| tail.len() as u64);
    let mut step = Step {
        bytes,
        ..Step::default()
    };
    let store = &lease.site().store;
    let Ok(keys) = store.keys.of(&store.meta, SpaceId(space)).await else {
        return Ok(step);
    };
    let received = u64::try_from(received).unwrap_or(u64::MAX);
    match Parked::open(&keys, UploadId(id), received, &manifest, tail).await {
        Ok(_) => {}
        Err(error) if error.is_damage() => {
            tracing::error!(upload = id, "an unfinished upload is damaged");
            (pass.unmarked, step.found) = (pass.unmarked + 1, 1);
        }
        Err(error) => return Err(Error::Store(error)),
    }
    Ok(step)
}

async fn keys(lease: &Lease, pass: &mut Pass) -> Result<Step> {
    let mut step = Step {
        at_end: true,
        ..Step::default()
    };
    let mut conn = lease.meta().read().await?;
    for (space, wrapped) in damage::keys(&mut conn).await? {
        step.bytes += wrapped.len() as u64;
        match lease
            .site()
            .store
            .keys
            .opens(&mut conn, space, &wrapped)
            .await
        {
            Ok(()) => {}
            Err(error) if error.is_damage() => {
                tracing::error!(%space, "the keys of a space do not open");
                (pass.unmarked, step.found) = (pass.unmarked + 1, step.found + 1);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(step)
}
