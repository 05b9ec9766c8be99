//! What is not synced: by `.syncignore`, by the user's choice of folders, and by itself.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use ::ignore::Match;
use ::ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::folder::is_own;
use super::scan::TroubleKind;
use super::split;
use super::stamp::{Stamp, look_at, now_ns};

/// Patterns for the folder that it lies in and all below, in the syntax of gitignore.
pub const RULES: &str = ".syncignore";

/// Largest `.syncignore`, in bytes; each pattern costs memory and time for every name.
const RULES_MAX: u64 = 64 * 1024;

/// What programs leave behind for as long as they run. A `.syncignore` may take each of them back by `!pattern`.
pub const DEFAULTS: &[&str] = &[
    // Swap files of vim and neovim, and of Kate.
    ".*.sw[a-p]",
    ".*.kate-swp",
    // Locks of LibreOffice, Microsoft Office and Emacs; those of Emacs are links that lead nowhere.
    ".~lock.*#",
    "~$*",
    ".#*",
    // Files on their way into place: LibreOffice's, GLib's, and downloads of Firefox and Chromium.
    "lu[0-9]*.tmp",
    ".goutputstream-*",
    "*.part",
    "*.crdownload",
    // Files that were removed while a program had them open, on FUSE and NFS.
    ".fuse_hidden*",
    ".nfs*",
    // The trash of this very file system.
    ".Trash-*",
];

/// Tells what is not synced. The rules of a folder are read when a scan comes by; a scan of everything comes first.
#[derive(Clone, Debug)]
pub struct Ignore {
    defaults: Gitignore,
    excluded: BTreeSet<String>,
    folders: HashMap<String, Rules>,
}

#[derive(Clone, Debug)]
struct Rules {
    stamp: Option<Stamp>,
    hash: blake3::Hash,
    /// None when they could not be read.
    patterns: Option<Gitignore>,
}

/// What reading the rules of a folder gave.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Whether they are others than before.
    pub(super) changed: bool,
    pub(super) troubles: Vec<TroubleKind>,
}

impl Ignore {
    /// No rules but the defaults, and folders that the user has excluded, by their paths.
    pub fn new(excluded: impl IntoIterator<Item = String>) -> Self {
        let (defaults, wrong) = patterns(DEFAULTS.iter().copied());
        debug_assert!(wrong.is_empty());
        let excluded = excluded
            .into_iter()
            .map(|path| path.trim_matches('/').to_owned());
        Self {
            defaults,
            excluded: excluded.filter(|path| !path.is_empty()).collect(),
            folders: HashMap::new(),
        }
    }

    /// Stands for the rules of all folders that are known: others have another one.
    pub fn digest(&self) -> String {
        let mut rules: Vec<_> = self.folders.iter().collect();
        rules.sort_unstable_by_key(|(dir, _)| *dir);
        let mut hasher = blake3::Hasher::new();
        for (dir, rules) in rules {
            hasher.update(&(dir.len() as u64).to_be_bytes());
            hasher.update(dir.as_bytes());
            hasher.update(rules.hash.as_bytes());
            hasher.update(&[u8::from(rules.patterns.is_some())]);
        }
        hasher.finalize().to_string()
    }

    /// Whether a path, here or on the server, is not synced.
    pub fn skips(&self, path: &str, is_dir: bool) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| (end, true));
        let mut ends = ends.chain([(path.len(), is_dir)]);
        ends.any(|(end, is_dir)| self.skips_last(&path[..end], is_dir))
    }

    /// Whether the rules for what is below a folder could not be read, in it or above: then nothing there may count
    /// as not synced, nor as new.
    pub fn is_unsure(&self, dir: &str) -> bool {
        self.above(dir).any(|(_, rules)| rules.patterns.is_none())
    }

    /// The same as [`Self::skips`] for a path whose folder is synced.
    pub(super) fn skips_last(&self, path: &str, is_dir: bool) -> bool {
        if is_own(path) || is_dir && self.excluded.contains(path) {
            return true;
        }
        let (dir, name) = split(path);
        for (at, rules) in self.above(dir) {
            let below = path[at.len()..].trim_start_matches('/');
            let Some(patterns) = &rules.patterns else {
                continue;
            };
            match patterns.matched(below, is_dir) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        self.defaults.matched(name, is_dir).is_ignore()
    }

    /// The rules that hold in a folder, the nearest first.
    fn above<'a>(&'a self, dir: &'a str) -> impl Iterator<Item = (&'a str, &'a Rules)> {
        let mut next = (!self.folders.is_empty()).then_some(dir);
        let dirs = std::iter::from_fn(move || {
            let here = next?;
            next = (!here.is_empty()).then(|| split(here).0);
            Some(here)
        });
        dirs.filter_map(|dir| Some((dir, self.folders.get(dir)?)))
    }

    /// Reads the rules of a folder that has some, unless they are known.
    pub(super) fn load(&mut self, dir: &str, opened: impl AsFd) -> Loaded {
        let begin = now_ns();
        let result = self.read(dir, opened);
        let (stamp, text, mut troubles) = match result {
            Ok(None) => return Loaded::default(),
            Ok(Some((stamp, text))) => (
                stamp.filter(|stamp| !stamp.is_racy(begin)),
                Some(text),
                vec![],
            ),
            Err(trouble) => (None, None, vec![trouble]),
        };
        let hash = blake3::hash(text.as_deref().unwrap_or_default().as_bytes());
        let patterns = text.as_ref().map(|text| {
            let (patterns, wrong) = patterns(text.lines());
            troubles.extend(wrong.into_iter().map(TroubleKind::Pattern));
            patterns
        });
        let sure = patterns.is_some();
        let new = Rules {
            stamp,
            hash,
            patterns,
        };
        let old = self.folders.insert(dir.to_owned(), new);
        let changed = old.is_none_or(|old| old.hash != hash || old.patterns.is_some() != sure);
        Loaded { changed, troubles }
    }

    /// A folder has no rules (any more); whether it had some.
    pub(super) fn unload(&mut self, dir: &str) -> bool {
        !self.folders.is_empty() && self.folders.remove(dir).is_some()
    }

    /// The text of a folder's rules; none when those that are known are still the same.
    fn read(
        &self,
        dir: &str,
        opened: impl AsFd,
    ) -> Result<Option<(Option<Stamp>, String)>, TroubleKind> {
        let unreadable = |errno: Errno| TroubleKind::Rules(std::io::Error::from(errno).kind());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(opened, RULES, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            // It went since its name was read: the next scan comes by.
            Err(Errno::NOENT) => return Ok(Some((None, String::new()))),
            Err(errno) => return Err(unreadable(errno)),
        };
        let stamp = look_at(&file).map_err(unreadable)?.stamp;
        let known = self.folders.get(dir);
        if known.is_some_and(|rules| rules.stamp == Some(stamp)) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = file.take(RULES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| TroubleKind::Rules(error.kind()))?;
        if bytes.len() as u64 > RULES_MAX {
            return Err(TroubleKind::RulesTooLarge);
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| TroubleKind::Rules(std::io::ErrorKind::InvalidData))?;
        Ok(Some((Some(stamp), text)))
    }
}

/// Patterns, and the numbers of lines that are none.
fn patterns<'a>(lines: impl Iterator<Item = &'a str>) -> (Gitignore, Vec<usize>) {
    let mut builder = GitignoreBuilder::new("");
    let mut wrong = Vec::new();
    for (nth, line) in lines.enumerate() {
        if builder.add_line(None, line).is_err() {
            wrong.push(nth + 1);
        }
    }
    // Each line has been compiled once; together they may still be too large.
    let built = builder.build().unwrap_or_else(|_| {
        wrong.push(0);
        Gitignore::empty()
    });
    (built, wrong)
}
