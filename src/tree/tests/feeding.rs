//! The feed by id: what a device hears of what others do.

use std::collections::BTreeMap;

use super::fixture::{Fixture, path};
use crate::store::meta::{feed, testing};
use crate::tree::{Cursor, Error, FeedChange, FeedCursor, Overwrite, Reach, Result, Tree};
use crate::types::{Millis, NodeId};

/// What a device knows: paths by id, as the feed told them.
#[derive(Default)]
struct Mirror {
    known: BTreeMap<NodeId, (Option<NodeId>, String)>,
    cursor: Option<FeedCursor>,
}

impl Mirror {
    /// Pulls in pages of `limit` until there is no more; lists what came back from trash.
    async fn pull(&mut self, tree: &Tree, limit: u32) -> usize {
        let mut heard = 0;
        loop {
            let feed = tree.pull(self.cursor.as_ref(), limit).await.unwrap();
            heard += feed.changes.len();
            for change in feed.changes {
                self.hear(tree, change).await;
            }
            self.cursor = Some(FeedCursor::parse(&feed.cursor.to_string()).unwrap());
            if !feed.more {
                return heard;
            }
        }
    }

    async fn hear(&mut self, tree: &Tree, change: FeedChange) {
        match change {
            FeedChange::Gone { id, .. } => self.forget(id),
            FeedChange::Present { located, restored } => {
                let node = &located.node;
                self.known.insert(node.id, (node.parent, node.name.clone()));
                if !restored {
                    return;
                }
                let mut after = None;
                loop {
                    let found = tree.walk(&located, true, after.as_ref(), 3).await.unwrap();
                    for below in found.nodes {
                        let known = (below.node.parent, below.node.name);
                        self.known.insert(below.node.id, known);
                    }
                    let Some(next) = found.next else { break };
                    after = Some(path(&next));
                }
            }
        }
    }

    fn forget(&mut self, id: NodeId) {
        self.known.remove(&id);
        let below: Vec<_> = self
            .known
            .iter()
            .filter(|(_, (parent, _))| *parent == Some(id))
            .map(|(id, _)| *id)
            .collect();
        for id in below {
            self.forget(id);
        }
    }

    fn paths(&self) -> Vec<String> {
        let mut paths: Vec<_> = self.known.keys().map(|id| self.path(*id)).collect();
        paths.retain(|path| !path.is_empty());
        paths.sort();
        paths
    }

    fn path(&self, id: NodeId) -> String {
        let (parent, name) = &self.known[&id];
        match parent {
            Some(parent) => format!("{}/{name}", self.path(*parent)),
            None if name.is_empty() => String::new(),
            None => format!("/{name}"),
        }
    }
}

async fn paths(tree: &Tree) -> Vec<String> {
    let top = tree
        .by_id(tree.lookup(&path("/")).await.unwrap().id)
        .await
        .unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = tree.walk(&top, true, after.as_ref(), 2).await.unwrap();
        found.extend(page.nodes.iter().map(|located| located.path.to_string()));
        let Some(next) = page.next else { break };
        after = Some(path(&next));
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_mirror_that_hears_only_the_feed_sees_what_is_there() {
    let f = Fixture::new().await;
    let mut mirror = Mirror::default();
    mirror.pull(&f.tree, 2).await;
    assert_eq!(mirror.paths(), paths(&f.tree).await);

    f.put("/documents/a", b"1").await;
    f.put("/documents/a", b"2").await;
    f.put("/shared/s", b"3").await;
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    f.put("/d/x", b"4").await;
    assert_eq!(
        mirror.pull(&f.tree, 100).await,
        4,
        "ten saves are one change"
    );
    assert_eq!(mirror.paths(), paths(&f.tree).await);

    // A moved collection is one change, what lies below comes along.
    f.tree
        .rename(&path("/d"), &path("/photos/e"), Overwrite::No)
        .await
        .unwrap();
    assert_eq!(mirror.pull(&f.tree, 100).await, 1);
    assert_eq!(mirror.paths(), paths(&f.tree).await);

    f.tree
        .copy(
            &path("/photos/e"),
            &path("/copy"),
            Overwrite::No,
            Reach::Deep,
        )
        .await
        .unwrap();
    f.tree.remove(&path("/documents")).await.unwrap();
    mirror.pull(&f.tree, 1).await;
    assert_eq!(mirror.paths(), paths(&f.tree).await);

    // Moved into what is then deleted, and purged before anybody hears of it.
    f.put("/y", b"5").await;
    mirror.pull(&f.tree, 1).await;
    f.tree
        .rename(&path("/y"), &path("/copy/y"), Overwrite::No)
        .await
        .unwrap();
    f.tree.remove(&path("/copy")).await.unwrap();
    for deleted in f.tree.trash(&path("/"), None).await.unwrap() {
        if deleted.node.name == "copy" {
            f.tree.purge(deleted.node.id).await.unwrap();
        }
    }
    mirror.pull(&f.tree, 3).await;
    assert_eq!(mirror.paths(), paths(&f.tree).await);

    // What comes back from trash has not changed itself.
    let documents = f.tree.trash(&path("/"), None).await.unwrap();
    let documents = documents
        .iter()
        .find(|deleted| deleted.node.name == "documents")
        .unwrap();
    f.tree.restore(documents.node.id).await.unwrap();
    mirror.pull(&f.tree, 100).await;
    assert_eq!(mirror.paths(), paths(&f.tree).await);
    assert!(mirror.paths().contains(&"/documents/a".to_owned()));

    // Saved by renaming a temporary file over it.
    f.put("/tmp", b"6").await;
    mirror.pull(&f.tree, 100).await;
    f.tree
        .rename(&path("/tmp"), &path("/documents/a"), Overwrite::Yes)
        .await
        .unwrap();
    mirror.pull(&f.tree, 100).await;
    assert_eq!(mirror.paths(), paths(&f.tree).await);
}

#[tokio::test]
async fn nothing_new_is_nothing_and_cursors_from_elsewhere_are_stale() {
    let f = Fixture::new().await;
    f.put("/a", b"1").await;
    let end = f.tree.pull(None, 1000).await.unwrap().cursor;
    assert_eq!(f.tree.feed_end().await.unwrap(), end);
    let feed = f.tree.pull(Some(&end), 10).await.unwrap();
    assert!(feed.changes.is_empty() && !feed.more && feed.cursor == end);
    assert!(f.tree.changed_since(&end).await.unwrap().is_empty());

    let others = f.other.pull(Some(&end), 10).await;
    assert!(
        matches!(others, Err(Error::StaleCursor)),
        "another account's"
    );
    let mut ahead = end.clone();
    ahead.advance(f.tree.user().space, 99);
    assert!(f.tree.pull(Some(&ahead), 10).await.is_err());
    assert!(f.tree.check_cursor(&ahead).await.is_err());
}

#[tokio::test]
async fn a_cursor_of_another_database_is_stale() {
    let f = Fixture::new().await;
    let end = f.tree.feed_end().await.unwrap().to_string();
    let other = Fixture::new()
        .await
        .tree
        .feed_end()
        .await
        .unwrap()
        .to_string();
    let (epoch, rest) = end.split_once('_').unwrap();
    assert_eq!(
        other.split_once('_').unwrap().1,
        rest,
        "only the epochs differ"
    );
    assert!(!other.starts_with(epoch));
    for text in [&*other, rest] {
        let cursor = FeedCursor::parse(text).unwrap();
        let refused = [
            f.tree.pull(Some(&cursor), 10).await.map(drop),
            f.tree.check_cursor(&cursor).await,
        ];
        for refused in refused {
            assert!(matches!(refused, Err(Error::StaleCursor)), "{text}");
        }
    }
}

/// What a cursor is refused with, by all that take it: `None` when it holds.
async fn refusal(
    f: &Fixture,
    epoch: impl std::fmt::Display,
    positions: &str,
) -> Option<&'static str> {
    let name = |answer: Result<()>| match answer {
        Ok(()) => None,
        Err(Error::StaleCursor) => Some("stale"),
        Err(Error::ExpiredCursor) => Some("expired"),
        Err(error) => panic!("{error}"),
    };
    let cursor = FeedCursor::parse(&format!("{epoch}_{positions}")).unwrap();
    let pulled = name(f.tree.pull(Some(&cursor), 10).await.map(drop));
    let checked = name(f.tree.check_cursor(&cursor).await);
    let root = f.tree.lookup(&path("/")).await.unwrap();
    let token = Cursor::parse(&format!("{epoch}_{}_{positions}", root.id)).unwrap();
    let reported = f.tree.changes(&root, Some(&token), true, 10).await;
    assert_eq!(pulled, checked, "{positions}");
    assert_eq!(pulled, name(reported.map(drop)), "{positions}");
    pulled
}

/// Runs a statement, and lets the floor of the account's own space rise to a turn.
async fn change(f: &Fixture, statement: &'static str, floor: i64) {
    let (space, meta) = (f.tree.user().space, &f.tree.store.meta);
    let done: Result<()> = meta
        .write(move |conn| {
            Box::pin(async move {
                testing::execute(conn, statement, &[]).await?;
                Ok(feed::raise_floor(conn, space, floor, Millis(0)).await?)
            })
        })
        .await;
    done.unwrap();
    f.tree.store.mounts.forget();
}

#[tokio::test]
async fn a_cursor_from_elsewhere_is_stale_and_one_that_is_too_old_has_expired() {
    const SHARE: &str = "UPDATE space SET everyone = true WHERE id = 3";
    const TAKE_AWAY: &str = "UPDATE space SET everyone = false WHERE id = 3";
    let f = Fixture::new().await;
    for at in ["/a", "/b", "/c", "/shared/s"] {
        f.put(at, b"1").await;
    }
    let epoch = f.tree.store.epoch;
    let end = f.tree.feed_end().await.unwrap().to_string();
    let (_, end) = end.split_once('_').unwrap();
    let turns: Vec<i64> = end.split('_').map(|at| at[2..].parse().unwrap()).collect();
    let [own, shared] = turns[..] else {
        panic!("{end}");
    };
    let (ahead, lost) = (format!("1.{}", own + 1), format!("3.{}", shared + 1));
    let of = async |positions: &str| refusal(&f, epoch, positions).await;
    assert_eq!(of(end).await, None);

    change(&f, SHARE, 2).await;
    assert_eq!(of("1.2_3.1").await, None);
    assert_eq!(of("1.1_3.1").await, Some("expired"));
    assert_eq!(of(&ahead).await, Some("stale"));
    // What is both is from elsewhere, whichever is looked at first.
    assert_eq!(
        refusal(&f, "0123456789abcdef", "1.1_3.1").await,
        Some("stale")
    );
    assert_eq!(refusal(&f, "0123456789abcdef", end).await, Some("stale"));
    assert_eq!(of(&format!("1.1_{lost}")).await, Some("stale"));
    assert_eq!(
        of(&format!("1.{own}_99.1")).await,
        Some("stale"),
        "no such space yet"
    );

    change(&f, TAKE_AWAY, 2).await;
    assert_eq!(of(end).await, Some("expired"));
    assert_eq!(of(&format!("{ahead}_3.1")).await, Some("stale"));
    assert_eq!(of(&format!("1.{own}_{lost}")).await, Some("stale"));
    assert_eq!(of(&format!("1.{own}")).await, None);
    change(&f, SHARE, 2).await;
    assert_eq!(of(end).await, None);
}

#[tokio::test]
async fn a_write_wakes_those_who_wait_for_its_space_only() {
    let f = Fixture::new().await;
    let (mine, theirs) = (
        f.tree.watch().await.unwrap(),
        f.other.watch().await.unwrap(),
    );

    f.put("/a", b"1").await;
    let woken = |watched: &[(_, tokio::sync::watch::Receiver<()>)]| {
        watched
            .iter()
            .map(|(_, told)| told.has_changed().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(woken(&mine), [true, false]);
    assert_eq!(woken(&theirs), [false, false]);
    f.put("/shared/a", b"1").await;
    assert_eq!(woken(&theirs), [false, true]);
}

#[tokio::test]
async fn names_are_found_below_a_collection_in_any_case_and_not_in_trash() {
    let f = Fixture::new().await;
    for at in [
        "/documents/Report.txt",
        "/photos/report_2.txt",
        "/shared/my REPORT",
        "/gone-report",
        "/photos/LÉ.txt",
    ] {
        f.put(at, b"x").await;
    }
    f.tree.remove(&path("/gone-report")).await.unwrap();
    let find = async |under: &str, text: &str, limit| {
        let top = f
            .tree
            .by_id(f.tree.lookup(&path(under)).await.unwrap().id)
            .await
            .unwrap();
        let (mut paths, mut after) = (Vec::new(), None);
        loop {
            let found = f.tree.search(&top, text, after, limit).await.unwrap();
            paths.extend(found.nodes.iter().map(|located| located.path.to_string()));
            let Some(next) = found.next else { return paths };
            after = Some(NodeId(next.parse().unwrap()));
        }
    };
    let all = [
        "/documents/Report.txt",
        "/photos/report_2.txt",
        "/shared/my REPORT",
    ];
    assert_eq!(find("/", "rePort", 100).await, all);
    assert_eq!(find("/", "report", 1).await, all);
    assert_eq!(find("/", "lÉ", 100).await, ["/photos/LÉ.txt"]);
    assert_eq!(find("/", "lé", 100).await, [""; 0]);
    assert_eq!(find("/photos", "report", 100).await, all[1..2]);
    assert_eq!(find("/", "t_2", 100).await, all[1..2]);
    assert!(find("/", "%", 100).await.is_empty());
}

#[tokio::test]
async fn what_came_back_from_trash_is_said_so_wherever_a_page_ends() {
    let f = Fixture::new().await;
    f.put("/documents/a", b"1").await;
    let mut mirror = Mirror::default();
    mirror.pull(&f.tree, 100).await;
    f.tree.remove(&path("/documents")).await.unwrap();
    mirror.pull(&f.tree, 100).await;
    let deleted = f.tree.trash(&path("/"), None).await.unwrap();
    f.tree.restore(deleted[0].node.id).await.unwrap();
    f.put("/between", b"2").await;
    let (from, to) = (path("/documents"), path("/papers"));
    f.tree.rename(&from, &to, Overwrite::No).await.unwrap();

    mirror.pull(&f.tree, 1).await;

    assert_eq!(mirror.paths(), paths(&f.tree).await);
    assert!(mirror.paths().contains(&"/papers/a".to_owned()));
}
