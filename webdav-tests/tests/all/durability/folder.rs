//! What one writer's folder holds: its files, and what it threw away.

use std::collections::BTreeMap;

use serde_json::Value;
use webdav_tests::api::{id, number, text};
use webdav_tests::content::noise;
use webdav_tests::{Api, Dav};

/// What a file holds: the seed and length of its noise.
pub(super) type Content = (u64, usize);

/// Files by name, and what lies in trash by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) files: BTreeMap<String, Content>,
    pub(super) trash: Vec<(String, Content)>,
}

/// What is found on the server: each file's bytes, and names, sizes and ids in trash.
pub(super) struct Found {
    files: BTreeMap<String, Vec<u8>>,
    pub(super) trash: Vec<(String, usize, i64)>,
}

impl Folder {
    /// It, after one more change.
    pub(super) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut after = self.clone();
        change(&mut after);
        after
    }

    pub(super) fn put(&mut self, name: &str, content: Content) {
        self.files.insert(name.to_owned(), content);
    }

    pub(super) fn delete(&mut self, name: &str) {
        if let Some(content) = self.files.remove(name) {
            self.trash.push((name.to_owned(), content));
        }
    }

    pub(super) fn restore(&mut self, nth: usize) {
        let (name, content) = self.trash.remove(nth);
        self.files.insert(name, content);
    }

    pub(super) fn bytes(&self) -> usize {
        self.files.values().map(|(_, len)| len).sum()
    }

    /// Whether it is what was found.
    pub(super) fn is(&self, found: &Found) -> bool {
        let names = self.files.keys().eq(found.files.keys());
        let same = |(file, bytes): (&Content, &Vec<u8>)| {
            file.1 == bytes.len() && noise(file.0, file.1) == *bytes
        };
        let mut trash: Vec<_> = self
            .trash
            .iter()
            .map(|(name, (_, len))| (name, *len))
            .collect();
        let mut thrown: Vec<_> = found
            .trash
            .iter()
            .map(|(name, len, _)| (name, *len))
            .collect();
        trash.sort();
        thrown.sort();
        names && self.files.values().zip(found.files.values()).all(same) && trash == thrown
    }
}

impl Found {
    /// Reads all of the folder of a writer.
    #[track_caller]
    pub(super) fn read(dav: &Dav, trash: &[Value], writer: u64) -> Self {
        let names = dav.names(&format!("/dav/k{writer}/"));
        let read = |name: String| {
            let bytes = dav
                .get(&format!("/dav/k{writer}/{name}"))
                .expect(&[200])
                .body;
            (name, bytes)
        };
        let above = format!("/k{writer}/");
        let mine = trash
            .iter()
            .filter(|node| text(node, "from").starts_with(&above));
        let len = |node| usize::try_from(number(node, "size")).expect("a size");
        Self {
            files: names.into_iter().map(read).collect(),
            trash: mine
                .map(|node| (text(node, "name").to_owned(), len(node), id(node)))
                .collect(),
        }
    }

    pub(super) fn files(&self) -> usize {
        self.files.len()
    }
}

/// Everything in trash.
#[track_caller]
pub(super) fn trash(api: &Api) -> Vec<Value> {
    api.all("trash?limit=1000")
}
