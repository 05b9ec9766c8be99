//! Accounts and their devices. A device is an app password: a random secret of which only the
//! SHA-256 is kept.

use sqlx::FromRow;

use super::{Conn, sql};
use crate::store::Result;
use crate::types::{AccountId, DeviceId, Millis, SpaceId};

/// What a password is checked against.
#[derive(FromRow)]
pub struct Credentials {
    /// The account's id.
    pub id: i64,
    /// Its name as it was given.
    pub name: String,
    /// Its argon2id PHC string.
    pub password: String,
    /// Whether it may administer the server.
    pub admin: bool,
    /// Raised when cached credentials must be forgotten.
    pub epoch: i64,
    /// Its own space.
    pub space: i64,
}

/// The device that owns a secret, and its account.
#[derive(FromRow)]
pub struct SecretOwner {
    /// The device's id.
    pub device: i64,
    /// The text of its kind.
    pub kind: String,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_at: Option<i64>,
    /// The account's id.
    pub account: i64,
    /// The account's name.
    pub name: String,
    /// What makes account names equal.
    pub name_key: String,
    /// Whether the account may administer the server.
    pub admin: bool,
    /// Raised when cached credentials must be forgotten.
    pub epoch: i64,
    /// The account's own space.
    pub space: i64,
}

/// An account as a list shows it.
#[derive(Clone, Debug, FromRow)]
pub struct Listed {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whether it may administer the server.
    pub admin: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// Bytes of live files allowed in its own space.
    pub quota: Option<i64>,
    /// Bytes of live files in its own space.
    pub used: i64,
    /// Devices that are not revoked.
    pub devices: i64,
}

/// A device as a list shows it.
#[derive(Clone, Debug, FromRow)]
pub struct Device {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The text of its kind.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// When it last synced.
    pub last_sync: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// A row to be: an account.
pub struct NewAccount<'a> {
    /// The name as given.
    pub name: &'a str,
    /// What makes names equal.
    pub name_key: &'a str,
    /// argon2id PHC string.
    pub password: &'a str,
    /// Whether it may administer the server.
    pub admin: bool,
    /// Its own space.
    pub space: SpaceId,
    /// Now.
    pub created: Millis,
}

/// A row to be: a device.
pub struct NewDevice<'a> {
    /// The account it belongs to.
    pub account: AccountId,
    /// Its name.
    pub name: &'a str,
    /// The text of its kind.
    pub kind: &'a str,
    /// SHA-256 of its secret.
    pub secret_hash: &'a [u8],
    /// Now.
    pub created: Millis,
}

const CREATE: &str = "INSERT INTO account (name, name_key, password, admin, space, created_at)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name_key) DO NOTHING RETURNING id";
const BY_KEY: &str = "SELECT id, name, password, admin, epoch, space
    FROM account WHERE name_key = $1";
const ANY: &str = "SELECT id FROM account LIMIT 1";
const LIST: &str = "SELECT a.id, a.name, a.admin, a.created_at, s.quota,
        COALESCE(n.tree_size, 0) AS used,
        (SELECT count(*) FROM devices d WHERE d.account_id = a.id AND d.revoked_at IS NULL) AS devices
    FROM account a JOIN space s ON s.id = a.space LEFT JOIN node n ON n.id = s.root
    ORDER BY a.name_key";
const SET_PASSWORD: &str = "UPDATE account SET password = $2, epoch = epoch + 1
    WHERE name_key = $1 RETURNING id";
const RENEW_HASH: &str = "UPDATE account SET password = $3 WHERE id = $1 AND password = $2";
const REMOVE: &str = "DELETE FROM account WHERE name_key = $1 RETURNING id, space";
const PREFIX_SPACE_NAME: &str = "UPDATE space SET name = $2 || name WHERE id = $1";
const EPOCH: &str = "SELECT epoch FROM account WHERE id = $1
    AND (CAST($2 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM devices
        WHERE id = $2 AND account_id = $1 AND revoked_at IS NULL))";
const ADD_DEVICE: &str = "INSERT INTO devices (account_id, name, type, secret_hash, created_at)
    SELECT id, $2, $3, $4, $5 FROM account WHERE id = $1 RETURNING id";
const DEVICES: &str = "SELECT id, name, type, created_at, last_sync, revoked_at
    FROM devices WHERE account_id = $1 ORDER BY id";
const BY_SECRET: &str =
    "SELECT d.id AS device, d.type AS kind, d.revoked_at, a.id AS account, a.name, a.name_key,
        a.admin, a.epoch, a.space
    FROM devices d JOIN account a ON a.id = d.account_id WHERE d.secret_hash = $1";
const REVOKE: &str = "UPDATE devices SET revoked_at = COALESCE(revoked_at, $3)
    WHERE account_id = $1 AND id = $2 RETURNING id";
const DEVICE: &str = "SELECT id, name, type, created_at, last_sync, revoked_at
    FROM devices WHERE account_id = $1 AND id = $2";
const RENAME_DEVICE: &str = "UPDATE devices SET name = $3
    WHERE account_id = $1 AND id = $2 AND revoked_at IS NULL
    RETURNING id, name, type, created_at, last_sync, revoked_at";
const SYNCED: &str = "UPDATE devices SET last_sync = $2 WHERE id = $1";

/// Makes an account; `None` when the name is taken.
pub async fn create(conn: &mut Conn, new: &NewAccount<'_>) -> Result<Option<AccountId>> {
    let query = sql::query_scalar(CREATE)
        .bind(new.name)
        .bind(new.name_key)
        .bind(new.password);
    let query = query.bind(new.admin).bind(new.space.0).bind(new.created.0);
    Ok(query.fetch_optional(conn).await?.map(AccountId))
}

/// The account whose name has this key.
pub async fn by_key(conn: &mut Conn, name_key: &str) -> Result<Option<Credentials>> {
    if name_key.contains('\0') {
        // No name holds it, and PostgreSQL does not want to hear of it.
        return Ok(None);
    }
    Ok(sql::query_as(BY_KEY)
        .bind(name_key)
        .fetch_optional(conn)
        .await?)
}

/// Whether there is an account at all.
pub async fn any(conn: &mut Conn) -> Result<bool> {
    let id: Option<i64> = sql::query_scalar(ANY).fetch_optional(conn).await?;
    Ok(id.is_some())
}

/// All accounts by name.
pub async fn list(conn: &mut Conn) -> Result<Vec<Listed>> {
    Ok(sql::query_as(LIST).fetch_all(conn).await?)
}

/// Sets the password and raises the epoch; `None` when there is no such account.
pub async fn set_password(conn: &mut Conn, name_key: &str, phc: &str) -> Result<Option<AccountId>> {
    let query = sql::query_scalar(SET_PASSWORD).bind(name_key).bind(phc);
    Ok(query.fetch_optional(conn).await?.map(AccountId))
}

/// Replaces the hash of an unchanged password; nothing happens when it was changed meanwhile.
pub async fn renew_hash(conn: &mut Conn, account: AccountId, old: &str, new: &str) -> Result<()> {
    sql::query(RENEW_HASH)
        .bind(account.0)
        .bind(old)
        .bind(new)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes an account with its devices and says which space it leaves behind.
pub async fn remove(conn: &mut Conn, name_key: &str) -> Result<Option<(AccountId, SpaceId)>> {
    let row: Option<(i64, i64)> = sql::query_as(REMOVE)
        .bind(name_key)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(account, space)| (AccountId(account), SpaceId(space))))
}

/// Puts `prefix` before a space's name.
pub async fn prefix_space_name(conn: &mut Conn, space: SpaceId, prefix: &str) -> Result<()> {
    sql::query(PREFIX_SPACE_NAME)
        .bind(space.0)
        .bind(prefix)
        .execute(conn)
        .await?;
    Ok(())
}

/// The account's epoch; `None` when it is gone, or the device is gone or revoked.
pub async fn epoch(
    conn: &mut Conn,
    account: AccountId,
    device: Option<DeviceId>,
) -> Result<Option<i64>> {
    let query = sql::query_scalar(EPOCH)
        .bind(account.0)
        .bind(device.map(|id| id.0));
    Ok(query.fetch_optional(conn).await?)
}

/// Adds a device; `None` when there is no such account.
pub async fn add_device(conn: &mut Conn, new: &NewDevice<'_>) -> Result<Option<DeviceId>> {
    let query = sql::query_scalar(ADD_DEVICE)
        .bind(new.account.0)
        .bind(new.name)
        .bind(new.kind);
    let query = query.bind(new.secret_hash).bind(new.created.0);
    Ok(query.fetch_optional(conn).await?.map(DeviceId))
}

/// The devices of an account in the order they were added, revoked ones included.
pub async fn devices(conn: &mut Conn, account: AccountId) -> Result<Vec<Device>> {
    Ok(sql::query_as(DEVICES)
        .bind(account.0)
        .fetch_all(conn)
        .await?)
}

/// One device of an account, revoked or not.
pub async fn device(
    conn: &mut Conn,
    account: AccountId,
    device: DeviceId,
) -> Result<Option<Device>> {
    let query = sql::query_as(DEVICE).bind(account.0).bind(device.0);
    Ok(query.fetch_optional(conn).await?)
}

/// Gives a device another name; `None` when the account has no such device.
pub async fn rename_device(
    conn: &mut Conn,
    account: AccountId,
    device: DeviceId,
    name: &str,
) -> Result<Option<Device>> {
    let query = sql::query_as(RENAME_DEVICE)
        .bind(account.0)
        .bind(device.0)
        .bind(name);
    Ok(query.fetch_optional(conn).await?)
}

/// Whose secret has this SHA-256; revoked devices are found too.
pub async fn by_secret(conn: &mut Conn, secret_hash: &[u8]) -> Result<Option<SecretOwner>> {
    Ok(sql::query_as(BY_SECRET)
        .bind(secret_hash)
        .fetch_optional(conn)
        .await?)
}

/// Revokes a device (again is fine); `false` when the account has no such device.
pub async fn revoke(
    conn: &mut Conn,
    account: AccountId,
    device: DeviceId,
    now: Millis,
) -> Result<bool> {
    let query = sql::query_scalar(REVOKE)
        .bind(account.0)
        .bind(device.0)
        .bind(now.0);
    let id: Option<i64> = query.fetch_optional(conn).await?;
    Ok(id.is_some())
}

/// Notes that a device has synced.
pub async fn device_synced(conn: &mut Conn, device: DeviceId, now: Millis) -> Result<()> {
    sql::query(SYNCED)
        .bind(device.0)
        .bind(now.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        CREATE,
        BY_KEY,
        ANY,
        LIST,
        SET_PASSWORD,
        RENEW_HASH,
        REMOVE,
        PREFIX_SPACE_NAME,
        EPOCH,
        ADD_DEVICE,
        DEVICES,
        BY_SECRET,
        REVOKE,
        DEVICE,
        RENAME_DEVICE,
        SYNCED,
    ]
}
