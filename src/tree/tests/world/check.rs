//! The store must look like the world from every side.

use std::collections::{BTreeMap, HashMap};

use super::given::property;
use super::perform::Stage;
use super::state::Item;
use super::verbs::SHARED;
use crate::store::content::Reader;
use crate::tree::{Error, FeedChange, FeedCursor, Node, Tree, With};
use crate::types::{NodeId, NodePath};

/// A node that a client knows.
struct Known {
    parent: Option<NodeId>,
    /// Where it is when it is the root of a space.
    root: String,
    name: String,
    file: bool,
}

/// A client that knows what the feed told, by id.
#[derive(Default)]
pub(super) struct Mirror {
    known: HashMap<NodeId, Known>,
    cursor: Option<FeedCursor>,
}

impl Stage {
    /// Everything that can be seen.
    pub(super) async fn check(&mut self) {
        for who in [0, 1] {
            let tree = self.trees[who].clone();
            for space in [who, SHARED] {
                self.check_files(&tree, space).await;
            }
            self.check_trash(&tree, who).await;
            self.check_usage(&tree, who).await;
            self.mirrors[who].pull(&tree).await;
            self.check_mirror(who);
        }
        for id in &self.gone {
            for tree in &self.trees {
                assert!(
                    matches!(tree.by_id(*id).await, Err(Error::NotFound)),
                    "{id:?} is served"
                );
            }
        }
    }

    /// The files of a space, byte for byte, with their versions and properties.
    async fn check_files(&self, tree: &Tree, space: usize) {
        let expected = self.world.listing(space);
        let top = NodePath::parse(Self::mount(space)).unwrap();
        let root = tree.lookup(&top).await.unwrap();
        assert_eq!(root.space, self.spaces[space]);
        let (mut found, mut open) = (0, vec![(String::new(), root)]);
        while let Some((above, node)) = open.pop() {
            let with = With {
                properties: true,
                ..With::default()
            };
            let page = tree.list(&node, with, None).await.unwrap();
            for child in page.nodes {
                if child.space != self.spaces[space] {
                    continue;
                }
                let path = format!("{above}/{}", child.name);
                let item = expected
                    .get(&path)
                    .unwrap_or_else(|| panic!("{path} is there"));
                let colour: Vec<_> = item.colour.map(property).into_iter().collect();
                assert_eq!(
                    page.properties.get(&child.id).cloned().unwrap_or_default(),
                    colour,
                    "{path}"
                );
                check_file(tree, &path, &child, item).await;
                found += 1;
                if child.is_collection() {
                    open.push((path, child));
                }
            }
        }
        assert_eq!(
            found,
            expected.len(),
            "nodes in space {space}: {:?}",
            expected.keys()
        );
    }

    async fn check_trash(&self, tree: &Tree, who: usize) {
        let (found, _) = tree.trash_page(None, 1000).await.unwrap();
        let mut found: Vec<NodeId> = found.into_iter().map(|found| found.node.id).collect();
        let mut expected: Vec<_> = self
            .world
            .trash(who)
            .iter()
            .map(|nth| self.ids[nth])
            .collect();
        found.sort_unstable_by_key(|id| id.0);
        expected.sort_unstable_by_key(|id| id.0);
        assert_eq!(found, expected, "trash");
    }

    /// What the quota counts is the sum of what is there.
    async fn check_usage(&self, tree: &Tree, who: usize) {
        for (held, space) in tree
            .usage_of_spaces()
            .await
            .unwrap()
            .into_iter()
            .zip([who, SHARED])
        {
            assert_eq!(held.space, self.spaces[space]);
            assert_eq!(
                held.usage.used,
                self.world.used(space),
                "bytes in space {space}"
            );
        }
    }

    fn check_mirror(&self, who: usize) {
        let mut expected = BTreeMap::new();
        for space in [who, SHARED] {
            let mount = Self::mount(space);
            let listing = self.world.listing(space).into_iter();
            expected.extend(
                listing.map(|(path, item)| (format!("{mount}{path}"), item.file.is_some())),
            );
        }
        assert_eq!(
            self.mirrors[who].listing(),
            expected,
            "the feed of account {who}"
        );
    }
}

async fn check_file(tree: &Tree, path: &str, node: &Node, item: &Item) {
    assert_eq!(node.is_collection(), item.file.is_none(), "{path}");
    let Some(file) = &item.file else { return };
    let reader = tree.read(node).await.unwrap();
    assert!(read(reader).await == **file.head, "the bytes of {path}");
    let versions = tree.versions(node).await.unwrap();
    if let Some(past) = &file.past {
        assert_eq!(node.version, file.number, "{path}");
        let numbers: Vec<i64> = versions
            .iter()
            .skip(1)
            .rev()
            .map(|version| version.number)
            .collect();
        let expected: Vec<i64> = past.iter().map(|past| past.number).collect();
        assert_eq!(numbers, expected, "versions of {path}");
    }
    for version in &versions[1..] {
        let bytes = read(tree.read_version(node, version.number).await.unwrap()).await;
        assert_eq!(bytes.len() as u64, version.size, "{path}");
        let known = file
            .past
            .iter()
            .flatten()
            .find(|past| past.number == version.number);
        assert!(
            known.is_none_or(|past| **past.bytes == bytes),
            "version {} of {path}",
            version.number
        );
    }
}

pub(super) async fn read(mut reader: Reader) -> Vec<u8> {
    let mut found = Vec::new();
    loop {
        let bytes = reader.read(256 * 1024).await.unwrap();
        if bytes.is_empty() {
            return found;
        }
        found.extend_from_slice(&bytes);
    }
}

impl Mirror {
    /// Takes what changed; a cursor that is too old begins again.
    async fn pull(&mut self, tree: &Tree) {
        loop {
            let feed = match tree.pull(self.cursor.as_ref(), 7).await {
                Ok(feed) => feed,
                Err(Error::ExpiredCursor) => {
                    *self = Self::default();
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            for change in feed.changes {
                match change {
                    FeedChange::Gone { id, .. } => drop(self.known.remove(&id)),
                    FeedChange::Present { located, restored } => {
                        if restored {
                            self.list(tree, &located.node).await;
                        }
                        self.take(&located.node, located.path.to_string());
                    }
                }
            }
            self.cursor = Some(feed.cursor);
            if !feed.more {
                return;
            }
        }
    }

    fn take(&mut self, node: &Node, path: String) {
        let known = Known {
            parent: node.parent,
            root: if path == "/" { String::new() } else { path },
            name: node.name.clone(),
            file: !node.is_collection(),
        };
        self.known.insert(node.id, known);
    }

    /// Lists what lies below something that came back.
    async fn list(&mut self, tree: &Tree, top: &Node) {
        let mut open = vec![top.clone()];
        while let Some(node) = open.pop() {
            // It may be gone by now; then the feed tells.
            let Ok(page) = tree.list(&node, With::default(), None).await else {
                continue;
            };
            for child in page.nodes {
                self.take(&child, String::new());
                if child.is_collection() {
                    open.push(child);
                }
            }
        }
    }

    fn path(&self, id: NodeId) -> Option<String> {
        let known = self.known.get(&id)?;
        match known.parent {
            None => Some(known.root.clone()),
            Some(parent) => Some(format!("{}/{}", self.path(parent)?, known.name)),
        }
    }

    /// The paths it knows of and whether they are files; roots are left out.
    fn listing(&self) -> BTreeMap<String, bool> {
        let below = self
            .known
            .iter()
            .filter(|(_, known)| known.parent.is_some());
        below
            .filter_map(|(id, known)| Some((self.path(*id)?, known.file)))
            .collect()
    }
}
