//! Log-ins by token and the codes that let devices in. A log-in is a family of refresh tokens that
//! replace one another; of tokens and codes only hashes are kept.

use sqlx::FromRow;

use super::{Conn, sql};
use crate::store::Result;
use crate::types::{AccountId, DeviceId, FamilyId, Millis};

/// A log-in, its account and its device.
#[derive(Clone, FromRow)]
pub struct Family {
    /// The family's id.
    pub id: i64,
    /// The account's id.
    pub account: i64,
    /// The account's name.
    pub name: String,
    /// Whether the account may administer the server.
    pub admin: bool,
    /// The account's own space.
    pub space: i64,
    /// Raised when the account's password changes.
    pub epoch: i64,
    /// The device's id.
    pub device: Option<i64>,
    /// The device's name.
    pub device_name: Option<String>,
    /// The text of the device's kind.
    pub kind: Option<String>,
    /// SHA-256 of the secret of the refresh token.
    pub secret: Vec<u8>,
    /// The same of its twin.
    pub spare: Option<Vec<u8>>,
    /// The same of the one that these replaced.
    pub previous: Option<Vec<u8>>,
    /// When that was, in milliseconds since 1970; at first the log-in.
    pub rotated_at: i64,
    /// When the log-in ends whatever happens.
    pub expires_at: i64,
}

/// A row to be: a log-in.
pub struct NewFamily<'a> {
    /// The account.
    pub account: AccountId,
    /// The epoch its password was checked at.
    pub epoch: i64,
    /// A device of the account.
    pub device: Option<DeviceId>,
    /// SHA-256 of what all its refresh tokens share.
    pub handle: &'a [u8],
    /// SHA-256 of the secret of the first one.
    pub secret: &'a [u8],
    /// Now.
    pub created: Millis,
    /// The end whatever happens.
    pub expires: Millis,
}

/// Which log-ins of an account are not worth keeping.
pub struct Stale {
    /// Those that ended before.
    pub now: Millis,
    /// Those not refreshed since.
    pub idle_since: Millis,
    /// All without a device but this many, the ones refreshed last.
    pub most: i64,
}

macro_rules! select_family {
    ($where:literal) => {
        concat!(
            "SELECT f.id, a.id AS account, a.name, a.admin, a.space, a.epoch, d.id AS device,
                d.name AS device_name, d.type AS kind, f.secret, f.spare, f.previous,
                f.rotated_at, f.expires_at
            FROM token_family f JOIN account a ON a.id = f.account_id
                LEFT JOIN devices d ON d.id = f.device_id
            WHERE d.revoked_at IS NULL AND ",
            $where
        )
    };
}

const BY_ID: &str = select_family!("f.id = $1");
const BY_HANDLE: &str = select_family!("f.handle = $1");
const OPEN: &str = "INSERT INTO token_family (account_id, device_id, handle, secret, rotated_at,
        created_at, expires_at)
    SELECT id, CAST($3 AS BIGINT), $4, $5, $6, $6, $7 FROM account WHERE id = $1 AND epoch = $2
    RETURNING id";
const ROTATE: &str = "UPDATE token_family
    SET previous = $2, secret = $3, spare = NULL, rotated_at = $4 WHERE id = $1";
const SPARE: &str = "UPDATE token_family SET spare = $2 WHERE id = $1";
const END: &str = "DELETE FROM token_family WHERE id = $1";
const END_OF_DEVICE: &str = "DELETE FROM token_family WHERE device_id = $1";
const END_OF_ACCOUNT: &str = "DELETE FROM token_family WHERE account_id = $1";
const TIDY: &str = "DELETE FROM token_family WHERE account_id = $1
    AND (expires_at <= $2 OR rotated_at <= $3 OR (device_id IS NULL AND id NOT IN (
        SELECT id FROM token_family WHERE account_id = $1 AND device_id IS NULL
        ORDER BY rotated_at DESC, id DESC LIMIT $4)))";
const END_OLD: &str = "DELETE FROM token_family WHERE expires_at <= $1 OR rotated_at <= $2";
const ADD_CODE: &str = "INSERT INTO pairing_code (hash, account_id, expires_at)
    SELECT $1, id, $3 FROM account WHERE id = $2 RETURNING account_id";
const EXPIRE_CODES: &str = "DELETE FROM pairing_code WHERE expires_at <= $1";
const KEEP_CODES: &str = "DELETE FROM pairing_code WHERE account_id = $1 AND hash NOT IN (
    SELECT hash FROM pairing_code WHERE account_id = $1 ORDER BY expires_at DESC, hash LIMIT $2)";
const TAKE_CODE: &str = "DELETE FROM pairing_code WHERE hash = $1 AND expires_at > $2
    RETURNING account_id";
const END_CODES: &str = "DELETE FROM pairing_code WHERE account_id = $1";

/// The log-in with this id; `None` when it has ended or its device was revoked.
pub async fn by_id(conn: &mut Conn, family: FamilyId) -> Result<Option<Family>> {
    Ok(sql::query_as(BY_ID)
        .bind(family.0)
        .fetch_optional(conn)
        .await?)
}

/// Whether a log-in has not ended. What gives others access asks within its own transaction: an
/// access token is believed for some seconds after its log-in was ended by another process.
pub async fn still_there(conn: &mut Conn, by: Option<FamilyId>) -> Result<bool> {
    match by {
        Some(family) => Ok(by_id(conn, family).await?.is_some()),
        None => Ok(true),
    }
}

/// The log-in whose refresh tokens share what has this SHA-256; `None` as for [`by_id`].
pub async fn by_handle(conn: &mut Conn, handle: &[u8]) -> Result<Option<Family>> {
    Ok(sql::query_as(BY_HANDLE)
        .bind(handle)
        .fetch_optional(conn)
        .await?)
}

/// Begins a log-in; `None` when the account is gone or its password was changed meanwhile.
pub async fn open(conn: &mut Conn, new: &NewFamily<'_>) -> Result<Option<FamilyId>> {
    let query = sql::query_scalar(OPEN)
        .bind(new.account.0)
        .bind(new.epoch)
        .bind(new.device.map(|id| id.0));
    let query = query.bind(new.handle).bind(new.secret);
    let query = query.bind(new.created.0).bind(new.expires.0);
    Ok(query.fetch_optional(conn).await?.map(FamilyId))
}

/// Replaces the refresh token with the secret `used` by one with the secret `next`.
pub async fn rotate(
    conn: &mut Conn,
    family: FamilyId,
    (used, next): (&[u8], &[u8]),
    now: Millis,
) -> Result<()> {
    sql::query(ROTATE)
        .bind(family.0)
        .bind(used)
        .bind(next)
        .bind(now.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts a second refresh token beside the current one.
pub async fn add_spare(conn: &mut Conn, family: FamilyId, spare: &[u8]) -> Result<()> {
    sql::query(SPARE)
        .bind(family.0)
        .bind(spare)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a log-in; again is fine.
pub async fn end(conn: &mut Conn, family: FamilyId) -> Result<()> {
    sql::query(END).bind(family.0).execute(conn).await?;
    Ok(())
}

/// Ends the log-in of a device.
pub async fn end_of_device(conn: &mut Conn, device: DeviceId) -> Result<()> {
    sql::query(END_OF_DEVICE)
        .bind(device.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends all log-ins and pairing codes of an account.
pub async fn end_of_account(conn: &mut Conn, account: AccountId) -> Result<()> {
    for statement in [END_OF_ACCOUNT, END_CODES] {
        sql::query(statement)
            .bind(account.0)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Ends all pairing codes of an account.
pub async fn end_codes(conn: &mut Conn, account: AccountId) -> Result<()> {
    sql::query(END_CODES).bind(account.0).execute(conn).await?;
    Ok(())
}

/// Deletes the log-ins of an account that nobody uses any more.
pub async fn tidy(conn: &mut Conn, account: AccountId, stale: &Stale) -> Result<()> {
    sql::query(TIDY)
        .bind(account.0)
        .bind(stale.now.0)
        .bind(stale.idle_since.0)
        .bind(stale.most)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes the log-ins of all accounts that ended by `now` or were not refreshed since `idle_since`,
/// and the pairing codes that ended; says how many of both.
pub async fn forget_ended(conn: &mut Conn, now: Millis, idle_since: Millis) -> Result<u64> {
    let query = sql::query(END_OLD).bind(now.0).bind(idle_since.0);
    let families = query.execute(&mut *conn).await?.rows_affected();
    let codes = sql::query(EXPIRE_CODES).bind(now.0).execute(conn).await?;
    Ok(families + codes.rows_affected())
}

/// Adds a pairing code, known by its hash; `false` when there is no such account.
pub async fn add_code(
    conn: &mut Conn,
    hash: &[u8],
    account: AccountId,
    expires: Millis,
) -> Result<bool> {
    let query = sql::query_scalar(ADD_CODE)
        .bind(hash)
        .bind(account.0)
        .bind(expires.0);
    let id: Option<i64> = query.fetch_optional(conn).await?;
    Ok(id.is_some())
}

/// Deletes codes that ended, and all of an account but the `most` newest.
pub async fn tidy_codes(conn: &mut Conn, account: AccountId, now: Millis, most: i64) -> Result<()> {
    sql::query(EXPIRE_CODES)
        .bind(now.0)
        .execute(&mut *conn)
        .await?;
    sql::query(KEEP_CODES)
        .bind(account.0)
        .bind(most)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends all pairing codes there are.
pub async fn forget_codes(conn: &mut Conn) -> Result<()> {
    let query = sql::query(EXPIRE_CODES).bind(i64::MAX);
    query.execute(conn).await?;
    Ok(())
}

/// Uses up a pairing code that still holds, and says whose it was.
pub async fn take_code(conn: &mut Conn, hash: &[u8], now: Millis) -> Result<Option<AccountId>> {
    let query = sql::query_scalar(TAKE_CODE).bind(hash).bind(now.0);
    Ok(query.fetch_optional(conn).await?.map(AccountId))
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        BY_ID,
        BY_HANDLE,
        OPEN,
        ROTATE,
        SPARE,
        END,
        END_OF_DEVICE,
        END_OF_ACCOUNT,
        TIDY,
        END_OLD,
        ADD_CODE,
        EXPIRE_CODES,
        KEEP_CODES,
        TAKE_CODE,
        END_CODES,
    ]
}
