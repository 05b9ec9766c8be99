//! Facts about the database as a whole.

use super::{Conn, Meta};
use crate::crypto;
use crate::store::{Error, Result};
use crate::types::Epoch;

/// The key of [`epoch`].
const EPOCH: &str = "epoch";

const GET_OR_PUT: &str = "INSERT INTO setting (key, value) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET value = setting.value RETURNING value";

/// The value of `key`; `value` is put there first when there is none.
pub async fn get_or_put(conn: &mut Conn, key: &str, value: &str) -> Result<String> {
    Ok(sqlx::query_scalar(GET_OR_PUT)
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
