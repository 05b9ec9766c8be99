//! What a Unix file is besides its bytes: programs and symbolic links.

use super::fixture::{Fixture, START, path, put};
use crate::tree::{
    Base, ChangeKind, FeedChange, Keep, Overwrite, Property, PropertyChange, Reach, Times, Tree,
    Write, Written,
};
use crate::types::{Millis, Mode};

const PLAIN: Mode = Mode {
    executable: false,
    link: false,
};
const PROGRAM: Mode = Mode {
    executable: true,
    link: false,
};
const LINK: Mode = Mode {
    executable: false,
    link: true,
};

fn with(mode: Mode) -> Write {
    Write {
        executable: Some(mode.executable),
        link: mode.link,
        ..Write::default()
    }
}

async fn write(f: &Fixture, at: &str, bytes: &[u8], how: Write) -> Written {
    put(&f.tree, at, bytes, how).await.unwrap()
}

async fn mode(tree: &Tree, at: &str) -> Mode {
    tree.lookup(&path(at)).await.unwrap().mode
}

#[tokio::test]
async fn a_write_that_does_not_say_keeps_a_program_one_and_makes_a_link_a_file() {
    let f = Fixture::new().await;
    assert_eq!(f.put("/plain", b"a").await.mode, PLAIN);
    write(&f, "/run", b"a", with(PROGRAM)).await;
    assert_eq!(f.put("/run", b"b").await.mode, PROGRAM);
    assert_eq!(write(&f, "/run", b"c", with(PLAIN)).await.node.mode, PLAIN);
    write(&f, "/link", b"run", with(LINK)).await;
    assert_eq!(f.put("/link", b"run").await.mode, PLAIN);
    for at in ["/plain", "/run", "/link"] {
        assert_eq!(mode(&f.tree, at).await, PLAIN);
    }
}

#[tokio::test]
async fn another_mode_is_a_change_with_a_turn_and_without_a_version() {
    let f = Fixture::new().await;
    let first = write(&f, "/a", b"b", with(PLAIN)).await.node;
    let base = Base::Content(first.content.unwrap());
    for stated in [base, Base::Nothing, Base::Unstated] {
        for changed in [PROGRAM, LINK, PLAIN] {
            let before = f.tree.lookup(&path("/a")).await.unwrap();
            let how = || Write {
                base: stated,
                modified: Some(before.modified),
                created: Some(before.created),
                ..with(changed)
            };
            let node = write(&f, "/a", b"b", how()).await.node;
            assert_eq!((node.mode, &node.etag), (changed, &first.etag));
            assert_eq!((node.version, node.id), (first.version, first.id));
            assert!(node.seq > before.seq, "{stated:?} {changed:?}");
            assert_eq!(node.modified, before.modified);
            assert_eq!(mode(&f.tree, "/a").await, changed);
            if stated != Base::Unstated {
                // Sent again it is none.
                assert_eq!(write(&f, "/a", b"b", how()).await.node.seq, node.seq);
            }
        }
    }
    assert_eq!(f.tree.versions(&first).await.unwrap().len(), 1);
}

#[tokio::test]
async fn moves_copies_trash_and_other_spaces_take_it_along() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    write(&f, "/d/run", b"a", with(PROGRAM)).await;
    write(&f, "/d/link", b"run", with(LINK)).await;
    let (yes, deep) = (Overwrite::Yes, Reach::Deep);
    for to in ["/copy", "/shared/copy"] {
        f.tree
            .copy(&path("/d"), &path(to), yes, deep)
            .await
            .unwrap();
    }
    for (from, to) in [("/d/run", "/documents/over"), ("/d/run", "/shared/over")] {
        f.put(to, b"something else").await;
        f.tree
            .copy(&path(from), &path(to), yes, deep)
            .await
            .unwrap();
        assert_eq!(mode(&f.tree, to).await, PROGRAM);
        f.tree
            .copy(&path("/d/link"), &path(to), yes, deep)
            .await
            .unwrap();
        assert_eq!(mode(&f.tree, to).await, LINK);
    }
    f.put("/saved", b"before").await;
    f.tree
        .rename(&path("/documents/over"), &path("/saved"), yes)
        .await
        .unwrap();
    assert_eq!(mode(&f.tree, "/saved").await, LINK);
    f.tree
        .rename(&path("/d"), &path("/moved"), yes)
        .await
        .unwrap();
    f.tree
        .rename(&path("/copy"), &path("/shared/moved"), yes)
        .await
        .unwrap();
    let moved = f.tree.lookup(&path("/moved/run")).await.unwrap();
    f.tree.remove(&path("/moved/run")).await.unwrap();
    f.tree.restore(moved.id).await.unwrap();
    for folder in ["/moved", "/shared/copy", "/shared/moved"] {
        assert_eq!(mode(&f.tree, &format!("{folder}/run")).await, PROGRAM);
        assert_eq!(mode(&f.tree, &format!("{folder}/link")).await, LINK);
    }
    let listed = f.tree.lookup(&path("/moved")).await.unwrap();
    let page = f
        .tree
        .list(&listed, crate::tree::With::default(), None)
        .await
        .unwrap();
    let modes: Vec<_> = page.nodes.iter().map(|node| node.mode).collect();
    assert_eq!(modes, [LINK, PROGRAM]);
}

#[tokio::test]
async fn a_version_comes_back_as_a_file_and_a_program_stays_one() {
    let f = Fixture::new().await;
    write(&f, "/a", b"first", with(LINK)).await;
    let node = write(
        &f,
        "/a",
        b"second",
        with(Mode {
            executable: true,
            link: true,
        }),
    )
    .await
    .node;
    let restored = f.tree.restore_version(node.id, 1).await.unwrap();
    assert_eq!(restored.mode, PROGRAM);
    assert_eq!(f.text("/a").await, "first");
}

#[tokio::test]
async fn both_sides_of_a_conflict_keep_what_they_are() {
    for (ahead, winner, loser) in [(2000, PLAIN, PROGRAM), (500, PROGRAM, PLAIN)] {
        let f = Fixture::new().await;
        let base = f.put("/a", b"base").await.content.unwrap();
        let at = |time, mode| Write {
            modified: Some(Millis(START + time)),
            ..with(mode)
        };
        write(&f, "/a", b"theirs", at(1000, PROGRAM)).await;
        let ours = Write {
            base: Base::Content(base),
            ..at(ahead, PLAIN)
        };
        let written = write(&f, "/a", b"ours", ours).await;
        let copy = written.conflict.unwrap();
        assert_eq!((written.node.mode, copy.mode), (winner, loser));
        let id = f.tree.conflicts(0, 10).await.unwrap()[0].id;
        f.tree.resolve_conflict(id, Keep::Copy).await.unwrap();
        assert_eq!(mode(&f.tree, "/a").await, loser);
    }
}

#[tokio::test]
async fn a_new_time_or_property_changes_no_link_and_only_files_can_be_run() {
    let f = Fixture::new().await;
    write(&f, "/link", b"a", with(LINK)).await;
    let executable = Times {
        executable: Some(true),
        ..Times::default()
    };
    let node = f.tree.touch(&path("/documents"), executable).await.unwrap();
    assert_eq!(node.mode, PLAIN);
    let later = Times {
        modified: Some(Millis(START)),
        ..Times::default()
    };
    assert_eq!(
        f.tree.touch(&path("/link"), later).await.unwrap().mode,
        LINK
    );
    let property = Property {
        namespace: "urn:x".to_owned(),
        name: "a".to_owned(),
        xml: b"<a xmlns=\"urn:x\"/>".to_vec(),
    };
    let changes = vec![PropertyChange::Set(property)];
    let node = f
        .tree
        .patch_properties(&path("/link"), changes, executable)
        .await
        .unwrap();
    let both = Mode {
        executable: true,
        link: true,
    };
    assert_eq!(node.mode, both);
    assert_eq!(mode(&f.tree, "/link").await, both);
}

#[tokio::test]
async fn the_feed_tells_of_it() {
    let f = Fixture::new().await;
    let node = f.put("/a", b"a").await;
    let cursor = f.tree.feed_end().await.unwrap();
    let how = Write {
        base: Base::Content(node.content.unwrap()),
        ..with(PROGRAM)
    };
    write(&f, "/a", b"a", how).await;
    let told = f.tree.pull(Some(&cursor), 10).await.unwrap();
    let [FeedChange::Present { located, .. }] = &told.changes[..] else {
        panic!("{told:?}")
    };
    assert_eq!((located.node.id, located.node.mode), (node.id, PROGRAM));
    let changes = f.tree.lookup(&path("/")).await.unwrap();
    let changes = f.tree.changes(&changes, None, true, 100).await.unwrap();
    let told = changes
        .changes
        .into_iter()
        .find_map(|change| match change.kind {
            ChangeKind::Present(told) if told.id == node.id => Some(told.mode),
            ChangeKind::Present(_) | ChangeKind::Gone => None,
        });
    assert_eq!(told, Some(PROGRAM));
}
