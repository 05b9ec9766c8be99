//! What tests of other modules need of the database.

use std::collections::HashSet;
use std::path::Path;
use std::process::{self, Command};
use std::sync::{Mutex, PoisonError};

use super::{Conn, Database, sql};
use crate::store::Result;

/// Where tests find a PostgreSQL that is thrown away afterwards (`postgres/run.sh`): a database in
/// which each test makes a schema of its own. Unset: tests use SQLite.
const SERVER: &str = "SYNC_TEST_POSTGRES";

/// The schemas this process has made.
static MADE: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// The database of a test that has `folder` for itself; the same folder, the same database.
///
/// # Panics
/// When `psql` cannot make a schema.
pub fn database(folder: &Path) -> Database {
    let Ok(server) = std::env::var(SERVER) else {
        return folder.join("sync.db").into();
    };
    let text = folder.display().to_string();
    let hash = blake3::hash(text.as_bytes()).to_hex();
    let schema = format!("t{}_{}", process::id(), &hash[..16]);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if made.get_or_insert_default().insert(schema.clone()) {
        let create = format!("CREATE SCHEMA {schema}");
        let arguments = [&server, "-qc", &create];
        let done = Command::new("psql").args(arguments).status().unwrap();
        assert!(done.success());
    }
    format!("{server}?options[search_path]={schema}").into()
}

/// Runs a statement, for rows that only older or damaged databases have; how many it changed.
pub async fn execute(conn: &mut Conn, text: &'static str, numbers: &[i64]) -> Result<u64> {
    let mut query = sql::query(text);
    for number in numbers {
        query = query.bind(*number);
    }
    Ok(query.execute(conn).await?.rows_affected())
}

/// The columns of all tables: `(table, column)`.
pub async fn columns(conn: &mut Conn) -> Result<Vec<(String, String)>> {
    let text = if conn.is_postgres() {
        "SELECT CAST(c.table_name AS TEXT), CAST(c.column_name AS TEXT)
           FROM information_schema.columns c JOIN information_schema.tables t
             ON t.table_schema = c.table_schema AND t.table_name = c.table_name
          WHERE t.table_type = 'BASE TABLE' AND c.table_schema = current_schema()
            AND c.table_name <> '_sqlx_migrations'"
    } else {
        "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p
          WHERE m.type = 'table' AND m.name NOT IN ('_sqlx_migrations', 'sqlite_sequence')"
    };
    Ok(sql::query_as(text).fetch_all(conn).await?)
}
