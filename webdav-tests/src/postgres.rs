//! Databases of PostgreSQL for servers under test. `postgres/run.sh` starts a server for all of them
//! and says where it is; it is thrown away with everything in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{self, Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::process::run_ok;

/// Names the PostgreSQL for tests. Unset: servers under test use SQLite.
const SERVER: &str = "SYNC_TEST_POSTGRES";

/// Runs a statement where the database is a file.
const EXECUTE: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
db.execute(sys.argv[2])
db.commit()
";

static MADE: AtomicU32 = AtomicU32::new(0);

/// Whether servers under test use PostgreSQL.
pub fn is_used() -> bool {
    std::env::var_os(SERVER).is_some()
}

/// The address of a new schema, which a server takes for a database of its own.
pub fn fresh() -> Option<String> {
    let server = std::env::var(SERVER).ok()?;
    let nth = MADE.fetch_add(1, Ordering::Relaxed);
    // Numbers of processes come again in a long run.
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock")
        .as_nanos();
    let schema = format!("s{}_{now}_{nth}", process::id());
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

/// Runs a statement in the database of a server, for what nothing else brings about.
#[track_caller]
pub fn execute(of: &crate::TestServer, statement: &str) {
    if let Some((address, schema)) = server_and_schema(of) {
        let text = format!("SET search_path = {schema}; {statement}");
        run_ok("psql", &[&*address, "-qc", &text]);
        return;
    }
    let file = of.dir().join("db/sync.db").display().to_string();
    run_ok("python3", &["-c", EXECUTE, &file, statement]);
}

/// A PostgreSQL of one test, which waits for the disk and can be taken down; gone when dropped.
pub struct Own {
    script: Child,
    asked: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
    address: String,
}

/// Says where it is; restarts it for each line.
const SCRIPT: &str = r#"
echo "$SYNC_TEST_POSTGRES"
while read -r line; do
    "$SYNC_TEST_POSTGRES_CRASH" && echo up
done
"#;

impl Own {
    /// Starts one.
    #[track_caller]
    pub fn start() -> Self {
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../postgres/run.sh");
        let mut script = Command::new(run)
            .args(["--sync", "sh", "-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("postgres/run.sh starts");
        let asked = script.stdin.take();
        let says = BufReader::new(script.stdout.take().expect("it is piped"));
        let mut new = Self {
            script,
            asked,
            says,
            address: String::new(),
        };
        new.address = new.line();
        assert!(new.address.starts_with("postgres"), "it did not start");
        new
    }

    /// The address of its database.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it as a crash would, and starts it again.
    #[track_caller]
    pub fn crash(&mut self) {
        let asked = self.asked.as_mut().expect("open until dropped");
        asked.write_all(b"crash\n").expect("the script runs");
        assert_eq!(self.line(), "up");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("the script runs");
        line.trim_end().to_owned()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // The end of its input ends the script, which takes everything away.
        drop(self.asked.take());
        let _ended = self.script.wait();
    }
}
