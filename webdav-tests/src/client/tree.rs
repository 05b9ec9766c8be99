//! What lies in a folder, to be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Client;

/// What is at a path.
#[derive(Clone, PartialEq, Eq)]
pub enum Thing {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// What is in it.
        bytes: Vec<u8>,
        /// Whether its owner may run it.
        executable: bool,
        /// Milliseconds since 1970.
        mtime: i64,
    },
    /// A link, and what it says.
    Link(PathBuf),
}

impl std::fmt::Debug for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder => write!(f, "a folder"),
            Self::File {
                bytes,
                executable,
                mtime,
            } => {
                let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(32)]);
                let runs = if *executable { ", executable" } else { "" };
                write!(f, "{} bytes {begin:?} of {mtime}{runs}", bytes.len())
            }
            Self::Link(target) => write!(f, "a link to {}", target.display()),
        }
    }
}

/// Everything below a folder, by paths.
pub type Tree = BTreeMap<PathBuf, Thing>;

/// Reads all below a folder but the client's own; whatever vanishes meanwhile is left out.
#[track_caller]
pub(super) fn of(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(folder.join(&dir)) else {
            assert!(!dir.as_os_str().is_empty(), "no {}", folder.display());
            continue;
        };
        for entry in entries {
            let path = dir.join(entry.expect("a name").file_name());
            if path == Path::new(".sync-client") {
                continue;
            }
            let Some(thing) = look(&folder.join(&path)) else {
                continue;
            };
            if matches!(thing, Thing::Folder) {
                open.push(path.clone());
            }
            tree.insert(path, thing);
        }
    }
    tree
}

fn look(path: &Path) -> Option<Thing> {
    let about = fs::symlink_metadata(path).ok()?;
    if about.is_dir() {
        return Some(Thing::Folder);
    }
    if about.is_symlink() {
        return Some(Thing::Link(fs::read_link(path).ok()?));
    }
    // What is no file, such as a pipe, cannot be read to its end.
    let bytes = if about.is_file() {
        fs::read(path).ok()?
    } else {
        Vec::new()
    };
    Some(Thing::File {
        bytes,
        executable: about.mode() & 0o100 != 0,
        mtime: about.mtime() * 1000 + about.mtime_nsec() / 1_000_000,
    })
}

/// Fails unless two devices have the same, to the byte and to the millisecond.
#[track_caller]
pub fn assert_alike(one: &Client, other: &Client) {
    compare(one, other, Clone::clone);
}

/// Fails unless two devices have the same but for the times of files: equal bytes that both made keep their own.
#[track_caller]
pub fn assert_same_bytes(one: &Client, other: &Client) {
    compare(one, other, without_time);
}

/// Whether two folders have the same but for the times of files.
pub fn same_bytes(one: &Tree, other: &Tree) -> bool {
    let seen = |tree: &Tree| -> Tree {
        let things = tree.iter();
        things
            .map(|(path, thing)| (path.clone(), without_time(thing)))
            .collect()
    };
    seen(one) == seen(other)
}

fn without_time(thing: &Thing) -> Thing {
    let mut thing = thing.clone();
    if let Thing::File { mtime, .. } = &mut thing {
        *mtime = 0;
    }
    thing
}

#[track_caller]
fn compare(one: &Client, other: &Client, seen: impl Fn(&Thing) -> Thing) {
    let (ours, theirs) = (one.tree(), other.tree());
    let paths = ours.keys().chain(theirs.keys());
    let mut differences: Vec<String> = paths
        .filter(|path| ours.get(*path).map(&seen) != theirs.get(*path).map(&seen))
        .map(|path| {
            let (ours, theirs) = (ours.get(path), theirs.get(path));
            format!("{}: {ours:?} and {theirs:?}", path.display())
        })
        .collect();
    differences.sort();
    differences.dedup();
    assert!(
        differences.is_empty(),
        "{} and {} differ:\n{}",
        one.name(),
        other.name(),
        differences.join("\n")
    );
}
