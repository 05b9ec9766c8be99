//! Keys that seal what is stored in a space, and what is still sealed by an older one.

use sqlx::FromRow;

use super::{Conn, sql};
use crate::store::Result;
use crate::types::{ContentId, SpaceId, UploadId};

/// A key, sealed by the master key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its row.
    pub id: i64,
    /// The space.
    pub space: SpaceId,
    /// The key.
    pub wrapped: Vec<u8>,
}

/// What older keys may have sealed: rows up to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Left {
    /// Segments.
    pub segments: i64,
    /// Contents.
    pub contents: i64,
    /// Unfinished uploads.
    pub uploads: i64,
    /// Contents up to this one are sealed anew.
    pub done: i64,
}

impl Left {
    /// How many of the `span` ids from `first` on are of contents that an older key may have sealed.
    pub fn among(&self, first: i64, span: i64) -> i64 {
        let end = self.contents.min(first + span - 1);
        (end - self.done.max(first - 1)).max(0)
    }
}

/// Something sealed that lies in a row.
#[derive(Clone, Debug)]
pub struct Sealed<I> {
    /// The row.
    pub id: I,
    /// The space.
    pub space: SpaceId,
    /// Of a content its root; empty of an upload.
    pub root: Vec<u8>,
    /// What is sealed.
    pub sealed: Vec<u8>,
}

const OF_SPACE: &str = "SELECT wrapped FROM seal WHERE space = $1 ORDER BY id";
const ALL: &str = "SELECT id, space, wrapped FROM seal ORDER BY id";
const SET_KEY: &str = "UPDATE seal SET wrapped = $2 WHERE id = $1";
const INSERT: &str = "INSERT INTO seal (space, wrapped) VALUES ($1, $2)";
const BEGIN: &str = "INSERT INTO reseal (one, segments, contents, uploads)
    VALUES (1, (SELECT COALESCE(MAX(id), 0) FROM segment), (SELECT COALESCE(MAX(id), 0) FROM content),
        (SELECT COALESCE(MAX(id), 0) FROM upload))
    ON CONFLICT (one) DO UPDATE SET segments = excluded.segments, contents = excluded.contents,
        uploads = excluded.uploads, done = 0";
const EXTEND: &str = "UPDATE reseal SET segments = $1 WHERE segments < $1";
const LEFT: &str = "SELECT segments, contents, uploads, done FROM reseal";
const CONTENTS: &str = "SELECT id, space, root, sealed FROM content
    WHERE id > $1 AND id <= $2 AND sealed IS NOT NULL ORDER BY id LIMIT $3";
const SET_CONTENT: &str = "UPDATE content SET sealed = $2 WHERE id = $1 AND sealed = $3";
const DONE: &str = "UPDATE reseal SET done = $1";
const UPLOADS: &str = "SELECT id, space, tail FROM upload
    WHERE id > $1 AND id <= $2 AND tail IS NOT NULL ORDER BY id LIMIT $3";
const SET_UPLOAD: &str = "UPDATE upload SET tail = $2 WHERE id = $1 AND tail = $3";
const SEGMENTS: &str = "SELECT count(*) FROM segment WHERE id <= $1";
const FORGET_KEYS: &str =
    "DELETE FROM seal WHERE id NOT IN (SELECT MAX(id) FROM seal GROUP BY space)";
const END: &str = "DELETE FROM reseal WHERE segments = $1 AND contents = $2";

/// The keys that seal a space, sealed by the master key, the oldest first.
pub async fn of_space(conn: &mut Conn, space: SpaceId) -> Result<Vec<Vec<u8>>> {
    let query = sql::query_scalar(OF_SPACE).bind(space.0);
    Ok(query.fetch_all(conn).await?)
}

/// All of them.
pub async fn all(conn: &mut Conn) -> Result<Vec<Key>> {
    let rows: Vec<(i64, i64, Vec<u8>)> = sql::query_as(ALL).fetch_all(conn).await?;
    let key = |(id, space, wrapped)| Key {
        id,
        space: SpaceId(space),
        wrapped,
    };
    Ok(rows.into_iter().map(key).collect())
}

/// Puts a key, sealed by another master key.
pub async fn set_key(conn: &mut Conn, id: i64, wrapped: &[u8]) -> Result<()> {
    sql::query(SET_KEY)
        .bind(id)
        .bind(wrapped)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a space a key that seals from now on.
pub async fn insert(conn: &mut Conn, space: SpaceId, wrapped: &[u8]) -> Result<()> {
    sql::query(INSERT)
        .bind(space.0)
        .bind(wrapped)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that all that is stored now is to be sealed anew.
pub async fn begin(conn: &mut Conn) -> Result<()> {
    sql::query(BEGIN).execute(conn).await?;
    Ok(())
}

/// Takes segments up to a row among those that older keys may have sealed.
pub async fn extend(conn: &mut Conn, segment: i64) -> Result<()> {
    sql::query(EXTEND).bind(segment).execute(conn).await?;
    Ok(())
}

/// What may be left to be sealed anew; `None` when nothing is.
pub async fn left(conn: &mut Conn) -> Result<Option<Left>> {
    Ok(sql::query_as(LEFT).fetch_optional(conn).await?)
}

/// The next at most `limit` small contents behind a row, up to another.
pub async fn contents(
    conn: &mut Conn,
    behind: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<Sealed<ContentId>>> {
    let query = sql::query_as(CONTENTS).bind(behind).bind(upto).bind(limit);
    let rows: Vec<(i64, i64, Vec<u8>, Vec<u8>)> = query.fetch_all(conn).await?;
    let sealed = |(id, space, root, sealed)| Sealed {
        id: ContentId(id),
        space: SpaceId(space),
        root,
        sealed,
    };
    Ok(rows.into_iter().map(sealed).collect())
}

/// Puts the new form of a small content in the place of the old one, unless that has changed.
pub async fn set_content(conn: &mut Conn, id: ContentId, new: &[u8], old: &[u8]) -> Result<()> {
    let query = sql::query(SET_CONTENT).bind(id.0).bind(new).bind(old);
    query.execute(conn).await?;
    Ok(())
}

/// Notes that contents up to a row are done.
pub async fn set_done(conn: &mut Conn, upto: ContentId) -> Result<()> {
    sql::query(DONE).bind(upto.0).execute(conn).await?;
    Ok(())
}

/// The next at most `limit` unfinished uploads with something in their row, behind one and up to another.
pub async fn uploads(
    conn: &mut Conn,
    behind: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<Sealed<UploadId>>> {
    let query = sql::query_as(UPLOADS).bind(behind).bind(upto).bind(limit);
    let rows: Vec<(i64, i64, Vec<u8>)> = query.fetch_all(conn).await?;
    let sealed = |(id, space, sealed)| Sealed {
        id: UploadId(id),
        space: SpaceId(space),
        root: Vec::new(),
        sealed,
    };
    Ok(rows.into_iter().map(sealed).collect())
}

/// Puts the new form of what an upload has in its row in the place of the old one, likewise.
pub async fn set_upload(conn: &mut Conn, id: UploadId, new: &[u8], old: &[u8]) -> Result<()> {
    let query = sql::query(SET_UPLOAD).bind(id.0).bind(new).bind(old);
    query.execute(conn).await?;
    Ok(())
}

/// Forgets all keys but the newest of each space, when no segment is left that they sealed; whether it
/// is so.
pub async fn end(conn: &mut Conn, left: Left) -> Result<bool> {
    let query = sql::query_scalar::<i64>(SEGMENTS).bind(left.segments);
    if query.fetch_one(&mut *conn).await? > 0 {
        return Ok(false);
    }
    let query = sql::query(END).bind(left.segments).bind(left.contents);
    if query.execute(&mut *conn).await?.rows_affected() > 0 {
        sql::query(FORGET_KEYS).execute(conn).await?;
    }
    Ok(true)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        OF_SPACE,
        ALL,
        SET_KEY,
        INSERT,
        BEGIN,
        EXTEND,
        LEFT,
        CONTENTS,
        SET_CONTENT,
        DONE,
        UPLOADS,
        SET_UPLOAD,
        SEGMENTS,
        FORGET_KEYS,
        END,
    ]
}
