//! Facts about the database as a whole.

use super::Conn;
use crate::store::Result;

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
