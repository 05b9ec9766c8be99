//! A folder, and a journal of it in memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use crate::client::item::{Content, Item, ItemId, Kind};
use crate::client::local::folder::{Folder, OWN};
use crate::client::local::ignore::Ignore;
use crate::client::local::join;
use crate::client::local::scan::{Found, Known, Numbers, Reach, Scan, Scope};
use crate::client::local::stamp::Stamp;

pub(super) const ROOT: ItemId = ItemId(1);

/// A folder with what is known of it.
pub(super) struct World {
    dir: TempDir,
    pub(super) folder: Arc<Folder>,
    pub(super) ignore: Ignore,
    pub(super) known: BTreeMap<ItemId, Known>,
    /// What each known file holds.
    pub(super) bytes: BTreeMap<ItemId, Vec<u8>>,
    /// How many new items a scan tells.
    pub(super) most: usize,
    last: i64,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = TempDir::with_prefix("sync-local-").unwrap();
        let path = dir.path().join("folder");
        fs::create_dir(&path).unwrap();
        let id = Folder::create(&path).unwrap();
        let folder = Arc::new(Folder::open(&path, &id).unwrap());
        let (known, bytes) = (BTreeMap::new(), BTreeMap::new());
        Self {
            dir,
            folder,
            ignore: Ignore::new([]),
            known,
            bytes,
            most: usize::MAX,
            last: ROOT.0,
        }
    }

    /// A path beside the folder.
    pub(super) fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    pub(super) fn mkdir(&self, path: &str) {
        fs::create_dir_all(self.at(path)).unwrap();
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        symlink(target, self.at(path)).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    pub(super) fn remove(&self, path: &str) {
        let at = self.at(path);
        if at.symlink_metadata().unwrap().is_dir() {
            fs::remove_dir_all(at).unwrap();
        } else {
            fs::remove_file(at).unwrap();
        }
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    pub(super) fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn stamp(&self, path: &str) -> Stamp {
        self.folder.look(path).unwrap().stamp
    }

    pub(super) fn scan(&mut self) -> Found {
        self.scan_in(&Scope::All)
    }

    pub(super) fn scan_paths(&mut self, paths: &[(&str, Reach)]) -> Found {
        let paths = paths
            .iter()
            .map(|(path, reach)| ((*path).to_owned(), *reach))
            .collect();
        self.scan_in(&Scope::Dirty(paths))
    }

    pub(super) fn scan_in(&mut self, scope: &Scope) -> Found {
        let scan = Scan {
            folder: &self.folder,
            root: ROOT,
            scope,
            most: self.most,
        };
        let mut numbers = Numbers { id: 0, content: 0 };
        let known = &self.known;
        let mut tell =
            |id: ItemId, name: Option<&str>| Ok::<_, Infallible>(children(known, id, name));
        scan.run(&mut self.ignore, &mut numbers, &mut tell).unwrap()
    }

    /// Scans, and takes what was found into the journal, as if the server had it then too.
    pub(super) fn settle(&mut self) -> Found {
        let found = self.scan();
        self.apply(&found);
        found
    }

    pub(super) fn apply(&mut self, found: &Found) {
        let mut given: BTreeMap<ItemId, ItemId> = BTreeMap::new();
        for known in &found.missing {
            self.known
                .remove(&known.item.id)
                .expect("what is missing was known");
            self.bytes.remove(&known.item.id);
        }
        for id in &found.forgotten {
            self.known.remove(id).expect("what is forgotten was known");
        }
        for local in &found.changed {
            let mut item = local.item.clone();
            item.parent = *given.get(&item.parent).unwrap_or(&item.parent);
            if item.id.0 < 0 {
                self.last += 1;
                given.insert(item.id, ItemId(self.last));
                item.id = ItemId(self.last);
            }
            if let Content::Local(_) = item.content {
                item.content = Content::Version(Arc::from("f1"));
                self.bytes.remove(&item.id);
            }
            self.known.insert(
                item.id,
                Known {
                    item,
                    stamp: Some(local.stamp),
                },
            );
        }
        for (id, stamp) in &found.restamped {
            self.known.get_mut(id).unwrap().stamp = Some(*stamp);
        }
        for local in &found.suspects {
            self.known.get_mut(&local.item.id).unwrap().stamp = Some(local.stamp);
        }
        let files: Vec<_> = self
            .known
            .values()
            .filter(|known| known.item.kind == Kind::File)
            .map(|known| known.item.id)
            .collect();
        for id in files {
            if !self.bytes.contains_key(&id) {
                let bytes = fs::read(self.at(&self.path(id))).unwrap_or_default();
                self.bytes.insert(id, bytes);
            }
        }
    }

    pub(super) fn path(&self, id: ItemId) -> String {
        if id == ROOT {
            return String::new();
        }
        let item = &self.known[&id].item;
        join(&self.path(item.parent), &item.name)
    }

    pub(super) fn id(&self, path: &str) -> ItemId {
        let mut ids = self.known.keys();
        *ids.find(|id| self.path(**id) == path)
            .unwrap_or_else(|| panic!("{path} is not known"))
    }

    /// What the journal says is there.
    pub(super) fn modelled(&self) -> BTreeMap<String, (Kind, bool, Vec<u8>)> {
        let item = |known: &Known| {
            let Item {
                id,
                kind,
                executable,
                ..
            } = known.item;
            (
                self.path(id),
                (
                    kind,
                    executable,
                    self.bytes.get(&id).cloned().unwrap_or_default(),
                ),
            )
        };
        self.known.values().map(item).collect()
    }

    /// What is there.
    pub(super) fn real(&self) -> BTreeMap<String, (Kind, bool, Vec<u8>)> {
        let mut real = BTreeMap::new();
        let mut left = vec![String::new()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(self.at(&dir)).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                if name == OWN {
                    continue;
                }
                let path = join(&dir, &name);
                let data = entry.metadata().unwrap();
                let (kind, bytes) = if data.is_dir() {
                    left.push(path.clone());
                    (Kind::Collection, Vec::new())
                } else if data.is_symlink() {
                    (Kind::Link, Vec::new())
                } else {
                    (Kind::File, fs::read(entry.path()).unwrap())
                };
                let executable = kind == Kind::File && data.permissions().mode() & 0o100 != 0;
                real.insert(path, (kind, executable, bytes));
            }
        }
        real
    }
}

/// The children of a collection, or the one of them with this name.
pub(super) fn children(
    known: &BTreeMap<ItemId, Known>,
    id: ItemId,
    name: Option<&str>,
) -> Vec<Known> {
    let is_it =
        |known: &&Known| known.item.parent == id && name.is_none_or(|name| known.item.name == name);
    known.values().filter(is_it).cloned().collect()
}

/// The names of what was found to be changed.
pub(super) fn names(found: &Found) -> Vec<&str> {
    found
        .changed
        .iter()
        .map(|local| local.item.name.as_str())
        .collect()
}

/// The names of what is missing.
pub(super) fn missing(found: &Found) -> Vec<&str> {
    let mut names: Vec<_> = found
        .missing
        .iter()
        .map(|known| known.item.name.as_str())
        .collect();
    names.sort_unstable();
    names
}
