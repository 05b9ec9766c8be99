//! Marks on what was found damaged, and the rows that are looked at to find it. Nothing is deleted
//! here: a row with a mark goes as any other does, when nothing names it any more.

use super::chunks::{Located, LocatedRow, to_located};
use super::{Alone, Conn, sql};
use crate::crypto::SegmentId;
use crate::store::Result;
use crate::types::{ChunkRow, ContentId, Millis, SpaceId};

const NAMED: &str = "SELECT id FROM segment WHERE name = $1";
const MARK: &str = "UPDATE chunk SET damaged = $4
    WHERE id = $1 AND segment = $2 AND start = $3 AND damaged IS NULL";
const CLEAR: &str = "UPDATE chunk SET damaged = NULL
    WHERE id = $1 AND segment = $2 AND start = $3 AND damaged IS NOT NULL";
const STANDS: &str = "SELECT count(*) FROM chunk WHERE id = $1 AND segment = $2 AND start = $3";
const MARK_CONTENT: &str = "UPDATE content SET damaged = $2 WHERE id = $1 AND damaged IS NULL";
const CLEAR_CONTENT: &str = "UPDATE content SET damaged = NULL
    WHERE id = $1 AND damaged IS NOT NULL";
const CONTENT_MARK: &str = "SELECT damaged IS NOT NULL FROM content WHERE id = $1";
const COUNT: &str = "SELECT (SELECT count(*) FROM chunk WHERE damaged IS NOT NULL),
    (SELECT count(*) FROM content WHERE damaged IS NOT NULL)";
// Of a segment that has no row the name is empty.
const RECORDS: &str =
    "SELECT c.id, c.blinded, COALESCE(s.name, $4) AS name, c.start, c.stored, c.raw,
        c.damaged IS NOT NULL AS damaged, c.space, c.segment
    FROM chunk c LEFT JOIN segment s ON s.id = c.segment
    WHERE (c.segment, c.start, c.id) > ($1, $2, $3)
    ORDER BY c.segment, c.start, c.id LIMIT $5";
const SEALED: &str = "SELECT id, space, root, size, sealed, damaged IS NOT NULL FROM content
    WHERE id > $1 AND sealed IS NOT NULL ORDER BY id LIMIT $2";
const SEALED_ROW: &str = "SELECT id, space, root, size, sealed, damaged IS NOT NULL FROM content
    WHERE id = $1 AND sealed IS NOT NULL";
const TAILS: &str = "SELECT id, space, received, manifest, tail FROM upload
    WHERE id > $1 AND made IS NULL ORDER BY id LIMIT $2";
const KEYS: &str = "SELECT id, wrapped_key FROM space ORDER BY id";

/// Where a chunk's record lies, as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// The chunk.
    pub row: ChunkRow,
    /// Row of the segment.
    pub segment: i64,
    /// Offset in it.
    pub start: i64,
}

/// A chunk row and what it leads to.
pub struct Record {
    /// Where its record lies.
    pub at: At,
    /// Its space.
    pub space: SpaceId,
    /// The row as readers take it; an error when it says what cannot be.
    pub chunk: Result<Located>,
    /// Bytes of the record, as far as they can be.
    pub stored: u64,
    /// Whether it has a mark.
    pub damaged: bool,
}

/// A content that lies in its row.
pub struct Sealed {
    /// Its id.
    pub id: ContentId,
    /// Its space.
    pub space: SpaceId,
    /// Stand-in for the whole, as bytes of any number.
    pub root: Vec<u8>,
    /// Bytes as stated.
    pub size: i64,
    /// What is sealed.
    pub sealed: Vec<u8>,
    /// Whether it has a mark.
    pub damaged: bool,
}

/// Row of the segment with a name.
pub async fn named(conn: &mut Conn, segment: SegmentId) -> Result<Option<i64>> {
    let query = sql::query_scalar(NAMED).bind(&segment.0[..]);
    Ok(query.fetch_optional(conn).await?)
}

/// Marks chunks of a space that are still where they were found damaged; how many that were not marked.
pub async fn mark(conn: &mut Conn, space: SpaceId, found: &[At], now: Millis) -> Result<u64> {
    let mut marked = 0;
    alone(conn, space).await?;
    for At {
        row,
        segment,
        start,
    } in found
    {
        let query = sql::query(MARK).bind(row.0).bind(*segment).bind(*start);
        let done = query.bind(now.0).execute(&mut *conn).await?;
        marked += done.rows_affected();
    }
    Ok(marked)
}

/// Takes the marks off chunks of a space whose records open; how many had one.
pub async fn clear(conn: &mut Conn, space: SpaceId, sound: &[At]) -> Result<u64> {
    let mut cleared = 0;
    alone(conn, space).await?;
    for At {
        row,
        segment,
        start,
    } in sound
    {
        let query = sql::query(CLEAR).bind(row.0).bind(*segment).bind(*start);
        cleared += query.execute(&mut *conn).await?.rows_affected();
    }
    Ok(cleared)
}

/// Whether a chunk is still where it was found. Then its segment has not been taken away either.
pub async fn stands(conn: &mut Conn, at: At) -> Result<bool> {
    let query = sql::query_scalar::<i64>(STANDS)
        .bind(at.row.0)
        .bind(at.segment)
        .bind(at.start);
    Ok(query.fetch_one(conn).await? > 0)
}

/// Others change several chunks of the space at once, and collection changes those of all spaces.
pub async fn alone(conn: &mut Conn, space: SpaceId) -> Result<()> {
    conn.alone(Alone::Naming).await?;
    conn.alone(Alone::Chunks(space)).await
}

/// Marks a content whose row leads to no bytes; `false` when it has a mark or is gone.
pub async fn mark_content(conn: &mut Conn, content: ContentId, now: Millis) -> Result<bool> {
    let query = sql::query(MARK_CONTENT).bind(content.0).bind(now.0);
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

/// Takes the mark off a content.
pub async fn clear_content(conn: &mut Conn, content: ContentId) -> Result<bool> {
    let query = sql::query(CLEAR_CONTENT).bind(content.0);
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

/// Whether a content has a mark; `None` when there is no such content.
pub async fn content_mark(conn: &mut Conn, content: ContentId) -> Result<Option<bool>> {
    let query = sql::query_scalar(CONTENT_MARK).bind(content.0);
    Ok(query.fetch_optional(conn).await?)
}

/// How many chunks and contents have marks.
pub async fn count(conn: &mut Conn) -> Result<(u64, u64)> {
    let (chunks, contents): (i64, i64) = sql::query_as(COUNT).fetch_one(conn).await?;
    Ok((chunks.unsigned_abs(), contents.unsigned_abs()))
}

/// A row of [`RECORDS`].
#[derive(sqlx::FromRow)]
struct RecordRow {
    id: i64,
    blinded: Vec<u8>,
    name: Vec<u8>,
    start: i64,
    stored: i64,
    raw: i64,
    damaged: bool,
    space: i64,
    segment: i64,
}

/// The next at most `limit` chunks in the order of their places.
pub async fn records(conn: &mut Conn, behind: At, limit: i64) -> Result<Vec<Record>> {
    let none: &[u8] = &[];
    let query = sql::query_as(RECORDS)
        .bind(behind.segment)
        .bind(behind.start)
        .bind(behind.row.0)
        .bind(none)
        .bind(limit);
    let rows: Vec<RecordRow> = query.fetch_all(conn).await?;
    Ok(rows.into_iter().map(to_record).collect())
}

fn to_record(row: RecordRow) -> Record {
    let at = At {
        row: ChunkRow(row.id),
        segment: row.segment,
        start: row.start,
    };
    let located: LocatedRow = (
        row.id,
        row.blinded,
        row.name,
        row.start,
        row.stored,
        row.raw,
        row.damaged,
    );
    Record {
        at,
        space: SpaceId(row.space),
        stored: u64::try_from(row.stored).unwrap_or_default(),
        damaged: row.damaged,
        chunk: to_located(located),
    }
}

/// The next at most `limit` contents behind one that lie in their rows.
pub async fn sealed(conn: &mut Conn, behind: ContentId, limit: i64) -> Result<Vec<Sealed>> {
    let query = sql::query_as(SEALED).bind(behind.0).bind(limit);
    let rows: Vec<SealedRow> = query.fetch_all(conn).await?;
    Ok(rows.into_iter().map(to_sealed).collect())
}

/// One of them.
pub async fn sealed_row(conn: &mut Conn, content: ContentId) -> Result<Option<Sealed>> {
    let query = sql::query_as(SEALED_ROW).bind(content.0);
    let row: Option<SealedRow> = query.fetch_optional(conn).await?;
    Ok(row.map(to_sealed))
}

type SealedRow = (i64, i64, Vec<u8>, i64, Vec<u8>, bool);

fn to_sealed((id, space, root, size, sealed, damaged): SealedRow) -> Sealed {
    Sealed {
        id: ContentId(id),
        space: SpaceId(space),
        root,
        size,
        sealed,
        damaged,
    }
}

/// An unfinished upload: id, space, bytes received, manifest, what lies sealed behind it.
pub type Unfinished = (i64, i64, i64, Vec<u8>, Option<Vec<u8>>);

/// The next at most `limit` unfinished uploads behind one.
pub async fn unfinished(conn: &mut Conn, behind: i64, limit: i64) -> Result<Vec<Unfinished>> {
    let query = sql::query_as(TAILS).bind(behind).bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// The sealed key of each space.
pub async fn keys(conn: &mut Conn) -> Result<Vec<(SpaceId, Vec<u8>)>> {
    let rows: Vec<(i64, Vec<u8>)> = sql::query_as(KEYS).fetch_all(conn).await?;
    let key = |(space, key)| (SpaceId(space), key);
    Ok(rows.into_iter().map(key).collect())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        NAMED,
        MARK,
        CLEAR,
        STANDS,
        MARK_CONTENT,
        CLEAR_CONTENT,
        CONTENT_MARK,
        COUNT,
        RECORDS,
        SEALED,
        SEALED_ROW,
        TAILS,
        KEYS,
    ]
}
