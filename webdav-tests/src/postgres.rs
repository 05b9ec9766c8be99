//! Databases of PostgreSQL for servers under test. `postgres/run.sh` starts a server for all of them
//! and says where it is; it is thrown away with everything in it.

use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

/// Names the PostgreSQL for tests. Unset: servers under test use SQLite.
const SERVER: &str = "SYNC_TEST_POSTGRES";

static MADE: AtomicU32 = AtomicU32::new(0);

/// Whether servers under test use PostgreSQL.
pub fn is_used() -> bool {
    std::env::var_os(SERVER).is_some()
}

/// The address of a new schema, which a server takes for a database of its own.
pub fn fresh() -> Option<String> {
    let server = std::env::var(SERVER).ok()?;
    let nth = MADE.fetch_add(1, Ordering::Relaxed);
    let schema = format!("s{}_{nth}", process::id());
    let create = format!("CREATE SCHEMA {schema}");
    let made = Command::new("psql")
        .args([&server, "-qc", &create])
        .status()
        .expect("psql starts");
    assert!(made.success(), "psql cannot make a schema");
    Some(format!("{server}?options[search_path]={schema}"))
}

/// Where the database of a server is, and its schema; `None` when that is a file.
pub fn server_and_schema(of: &crate::TestServer) -> Option<(String, String)> {
    let database = of.setting("SYNC_DB_PATH")?;
    let (server, schema) = database.split_once("?options[search_path]=")?;
    Some((server.to_owned(), schema.to_owned()))
}
