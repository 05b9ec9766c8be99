//! Chunks: where the record of each lies. Rows are made only for records that are on the disk.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::LazyLock;

use super::rows::{Among, Insert};
use super::{Alone, Conn, sql};
use crate::crypto::{Blinded, SegmentId};
use crate::store::blob::Place;
use crate::store::{Error, Result};
use crate::types::{ChunkRow, ProcessId, SpaceId};

/// Runs whose lengths one statement adds up.
pub const RUNS_AT_ONCE: usize = 64;

/// A chunk whose record is durable and which has no row yet.
#[derive(Clone, Copy, Debug)]
pub struct NewChunk {
    /// Stand-in for its id.
    pub blinded: Blinded,
    /// Where its record lies.
    pub place: Place,
    /// Bytes before compression.
    pub raw: u32,
}

/// A chunk and where its record lies.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    /// Its row.
    pub row: ChunkRow,
    /// Stand-in for its id.
    pub blinded: Blinded,
    /// Where its record lies.
    pub place: Place,
    /// Bytes before compression.
    pub raw: u32,
    /// Whether its record was found not to open.
    pub damaged: bool,
}

// Whoever was believed dead, or has closed the segment, gets no row: it may be gone by now.
const PUT_SEGMENT: &str = "INSERT INTO segment (name, space, process)
    SELECT $1, $2, id FROM process WHERE id = $3
       AND NOT EXISTS (SELECT 1 FROM gone_segment WHERE name = $1)
    ON CONFLICT (name) DO UPDATE SET space = segment.space WHERE segment.process = $3
    RETURNING id";
const LOCATED: &str = "SELECT c.id, c.blinded, s.name, c.start, c.stored, c.raw,
        c.damaged IS NOT NULL
    FROM chunk c JOIN segment s ON s.id = c.segment
    WHERE c.id >= $1 AND c.id < $2 AND c.space = $3 ORDER BY c.id";
const LISTED: &str = "SELECT id, blinded, raw, damaged IS NOT NULL FROM chunk
    WHERE id >= $1 AND id < $2 AND space = $3 ORDER BY id";
const BY_BLINDED: &str = "SELECT c.id, c.blinded, s.name, c.start, c.stored, c.raw, FALSE
    FROM chunk c JOIN segment s ON s.id = c.segment
    WHERE c.space = $1 AND c.blinded = $2 AND c.dead IS NULL AND c.damaged IS NULL";
const COUNTED: &str = "SELECT count(*), CAST(COALESCE(SUM(raw), 0) AS BIGINT), count(dead),
        count(damaged)
    FROM chunk WHERE id >= $1 AND id < $2 AND space = $3";
const REVIVE: &str = "UPDATE chunk SET dead = NULL
    WHERE id >= $1 AND id < $2 AND space = $3 AND dead IS NOT NULL";
static RAW_LENS: LazyLock<String> = LazyLock::new(|| {
    let run = |nth: usize| {
        let (first, rows) = (nth * 2 + 2, nth * 2 + 3);
        format!("(CAST({nth} AS BIGINT), CAST(${first} AS BIGINT), CAST(${rows} AS BIGINT))")
    };
    let runs: Vec<_> = (0..RUNS_AT_ONCE).map(run).collect();
    format!(
        "WITH run (nth, first, rows) AS (VALUES {})
        SELECT run.nth, count(c.id), CAST(COALESCE(SUM(c.raw), 0) AS BIGINT), count(c.dead),
               count(c.damaged)
          FROM run LEFT JOIN chunk c
            ON c.id >= run.first AND c.id < run.first + run.rows AND c.space = $1
         GROUP BY run.nth ORDER BY run.nth",
        runs.join(", ")
    )
});
static FIND: LazyLock<Among> = LazyLock::new(|| {
    Among::new(
        "SELECT id, blinded, raw FROM chunk
         WHERE space = $1 AND dead IS NULL AND damaged IS NULL AND blinded",
        "",
    )
});
static INSERT: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "INSERT INTO chunk (space, blinded, segment, start, stored, raw)",
        6,
        // A flagged one may go at any time, and the record of a damaged one does not open. Either
        // comes back to life with its new record.
        "ON CONFLICT (space, blinded) DO UPDATE SET
            segment = CASE WHEN chunk.dead IS NULL AND chunk.damaged IS NULL
                THEN chunk.segment ELSE excluded.segment END,
            start = CASE WHEN chunk.dead IS NULL AND chunk.damaged IS NULL
                THEN chunk.start ELSE excluded.start END,
            stored = CASE WHEN chunk.dead IS NULL AND chunk.damaged IS NULL
                THEN chunk.stored ELSE excluded.stored END,
            raw = CASE WHEN chunk.dead IS NULL AND chunk.damaged IS NULL
                THEN chunk.raw ELSE excluded.raw END,
            dead = NULL, damaged = NULL
            RETURNING id, blinded",
    )
});

/// Those of the chunks that are stored already, sound and not about to go: their rows and lengths in bytes.
/// They stay for one who held a [`crate::store::Pin`] before.
pub async fn find(
    conn: &mut Conn,
    space: SpaceId,
    chunks: &[Blinded],
) -> Result<HashMap<Blinded, (ChunkRow, u32)>> {
    let mut found = HashMap::new();
    for (sql, batch) in FIND.batches(chunks) {
        let mut query = sql::query_as(sql).bind(space.0);
        for blinded in batch {
            query = query.bind(&blinded.0[..]);
        }
        let batch: Vec<(i64, Vec<u8>, i64)> = query.fetch_all(&mut *conn).await?;
        for (row, blinded, raw) in batch {
            found.insert(to_blinded(&blinded)?, (ChunkRow(row), number(raw)?));
        }
    }
    Ok(found)
}

/// Makes rows for chunks (each at most once in the list) and returns them; where somebody else was
/// quicker with the same chunk, theirs. New rows are in the order of the list, and consecutive unless
/// PostgreSQL gives another writer a number in between.
///
/// `by` is the process that appended the records, as it was then; [`Error::Stale`] when it was believed
/// dead since.
pub async fn insert(
    conn: &mut Conn,
    by: ProcessId,
    space: SpaceId,
    chunks: &[NewChunk],
) -> Result<HashMap<Blinded, ChunkRow>> {
    conn.alone(Alone::Naming).await?;
    // Two groups with the same chunks in another order would wait for each other.
    conn.alone(Alone::Chunks(space)).await?;
    let places = chunks.iter().map(|chunk| chunk.place);
    let segments = put_segments(conn, by, space, places).await?;
    put(conn, space, chunks, &segments).await
}

/// The same for records in segments that have rows.
pub(super) async fn put(
    conn: &mut Conn,
    space: SpaceId,
    chunks: &[NewChunk],
    segments: &HashMap<SegmentId, i64>,
) -> Result<HashMap<Blinded, ChunkRow>> {
    let mut rows = HashMap::with_capacity(chunks.len());
    for (sql, batch) in INSERT.batches(chunks) {
        let mut query = sql::query_as(sql);
        for chunk in batch {
            let start = i64::try_from(chunk.place.offset);
            query = query
                .bind(space.0)
                .bind(&chunk.blinded.0[..])
                .bind(segments.get(&chunk.place.segment).copied())
                .bind(start.map_err(|_huge| Error::Corrupt("a segment is too long"))?)
                .bind(i64::from(chunk.place.stored))
                .bind(i64::from(chunk.raw));
        }
        let made: Vec<(i64, Vec<u8>)> = query.fetch_all(&mut *conn).await?;
        for (row, blinded) in made {
            rows.insert(to_blinded(&blinded)?, ChunkRow(row));
        }
    }
    Ok(rows)
}

/// Rows of the segments that some places are in.
pub(super) async fn put_segments(
    conn: &mut Conn,
    by: ProcessId,
    space: SpaceId,
    places: impl Iterator<Item = Place>,
) -> Result<HashMap<SegmentId, i64>> {
    let mut segments = HashMap::new();
    for Place { segment, .. } in places {
        if let Entry::Vacant(vacant) = segments.entry(segment) {
            let query = sql::query_scalar(PUT_SEGMENT)
                .bind(&segment.0[..])
                .bind(space.0)
                .bind(by.0);
            let row = query.fetch_optional(&mut *conn).await?;
            vacant.insert(row.ok_or(Error::Stale)?);
        }
    }
    Ok(segments)
}

/// The chunks of `count` consecutive rows; an error when one is missing.
pub async fn located(
    conn: &mut Conn,
    space: SpaceId,
    first: ChunkRow,
    count: u32,
) -> Result<Vec<Located>> {
    let query = sql::query_as(LOCATED)
        .bind(first.0)
        .bind(first.0 + i64::from(count))
        .bind(space.0);
    let rows: Vec<LocatedRow> = query.fetch_all(conn).await?;
    if rows.len() != count as usize {
        return Err(Error::Corrupt("a chunk row is missing"));
    }
    rows.into_iter().map(to_located).collect()
}

/// The chunk with this stand-in, if the space has it.
pub async fn by_blinded(
    conn: &mut Conn,
    space: SpaceId,
    blinded: &Blinded,
) -> Result<Option<Located>> {
    let query = sql::query_as(BY_BLINDED).bind(space.0).bind(&blinded.0[..]);
    let row: Option<LocatedRow> = query.fetch_optional(conn).await?;
    row.map(to_located).transpose()
}

/// Stand-ins and lengths in bytes of `count` consecutive chunks; an error when one is missing.
pub async fn listed(
    conn: &mut Conn,
    space: SpaceId,
    first: ChunkRow,
    count: u32,
) -> Result<Vec<(Blinded, u32)>> {
    let rows = known(conn, space, first, count).await?;
    if rows.len() != count as usize {
        return Err(Error::Corrupt("a chunk row is missing"));
    }
    let listed = |known: Known| (known.blinded, known.raw);
    Ok(rows.into_iter().map(listed).collect())
}

/// What a chunk row says of the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its row.
    pub row: ChunkRow,
    /// Stand-in for its id.
    pub blinded: Blinded,
    /// Its bytes.
    pub raw: u32,
    /// Whether its record was found not to open.
    pub damaged: bool,
}

/// Those of `count` consecutive chunks that have rows.
pub async fn known(
    conn: &mut Conn,
    space: SpaceId,
    first: ChunkRow,
    count: u32,
) -> Result<Vec<Known>> {
    let query = sql::query_as(LISTED)
        .bind(first.0)
        .bind(first.0.saturating_add(i64::from(count)))
        .bind(space.0);
    let rows: Vec<(i64, Vec<u8>, i64, bool)> = query.fetch_all(conn).await?;
    let row = |(row, blinded, raw, damaged): (i64, Vec<u8>, i64, bool)| {
        Ok(Known {
            row: ChunkRow(row),
            blinded: to_blinded(&blinded)?,
            raw: number(raw)?,
            damaged,
        })
    };
    rows.into_iter().map(row).collect()
}

/// Row, stand-in, segment, offset, bytes of the record, bytes of the chunk, whether it is damaged.
pub(super) type LocatedRow = (i64, Vec<u8>, Vec<u8>, i64, i64, i64, bool);

pub(super) fn to_located(
    (row, blinded, segment, start, stored, raw, damaged): LocatedRow,
) -> Result<Located> {
    let segment = segment
        .try_into()
        .map_err(|_| Error::Corrupt("a segment's name"))?;
    let offset = u64::try_from(start).map_err(|_| Error::Corrupt("a chunk row's offset"))?;
    Ok(Located {
        row: ChunkRow(row),
        blinded: to_blinded(&blinded)?,
        place: Place {
            segment: SegmentId(segment),
            offset,
            stored: number(stored)?,
        },
        raw: number(raw)?,
        damaged,
    })
}

/// Bytes of each of at most [`RUNS_AT_ONCE`] runs of chunks; an error when a chunk is missing.
pub async fn raw_lens(
    conn: &mut Conn,
    space: SpaceId,
    runs: &[(ChunkRow, u32)],
) -> Result<Vec<u64>> {
    let counted = count(conn, space, runs).await?;
    let length = |((_, rows), counted): (&(ChunkRow, u32), Counted)| {
        if counted.rows != i64::from(*rows) {
            return Err(Error::Corrupt("a chunk row is missing"));
        }
        counted.bytes()
    };
    runs.iter().zip(counted).map(length).collect()
}

/// What there is of a run.
struct Counted {
    rows: i64,
    raw: i64,
    /// Those that are flagged.
    dead: i64,
    /// Those whose records were found not to open.
    damaged: i64,
}

impl Counted {
    fn bytes(&self) -> Result<u64> {
        u64::try_from(self.raw).map_err(|_negative| Error::Corrupt("a chunk row's length"))
    }
}

/// Counts the rows of at most [`RUNS_AT_ONCE`] runs.
async fn count(conn: &mut Conn, space: SpaceId, runs: &[(ChunkRow, u32)]) -> Result<Vec<Counted>> {
    if let [(first, rows)] = runs {
        let query = sql::query_as(COUNTED)
            .bind(first.0)
            .bind(first.0 + i64::from(*rows))
            .bind(space.0);
        let (rows, raw, dead, damaged) = query.fetch_one(conn).await?;
        return Ok(vec![Counted {
            rows,
            raw,
            dead,
            damaged,
        }]);
    }
    let mut query = sql::query_as(RAW_LENS.as_str()).bind(space.0);
    let none = std::iter::repeat(&(ChunkRow(0), 0));
    for (first, rows) in runs.iter().chain(none).take(RUNS_AT_ONCE) {
        query = query.bind(first.0).bind(i64::from(*rows));
    }
    let found: Vec<(i64, i64, i64, i64, i64)> = query.fetch_all(conn).await?;
    let counted = |(_, rows, raw, dead, damaged)| Counted {
        rows,
        raw,
        dead,
        damaged,
    };
    Ok(found.into_iter().map(counted).collect())
}

/// Makes sure that the chunks of runs are there and stay, in the transaction that names them; their
/// bytes together. [`Error::Stale`] when one was collected or found damaged: then nothing may name the
/// others.
pub async fn keep(conn: &mut Conn, space: SpaceId, runs: &[(ChunkRow, u32)]) -> Result<u64> {
    let mut bytes = 0;
    for runs in runs.chunks(RUNS_AT_ONCE) {
        bytes += keep_each(conn, space, runs).await?.iter().sum::<u64>();
    }
    Ok(bytes)
}

/// The same for at most [`RUNS_AT_ONCE`] runs; the bytes of each.
pub(super) async fn keep_each(
    conn: &mut Conn,
    space: SpaceId,
    runs: &[(ChunkRow, u32)],
) -> Result<Vec<u64>> {
    conn.alone(Alone::Naming).await?;
    let mut lengths = Vec::with_capacity(runs.len());
    let counted = count(conn, space, runs).await?;
    for ((first, rows), counted) in runs.iter().zip(counted) {
        if counted.rows != i64::from(*rows) || counted.damaged > 0 {
            return Err(Error::Stale);
        }
        if counted.dead > 0 {
            let query = sql::query(REVIVE)
                .bind(first.0)
                .bind(first.0 + i64::from(*rows))
                .bind(space.0);
            query.execute(&mut *conn).await?;
        }
        lengths.push(counted.bytes()?);
    }
    Ok(lengths)
}

fn to_blinded(bytes: &[u8]) -> Result<Blinded> {
    let bytes = bytes
        .try_into()
        .map_err(|_| Error::Corrupt("a chunk row's stand-in"))?;
    Ok(Blinded(bytes))
}

fn number(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::Corrupt("a chunk row's length"))
}

#[cfg(test)]
mod tests;

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let mut all = vec![PUT_SEGMENT, LOCATED, LISTED, BY_BLINDED, COUNTED, REVIVE];
    all.extend(FIND.texts());
    all.extend(INSERT.texts());
    all.push(RAW_LENS.as_str());
    all
}
