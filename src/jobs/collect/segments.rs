//! Segment files: those without chunks go, those that are mostly dead are emptied into others.

use std::collections::HashMap;
use std::time::Duration;

use super::sweep::Swept;
use super::{Going, Round};
use crate::crypto::SegmentId;
use crate::store::content::relocate;
use crate::store::meta::segments::{self, Segment};
use crate::store::{Error, Result};
use crate::types::SpaceId;

/// Segments looked at in one read.
const PAGE: i64 = 200;
/// Files unlinked before the next are asked for.
const UNLINKED: i64 = 64;
/// Segments below this many bytes are what a process left that wrote little.
const SMALL: u64 = 4 * 1024 * 1024;
/// So many small segments of one space stay as they are.
const SMALL_MAX: usize = 16;
/// How long a segment is remembered that is gone: longer than any process lives without a word.
const REMEMBERED: Duration = Duration::from_hours(1);

/// Drops, empties and unlinks what can be.
pub(super) async fn collect(going: &Going<'_>, swept: &Swept, done: &mut Round) -> Result<()> {
    // What earlier rounds have left does not wait for whatever this one meets.
    unlink(going, done).await?;
    let mut behind = 0;
    let mut small: HashMap<SpaceId, Vec<Segment>> = HashMap::new();
    loop {
        let page = {
            let mut conn = going.store.meta.read().await?;
            segments::page(&mut conn, behind, PAGE).await?
        };
        let Some(last) = page.last() else {
            break;
        };
        behind = last.row;
        for segment in page {
            let len = going.store.segments.len(segment.name).await?;
            let half = |held: u64| len.is_some_and(|len| held * 2 < len);
            let mut held = swept.held.get(&segment.row).copied().unwrap_or_default();
            if half(held) || held == 0 {
                // Chunks that came during the round were not counted.
                let mut conn = going.store.meta.read().await?;
                held = segments::bytes_held(&mut conn, segment.row).await?;
            }
            let half_dead = half(held);
            if len.is_none() {
                // Not for collection to judge: it may be the wrong folder.
                done.damaged += 1;
            } else if segment.open {
                if half_dead {
                    done.waiting += 1;
                    close(going, &segment).await?;
                }
            } else if half_dead || held == 0 {
                empty(going, &segment, done).await?;
            } else if len.is_some_and(|len| len < SMALL) {
                small.entry(segment.space).or_default().push(segment);
            }
        }
        going.go_on()?;
    }
    for segment in small
        .into_values()
        .filter(|all| all.len() > SMALL_MAX)
        .flatten()
    {
        empty(going, &segment, done).await?;
    }
    unlink(going, done).await
}

async fn close(going: &Going<'_>, segment: &Segment) -> Result<()> {
    if segment.closing {
        return Ok(());
    }
    let row = segment.row;
    let asked = going
        .store
        .meta
        .write(move |conn| Box::pin(async move { segments::close(conn, row).await }));
    asked.await
}

/// Moves what a segment holds, and drops it.
async fn empty(going: &Going<'_>, segment: &Segment, done: &mut Round) -> Result<()> {
    let mut from = 0;
    loop {
        going.go_on()?;
        match relocate(going.store, segment, from).await {
            Ok(Some(step)) => {
                from = step.next;
                done.moved += step.bytes;
                going.pace.breathe_after(step.bytes * 2).await;
            }
            Ok(None) => break,
            Err(
                error @ (Error::Corrupt(_) | Error::Crypto(_) | Error::Gone | Error::Io { .. }),
            ) => {
                tracing::error!(segment = %segment.name, %error, "a segment cannot be emptied and stays");
                done.damaged += 1;
                return Ok(());
            }
            Err(error @ (Error::DiskFull | Error::Later { .. })) => {
                tracing::warn!(segment = %segment.name, %error, "a segment cannot be emptied now");
                done.waiting += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    let (row, now) = (segment.row, going.now());
    let dropped: Result<bool> = going
        .store
        .meta
        .write(move |conn| Box::pin(async move { segments::drop_empty(conn, row, now).await }))
        .await;
    // One that got a chunk meanwhile, or a process that writes to it, stays.
    done.waiting += u64::from(!dropped?);
    Ok(())
}

/// Unlinks the files of segments that were dropped long enough ago.
async fn unlink(going: &Going<'_>, done: &mut Round) -> Result<()> {
    let mut behind = Vec::new();
    loop {
        let names = {
            let mut conn = going.store.meta.read().await?;
            segments::to_unlink(&mut conn, going.until(), &behind, UNLINKED).await?
        };
        let Some(last) = names.last() else {
            break;
        };
        behind = last.0.to_vec();
        let gone = remove(going, names, done).await;
        let now = going.now();
        let noted = going.store.meta.write(move |conn| {
            Box::pin(async move {
                for name in gone {
                    segments::unlinked(conn, name, now).await?;
                }
                Ok::<_, Error>(())
            })
        });
        noted.await?;
        going.go_on()?;
    }
    going.store.segments.drop_unlinked().await?;
    let before = going.now().minus(REMEMBERED);
    let forgotten = going
        .store
        .meta
        .write(move |conn| Box::pin(async move { segments::forget(conn, before).await }));
    forgotten.await
}

/// Those whose files are gone now. One that cannot be removed does not keep the others.
async fn remove(going: &Going<'_>, names: Vec<SegmentId>, done: &mut Round) -> Vec<SegmentId> {
    let mut gone = Vec::new();
    for name in names {
        match going.store.segments.remove(name).await {
            Ok(bytes) => {
                done.freed += bytes;
                gone.push(name);
            }
            Err(error) => tracing::error!(segment = %name, "a file stays: {error}"),
        }
    }
    gone
}
