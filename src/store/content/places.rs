//! Which chunk holds which byte of a content. Loads the rows of a part at a time.

use crate::chunk::Manifest;
use crate::store::meta::chunks::{self, Located};
use crate::store::meta::{Conn, Meta};
use crate::store::{Error, Result};
use crate::types::{ChunkRow, SpaceId};

/// Chunk rows in memory: 8 MiB of a content in small chunks, 64 MiB in large ones.
const BATCH: u32 = 128;
/// Chunk rows whose lengths one statement adds up when a seek skips them; about 0.3 ms.
const SKIP_MAX: u32 = 4096;
/// What the rows of a skip shrink by when they would reach too far.
const SKIP_SHRINK: u32 = 8;

/// A chunk and where in the content it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) chunk: Located,
}

impl Span {
    /// The byte behind the last.
    pub(super) fn end(&self) -> u64 {
        self.start + u64::from(self.chunk.raw)
    }
}

/// The chunks of one content.
pub(super) struct Places {
    space: SpaceId,
    size: u64,
    manifest: Manifest,
    batch: Vec<Span>,
    /// Behind the batch.
    next: Cursor,
}

/// A chunk of the manifest and the position it begins at.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    run: usize,
    in_run: u32,
    at: u64,
}

impl Places {
    pub(super) fn new(space: SpaceId, size: u64, manifest: Manifest) -> Self {
        Self {
            space,
            size,
            manifest,
            batch: Vec::new(),
            next: Cursor::default(),
        }
    }

    /// The chunk that holds the byte at `position`, which must be less than the content's size.
    pub(super) async fn find(&mut self, meta: &Meta, position: u64) -> Result<Span> {
        if let Some(span) = self.loaded(position) {
            return Ok(span);
        }
        let behind = self
            .batch
            .first()
            .is_some_and(|first| position < first.start);
        let mut cursor = if behind { Cursor::default() } else { self.next };
        loop {
            cursor = self.skip(meta, cursor, position).await?;
            let (batch, next) = self.load(&mut *meta.read().await?, cursor).await?;
            (self.batch, self.next, cursor) = (batch, next, next);
            if let Some(span) = self.loaded(position) {
                return Ok(span);
            }
            if self.batch.is_empty() {
                return Err(Error::Corrupt("a content is shorter than its row says"));
            }
        }
    }

    fn loaded(&self, position: u64) -> Option<Span> {
        let after = self.batch.partition_point(|span| span.end() <= position);
        self.batch
            .get(after)
            .filter(|span| span.start <= position)
            .copied()
    }

    /// Goes over chunks that end before `position`, leaving less than a few batches to load.
    async fn skip(&self, meta: &Meta, mut cursor: Cursor, position: u64) -> Result<Cursor> {
        let mut most = SKIP_MAX;
        while most > BATCH {
            // Taken anew for each statement: a content of many runs must not keep others waiting.
            let mut conn = meta.read().await?;
            if most == SKIP_MAX
                && let Some(behind) = self.skip_runs(&mut conn, cursor, position).await?
            {
                cursor = behind;
                continue;
            }
            let Some((first, rows)) = self.run(cursor) else {
                break;
            };
            let rows = rows.min(most);
            // A whole run counts however short it is: the one that follows may be long.
            let lengths = chunks::raw_lens(&mut conn, self.space, &[(first, rows)]).await?;
            let end = cursor.at + lengths.iter().sum::<u64>();
            if end <= position {
                cursor = self.advance(cursor, rows, end);
                continue;
            }
            most = rows.min(most) / SKIP_SHRINK;
        }
        Ok(cursor)
    }

    /// Goes over several short runs in one statement; `None` when there are none to go over.
    async fn skip_runs(
        &self,
        conn: &mut Conn,
        cursor: Cursor,
        position: u64,
    ) -> Result<Option<Cursor>> {
        let mut runs = Vec::new();
        let mut ahead = cursor;
        while runs.len() < chunks::RUNS_AT_ONCE
            && let Some((first, rows)) = self.run(ahead)
            && rows <= SKIP_MAX
        {
            runs.push((first, rows));
            ahead = self.advance(ahead, rows, 0);
        }
        if runs.len() < 2 {
            return Ok(None);
        }
        let mut behind = cursor;
        let lengths = chunks::raw_lens(conn, self.space, &runs).await?;
        for ((_, rows), length) in runs.into_iter().zip(lengths) {
            if behind.at + length > position {
                break;
            }
            behind = self.advance(behind, rows, behind.at + length);
        }
        Ok((behind.run > cursor.run).then_some(behind))
    }

    /// The next rows, and what comes behind them.
    async fn load(&self, conn: &mut Conn, mut cursor: Cursor) -> Result<(Vec<Span>, Cursor)> {
        let mut batch = Vec::with_capacity(BATCH as usize);
        let mut room = BATCH;
        while room > 0 {
            let Some((first, rows)) = self.run(cursor) else {
                break;
            };
            let rows = rows.min(room);
            room -= rows;
            let mut at = cursor.at;
            for chunk in chunks::located(conn, self.space, first, rows).await? {
                let span = Span { start: at, chunk };
                at = span.end();
                batch.push(span);
            }
            if at > self.size {
                return Err(Error::Corrupt("a content is longer than its row says"));
            }
            cursor = self.advance(cursor, rows, at);
        }
        Ok((batch, cursor))
    }

    /// The rows that are left of the cursor's run.
    fn run(&self, cursor: Cursor) -> Option<(ChunkRow, u32)> {
        let (first, rows) = self.manifest.runs().get(cursor.run)?;
        Some((
            ChunkRow(first.0 + i64::from(cursor.in_run)),
            rows - cursor.in_run,
        ))
    }

    fn advance(&self, cursor: Cursor, rows: u32, at: u64) -> Cursor {
        let in_run = cursor.in_run + rows;
        match self.manifest.runs().get(cursor.run) {
            Some((_, all)) if in_run < *all => Cursor {
                in_run,
                at,
                ..cursor
            },
            Some(_) | None => Cursor {
                run: cursor.run + 1,
                in_run: 0,
                at,
            },
        }
    }
}
