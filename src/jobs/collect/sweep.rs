//! Chunks that no manifest has: flagged by one round, deleted by a later one.

use std::collections::HashMap;

use super::bitmap::Bitmap;
use super::{Going, only_round};
use crate::store::meta::collect::{self, Kept, Verdict};
use crate::store::{Error, Result};
use crate::types::ChunkRow;

/// Rows looked at, and changed, at once.
const PAGE: i64 = 1000;

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Rows that went.
    pub(super) deleted: u64,
    /// Rows that are flagged and stay for now.
    pub(super) waiting: u64,
    /// Bytes of the records that still have rows, by the rows of their segments: 32 bytes of memory
    /// for 64 MiB.
    pub(super) held: HashMap<i64, u64>,
}

/// Rows in a stretch of ids that get the same verdict.
struct Run {
    verdict: Verdict,
    first: i64,
    last: i64,
}

/// Looks at all rows of a marked window.
pub(super) async fn sweep(going: &Going<'_>, marked: &Bitmap, swept: &mut Swept) -> Result<()> {
    let mut behind = marked.first() - 1;
    loop {
        let rows = {
            let mut conn = going.store.meta.read().await?;
            collect::chunks(&mut conn, behind, marked.last(), PAGE).await?
        };
        let Some(last) = rows.last() else {
            return Ok(());
        };
        behind = last.id;
        let runs = judge(going, marked, &rows, swept);
        if !runs.is_empty() {
            swept.deleted += carry_out(going, runs).await?;
        }
        going.go_on()?;
        going.pace.breathe().await;
    }
}

fn judge(going: &Going<'_>, marked: &Bitmap, rows: &[Kept], swept: &mut Swept) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut before = None;
    for row in rows {
        let verdict = match (marked.has(row.id), row.dead) {
            (true, None) => None,
            (true, Some(_)) => Some(Verdict::Clear),
            (false, None) => Some(Verdict::Flag(going.epoch)),
            (false, Some(dead)) if dead < going.floor => Some(Verdict::Delete(going.floor)),
            (false, Some(_)) => {
                swept.waiting += 1;
                None
            }
        };
        swept.waiting += u64::from(matches!(verdict, Some(Verdict::Flag(_))));
        if !matches!(verdict, Some(Verdict::Delete(_))) {
            *swept.held.entry(row.segment).or_default() += row.stored.unsigned_abs();
        }
        match (verdict, runs.last_mut()) {
            (Some(verdict), Some(run)) if before == Some(verdict) => run.last = row.id,
            (Some(verdict), _) => runs.push(Run {
                verdict,
                first: row.id,
                last: row.id,
            }),
            (None, _) => {}
        }
        before = verdict;
    }
    runs
}

/// Each statement looks at the flag again: whoever named a chunk meanwhile has taken it off.
async fn carry_out(going: &Going<'_>, runs: Vec<Run>) -> Result<u64> {
    let epoch = going.epoch;
    let done = going.store.meta.write(move |conn| {
        Box::pin(async move {
            only_round(conn, epoch).await?;
            let mut deleted = 0;
            for run in runs {
                let (first, last) = (ChunkRow(run.first), ChunkRow(run.last));
                let rows = collect::carry_out(conn, run.verdict, first, last).await?;
                if matches!(run.verdict, Verdict::Delete(_)) {
                    deleted += rows;
                }
            }
            Ok::<_, Error>(deleted)
        })
    });
    done.await
}
