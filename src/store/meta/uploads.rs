//! Uploads that are taken in several requests: what is known of them, and the bytes so far.

use sqlx::FromRow;

use super::{Conn, chunks, sql};
use crate::store::Result;
use crate::types::{AccountId, ChunkRow, Millis, SpaceId, UploadId};

/// A row of `upload` without what holds the bytes.
#[derive(Clone, Debug, FromRow)]
pub struct UploadRow {
    /// Its id.
    pub id: i64,
    /// Who uploads.
    pub account: i64,
    /// Where its chunks are sealed for.
    pub space: i64,
    /// Where it will go, in the account's tree.
    pub path: String,
    /// Bytes announced.
    pub size: i64,
    /// What the writer's version was made from.
    pub base: Option<String>,
    /// Modification time stated, ms.
    pub mtime: Option<i64>,
    /// Creation time stated, ms.
    pub created: Option<i64>,
    /// Checksum stated.
    pub checksum: Option<String>,
    /// Bytes that are durable.
    pub received: i64,
    /// When bytes last came, ms.
    pub used_at: i64,
    /// What finishing it answered.
    pub made: Option<String>,
}

/// An upload to be.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Who uploads.
    pub account: AccountId,
    /// The space its path leads into.
    pub space: SpaceId,
    /// Where it will go, in the account's tree.
    pub path: String,
    /// Bytes announced.
    pub size: i64,
    /// What the writer's version was made from.
    pub base: Option<String>,
    /// Modification time stated.
    pub mtime: Option<Millis>,
    /// Creation time stated.
    pub created: Option<Millis>,
    /// Checksum stated.
    pub checksum: Option<String>,
    /// Now.
    pub now: Millis,
}

/// The bytes of an unfinished upload, as they lie in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// How many there are.
    pub received: i64,
    /// The chunks of those from the beginning on.
    pub manifest: Vec<u8>,
    /// Those behind the last chunk, sealed.
    pub tail: Option<Vec<u8>>,
}

/// What an account has under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Unfinished uploads of the account.
    pub number: i64,
    /// Bytes announced by those of them that go into one space.
    pub bytes: i64,
}

macro_rules! select_upload {
    ($rest:literal) => {
        concat!(
            "SELECT id, account, space, path, size, base, mtime, created, checksum, received,
                used_at, made
            FROM upload ",
            $rest
        )
    };
}

const INSERT: &str = "INSERT INTO upload (account, space, path, size, base, mtime, created,
        checksum, received, manifest, used_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10)
    RETURNING id, account, space, path, size, base, mtime, created, checksum, received, used_at,
        made";
const BY_ID: &str = select_upload!("WHERE id = $1 AND account = $2 AND used_at >= $3");
const UNFINISHED: &str =
    select_upload!("WHERE account = $1 AND used_at >= $2 AND made IS NULL ORDER BY id");
const PENDING: &str = "SELECT count(*),
        CAST(COALESCE(SUM(CASE WHEN space = $2 THEN size ELSE 0 END), 0) AS BIGINT)
    FROM upload WHERE account = $1 AND used_at >= $3 AND made IS NULL";
const HELD: &str = "SELECT received, manifest, tail FROM upload WHERE id = $1 AND made IS NULL";
const SAVE: &str = "UPDATE upload SET received = $2, manifest = $3, tail = $4, used_at = $5
    WHERE id = $1 AND made IS NULL AND (taken_by IS NULL OR taken_by = $6)";
const TAKE: &str = "UPDATE upload SET taken_by = $2, taken_until = $3
    WHERE id = $1 AND (taken_by IS NULL OR taken_by = $2 OR taken_until < $4)";
const LET_ALL_GO: &str = "UPDATE upload SET taken_by = NULL WHERE taken_by IS NOT NULL";
const LET_GO: &str = "UPDATE upload SET taken_by = NULL WHERE id = $1 AND taken_by = $2";
const FINISH: &str = "UPDATE upload SET made = $2, used_at = $3, manifest = $4, tail = NULL
    WHERE id = $1 AND made IS NULL";
const DELETE: &str = "DELETE FROM upload WHERE id = $1 AND account = $2";
const FORGET: &str = "DELETE FROM upload WHERE id IN (
        SELECT id FROM upload WHERE used_at < $1 ORDER BY used_at, id LIMIT $2)
    RETURNING received";
const STALE_TOTAL: &str = "SELECT count(*), CAST(COALESCE(SUM(received), 0) AS BIGINT)
    FROM upload WHERE used_at < $1";

/// Makes the row of an upload of which nothing has arrived; `empty` is the manifest of nothing.
pub async fn insert(conn: &mut Conn, new: &NewUpload, empty: &[u8]) -> Result<UploadRow> {
    let query = sql::query_as(INSERT)
        .bind(new.account.0)
        .bind(new.space.0)
        .bind(&new.path)
        .bind(new.size)
        .bind(&new.base)
        .bind(new.mtime.map(|time| time.0))
        .bind(new.created.map(|time| time.0))
        .bind(&new.checksum)
        .bind(empty)
        .bind(new.now.0);
    Ok(query.fetch_one(conn).await?)
}

/// An upload of an account that was used at `since` or later.
pub async fn by_id(
    conn: &mut Conn,
    account: AccountId,
    id: UploadId,
    since: Millis,
) -> Result<Option<UploadRow>> {
    let query = sql::query_as(BY_ID)
        .bind(id.0)
        .bind(account.0)
        .bind(since.0);
    Ok(query.fetch_optional(conn).await?)
}

/// The unfinished uploads of an account that were used at `since` or later, oldest first.
pub async fn unfinished(
    conn: &mut Conn,
    account: AccountId,
    since: Millis,
) -> Result<Vec<UploadRow>> {
    let query = sql::query_as(UNFINISHED).bind(account.0).bind(since.0);
    Ok(query.fetch_all(conn).await?)
}

/// How much an account has under way, of what was used at `since` or later.
pub async fn pending(
    conn: &mut Conn,
    account: AccountId,
    space: SpaceId,
    since: Millis,
) -> Result<Pending> {
    let query = sql::query_as(PENDING)
        .bind(account.0)
        .bind(space.0)
        .bind(since.0);
    let (number, bytes) = query.fetch_one(conn).await?;
    Ok(Pending { number, bytes })
}

/// The bytes of an unfinished upload.
pub async fn held(conn: &mut Conn, id: UploadId) -> Result<Option<Held>> {
    let row: Option<(i64, Vec<u8>, Option<Vec<u8>>)> =
        sql::query_as(HELD).bind(id.0).fetch_optional(conn).await?;
    Ok(row.map(|(received, manifest, tail)| Held {
        received,
        manifest,
        tail,
    }))
}

/// Takes an upload for a server until a time, or goes on having it; `false` when another server has it.
pub async fn take(
    conn: &mut Conn,
    id: UploadId,
    by: i64,
    (until, now): (Millis, Millis),
) -> Result<bool> {
    let query = sql::query(TAKE)
        .bind(id.0)
        .bind(by)
        .bind(until.0)
        .bind(now.0);
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

/// Lets other servers have an upload.
pub async fn let_go(conn: &mut Conn, id: UploadId, by: i64) -> Result<()> {
    sql::query(LET_GO).bind(id.0).bind(by).execute(conn).await?;
    Ok(())
}

/// Lets everybody have every upload; only for a server that knows to be the only one.
pub async fn let_all_go(conn: &mut Conn) -> Result<()> {
    sql::query(LET_ALL_GO).execute(conn).await?;
    Ok(())
}

/// Keeps what an unfinished upload has now; `false` when there is no such any more, or another server
/// than `by` has it. `fresh` are the chunks that its row did not hold before; [`crate::store::Error::Stale`] when one was collected.
pub async fn save(
    conn: &mut Conn,
    (space, id, by): (SpaceId, UploadId, i64),
    held: &Held,
    fresh: &[(ChunkRow, u32)],
    now: Millis,
) -> Result<bool> {
    chunks::keep(conn, space, fresh).await?;
    let query = sql::query(SAVE)
        .bind(id.0)
        .bind(held.received)
        .bind(&held.manifest)
        .bind(&held.tail)
        .bind(now.0)
        .bind(by);
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

/// Notes what an upload became and lets go of its bytes; `false` when it was finished before or is
/// gone. `empty` is the manifest of nothing.
pub async fn finish(
    conn: &mut Conn,
    id: UploadId,
    made: &str,
    empty: &[u8],
    now: Millis,
) -> Result<bool> {
    let query = sql::query(FINISH)
        .bind(id.0)
        .bind(made)
        .bind(now.0)
        .bind(empty);
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

/// Forgets an upload of an account, finished or not; `false` when there is none.
pub async fn delete(conn: &mut Conn, account: AccountId, id: UploadId) -> Result<bool> {
    let query = sql::query(DELETE).bind(id.0).bind(account.0);
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

/// Forgets at most `limit` uploads last used before `before`, and returns how many bytes of each had
/// arrived.
pub async fn forget_stale(conn: &mut Conn, before: Millis, limit: i64) -> Result<Vec<i64>> {
    let query = sql::query_scalar(FORGET).bind(before.0).bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// How many uploads were last used before `before`, and how many bytes of them had arrived.
pub async fn stale_total(conn: &mut Conn, before: Millis) -> Result<(i64, i64)> {
    let query = sql::query_as(STALE_TOTAL).bind(before.0);
    Ok(query.fetch_one(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        INSERT,
        BY_ID,
        UNFINISHED,
        PENDING,
        HELD,
        SAVE,
        TAKE,
        LET_ALL_GO,
        LET_GO,
        FINISH,
        DELETE,
        FORGET,
        STALE_TOTAL,
    ]
}
