//! Finding what nothing names: contents by the rows that name them, chunks by the manifests they are
//! in. `docs/adr/0011-collection.md` says why each step is safe.

use super::{Conn, sql};
use crate::chunk::Manifest;
use crate::store::{Error, Result};
use crate::types::{ChunkRow, ContentId, Millis, SpaceId};

/// Bytes of manifests that one page holds, unless it is a single one.
const PAGE_BYTES: i64 = 4 * 1024 * 1024;

macro_rules! unnamed {
    () => {
        "NOT EXISTS (SELECT 1 FROM node WHERE node.content = content.id)
            AND NOT EXISTS (SELECT 1 FROM version WHERE version.content = content.id)"
    };
}

const SPACES: &str = "SELECT id FROM space ORDER BY id";
// By root, because that index holds the id and not the bytes of small contents.
const CONTENTS: &str = concat!(
    "SELECT id, root, ",
    unnamed!(),
    " AND dead IS NULL FROM content WHERE space = $1 AND root > $2 ORDER BY root LIMIT $3"
);
const FLAG_CONTENT: &str = concat!(
    "UPDATE content SET dead = $2, dead_at = $3 WHERE id = $1 AND dead IS NULL AND ",
    unnamed!()
);
// One statement decides and deletes.
const DELETE_CONTENTS: &str = concat!(
    "DELETE FROM content WHERE id IN
        (SELECT id FROM content WHERE dead < $1 AND dead_at <= $2 ORDER BY dead LIMIT $3)
        AND ",
    unnamed!()
);
const WAITING_CONTENTS: &str = "SELECT count(CASE WHEN dead_at <= $1 THEN 1 END),
        count(CASE WHEN dead_at > $1 THEN 1 END)
    FROM content WHERE dead IS NOT NULL";
const UPLOADS: &str = "SELECT id, CAST(length(manifest) AS BIGINT) FROM upload
    WHERE id > $1 AND made IS NULL ORDER BY id LIMIT $2";
const UPLOAD_MANIFESTS: &str = "SELECT id, manifest FROM upload
    WHERE id > $1 AND id <= $2 AND made IS NULL ORDER BY id";
const CHUNKED: &str = "SELECT id, CAST(length(manifest) AS BIGINT) FROM content
    WHERE space = $1 AND id > $2 AND manifest IS NOT NULL ORDER BY id LIMIT $3";
const CONTENT_MANIFESTS: &str = "SELECT id, manifest FROM content
    WHERE space = $1 AND id > $2 AND id <= $3 AND manifest IS NOT NULL ORDER BY id";
const LAST_CHUNK: &str = "SELECT COALESCE(MAX(id), 0) FROM chunk";
const CHUNKS: &str = "SELECT id, segment, stored, dead FROM chunk
    WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3";
const FLAG: &str = "UPDATE chunk SET dead = $3 WHERE id >= $1 AND id <= $2 AND dead IS NULL";
const CLEAR: &str = "UPDATE chunk SET dead = NULL
    WHERE id >= $1 AND id <= $2 AND dead IS NOT NULL";
const DELETE: &str = "DELETE FROM chunk WHERE id >= $1 AND id <= $2 AND dead < $3";
const TRACES: &str = "SELECT
    (SELECT CAST(COALESCE(SUM(seq), 0) AS BIGINT) FROM space),
    (SELECT COALESCE(MAX(id), 0) FROM content),
    (SELECT COALESCE(MAX(id), 0) FROM chunk),
    (SELECT count(*) FROM version),
    (SELECT count(*) FROM upload),
    (SELECT COALESCE(MAX(id), 0) FROM upload)";

/// Figures that change with everything that can make something collectable.
pub type Traces = (i64, i64, i64, i64, i64, i64);

/// The present figures.
pub async fn traces(conn: &mut Conn) -> Result<Traces> {
    Ok(sql::query_as(TRACES).fetch_one(conn).await?)
}

/// All spaces.
pub async fn spaces(conn: &mut Conn) -> Result<Vec<SpaceId>> {
    let ids: Vec<i64> = sql::query_scalar(SPACES).fetch_all(conn).await?;
    Ok(ids.into_iter().map(SpaceId).collect())
}

/// Contents of a space in the order of their roots.
pub struct ContentPage {
    /// Those that nothing names and that are not flagged yet.
    pub unnamed: Vec<ContentId>,
    /// The last root, to go on behind; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// The next at most `limit` contents of a space behind a root.
pub async fn contents(
    conn: &mut Conn,
    space: SpaceId,
    behind: &[u8],
    limit: i64,
) -> Result<ContentPage> {
    let query = sql::query_as(CONTENTS)
        .bind(space.0)
        .bind(behind)
        .bind(limit);
    let rows: Vec<(i64, Vec<u8>, bool)> = query.fetch_all(conn).await?;
    let unnamed = rows.iter().filter(|(_, _, unnamed)| *unnamed);
    Ok(ContentPage {
        unnamed: unnamed.map(|(id, _, _)| ContentId(*id)).collect(),
        next: rows.into_iter().last().map(|(_, root, _)| root),
    })
}

/// Flags those of the contents that nothing names now.
pub async fn flag_contents(
    conn: &mut Conn,
    contents: &[ContentId],
    epoch: i64,
    now: Millis,
) -> Result<()> {
    for content in contents {
        let query = sql::query(FLAG_CONTENT)
            .bind(content.0)
            .bind(epoch)
            .bind(now.0);
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Deletes at most `limit` contents that were flagged before an epoch and until a time, and that
/// nothing names; how many there were.
pub async fn delete_contents(
    conn: &mut Conn,
    before: i64,
    until: Millis,
    limit: i64,
) -> Result<u64> {
    let query = sql::query(DELETE_CONTENTS)
        .bind(before)
        .bind(until.0)
        .bind(limit);
    Ok(query.execute(conn).await?.rows_affected())
}

/// Flagged contents: those that may go as far as time is concerned, and those that may not yet.
pub async fn waiting_contents(conn: &mut Conn, until: Millis) -> Result<(u64, u64)> {
    let query = sql::query_as(WAITING_CONTENTS).bind(until.0);
    let (now, later): (i64, i64) = query.fetch_one(conn).await?;
    Ok((now.unsigned_abs(), later.unsigned_abs()))
}

/// Where manifests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// In the rows of unfinished uploads.
    Uploads,
    /// In the contents of a space.
    Contents(SpaceId),
}

/// The next manifests behind a row, a few MiB of them, and the last row read; `None` at the end.
pub async fn manifests(
    conn: &mut Conn,
    of: Holder,
    behind: i64,
    limit: i64,
) -> Result<Option<(i64, Vec<Manifest>)>> {
    let Some((last, rows)) = manifest_rows(conn, of, behind, limit).await? else {
        return Ok(None);
    };
    let decode = |(_, bytes): (i64, Vec<u8>)| Manifest::decode(&bytes);
    let all: Option<_> = rows.into_iter().map(decode).collect();
    let all = all.ok_or(Error::Corrupt("a manifest"))?;
    Ok(Some((last, all)))
}

/// The same with the ids of the rows, as they are.
pub async fn manifest_rows(
    conn: &mut Conn,
    of: Holder,
    behind: i64,
    limit: i64,
) -> Result<Option<(i64, Vec<(i64, Vec<u8>)>)>> {
    let lengths: Vec<(i64, i64)> = match of {
        Holder::Uploads => sql::query_as(UPLOADS),
        Holder::Contents(space) => sql::query_as(CHUNKED).bind(space.0),
    }
    .bind(behind)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let mut room = PAGE_BYTES;
    let fits = |(_, length): &&(i64, i64)| {
        room -= length;
        room >= 0
    };
    let Some(first) = lengths.first() else {
        return Ok(None);
    };
    let (last, _) = *lengths.iter().take_while(fits).last().unwrap_or(first);
    let rows: Vec<(i64, Vec<u8>)> = match of {
        Holder::Uploads => sql::query_as(UPLOAD_MANIFESTS),
        Holder::Contents(space) => sql::query_as(CONTENT_MANIFESTS).bind(space.0),
    }
    .bind(behind)
    .bind(last)
    .fetch_all(conn)
    .await?;
    Ok(Some((last, rows)))
}

/// The last chunk row; 0 when there is none.
pub async fn last_chunk(conn: &mut Conn) -> Result<i64> {
    Ok(sql::query_scalar(LAST_CHUNK).fetch_one(conn).await?)
}

/// A chunk row as collection sees it.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Kept {
    /// Its id.
    pub id: i64,
    /// Row of the segment its record lies in.
    pub segment: i64,
    /// Bytes of the record.
    pub stored: i64,
    /// The epoch it was flagged in.
    pub dead: Option<i64>,
}

/// The next at most `limit` chunk rows behind one, up to another.
pub async fn chunks(conn: &mut Conn, behind: i64, last: i64, limit: i64) -> Result<Vec<Kept>> {
    let query = sql::query_as(CHUNKS).bind(behind).bind(last).bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// What is to happen to chunk rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Those without a flag get one, with this epoch.
    Flag(i64),
    /// They lose their flags.
    Clear,
    /// Those flagged before this epoch go.
    Delete(i64),
}

/// Carries a verdict out on rows `first..=last`; on how many of them.
pub async fn carry_out(
    conn: &mut Conn,
    verdict: Verdict,
    first: ChunkRow,
    last: ChunkRow,
) -> Result<u64> {
    let query = match verdict {
        Verdict::Flag(_) => sql::query(FLAG),
        Verdict::Clear => sql::query(CLEAR),
        Verdict::Delete(_) => sql::query(DELETE),
    };
    let query = query.bind(first.0).bind(last.0);
    let query = match verdict {
        Verdict::Flag(epoch) | Verdict::Delete(epoch) => query.bind(epoch),
        Verdict::Clear => query,
    };
    Ok(query.execute(conn).await?.rows_affected())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        SPACES,
        CONTENTS,
        FLAG_CONTENT,
        DELETE_CONTENTS,
        WAITING_CONTENTS,
        UPLOADS,
        UPLOAD_MANIFESTS,
        CHUNKED,
        CONTENT_MANIFESTS,
        LAST_CHUNK,
        CHUNKS,
        FLAG,
        CLEAR,
        DELETE,
        TRACES,
    ]
}
