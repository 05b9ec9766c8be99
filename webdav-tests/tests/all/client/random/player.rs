//! A user of one device.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use webdav_tests::Client;
use webdav_tests::client::{Thing, Tree};
use webdav_tests::content::{Noise, noise, sha1_hex};

/// What a user may call something.
const NAMES: [&str; 8] = ["a", "b", "c.txt", "D", "d", "e e", "f.tar.gz", "ü"];
/// Longest content, in bytes: some have a list of chunks, some have not.
const LONGEST: u64 = 60_000;
/// Deepest folder that a user makes.
const DEPTH: usize = 4;

/// A user, and what they left.
pub(super) struct Player {
    pub(super) client: Client,
    random: Noise,
    count: u64,
    /// Contents that a sync took, by hash, and where they were: these must be kept whatever happens later.
    pub(super) ledger: BTreeMap<String, String>,
    /// Contents that this user wrote and that no sync took so far: only they themselves may throw them away.
    fresh: BTreeSet<String>,
    /// Those of them that were there when the last sync began.
    offered: BTreeMap<String, String>,
}

impl Player {
    pub(super) fn new(client: Client, seed: u64) -> Self {
        let own = client.name().bytes().map(u64::from).sum::<u64>();
        Self {
            client,
            random: Noise::new(seed * 1000 + own, 0),
            count: 0,
            ledger: BTreeMap::new(),
            fresh: BTreeSet::new(),
            offered: BTreeMap::new(),
        }
    }

    pub(super) fn name(&self) -> String {
        self.client.name().to_owned()
    }

    fn number(&mut self, below: usize) -> usize {
        let below = u64::try_from(below).expect("small");
        usize::try_from(self.random.number() % below).expect("small")
    }

    fn contents(&self) -> BTreeMap<String, String> {
        let files = self.client.tree().into_iter();
        let hashes = files.filter_map(|(path, thing)| match thing {
            Thing::File { bytes, .. } => Some((sha1_hex(&bytes), path.display().to_string())),
            Thing::Folder | Thing::Link(_) => None,
        });
        hashes.collect()
    }

    /// Looks what is there before a sync.
    pub(super) fn before_sync(&mut self) {
        let mut offered = self.contents();
        offered.retain(|hash, _| self.fresh.contains(hash));
        self.offered = offered;
    }

    /// What a sync took is to be kept from now on: all, when it was done. When it broke off, what it left is the
    /// user's still, and what is not here any more was taken by nobody else.
    pub(super) fn after_sync(&mut self, done: bool) {
        let left = if done {
            BTreeMap::new()
        } else {
            self.contents()
        };
        for (hash, path) in std::mem::take(&mut self.offered) {
            if !left.contains_key(&hash) {
                self.fresh.remove(&hash);
                let name = self.client.name();
                self.ledger.insert(hash, format!("{name} wrote {path}"));
            }
        }
    }

    /// One edit; says what.
    pub(super) fn edit(&mut self) -> String {
        let tree = self.client.tree();
        let what = match self.number(16) {
            0..=3 => self.create(&tree),
            4 | 5 => self.overwrite(&tree),
            6 => self.append(&tree),
            7 => self.patch(&tree),
            8 | 9 => self.rename(&tree),
            10 => self.delete(&tree),
            11 => self.mkdir(&tree),
            12 => self.copy(&tree),
            13 => self.chmod(&tree),
            14 => self.swap(&tree),
            _ => self.replace(&tree),
        };
        let what = what.unwrap_or_else(|| "does nothing".to_owned());
        format!("{} {what}", self.client.name())
    }
}

/// What there is to be edited.
impl Player {
    fn any(&mut self, tree: &Tree, wanted: impl Fn(&Thing) -> bool) -> Option<PathBuf> {
        let paths: Vec<_> = tree
            .iter()
            .filter(|(path, thing)| wanted(thing) && !is_mounted(path))
            .map(|(path, _)| path)
            .collect();
        if paths.is_empty() {
            return None;
        }
        let nth = self.number(paths.len());
        Some(paths[nth].clone())
    }

    fn file(&mut self, tree: &Tree) -> Option<PathBuf> {
        self.any(tree, |thing| matches!(thing, Thing::File { .. }))
    }

    /// A place for something: the folder itself, or one in it, and a name.
    fn place(&mut self, tree: &Tree) -> PathBuf {
        let deep = |path: &Path| path.components().count() >= DEPTH;
        let folder = self.any(tree, |thing| matches!(thing, Thing::Folder));
        let folder = folder.filter(|path| !deep(path)).unwrap_or_default();
        let root = self.number(3) == 0;
        let name = NAMES[self.number(NAMES.len())];
        if root {
            PathBuf::from(name)
        } else {
            folder.join(name)
        }
    }

    /// The same, where nothing is.
    fn free(&mut self, tree: &Tree) -> Option<PathBuf> {
        let place = self.place(tree);
        (!tree.contains_key(&place)).then_some(place)
    }

    /// Bytes that nobody else ever writes.
    fn content(&mut self) -> Vec<u8> {
        self.count += 1;
        let mut bytes = format!("{} {}\n", self.client.name(), self.count).into_bytes();
        let len = match self.number(4) {
            0 | 1 => 0,
            2 => self.random.number() % 200,
            _ => self.random.number() % LONGEST,
        };
        bytes.extend(noise(
            self.random.number(),
            usize::try_from(len).expect("small"),
        ));
        bytes
    }

    /// Whatever is in a file after an edit is new to the world.
    fn wrote(&mut self, path: &Path) -> String {
        let hash = sha1_hex(&self.client.read(path));
        let shown = format!("{} ({})", path.display(), &hash[..8]);
        self.fresh.insert(hash);
        shown
    }
}

/// Edits.
impl Player {
    fn create(&mut self, tree: &Tree) -> Option<String> {
        let (path, content) = (self.free(tree)?, self.content());
        self.client.write(&path, content);
        Some(format!("creates {}", self.wrote(&path)))
    }

    fn overwrite(&mut self, tree: &Tree) -> Option<String> {
        let (path, content) = (self.file(tree)?, self.content());
        if self.number(2) == 0 {
            self.client.write(&path, content);
            return Some(format!("overwrites {}", self.wrote(&path)));
        }
        // As most editors do
        let new = path.with_file_name("new file on its way");
        self.client.write(&new, content);
        fs::rename(self.client.path(&new), self.client.path(&path)).expect("a file");
        Some(format!("saves {}", self.wrote(&path)))
    }

    fn append(&mut self, tree: &Tree) -> Option<String> {
        let (path, content) = (self.file(tree)?, self.content());
        self.client.append(path.to_str()?, &content);
        Some(format!("appends to {}", self.wrote(&path)))
    }

    fn patch(&mut self, tree: &Tree) -> Option<String> {
        use std::os::unix::fs::FileExt as _;
        let (path, content) = (self.file(tree)?, self.content());
        let file = fs::File::options()
            .write(true)
            .open(self.client.path(&path));
        file.and_then(|file| file.write_all_at(&content, 3))
            .expect("a file");
        Some(format!("patches {}", self.wrote(&path)))
    }

    fn rename(&mut self, tree: &Tree) -> Option<String> {
        let (from, to) = (self.any(tree, |_| true)?, self.free(tree)?);
        if to.starts_with(&from) || is_given(&from) {
            return None;
        }
        fs::rename(self.client.path(&from), self.client.path(&to)).expect("it moves");
        Some(format!("renames {} to {}", from.display(), to.display()))
    }

    fn delete(&mut self, tree: &Tree) -> Option<String> {
        let path = self.any(tree, |_| true)?;
        if is_given(&path) {
            return None;
        }
        self.client.remove(path.to_str()?);
        Some(format!("deletes {}", path.display()))
    }

    fn mkdir(&mut self, tree: &Tree) -> Option<String> {
        let path = self.free(tree)?;
        self.client.mkdir(path.to_str()?);
        Some(format!("makes the folder {}", path.display()))
    }

    fn copy(&mut self, tree: &Tree) -> Option<String> {
        let (from, to) = (self.file(tree)?, self.free(tree)?);
        fs::copy(self.client.path(&from), self.client.path(&to)).expect("a file");
        Some(format!("copies {} to {}", from.display(), to.display()))
    }

    fn chmod(&mut self, tree: &Tree) -> Option<String> {
        let path = self.file(tree)?;
        let full = self.client.path(&path);
        let mode = fs::metadata(&full).expect("a file").permissions().mode() ^ 0o111;
        fs::set_permissions(&full, fs::Permissions::from_mode(mode)).expect("our own file");
        Some(format!("makes {} {:o}", path.display(), mode & 0o777))
    }

    fn swap(&mut self, tree: &Tree) -> Option<String> {
        let (one, other) = (self.any(tree, |_| true)?, self.any(tree, |_| true)?);
        let related = one.starts_with(&other) || other.starts_with(&one);
        if related || is_given(&one) || is_given(&other) {
            return None;
        }
        let way = self.client.path("on its way");
        let [from, to] = [&one, &other].map(|path| self.client.path(path));
        fs::rename(&from, &way).expect("it moves");
        fs::rename(&to, &from).expect("it moves");
        fs::rename(&way, &to).expect("it moves");
        Some(format!("swaps {} and {}", one.display(), other.display()))
    }

    /// A file takes the place of a folder, a folder or a link that of a file.
    fn replace(&mut self, tree: &Tree) -> Option<String> {
        let path = self.any(tree, |_| true)?;
        if is_given(&path) {
            return None;
        }
        let shown = path.to_str()?;
        self.client.remove(shown);
        match (&tree[&path], self.number(3)) {
            (Thing::Folder | Thing::Link(_), _) => {
                let content = self.content();
                self.client.write(&path, content);
                Some(format!("has a file in place of {}", self.wrote(&path)))
            }
            (Thing::File { .. }, 0) => {
                self.client.link(shown, "some/where");
                Some(format!("has a link in place of {shown}"))
            }
            (Thing::File { .. }, _) => {
                let (inner, content) = (path.join("in"), self.content());
                self.client.write(&inner, content);
                Some(format!("has a folder in place of {}", self.wrote(&inner)))
            }
        }
    }
}

/// Whether it belongs to another space, whose root nobody can move or delete.
fn is_mounted(path: &Path) -> bool {
    path == Path::new("shared")
}

/// Whether it is one of the folders that every account begins with: they stay, so that there is always one.
fn is_given(path: &Path) -> bool {
    ["documents", "shared"]
        .iter()
        .any(|given| path == Path::new(given))
}
