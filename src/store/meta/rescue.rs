//! Making a database from a snapshot whole: ids that nobody has seen, and what the disk lacks.

use std::collections::HashMap;

use super::chunks::{self, NewChunk};
use super::{Conn, sequences, sql};
use crate::chunk::Manifest;
use crate::crypto::{Blinded, SegmentId};
use crate::store::Result;
use crate::types::{ContentId, SpaceId};

/// Turns that are left out: far more than can have been taken since a snapshot.
const TURNS: i64 = 1_000_000_000;
/// Nodes of each space, and contents (named by validators), that are left out.
const NAMED: i64 = 10_000_000;
/// Spaces that are left out; there are few, and they share the bits of node ids.
const SPACES: i64 = 100;
/// Rows of other tables that are left out whose numbers clients know.
const OTHERS: i64 = 1_000_000;

// Cursors of before are refused: their turns are forgotten.
const SKIP: &str =
    "UPDATE space SET seq = seq + $1, feed_floor = seq + $1, last_node = last_node + $2";
const FOUND: &str = "INSERT INTO segment (name, space) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET space = segment.space RETURNING id";
const LOSE: &str = "UPDATE chunk SET dead = 0 WHERE segment = $1 AND start + stored > $2";
const LOST: &str = "SELECT id FROM chunk WHERE dead IS NOT NULL AND id > $1 ORDER BY id LIMIT $2";
const FORGET: &str = "DELETE FROM chunk WHERE dead IS NOT NULL";
const FORGET_SEGMENTS: &str = "DELETE FROM segment
    WHERE NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.segment = segment.id)";
const END: &str = "SELECT s.id, COALESCE(MAX(c.start + c.stored), 0)
    FROM segment s LEFT JOIN chunk c ON c.segment = s.id WHERE s.name = $1 GROUP BY s.id";
const SEGMENTS: &str = "SELECT id, name FROM segment WHERE id > $1 ORDER BY id LIMIT $2";
const MANIFESTS: &str = "SELECT id, manifest FROM content
    WHERE manifest IS NOT NULL AND id > $1 ORDER BY id LIMIT $2";
const SPOIL: &str = "UPDATE content SET root = $2 WHERE id = $1";
const UNNAMED: &str = "DELETE FROM content WHERE id = $1
    AND NOT EXISTS (SELECT 1 FROM node WHERE node.content = content.id)
    AND NOT EXISTS (SELECT 1 FROM version WHERE version.content = content.id)";
// What nothing names has no file, and what is damaged is healed by being put together again.
const HAS_ROOT: &str = "SELECT id FROM content
    WHERE space = $1 AND root = $2 AND damaged IS NULL
      AND (EXISTS (SELECT 1 FROM node WHERE node.content = content.id)
        OR EXISTS (SELECT 1 FROM version WHERE version.content = content.id))";
const USES: &str = "SELECT count(*) FROM node WHERE content = $1 AND trashed IS NULL";

/// Lets turns and numbers go on where none can have been given out before.
pub async fn skip(conn: &mut Conn) -> Result<()> {
    let query = sql::query(SKIP).bind(TURNS).bind(NAMED);
    query.execute(&mut *conn).await?;
    for (table, last) in sequences::last(conn).await? {
        let further = match table.as_str() {
            "space" => SPACES,
            "content" => NAMED,
            // Nobody but the database knows them.
            "segment" | "chunk" | "sync_log" | "seal" => 0,
            _ => OTHERS,
        };
        sequences::set(conn, &table, last + further).await?;
    }
    Ok(())
}

/// The next at most `limit` segments behind a row.
pub async fn segments(conn: &mut Conn, behind: i64, limit: i64) -> Result<Vec<(i64, SegmentId)>> {
    let query = sql::query_as(SEGMENTS).bind(behind).bind(limit);
    let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(conn).await?;
    rows.into_iter()
        .map(|(row, name)| Ok((row, super::process::to_segment(name)?)))
        .collect()
}

/// The row of a segment and where its last known record ends; `None` when it has no row.
pub async fn known(conn: &mut Conn, segment: SegmentId) -> Result<Option<(i64, u64)>> {
    let query = sql::query_as(END).bind(&segment.0[..]);
    let found: Option<(i64, i64)> = query.fetch_optional(conn).await?;
    Ok(found.map(|(row, end)| (row, end.unsigned_abs())))
}

/// Flags the chunks whose records do not lie within the first bytes of a segment: what is found
/// elsewhere loses the flag.
pub async fn lose(conn: &mut Conn, segment: i64, length: u64) -> Result<u64> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let query = sql::query(LOSE).bind(segment).bind(length);
    Ok(query.execute(conn).await?.rows_affected())
}

/// Makes rows for chunks that were found in a segment nobody appends to; those that have a row already
/// keep it, and get the new place when they were flagged.
pub async fn insert(
    conn: &mut Conn,
    space: SpaceId,
    segment: SegmentId,
    chunks: &[NewChunk],
) -> Result<()> {
    let query = sql::query_scalar(FOUND).bind(&segment.0[..]);
    let row = query.bind(space.0).fetch_one(&mut *conn).await?;
    let segments = HashMap::from([(segment, row)]);
    chunks::put(conn, space, chunks, &segments).await?;
    Ok(())
}

/// The next at most `limit` chunks behind one that were lost and not found.
pub async fn lost(conn: &mut Conn, behind: i64, limit: i64) -> Result<Vec<i64>> {
    let query = sql::query_scalar(LOST).bind(behind).bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// Forgets lost chunks and segments without chunks, so that nobody relies on them.
pub async fn forget_lost(conn: &mut Conn) -> Result<()> {
    sql::query(FORGET).execute(&mut *conn).await?;
    sql::query(FORGET_SEGMENTS).execute(conn).await?;
    Ok(())
}

/// The next at most `limit` contents in chunks behind one.
pub async fn manifests(
    conn: &mut Conn,
    behind: i64,
    limit: i64,
) -> Result<Vec<(ContentId, Option<Manifest>)>> {
    let query = sql::query_as(MANIFESTS).bind(behind).bind(limit);
    let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(conn).await?;
    let decoded = rows.into_iter();
    Ok(decoded
        .map(|(id, bytes)| (ContentId(id), Manifest::decode(&bytes)))
        .collect())
}

/// Makes sure that nobody finds a content any more that lacks bytes; one that nothing names goes. How
/// many files have it.
pub async fn spoil(conn: &mut Conn, content: ContentId, nobody: [u8; 16]) -> Result<u64> {
    let gone = sql::query(UNNAMED).bind(content.0).execute(&mut *conn);
    if gone.await?.rows_affected() > 0 {
        return Ok(0);
    }
    let query = sql::query(SPOIL).bind(content.0).bind(&nobody[..]);
    query.execute(&mut *conn).await?;
    let files: i64 = sql::query_scalar(USES)
        .bind(content.0)
        .fetch_one(conn)
        .await?;
    Ok(files.unsigned_abs())
}

/// Whether a file or version of the space has a sound content with this root.
pub async fn has_root(conn: &mut Conn, space: SpaceId, root: Blinded) -> Result<bool> {
    let query = sql::query_scalar::<i64>(HAS_ROOT)
        .bind(space.0)
        .bind(&root.0[..]);
    Ok(query.fetch_optional(conn).await?.is_some())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        SKIP,
        FOUND,
        LOSE,
        LOST,
        FORGET,
        FORGET_SEGMENTS,
        END,
        SEGMENTS,
        MANIFESTS,
        SPOIL,
        UNNAMED,
        HAS_ROOT,
        USES,
    ]
}
