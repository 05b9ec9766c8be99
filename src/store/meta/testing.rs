//! What tests of other modules need of the database.

use super::{Conn, sql};
use crate::store::Result;

/// Runs a statement, for rows that only older or damaged databases have; how many it changed.
pub async fn execute(conn: &mut Conn, text: &'static str, numbers: &[i64]) -> Result<u64> {
    let mut query = sql::query(text);
    for number in numbers {
        query = query.bind(*number);
    }
    Ok(query.execute(conn).await?.rows_affected())
}
