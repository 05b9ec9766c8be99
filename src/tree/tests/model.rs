//! The tree against a plain map: random verbs, the same outcome, and the feed tells the truth.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fixture::{Fixture, path, put, read};
use crate::tree::{ChangeKind, Cursor, Error, Node, Overwrite, Reach, Tree, With, Write};
use crate::types::NodePath;

/// Path → bytes of a file, or `None` for a collection.
type Model = BTreeMap<String, Option<Vec<u8>>>;

#[derive(Clone, Debug)]
enum Verb {
    Put(String, u8),
    Mkdir(String),
    Move(String, String, bool),
    Copy(String, String, bool),
    Remove(String),
    Sync,
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
        .prop_map(|names| format!("/{}", names.join("/")))
}

fn any_verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        4 => (any_path(), any::<u8>()).prop_map(|(at, byte)| Verb::Put(at, byte)),
        4 => any_path().prop_map(Verb::Mkdir),
        3 => (any_path(), any_path(), any::<bool>()).prop_map(|(a, b, o)| Verb::Move(a, b, o)),
        2 => (any_path(), any_path(), any::<bool>()).prop_map(|(a, b, o)| Verb::Copy(a, b, o)),
        2 => any_path().prop_map(Verb::Remove),
        1 => Just(Verb::Sync),
    ]
}

fn parent_is_collection(model: &Model, at: &str) -> bool {
    match at.rsplit_once('/') {
        Some(("", _)) => true,
        Some((above, _)) => matches!(model.get(above), Some(None)),
        None => false,
    }
}

fn below<'m>(model: &'m Model, at: &str) -> Vec<(&'m String, &'m Option<Vec<u8>>)> {
    let inside = format!("{at}/");
    model
        .iter()
        .filter(|(key, _)| **key == at || key.starts_with(&inside))
        .collect()
}

fn drop_below(model: &mut Model, at: &str) {
    let inside = format!("{at}/");
    model.retain(|key, _| key != at && !key.starts_with(&inside));
}

/// Applies a verb to the map; `false` when it must be refused.
fn apply(model: &mut Model, verb: &Verb) -> bool {
    match verb {
        Verb::Put(at, byte) => {
            let fits = parent_is_collection(model, at) && !matches!(model.get(at), Some(None));
            if fits {
                model.insert(at.clone(), Some(vec![*byte; usize::from(*byte) * 100]));
            }
            fits
        }
        Verb::Mkdir(at) => {
            let fits = parent_is_collection(model, at) && !model.contains_key(at);
            if fits {
                model.insert(at.clone(), None);
            }
            fits
        }
        Verb::Move(from, to, overwrite) => place(model, from, to, *overwrite, true),
        Verb::Copy(from, to, overwrite) => place(model, from, to, *overwrite, false),
        Verb::Remove(at) => {
            let there = model.contains_key(at);
            drop_below(model, at);
            there
        }
        Verb::Sync => true,
    }
}

fn place(model: &mut Model, from: &str, to: &str, overwrite: bool, moves: bool) -> bool {
    if !model.contains_key(from) || !parent_is_collection(model, to) {
        return false;
    }
    if from == to {
        // Renaming something to its own name changes nothing; copying it there is refused.
        return moves;
    }
    let taken = model.contains_key(to);
    let nested = to.starts_with(&format!("{from}/")) || from.starts_with(&format!("{to}/"));
    if nested || (taken && !overwrite) {
        return false;
    }
    let copied: Vec<_> = below(model, from)
        .into_iter()
        .map(|(key, value)| (format!("{to}{}", &key[from.len()..]), value.clone()))
        .collect();
    drop_below(model, to);
    if moves {
        drop_below(model, from);
    }
    model.extend(copied);
    true
}

async fn perform(tree: &Tree, verb: &Verb) -> Result<(), Error> {
    let replace = |yes: &bool| if *yes { Overwrite::Yes } else { Overwrite::No };
    match verb {
        Verb::Put(at, byte) => {
            let bytes = vec![*byte; usize::from(*byte) * 100];
            put(tree, at, &bytes, Write::default()).await.map(drop)
        }
        Verb::Mkdir(at) => tree.mkdir(&path(at), None).await.map(drop),
        Verb::Move(from, to, overwrite) => tree
            .rename(&path(from), &path(to), replace(overwrite))
            .await
            .map(drop),
        Verb::Copy(from, to, overwrite) => tree
            .copy(&path(from), &path(to), replace(overwrite), Reach::Deep)
            .await
            .map(drop),
        Verb::Remove(at) => tree.remove(&path(at)).await,
        Verb::Sync => Ok(()),
    }
}

/// The whole tree as a map, walked through listings.
async fn walk(tree: &Tree) -> (Model, u64) {
    let root = tree.lookup(&NodePath::root()).await.unwrap();
    let size = root.size;
    let (mut model, mut open) = (Model::new(), vec![(String::new(), root)]);
    while let Some((above, node)) = open.pop() {
        for child in tree.list(&node, With::default(), None).await.unwrap().nodes {
            let at = format!("{above}/{}", child.name);
            let bytes = if child.is_collection() {
                open.push((at.clone(), child));
                None
            } else {
                Some(read(tree, &at).await.unwrap())
            };
            model.insert(at, bytes);
        }
    }
    (model, size)
}

/// A client that only ever hears the feed.
#[derive(Default)]
struct Mirror {
    known: BTreeMap<String, bool>,
    cursor: Option<Cursor>,
}

impl Mirror {
    async fn sync(&mut self, tree: &Tree, root: &Node) {
        loop {
            let told = match tree.changes(root, self.cursor.as_ref(), true, 3).await {
                Ok(told) => told,
                Err(Error::ExpiredCursor) => {
                    *self = Self::default();
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            for change in told.changes {
                let at = change.path.to_string();
                let inside = format!("{at}/");
                let gone = matches!(&change.kind, ChangeKind::Gone);
                let file = matches!(&change.kind, ChangeKind::Present(n) if !n.is_collection());
                if gone || file {
                    self.known.retain(|key, _| !key.starts_with(&inside));
                }
                if gone {
                    self.known.remove(&at);
                } else {
                    self.known.insert(at, file);
                }
            }
            self.cursor = Some(told.cursor);
            if !told.more {
                return;
            }
        }
    }
}

async fn run(verbs: Vec<Verb>) {
    let f = Fixture::new().await;
    let mut model: Model = ["/backups", "/documents", "/photos", "/shared"]
        .map(|at| (at.to_owned(), None))
        .into();
    let (mut mirror, root) = (
        Mirror::default(),
        f.tree.lookup(&NodePath::root()).await.unwrap(),
    );
    for verb in &verbs {
        let expected = apply(&mut model, verb);
        let got = perform(&f.tree, verb).await;
        assert_eq!(got.is_ok(), expected, "{verb:?}: {got:?}");
        if matches!(verb, Verb::Sync) {
            mirror.sync(&f.tree, &root).await;
        }
    }
    let (found, size) = walk(&f.tree).await;
    assert_eq!(found, model);
    let bytes: usize = model.values().flatten().map(Vec::len).sum();
    assert_eq!(size, bytes as u64, "the quota counts what is there");
    mirror.sync(&f.tree, &root).await;
    let heard: BTreeMap<_, _> = mirror.known.into_iter().collect();
    let mut listed: BTreeMap<_, _> = model
        .iter()
        .map(|(key, value)| (key.clone(), value.is_some()))
        .collect();
    listed.remove("/shared");
    assert_eq!(heard, listed, "the feed tells what the listing shows");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_verbs_do_what_a_plain_map_does(verbs in prop::collection::vec(any_verb(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(verbs));
    }
}
