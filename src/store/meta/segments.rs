//! Segments: which are closed, what moves out of them, and which are gone.

use super::chunks::{Located, LocatedRow, put_segments, to_located};
use super::process::to_segment;
use super::{Alone, Conn, sql};
use crate::crypto::SegmentId;
use crate::store::blob::Place;
use crate::store::{Error, Result};
use crate::types::{Millis, ProcessId, SpaceId};

/// A row of `segment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its row.
    pub row: i64,
    /// The name of its file.
    pub name: SegmentId,
    /// The space whose chunks it holds.
    pub space: SpaceId,
    /// Whether a process may append to it.
    pub open: bool,
    /// Whether that process was asked to close it.
    pub closing: bool,
}

const OWNED: &str = "SELECT s.id, s.name, s.space, s.closing,
        EXISTS (SELECT 1 FROM process WHERE process.id = s.process)
    FROM segment s WHERE s.id > $1 ORDER BY s.id LIMIT $2";
const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM segment WHERE id = $1)";
const BYTES: &str = "SELECT CAST(COALESCE(SUM(stored), 0) AS BIGINT) FROM chunk WHERE segment = $1";
const CLOSE: &str = "UPDATE segment SET closing = TRUE WHERE id = $1";
const DROP: &str = "DELETE FROM segment WHERE id = $1
    AND NOT EXISTS (SELECT 1 FROM process WHERE process.id = segment.process)
    AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.segment = segment.id) RETURNING name";
const GONE: &str = "INSERT INTO gone_segment (name, at) VALUES ($1, $2)
    ON CONFLICT (name) DO NOTHING";
const TO_UNLINK: &str = "SELECT name FROM gone_segment
    WHERE NOT unlinked AND at <= $1 AND name > $2 ORDER BY name LIMIT $3";
const LEFT: &str = "SELECT count(*) FROM gone_segment WHERE NOT unlinked";
const UNLINKED: &str = "UPDATE gone_segment SET unlinked = TRUE, at = $2 WHERE name = $1";
const FORGET: &str = "DELETE FROM gone_segment WHERE unlinked AND at < $1";
const HELD: &str = "SELECT c.id, c.blinded, s.name, c.start, c.stored, c.raw, c.damaged IS NOT NULL
    FROM chunk c JOIN segment s ON s.id = c.segment
    WHERE c.segment = $1 AND c.start >= $2 ORDER BY c.start LIMIT $3";
// What was copied has opened.
const MOVE: &str = "UPDATE chunk SET segment = $4, start = $5, stored = $6, damaged = NULL
    WHERE id = $1 AND segment = $2 AND start = $3";

/// The next at most `limit` segments behind a row.
pub async fn page(conn: &mut Conn, behind: i64, limit: i64) -> Result<Vec<Segment>> {
    let query = sql::query_as(OWNED).bind(behind).bind(limit);
    let rows: Vec<(i64, Vec<u8>, i64, bool, bool)> = query.fetch_all(conn).await?;
    rows.into_iter()
        .map(|(row, name, space, closing, open)| {
            Ok(Segment {
                row,
                name: to_segment(name)?,
                space: SpaceId(space),
                open,
                closing,
            })
        })
        .collect()
}

/// Whether a segment has its row.
pub async fn exists(conn: &mut Conn, segment: i64) -> Result<bool> {
    let query = sql::query_scalar(EXISTS).bind(segment);
    Ok(query.fetch_one(conn).await?)
}

/// Bytes of the records in a segment that have rows.
pub async fn bytes_held(conn: &mut Conn, segment: i64) -> Result<u64> {
    let query = sql::query_scalar::<i64>(BYTES).bind(segment);
    Ok(query.fetch_one(conn).await?.unsigned_abs())
}

/// Asks the process that appends to a segment to close it.
pub async fn close(conn: &mut Conn, segment: i64) -> Result<()> {
    sql::query(CLOSE).bind(segment).execute(conn).await?;
    Ok(())
}

/// Forgets a segment that is closed and holds no chunk any more; `false` when it is not so. Its file
/// is to be unlinked after the commit.
pub async fn drop_empty(conn: &mut Conn, segment: i64, now: Millis) -> Result<bool> {
    conn.alone(Alone::Collecting).await?;
    let name: Option<Vec<u8>> = sql::query_scalar(DROP)
        .bind(segment)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(name) = name else {
        return Ok(false);
    };
    sql::query(GONE)
        .bind(name)
        .bind(now.0)
        .execute(conn)
        .await?;
    Ok(true)
}

/// The next at most `limit` files behind a name whose segments went until a time, and which are to be
/// unlinked.
pub async fn to_unlink(
    conn: &mut Conn,
    until: Millis,
    behind: &[u8],
    limit: i64,
) -> Result<Vec<SegmentId>> {
    let names: Vec<Vec<u8>> = sql::query_scalar(TO_UNLINK)
        .bind(until.0)
        .bind(behind)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    names.into_iter().map(to_segment).collect()
}

/// How many files are still to be unlinked.
pub async fn left(conn: &mut Conn) -> Result<u64> {
    let left: i64 = sql::query_scalar(LEFT).fetch_one(conn).await?;
    Ok(left.unsigned_abs())
}

/// Notes that the file of a segment is unlinked now.
pub async fn unlinked(conn: &mut Conn, segment: SegmentId, now: Millis) -> Result<()> {
    let query = sql::query(UNLINKED).bind(&segment.0[..]).bind(now.0);
    query.execute(conn).await?;
    Ok(())
}

/// Forgets segments whose files were unlinked before a time.
pub async fn forget(conn: &mut Conn, before: Millis) -> Result<()> {
    sql::query(FORGET).bind(before.0).execute(conn).await?;
    Ok(())
}

/// The next at most `limit` chunks of a segment from an offset on.
pub async fn held(conn: &mut Conn, segment: i64, from: u64, limit: i64) -> Result<Vec<Located>> {
    let from = i64::try_from(from).map_err(|_huge| Error::Corrupt("a segment is too long"))?;
    let query = sql::query_as(HELD).bind(segment).bind(from).bind(limit);
    let rows: Vec<LocatedRow> = query.fetch_all(conn).await?;
    rows.into_iter().map(to_located).collect()
}

/// Where a chunk was and where a copy of its record is now.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// The chunk as it was.
    pub from: Located,
    /// Its new place, on the disk already.
    pub to: Place,
}

/// Gives chunks of a segment their new places; one that went or got another place meanwhile is left
/// as it is. `by` has appended the copies.
pub async fn relocate(
    conn: &mut Conn,
    by: ProcessId,
    (space, segment): (SpaceId, i64),
    moved: &[Moved],
) -> Result<()> {
    conn.alone(Alone::Naming).await?;
    // Others insert chunks of the space meanwhile, in another order.
    conn.alone(Alone::Chunks(space)).await?;
    let places = moved.iter().map(|moved| moved.to);
    let rows = put_segments(conn, by, space, places).await?;
    let offset = |place: &Place| {
        let offset = i64::try_from(place.offset);
        offset.map_err(|_huge| Error::Corrupt("a segment is too long"))
    };
    for Moved { from, to } in moved {
        let query = sql::query(MOVE)
            .bind(from.row.0)
            .bind(segment)
            .bind(offset(&from.place)?)
            .bind(rows.get(&to.segment).copied())
            .bind(offset(to)?)
            .bind(i64::from(to.stored));
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Makes rows for the segments that some places are in. `by` has appended there.
pub async fn name(
    conn: &mut Conn,
    by: ProcessId,
    space: SpaceId,
    places: Vec<Place>,
) -> Result<()> {
    conn.alone(Alone::Naming).await?;
    // Whoever goes on with chunks has this as well; to ask for it with a segment's row in hand would be
    // to wait for somebody who waits for that.
    conn.alone(Alone::Chunks(space)).await?;
    put_segments(conn, by, space, places.into_iter()).await?;
    Ok(())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        OWNED, EXISTS, BYTES, CLOSE, DROP, GONE, TO_UNLINK, LEFT, UNLINKED, FORGET, HELD, MOVE,
    ]
}
