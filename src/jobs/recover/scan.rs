//! What lies in the segments: chunks that moved since the snapshot, new ones, and the lists of contents.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Recovered, Shared, write};
use crate::crypto::{Blinded, SegmentId, SpaceKeys};
use crate::store::blob::list::List;
use crate::store::blob::{Scanned, SegmentFile};
use crate::store::meta::chunks::NewChunk;
use crate::store::meta::{rescue, seals, spaces};
use crate::store::{Result, Store};
use crate::types::{Millis, SpaceId};

/// Segments, chunks and contents looked at in one read.
const PAGE: i64 = 500;
/// Segments written to that long before the snapshot may hold what had no rows yet then.
const BEFORE: Duration = Duration::from_hours(24);
/// Contents complete that long before the snapshot may have got their names after it.
const UNNAMED: Duration = Duration::from_mins(10);

/// The parts of the list of each content that the snapshot does not have.
pub(super) type Lists = HashMap<(SpaceId, Blinded), Vec<List>>;

/// Finds the place of every chunk and the lists of new contents.
pub(super) async fn scan(store: &Shared, done: &mut Recovered) -> Result<Lists> {
    let files = store.segments.files().await?;
    done.lost = lose(store, &files).await?;
    let mut known: HashSet<SpaceId> = HashSet::new();
    for (space, _) in spaces::turns(&mut *store.meta.read().await?).await? {
        known.insert(space);
    }
    let (mut lists, mut older) = (Lists::new(), Vec::new());
    for file in files {
        if !is_new(store, &file, done.taken).await? {
            continue;
        }
        let Some(space) = file.space.filter(|space| known.contains(space)) else {
            done.unknown += 1;
            continue;
        };
        done.scanned += 1;
        if read(store, space, &file, done, &mut lists).await? {
            older.push(file.segment);
        }
    }
    missing(store, done).await?;
    to_reseal(store, older).await?;
    Ok(lists)
}

/// Sees to it that segments which an older key has sealed are among those that are sealed anew, before
/// that key is forgotten.
async fn to_reseal(store: &Store, older: Vec<SegmentId>) -> Result<()> {
    for segment in older {
        let known = rescue::known(&mut *store.meta.read().await?, segment).await?;
        if let Some((row, _)) = known {
            write(&store.meta, move |conn| {
                Box::pin(async move { seals::extend(conn, row).await })
            })
            .await?;
        }
    }
    Ok(())
}

/// Flags the chunks whose segments are not there, or end too early.
async fn lose(store: &Store, files: &[SegmentFile]) -> Result<u64> {
    let there: HashMap<SegmentId, u64> =
        files.iter().map(|file| (file.segment, file.len)).collect();
    let (mut behind, mut lost) = (0, 0);
    loop {
        let page = rescue::segments(&mut *store.meta.read().await?, behind, PAGE).await?;
        let Some((end, _)) = page.last() else {
            return Ok(lost);
        };
        behind = *end;
        for (row, name) in page {
            let len = there.get(&name).copied().unwrap_or(0);
            lost += store
                .meta
                .write(move |conn| Box::pin(async move { rescue::lose(conn, row, len).await }))
                .await?;
        }
    }
}

/// Whether a segment may hold what the snapshot does not know of.
async fn is_new(store: &Store, file: &SegmentFile, taken: Millis) -> Result<bool> {
    let known = rescue::known(&mut *store.meta.read().await?, file.segment).await?;
    Ok(known.is_none_or(|(_, end)| file.len > end) || file.modified >= taken.minus(BEFORE))
}

/// Takes what a segment holds; whether an older key has sealed it.
async fn read(
    store: &Shared,
    space: SpaceId,
    file: &SegmentFile,
    done: &mut Recovered,
    lists: &mut Lists,
) -> Result<bool> {
    let keys = store.keys.of(&store.meta, space).await?;
    let scan = match store.segments.scan(&keys, file.segment).await {
        Ok(scan) => scan,
        Err(error) => {
            // What others hold comes back all the same.
            tracing::error!(segment = %file.segment, "not read: {error}");
            done.damaged = done.damaged.saturating_add(file.len);
            return Ok(false);
        }
    };
    done.damaged = done.damaged.saturating_add(scan.damaged);
    put(store, space, file.segment, found(&keys, &scan.records)).await?;
    let since = done.taken.minus(UNNAMED);
    for list in scan.lists.into_iter().filter(|list| list.at >= since) {
        let known = {
            let mut conn = store.meta.read().await?;
            rescue::has_root(&mut conn, space, list.root).await?
        };
        if !known {
            lists.entry((space, list.root)).or_default().push(list);
        }
    }
    Ok(scan.by_older)
}

/// The chunks of some records; each once.
fn found(keys: &SpaceKeys, records: &[Scanned]) -> Vec<NewChunk> {
    let mut seen = HashSet::new();
    let chunks = records.iter().map(|record| NewChunk {
        blinded: keys.blind(&record.id),
        place: record.place,
        raw: record.raw_len,
    });
    chunks.filter(|chunk| seen.insert(chunk.blinded)).collect()
}

async fn put(
    store: &Store,
    space: SpaceId,
    segment: SegmentId,
    chunks: Vec<NewChunk>,
) -> Result<()> {
    if chunks.is_empty() {
        return Ok(());
    }
    write(&store.meta, move |conn| {
        Box::pin(async move { rescue::insert(conn, space, segment, &chunks).await })
    })
    .await
}

/// Takes the rows of chunks away that were not found, and sees to it that no content which lacks them is
/// ever found by others.
async fn missing(store: &Store, done: &mut Recovered) -> Result<()> {
    let mut gone = Vec::new();
    loop {
        let behind = gone.last().copied().unwrap_or(0);
        let page = rescue::lost(&mut *store.meta.read().await?, behind, PAGE).await?;
        if page.is_empty() {
            break;
        }
        gone.extend(page);
    }
    write(&store.meta, |conn| Box::pin(rescue::forget_lost(conn))).await?;
    done.missing = gone.len() as u64;
    let mut behind = 0;
    while !gone.is_empty() {
        let page = rescue::manifests(&mut *store.meta.read().await?, behind, PAGE).await?;
        let Some((last, _)) = page.last() else {
            break;
        };
        behind = last.0;
        for (content, manifest) in page {
            let lacks = manifest.is_none_or(|manifest| {
                let mut runs = manifest.runs().iter();
                runs.any(|(first, rows)| {
                    let at = gone.partition_point(|row| *row < first.0);
                    gone.get(at)
                        .is_some_and(|row| *row < first.0 + i64::from(*rows))
                })
            });
            if lacks {
                let nobody = SegmentId::generate()?.0;
                let spoilt = store.meta.write(move |conn| {
                    Box::pin(async move { rescue::spoil(conn, content, nobody).await })
                });
                done.broken += spoilt.await?;
            }
        }
    }
    Ok(())
}
