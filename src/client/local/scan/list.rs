//! The names in one directory.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::RawDir;
use rustix::io::Errno;

use super::{Found, Reach, Trouble, TroubleKind, unreadable};
use crate::client::item::Kind;
use crate::client::local::folder::{Folder, is_own};
use crate::client::local::ignore::{Ignore, RULES};
use crate::client::local::join;
use crate::client::local::stamp::{Seen, look};
use crate::types::{MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES};

/// Room for some hundred names at a time.
const BUFFER: usize = 32 * 1024;

/// One thing under its name.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) seen: Seen,
    /// Where it is among the new ones, when it was met as such before.
    pub(super) node: Option<usize>,
}

/// What lies in a directory and can be synced.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
    /// Names of what is there but cannot be told: what is known under them stays as it was.
    pub(super) held: Vec<String>,
    /// Inodes of what is there but cannot be synced: what is known by them is not missing.
    pub(super) inodes: Vec<u64>,
    pub(super) rules_changed: bool,
}

/// Reads directories.
pub(super) struct Lister<'a> {
    pub(super) folder: &'a Folder,
    pub(super) ignore: &'a mut Ignore,
    pub(super) found: &'a mut Found,
}

/// A name as the directory has it.
struct Name {
    inode: u64,
    bytes: Vec<u8>,
    is_dir: bool,
    unknown: bool,
}

impl Lister<'_> {
    /// Everything in a directory.
    pub(super) fn list(&mut self, path: &str) -> Result<Listing, Errno> {
        let dir = self.folder.open_dir(path)?;
        let mut names = read_names(&dir, path.is_empty())?;
        let has_rules = names.iter().any(|name| name.bytes == RULES.as_bytes());
        let rules_changed = self.rules(path, &dir, has_rules);
        // Inodes lie on the disk in the order of their numbers.
        names.sort_unstable_by_key(|name| name.inode);
        let mut listing = Listing {
            rules_changed,
            ..Listing::default()
        };
        let unsure = self.ignore.is_unsure(path);
        let mut at = join(path, "");
        let base = at.len();
        for name in names {
            at.truncate(base);
            self.take(&dir, &mut at, name, unsure, &mut listing);
        }
        listing.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        listing.held.sort_unstable();
        Ok(listing)
    }

    /// Only some names.
    pub(super) fn list_some(&mut self, path: &str, names: &[String]) -> Result<Listing, Errno> {
        let dir = self.folder.reach(path)?;
        let mut listing = Listing::default();
        if names.iter().any(|name| name == RULES) {
            listing.rules_changed = self.rules(path, &dir, look(&dir, RULES).is_ok());
        }
        let unsure = self.ignore.is_unsure(path);
        for name in names {
            if let Err(Errno::NOENT) = look(&dir, name.as_str()) {
                continue;
            }
            let bytes = name.clone().into_bytes();
            let name = Name {
                inode: 0,
                bytes,
                is_dir: false,
                unknown: true,
            };
            self.take(&dir, &mut join(path, ""), name, unsure, &mut listing);
        }
        listing.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        listing.held.sort_unstable();
        Ok(listing)
    }

    fn rules(&mut self, path: &str, dir: impl AsFd, has_rules: bool) -> bool {
        let changed = if has_rules {
            let loaded = self.ignore.load(path, dir);
            let at = || join(path, RULES);
            let troubles = loaded
                .troubles
                .into_iter()
                .map(|kind| Trouble::new(at(), kind));
            self.found.troubles.extend(troubles);
            loaded.changed
        } else {
            self.ignore.unload(path)
        };
        if changed {
            self.found.rules_changed.push(path.to_owned());
        }
        changed
    }

    /// Adds one name; `at` is the path of the directory with a slash behind it.
    fn take(
        &mut self,
        dir: &OwnedFd,
        at: &mut String,
        name: Name,
        unsure: bool,
        listing: &mut Listing,
    ) {
        let text = match String::from_utf8(name.bytes) {
            Ok(text) => text,
            Err(error) => return self.foreign(dir, at, error.as_bytes(), listing),
        };
        at.push_str(&text);
        if !name.unknown && !unsure && self.ignore.skips_last(at, name.is_dir) {
            return;
        }
        let seen = match look(dir, text.as_str()) {
            Ok(seen) => seen,
            Err(errno) => return self.unseen(at, text, errno, listing),
        };
        let is_dir = seen.kind == Some(Kind::Collection);
        if (name.unknown || is_dir != name.is_dir) && !unsure && self.ignore.skips_last(at, is_dir)
        {
            return;
        }
        match self.wrong(at, &text, &seen) {
            None => {
                let Some(kind) = seen.kind else { return };
                listing.entries.push(Entry {
                    name: text,
                    kind,
                    seen,
                    node: None,
                });
            }
            Some(kind) => {
                self.found.troubles.push(Trouble::new(at.as_str(), kind));
                if seen.kind.is_some() {
                    // A socket or the like may have the inode of what was deleted before.
                    listing.inodes.push(seen.stamp.inode);
                }
                listing.held.push(text);
            }
        }
    }

    /// A name that cannot be sent.
    fn foreign(&mut self, dir: &OwnedFd, at: &str, name: &[u8], listing: &mut Listing) {
        let path = [at.as_bytes(), name].concat();
        let path = PathBuf::from(OsStr::from_bytes(&path));
        self.found
            .troubles
            .push(Trouble::new(path, TroubleKind::NotUtf8));
        let seen = look(dir, name).ok();
        listing.inodes.extend(seen.map(|seen| seen.stamp.inode));
    }

    /// Something whose name was there and which cannot be looked at.
    fn unseen(&mut self, at: &str, name: String, errno: Errno, listing: &mut Listing) {
        if errno == Errno::NOENT {
            self.found.again.insert(at.to_owned(), Reach::Entry);
        } else {
            self.found
                .troubles
                .push(Trouble::new(at, unreadable(errno)));
        }
        listing.held.push(name);
    }

    /// Why something cannot be synced.
    fn wrong(&self, path: &str, name: &str, seen: &Seen) -> Option<TroubleKind> {
        if name.chars().any(char::is_control) {
            Some(TroubleKind::Control)
        } else if name.len() > MAX_NAME_BYTES {
            Some(TroubleKind::NameTooLong)
        } else if seen.kind.is_none() {
            Some(TroubleKind::Special)
        } else if is_elsewhere(seen, self.folder) {
            Some(TroubleKind::Mounted)
        } else if path.len() >= MAX_PATH_BYTES || path.split('/').count() > MAX_DEPTH {
            Some(TroubleKind::TooDeep)
        } else {
            None
        }
    }
}

/// Whether it belongs to another file system. Layered ones give files other devices than collections.
fn is_elsewhere(seen: &Seen, folder: &Folder) -> bool {
    seen.mounted || seen.kind == Some(Kind::Collection) && seen.device != folder.device
}

/// Reads all names before anything is done with one: a directory that cannot be read to its end tells nothing.
fn read_names(dir: &OwnedFd, is_root: bool) -> Result<Vec<Name>, Errno> {
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut raw = RawDir::new(dir, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if matches!(bytes, b"." | b"..") {
            continue;
        }
        if is_root && std::str::from_utf8(bytes).is_ok_and(is_own) {
            continue;
        }
        let kind = entry.file_type();
        names.push(Name {
            inode: entry.ino(),
            bytes: bytes.to_vec(),
            is_dir: kind == rustix::fs::FileType::Directory,
            unknown: kind == rustix::fs::FileType::Unknown,
        });
    }
    Ok(names)
}
