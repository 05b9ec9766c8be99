//! The architecture as a test: each module and the modules it may import.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom. A new arrow needs a new entry here, and that is the review.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("crypto", &["types"]),
    ("chunk", &["types", "crypto"]),
    ("protocol", &["types", "chunk"]),
    ("store", &["types", "crypto", "chunk"]),
    ("tree", &["types", "crypto", "chunk", "store"]),
    ("accounts", &["types", "store"]),
    (
        "jobs",
        &["types", "crypto", "chunk", "store", "tree", "accounts"],
    ),
    (
        "server",
        &[
            "types", "crypto", "chunk", "protocol", "store", "tree", "accounts", "jobs",
        ],
    ),
    ("client", &["types", "crypto", "chunk", "protocol"]),
    // Only where tests and fuzzing are built; the parts that it calls lie beside the parsers.
    (
        "fuzzing",
        &[
            "types", "crypto", "chunk", "protocol", "store", "tree", "accounts", "server",
        ],
    ),
];

/// The faces under `server/`; none of them may import another.
const FACES: &[&str] = &["webdav", "api", "garmin", "nextcloud", "web", "ops"];

#[test]
fn modules_only_import_downwards() {
    let src = source_root();
    let mut wrong = Vec::new();
    for (module, allowed) in MAY_IMPORT {
        for path in rust_files(&src, module) {
            for import in imports(&path, "crate::") {
                if import != *module && !allowed.contains(&import.as_str()) {
                    wrong.push(format!("{} imports crate::{import}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_listed() {
    let known: BTreeSet<_> = MAY_IMPORT
        .iter()
        .map(|(module, _)| *module)
        .chain(["lib", "layers", "bin"])
        .collect();
    for entry in fs::read_dir(source_root()).unwrap() {
        let name = entry
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        assert!(known.contains(name.as_str()), "add `{name}` to layers.rs");
    }
}

#[test]
fn faces_never_import_each_other() {
    let server = source_root().join("server");
    let mut wrong = Vec::new();
    for face in FACES {
        for path in rust_files(&server, face) {
            for import in imports(&path, "crate::server::") {
                if import != *face && FACES.contains(&import.as_str()) {
                    wrong.push(format!("{} imports server::{import}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_store_meta_and_the_journal_of_the_client_contain_sql() {
    let meta = source_root().join("store").join("meta");
    let journal = source_root().join("client").join("journal");
    for (module, _) in MAY_IMPORT {
        for path in rust_files(&source_root(), module) {
            if path.starts_with(&meta) || path.starts_with(&journal) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                !text.contains("sqlx::query") && !text.contains("sql::query"),
                "{} contains SQL",
                path.display()
            );
        }
    }
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The first path segment after each `prefix` in the non-test, non-comment code of a file.
fn imports(path: &Path, prefix: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split(prefix).skip(1))
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .filter(|name: &String| !name.is_empty())
        .collect()
}

fn rust_files(root: &Path, module: &str) -> Vec<PathBuf> {
    let file = root.join(format!("{module}.rs"));
    let mut found: Vec<PathBuf> = file.is_file().then_some(file).into_iter().collect();
    let mut folders = vec![root.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            // Tests may reach for whatever sets the stage.
            if name == "tests" || name == "fuzzing.rs" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
