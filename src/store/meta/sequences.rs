//! The numbers that rows were given last. Each database keeps them in its own way.

use super::{Conn, sql};
use crate::store::Result;

/// The tables whose rows get numbers.
const TABLES: [&str; 13] = [
    "space",
    "account",
    "devices",
    "token_family",
    "content",
    "segment",
    "chunk",
    "conflict",
    "sync_log",
    "upload",
    "watch_pairing",
    "process",
    "seal",
];

// Of SQLite.
const LAST_ALL: &str = "SELECT name, seq FROM sqlite_sequence";
const FORGET: &str = "DELETE FROM sqlite_sequence WHERE name = $1";
const SET: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
// Of PostgreSQL.
pub(super) const LAST: &str = "SELECT COALESCE(pg_sequence_last_value(
    CAST(pg_get_serial_sequence($1, 'id') AS regclass)), 0)";
pub(super) const SET_VALUE: &str =
    "SELECT setval(CAST(pg_get_serial_sequence($1, 'id') AS regclass), $2)";

/// The last number of each table, in the order of their names; 0 where none was given.
pub async fn last(conn: &mut Conn) -> Result<Vec<(String, i64)>> {
    let mut all: Vec<(String, i64)> = Vec::new();
    if conn.is_postgres() {
        for table in TABLES {
            let last = sql::query_scalar(LAST).bind(table).fetch_one(&mut *conn);
            all.push((table.to_owned(), last.await?));
        }
    } else {
        let given: Vec<(String, i64)> = sql::query_as(LAST_ALL).fetch_all(conn).await?;
        let last = |table: &str| {
            let given = given.iter().find(|(name, _)| name == table);
            given.map_or(0, |(_, last)| *last)
        };
        all.extend(TABLES.map(|table| (table.to_owned(), last(table))));
    }
    all.sort();
    Ok(all)
}

/// Lets the numbers of a table go on behind `last`.
pub async fn set(conn: &mut Conn, table: &str, last: i64) -> Result<()> {
    if !TABLES.contains(&table) || last < 1 {
        return Ok(());
    }
    if conn.is_postgres() {
        let query = sql::query_scalar::<i64>(SET_VALUE).bind(table).bind(last);
        query.fetch_one(conn).await?;
        return Ok(());
    }
    sql::query(FORGET).bind(table).execute(&mut *conn).await?;
    sql::query(SET).bind(table).bind(last).execute(conn).await?;
    Ok(())
}
