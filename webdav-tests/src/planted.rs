//! Stores that releases of the server made (`fixtures/`), copied to where a server under test looks.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::postgres;

/// Where they are.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
/// The schema that a dump of PostgreSQL was made of.
const SCHEMA: &str = "fixture";

/// The stores with a database of the kind that servers under test use.
pub fn all() -> Vec<PathBuf> {
    let database = if postgres::is_used() {
        "database.sql"
    } else {
        "sync.db"
    };
    let entries = fs::read_dir(FIXTURES).expect("the fixtures");
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join(database).exists())
        .collect();
    found.sort();
    found
}

/// Copies a store to the places of a server in `dir`.
pub(crate) fn copy(store: &Path, dir: &Path, database: &str) {
    copy_folder(&store.join("data"), &dir.join("data"));
    let key = dir.join("config/master.key");
    fs::copy(store.join("master.key"), &key).expect("a key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).expect("a file");
    match database.split_once("?options[search_path]=") {
        Some((server, schema)) => load(&store.join("database.sql"), server, schema),
        None => drop(fs::copy(store.join("sync.db"), database).expect("a database")),
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).expect("an entry");
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).expect("a file");
        }
    }
}

/// Runs a dump in another schema, which is there already.
fn load(dump: &Path, server: &str, schema: &str) {
    let text = fs::read_to_string(dump).expect("a dump");
    let text = text
        .replace(&format!("CREATE SCHEMA {SCHEMA};\n"), "")
        .replace(&format!("{SCHEMA}."), &format!("{schema}."));
    let mut psql = Command::new("psql")
        .args([server, "-qX", "-v", "ON_ERROR_STOP=1", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("psql starts");
    let mut pipe = psql.stdin.take().expect("stdin is piped");
    pipe.write_all(text.as_bytes()).expect("psql reads");
    drop(pipe);
    assert!(
        psql.wait().expect("psql ends").success(),
        "{}",
        dump.display()
    );
}
