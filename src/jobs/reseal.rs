//! Sealing everything anew, after `rekey --reseal`: small objects in their rows, chunks by moving them out
//! of the segments that older keys have sealed. What is named, and by which ids, stays as it is.
//!
//! It goes on where it was stopped: rows say how far the small ones are, and segments that are done have
//! no rows.

use std::sync::Arc;

use super::pace::Pace;
use super::{Lease, Result};
use crate::crypto::{Blinded, SpaceKeys};
use crate::store;
use crate::store::content::{relocate, reseal_tail};
use crate::store::meta::seals::{self, Left, Sealed};
use crate::store::meta::segments::{self, Segment};
use crate::store::meta::{Meta, jobs};
use crate::types::{ContentId, SpaceId, UploadId};

/// What the database calls the job.
pub const NAME: &str = "reseal";
/// Small objects sealed in one transaction: at most 4 MiB of contents.
const PAGE: i64 = 500;
/// Ends of unfinished uploads sealed in one transaction: at most 16 MiB.
const UPLOADS: i64 = 8;
/// Segments looked at in one read.
const SEGMENTS: i64 = 200;

/// Whether something may be left to be sealed anew.
pub async fn under_way(meta: &Meta) -> store::Result<bool> {
    Ok(left(meta).await?.is_some())
}

/// Notes that everything stored by now is to be sealed anew, whatever of it is.
pub async fn begin(meta: &Meta) -> store::Result<()> {
    meta.write(|conn| Box::pin(async move { seals::begin(conn).await }))
        .await
}

/// Takes the job from whoever was killed with it; for a server that is alone.
pub async fn free(meta: &Meta) -> store::Result<()> {
    meta.write(|conn| Box::pin(async move { jobs::free(conn, NAME).await }))
        .await
}

async fn left(meta: &Meta) -> store::Result<Option<Left>> {
    seals::left(&mut *meta.read().await?).await
}

/// Seals anew what is left, at most so many bytes a second. Whether nothing of the old keys is left: what
/// is damaged stays as it is, and so do the keys.
pub async fn run(lease: &Lease, rate: Option<u64>) -> Result<bool> {
    let store = &lease.site().store;
    let Some(left) = left(&store.meta).await? else {
        return Ok(true);
    };
    let rate = Pace::new(rate);
    let mut damaged = contents(lease, left, &rate).await?;
    damaged += uploads(lease, left, &rate).await?;
    damaged += all_segments(lease, left, &rate).await?;
    if damaged > 0 {
        tracing::error!(
            damaged,
            "what is damaged cannot be sealed anew; the old keys stay"
        );
        return Ok(false);
    }
    let ended = lease.step(move |conn| Box::pin(async move { Ok(seals::end(conn, left).await?) }));
    let ended = ended.await?;
    if ended {
        store.keys.forget();
        tracing::info!("everything is sealed anew");
    }
    Ok(ended)
}

async fn contents(lease: &Lease, left: Left, at: &Pace) -> Result<u64> {
    let (mut behind, mut damaged) = (left.done, 0);
    loop {
        let page = {
            let mut conn = lease.meta().read().await?;
            seals::contents(&mut conn, behind, left.contents, PAGE).await?
        };
        let Some(last) = page.last().map(|last| last.id) else {
            return Ok(damaged);
        };
        let (mut again, mut bytes) = (Vec::new(), 0);
        for row in page {
            bytes += row.sealed.len() as u64;
            match anew(&*keys(lease, row.space).await?, &row) {
                Ok(None) => {}
                Ok(Some(new)) => again.push((row.id, new, row.sealed)),
                Err(error) => {
                    tracing::error!(content = row.id.0, %error, "a content does not open");
                    damaged += 1;
                }
            }
        }
        // One that is damaged is asked for again in the next run, so that it is told again.
        let upto = if damaged == 0 {
            last
        } else {
            ContentId(left.done)
        };
        let done = lease.step(move |conn| {
            Box::pin(async move {
                for (id, new, old) in &again {
                    seals::set_content(conn, *id, new, old).await?;
                }
                Ok(seals::set_done(conn, upto).await?)
            })
        });
        done.await?;
        behind = last.0;
        at.breathe_after(bytes * 2).await;
    }
}

fn anew(keys: &SpaceKeys, row: &Sealed<ContentId>) -> store::Result<Option<Vec<u8>>> {
    let root = row.root.as_slice().try_into();
    let root = root.map_err(|_length| store::Error::Corrupt("a content's root"))?;
    Ok(keys.reseal_inline(Blinded(root), &row.sealed)?)
}

async fn uploads(lease: &Lease, left: Left, at: &Pace) -> Result<u64> {
    let (mut behind, mut damaged) = (0, 0);
    loop {
        let page = {
            let mut conn = lease.meta().read().await?;
            seals::uploads(&mut conn, behind, left.uploads, UPLOADS).await?
        };
        let Some(last) = page.last() else {
            return Ok(damaged);
        };
        behind = last.id.0;
        let (mut again, mut bytes) = (Vec::<(UploadId, Vec<u8>, Vec<u8>)>::new(), 0);
        for row in page {
            bytes += row.sealed.len() as u64;
            match reseal_tail(&*keys(lease, row.space).await?, row.id, &row.sealed) {
                Ok(None) => {}
                Ok(Some(new)) => again.push((row.id, new, row.sealed)),
                Err(error) => {
                    tracing::error!(upload = row.id.0, %error, "an upload does not open");
                    damaged += 1;
                }
            }
        }
        let done = lease.step(move |conn| {
            Box::pin(async move {
                for (id, new, old) in &again {
                    seals::set_upload(conn, *id, new, old).await?;
                }
                Ok(())
            })
        });
        done.await?;
        at.breathe_after(bytes * 2).await;
    }
}

async fn keys(lease: &Lease, space: SpaceId) -> Result<Arc<SpaceKeys>> {
    let store = &lease.site().store;
    Ok(store.keys.of(&store.meta, space).await?)
}

async fn all_segments(lease: &Lease, left: Left, at: &Pace) -> Result<u64> {
    let (mut behind, mut damaged) = (0, 0);
    loop {
        let page = {
            let mut conn = lease.meta().read().await?;
            segments::page(&mut conn, behind, SEGMENTS).await?
        };
        let old = page
            .into_iter()
            .filter(|segment| segment.row <= left.segments);
        let old: Vec<_> = old.collect();
        let Some(last) = old.last() else {
            return Ok(damaged);
        };
        behind = last.row;
        for segment in old {
            damaged += u64::from(!emptied(lease, &segment, at).await?);
        }
    }
}

/// Moves what a segment holds to where its space appends now, and drops it; whether it is gone.
async fn emptied(lease: &Lease, segment: &Segment, at: &Pace) -> Result<bool> {
    let mut from = 0;
    loop {
        // Says that the job goes on, and ends when it should.
        lease.step(|_conn| Box::pin(async { Ok(()) })).await?;
        match relocate(&lease.site().store, segment, from).await {
            Ok(Some(step)) => {
                from = step.next;
                at.breathe_after(step.bytes * 2).await;
            }
            Ok(None) => break,
            Err(
                error @ (store::Error::Corrupt(_)
                | store::Error::Crypto(_)
                | store::Error::Gone
                | store::Error::Io { .. }),
            ) => {
                tracing::error!(segment = %segment.name, %error, "a segment cannot be sealed anew");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let (row, now) = (segment.row, lease.now());
    let dropped = lease
        .step(move |conn| Box::pin(async move { Ok(segments::drop_empty(conn, row, now).await?) }));
    if dropped.await? {
        return Ok(true);
    }
    // Collection was quicker, or it has got a chunk: then it is asked for once more.
    let mut conn = lease.meta().read().await?;
    let held = segments::held(&mut conn, row, 0, 1).await?;
    Ok(held.is_empty() && !segments::exists(&mut conn, row).await?)
}
