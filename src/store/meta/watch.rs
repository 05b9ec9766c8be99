//! Pairings of watches, from the digits on the watch to its token. Of secrets only hashes are kept.

use sqlx::FromRow;

use super::{Conn, sql};
use crate::store::Result;
use crate::types::{DeviceId, Millis};

/// A row to be: a pairing.
pub struct NewPairing<'a> {
    /// The digits the watch shows.
    pub code: &'a str,
    /// SHA-256 of what it polls with.
    pub secret_hash: &'a [u8],
    /// SHA-256 of the token it will get.
    pub token_hash: &'a [u8],
    /// Where it began.
    pub network: &'a [u8],
    /// What the watch calls itself.
    pub model: Option<&'a str>,
    /// When it ends.
    pub expires: Millis,
}

/// A pairing that nobody has confirmed yet.
#[derive(FromRow)]
pub struct Open {
    /// Its id.
    pub id: i64,
    /// SHA-256 of the token the watch will get.
    pub token_hash: Vec<u8>,
    /// What the watch calls itself.
    pub model: Option<String>,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: i64,
}

/// A pairing as its watch asks for it.
#[derive(FromRow)]
pub struct Polled {
    /// Its id.
    pub id: i64,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: i64,
    /// Whether the token was given out before.
    pub fetched: bool,
    /// The name of the account that has confirmed it; `None` while none has.
    pub account: Option<String>,
}

/// The watch that owns a token, and its account.
#[derive(FromRow)]
pub struct TokenOwner {
    /// The device's id.
    pub device: i64,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_at: Option<i64>,
    /// The account's id.
    pub account: i64,
    /// The account's name.
    pub name: String,
    /// Whether the account may administer the server.
    pub admin: bool,
    /// Raised when remembered credentials must be forgotten.
    pub epoch: i64,
    /// The account's own space.
    pub space: i64,
}

const EXPIRE: &str = "DELETE FROM watch_pairing WHERE expires_at <= $1";
const COUNT: &str = "SELECT count(*),
        CAST(COALESCE(SUM(CASE WHEN network = $1 THEN 1 ELSE 0 END), 0) AS BIGINT)
    FROM watch_pairing WHERE device IS NULL";
const INSERT: &str = "INSERT INTO watch_pairing
        (code, secret_hash, token_hash, network, model, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (code) DO NOTHING RETURNING id";
const BY_CODE: &str = "SELECT id, token_hash, model, expires_at FROM watch_pairing
    WHERE code = $1 AND expires_at > $2 AND device IS NULL";
const CONFIRM: &str = "UPDATE watch_pairing SET device = $2, expires_at = $3 WHERE id = $1";
// A device that was revoked at once leaves nothing to fetch.
const BY_SECRET: &str = "SELECT p.id, p.expires_at, p.fetched, a.name AS account
    FROM watch_pairing p LEFT JOIN devices d ON d.id = p.device
        LEFT JOIN account a ON a.id = d.account_id
    WHERE p.secret_hash = $1 AND p.expires_at > $2 AND d.revoked_at IS NULL";
const FETCHED: &str = "UPDATE watch_pairing SET fetched = TRUE, expires_at = $2
    WHERE id = $1 AND NOT fetched";
const BY_TOKEN: &str = "SELECT d.id AS device, d.revoked_at, a.id AS account, a.name, a.admin,
        a.epoch, a.space
    FROM devices d JOIN account a ON a.id = d.account_id
    WHERE d.secret_hash = $1 AND d.type = 'garmin'";

/// Forgets the pairings whose time is over, and says how many.
pub async fn expire(conn: &mut Conn, now: Millis) -> Result<u64> {
    let query = sql::query(EXPIRE).bind(now.0);
    Ok(query.execute(conn).await?.rows_affected())
}

/// How many pairings nobody has confirmed yet: (of all, of those that began in `network`).
pub async fn count(conn: &mut Conn, network: &[u8]) -> Result<(i64, i64)> {
    Ok(sql::query_as(COUNT).bind(network).fetch_one(conn).await?)
}

/// Adds a pairing; `false` when its code is taken.
pub async fn insert(conn: &mut Conn, new: &NewPairing<'_>) -> Result<bool> {
    let query = sql::query_scalar(INSERT)
        .bind(new.code)
        .bind(new.secret_hash)
        .bind(new.token_hash);
    let query = query.bind(new.network).bind(new.model).bind(new.expires.0);
    let id: Option<i64> = query.fetch_optional(conn).await?;
    Ok(id.is_some())
}

/// The pairing whose watch shows `code`; `None` when it is confirmed or over.
pub async fn by_code(conn: &mut Conn, code: &str, now: Millis) -> Result<Option<Open>> {
    Ok(sql::query_as(BY_CODE)
        .bind(code)
        .bind(now.0)
        .fetch_optional(conn)
        .await?)
}

/// Notes the device that a pairing has become, and until when its token may be fetched.
pub async fn confirm(
    conn: &mut Conn,
    pairing: i64,
    device: DeviceId,
    expires: Millis,
) -> Result<()> {
    sql::query(CONFIRM)
        .bind(pairing)
        .bind(device.0)
        .bind(expires.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The pairing of the watch whose secret has this SHA-256; `None` when it is over.
pub async fn by_secret(conn: &mut Conn, secret_hash: &[u8], now: Millis) -> Result<Option<Polled>> {
    Ok(sql::query_as(BY_SECRET)
        .bind(secret_hash)
        .bind(now.0)
        .fetch_optional(conn)
        .await?)
}

/// Notes that the token was given out and until when it may be again; only the first time counts.
pub async fn fetched(conn: &mut Conn, pairing: i64, expires: Millis) -> Result<()> {
    sql::query(FETCHED)
        .bind(pairing)
        .bind(expires.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whose token has this SHA-256; revoked watches are found too, other devices never.
pub async fn by_token(conn: &mut Conn, token_hash: &[u8]) -> Result<Option<TokenOwner>> {
    Ok(sql::query_as(BY_TOKEN)
        .bind(token_hash)
        .fetch_optional(conn)
        .await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        EXPIRE, COUNT, INSERT, BY_CODE, CONFIRM, BY_SECRET, FETCHED, BY_TOKEN,
    ]
}
