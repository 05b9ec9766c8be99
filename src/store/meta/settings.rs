//! Facts about the database as a whole.

use super::{Conn, Meta, sql};
use crate::crypto;
use crate::store::{Error, Result};
use crate::types::Epoch;

/// The key of [`epoch`].
const EPOCH: &str = "epoch";

const GET_OR_PUT: &str = "INSERT INTO setting (key, value) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET value = setting.value RETURNING value";

const GET: &str = "SELECT value FROM setting WHERE key = $1";
const PUT: &str = "INSERT INTO setting (key, value) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const SCHEMA: &str = "SELECT MAX(version) FROM _sqlx_migrations";

/// The value of `key`, if there is one.
pub async fn get(conn: &mut Conn, key: &str) -> Result<Option<String>> {
    Ok(sql::query_scalar(GET)
        .bind(key)
        .fetch_optional(conn)
        .await?)
}

/// Gives `key` a value.
pub async fn put(conn: &mut Conn, key: &str, value: &str) -> Result<()> {
    sql::query(PUT).bind(key).bind(value).execute(conn).await?;
    Ok(())
}

/// The value of `key`; `value` is put there first when there is none.
pub async fn get_or_put(conn: &mut Conn, key: &str, value: &str) -> Result<String> {
    Ok(sql::query_scalar(GET_OR_PUT)
        .bind(key)
        .bind(value)
        .fetch_one(conn)
        .await?)
}

/// The database's epoch; one is drawn when there is none.
pub async fn epoch(meta: &Meta) -> Result<Epoch> {
    let new = getrandom::u64().map_err(|_unavailable| crypto::Error::Random)?;
    let new = Epoch(new).to_string();
    let kept = meta.write(move |conn| Box::pin(async move { get_or_put(conn, EPOCH, &new).await }));
    let kept: String = kept.await?;
    Epoch::parse(&kept).ok_or(Error::Corrupt("the database's epoch"))
}

/// The epoch of a database that has one.
pub async fn known_epoch(conn: &mut Conn) -> Result<Epoch> {
    let kept = get(conn, EPOCH).await?;
    let kept = kept.as_deref().and_then(Epoch::parse);
    kept.ok_or(Error::Corrupt("the database's epoch"))
}

/// The newest of the migrations that made the schema.
pub async fn schema(conn: &mut Conn) -> Result<Option<i64>> {
    Ok(sql::query_scalar(SCHEMA).fetch_one(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![GET_OR_PUT, GET, PUT, SCHEMA]
}
