//! Every statement is prepared on the database under test, and both databases have the same schema.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sqlx::{Executor as _, SqlSafeStr as _};

use super::conn::Inner;
use super::*;

/// The statements of each file.
fn all() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("accounts", accounts::statements()),
        ("audit", audit::statements()),
        ("changes", changes::statements()),
        ("chunks", chunks::statements()),
        ("collect", collect::statements()),
        ("conflicts", conflicts::statements()),
        ("contents", contents::statements()),
        ("damage", damage::statements()),
        ("dump", dump::statements()),
        ("export", export::statements()),
        ("feed", feed::statements()),
        ("jobs", jobs::statements()),
        ("live", live::statements()),
        ("locks", locks::statements()),
        ("mend", mend::statements()),
        ("nodes", nodes::statements()),
        ("process", process::statements()),
        ("props", props::statements()),
        ("rescue", rescue::statements()),
        ("seals", seals::statements()),
        ("segments", segments::statements()),
        ("settings", settings::statements()),
        ("spaces", spaces::statements()),
        ("subtree", subtree::statements()),
        ("synclog", synclog::statements()),
        ("tokens", tokens::statements()),
        ("totals", totals::statements()),
        ("trash", trash::statements()),
        ("uploads", uploads::statements()),
        ("versions", versions::statements()),
        ("watch", watch::statements()),
    ]
}

/// Statements of PostgreSQL only.
const OF_POSTGRES: [&str; 7] = [
    conn::LOCK_NUMBER,
    conn::SHARE_NUMBER,
    conn::LOCK_SPACE,
    postgres::FACTS,
    sequences::LAST,
    sequences::SET_VALUE,
    totals::SERVED,
];

#[tokio::test]
async fn the_database_takes_every_statement() {
    let folder = tempfile::tempdir().unwrap();
    let database = testing::database(folder.path());
    let meta = Meta::open(&database).await.unwrap();
    let mut conn = meta.read().await.unwrap();
    let own = if database.is_shared() {
        &OF_POSTGRES[..]
    } else {
        &[]
    };
    let all = all().into_iter().chain([("one database", own.to_vec())]);
    let mut refused = Vec::new();
    for (file, texts) in all {
        for text in texts {
            let prepared = match &mut conn.inner {
                Inner::Lite(conn) => conn.prepare(text.into_sql_str()).await.map(drop),
                Inner::Post(conn) => conn.prepare(text.into_sql_str()).await.map(drop),
            };
            if let Err(error) = prepared {
                refused.push(format!("{file}: {error}\n{text}"));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n\n"));
}

#[test]
fn no_statement_is_forgotten() {
    let listed: BTreeSet<_> = all().into_iter().map(|(file, _)| file).collect();
    for (file, text) in files(&folder(), "rs") {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let (_, list) = code.split_once("fn statements()").unwrap_or_default();
        for used in used(code) {
            let known = list.contains(used) || ["SERVED", "FACTS"].contains(&used);
            let own = ["conn", "sequences", "shrink", "writer"].contains(&file.as_str());
            assert!(known || own, "list {used} in statements() of {file}.rs");
        }
        assert!(
            list.is_empty() || listed.contains(file.as_str()) || file == "prepared",
            "{file} is not in `all`"
        );
    }
}

/// The constants that `code` makes statements of.
fn used(code: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    let asked = code.split("sql::query").skip(1).filter_map(move |rest| {
        let argument = rest.split_once('(')?.1.trim_start();
        Some(&argument[..argument.find(|c| !is_name(c))?])
    });
    let batched = code.split(".batches(").map(move |before| {
        let end = before.trim_end();
        &end[end.rfind(|c| !is_name(c)).map_or(0, |at| at + 1)..]
    });
    asked.chain(batched).filter(|name| name.len() > 1)
}

#[test]
fn both_databases_have_the_same_schema() {
    let folder = folder().join("migrations");
    let lite = files(&folder.join("sqlite"), "sql");
    let post = files(&folder.join("postgres"), "sql");
    let names = |files: &[(String, String)]| -> Vec<_> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&lite), names(&post));
    for ((name, lite), (_, post)) in lite.iter().zip(&post) {
        assert_eq!(plain(lite), plain(post), "{name}");
    }
}

/// What a migration says, whatever each database calls it.
fn plain(migration: &str) -> Vec<String> {
    let code = migration.lines().map(|line| {
        let code = line.split("--").next().unwrap_or_default();
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    let text = code.collect::<Vec<_>>().join(" ");
    let text = [
        ("INTEGER PRIMARY KEY AUTOINCREMENT", "IDENTITY"),
        (
            "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
            "IDENTITY",
        ),
        ("BLOB", "BYTEA"),
        ("SMALLINT", "BIGINT"),
        (" WITHOUT ROWID", ""),
        (" COLLATE \"C\"", ""),
    ]
    .iter()
    .fold(text, |text, (from, to)| text.replace(from, to));
    let statements = text.split(';').map(|statement| {
        let words: Vec<_> = statement.split_whitespace().collect();
        words.join(" ")
    });
    statements.collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/meta")
}

/// Name and text of the files of a folder with this extension.
fn files(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|found| found == extension) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}
