//! Pushes that come again, and pushes that meet somebody else's write.

use serde_json::Value;
use sync_server::protocol::files::{Kind, Node};
use sync_server::protocol::sync::{OnConflict, PushItem, PushPut, PushResult, PushStatus};
use webdav_tests::TestServer;
use webdav_tests::content::noise;
use webdav_tests::device::{Device, Push, assert_in_step, put};

use super::{based, begin, deleted, done, mkdir, new, one, refused, write};

/// A file of two versions: the device knows the first, WebDAV has written the second.
struct Overtaken {
    server: TestServer,
    device: Device,
    first: Node,
    head: Node,
}

const MINE: &[u8] = b"the device's";
const THEIRS: &[u8] = b"the browser's";

#[track_caller]
fn overtaken() -> Overtaken {
    let (server, mut device) = begin();
    let first = write(&device, &new("/documents/a.txt", 5), b"first");
    let theirs = server.admin();
    theirs.put("/dav/documents/a.txt", THEIRS).expect(&[204]);
    let head = look(&device, "/documents/a.txt");
    device.pull();
    Overtaken {
        server,
        device,
        first,
        head,
    }
}

#[track_caller]
fn look(device: &Device, path: &str) -> Node {
    serde_json::from_value(device.api().info(path)).expect("a node")
}

#[track_caller]
fn push_mine(at: &Overtaken, mtime: i64, conflict: OnConflict) -> PushResult {
    let header = PushPut {
        mtime: Some(mtime),
        conflict,
        ..based(&at.first.etag, "/documents/a.txt", MINE.len())
    };
    let mut push = Push::new();
    push.whole(&header, MINE);
    one(&at.device, &push)
}

#[track_caller]
fn conflicts(device: &Device) -> Vec<Value> {
    device.api().all("conflicts")
}

#[track_caller]
fn bytes_at(at: &TestServer, path: &str) -> Vec<u8> {
    at.admin().get(&format!("/dav{path}")).expect(&[200]).body
}

#[test]
fn a_push_that_comes_again_is_done_again_and_nothing_is_new() {
    let (_server, mut device) = begin();
    let old = noise(1, 100_000);
    let new_bytes = [&old[..50_000], b"edit", &old[50_000..]].concat();
    let kept = write(&device, &new("/documents/kept", old.len()), &old);
    write(&device, &new("/documents/gone", 1), b"x");
    let space = device.space(kept.space);
    let mut push = Push::new();
    push.item(&mkdir("/documents/d"))
        .whole(&new("/documents/d/small", 5), b"small")
        .edit(
            &space,
            &based(&kept.etag, "/documents/kept", new_bytes.len()),
            &old,
            &new_bytes,
        )
        .item(&deleted("/documents/gone", None));
    let first = device.results(&push);
    assert!(
        first.iter().all(|result| result.status == PushStatus::Done),
        "{first:?}"
    );
    device.pull();
    for _ in 0..3 {
        let again = device.results(&push);
        assert!(
            again.iter().all(|result| result.status == PushStatus::Done),
            "{again:?}"
        );
        // The collection has what came behind it by now; the rest is answered alike.
        assert_eq!(again[1..], first[1..]);
        assert_eq!(device.pull(), []);
    }
    assert_eq!(conflicts(&device), [] as [Value; 0]);
}

#[test]
fn without_a_base_the_same_bytes_again_are_no_further_version() {
    let (_server, device) = begin();
    let first = write(&device, &put("/documents/a", 1), b"x");
    let again = write(&device, &put("/documents/a", 1), b"x");
    assert_eq!(
        (again.id, again.version, again.etag),
        (first.id, 1, first.etag)
    );
    // And others replace whatever is there.
    let other = write(&device, &put("/documents/a", 1), b"y");
    assert_eq!((other.id, other.version), (first.id, 2));
}

#[test]
fn the_later_modification_becomes_the_file_and_the_other_stays_beside_it() {
    for mine_is_later in [true, false] {
        let mut at = overtaken();
        let mtime = at.head.mtime + if mine_is_later { 1000 } else { -1000 };

        let result = push_mine(&at, mtime, OnConflict::Keep);

        assert_eq!(result.status, PushStatus::Done);
        let node = result.node.expect("the head");
        let copy = result.conflict.expect("the one that lost");
        assert_eq!(node.id, at.first.id);
        let mine = if mine_is_later { &node } else { &copy };
        assert_eq!(result.etag.as_ref(), Some(&mine.etag));
        assert_eq!(copy.path, format!("/documents/{}", copy.name));
        let name = copy.name.strip_prefix("a.conflict-").expect("a marker");
        let (winner, loser, writer) = if mine_is_later {
            (MINE, THEIRS, "-web.txt")
        } else {
            (THEIRS, MINE, "-laptop.txt")
        };
        assert!(name.ends_with(writer), "{name}");
        assert_eq!(bytes_at(&at.server, &node.path), winner);
        assert_eq!(bytes_at(&at.server, &copy.path), loser);
        assert_eq!(
            copy.mtime,
            if mine_is_later { at.head.mtime } else { mtime }
        );
        let [open] = <[Value; 1]>::try_from(conflicts(&at.device)).expect("one conflict");
        assert_eq!(
            (&open["node"]["id"], &open["copy"]["id"]),
            (&node.id.into(), &copy.id.into())
        );
        assert_eq!(open["device"], at.device.api().device());

        // Sent again, because the answer was lost: the same, and nothing is new.
        at.device.pull();
        let again = push_mine(&at, mtime, OnConflict::Keep);
        assert_eq!(again.status, PushStatus::Done);
        assert_eq!(again.node.map(|node| node.etag), Some(node.etag));
        assert_eq!(at.device.pull(), []);
        assert_eq!(conflicts(&at.device).len(), 1);
        assert_in_step(&at.device, &at.server.admin());
    }
}

#[test]
fn a_tie_goes_to_the_one_that_arrives() {
    let at = overtaken();
    let result = push_mine(&at, at.head.mtime, OnConflict::Keep);
    assert!(result.conflict.is_some());
    assert_eq!(bytes_at(&at.server, "/documents/a.txt"), MINE);
}

#[test]
fn a_clock_that_is_far_ahead_does_not_win_for_ever() {
    let at = overtaken();
    let day = 24 * 3600 * 1000;
    let node = push_mine(&at, at.head.mtime + day, OnConflict::Keep).node;
    let ahead = node.expect("the head").mtime - at.head.mtime;
    assert!((0..10 * 60 * 1000).contains(&ahead), "{ahead} ms");
}

#[test]
fn whoever_refuses_conflicts_is_told_the_head_and_nothing_changes() {
    let mut at = overtaken();
    let result = push_mine(&at, at.head.mtime + 1000, OnConflict::Refuse);
    assert_eq!(result.status, PushStatus::Stale);
    assert_eq!(result.node.as_ref(), Some(&at.head));
    assert_eq!((result.conflict, result.problem), (None, None));
    assert_eq!(at.device.pull(), []);
    // On top of the head it goes.
    let header = PushPut {
        conflict: OnConflict::Refuse,
        ..based(&at.head.etag, "/documents/a.txt", MINE.len())
    };
    assert_eq!(write(&at.device, &header, MINE).version, 3);
}

#[test]
fn the_same_bytes_as_the_head_are_no_conflict() {
    for conflict in [OnConflict::Keep, OnConflict::Refuse] {
        let mut at = overtaken();
        let header = PushPut {
            conflict,
            mtime: Some(at.head.mtime),
            ..based(&at.first.etag, "/documents/a.txt", THEIRS.len())
        };
        assert_eq!(write(&at.device, &header, THEIRS), at.head);
        assert_eq!(at.device.pull(), []);
    }
}

#[test]
fn two_new_files_of_one_name_are_both_kept() {
    let (server, device) = begin();
    server
        .admin()
        .put("/dav/documents/a", THEIRS)
        .expect(&[201]);
    let head = look(&device, "/documents/a");
    let header = PushPut {
        mtime: Some(head.mtime - 1),
        ..new("/documents/a", MINE.len())
    };
    let mut push = Push::new();
    push.whole(&header, MINE);
    let result = one(&device, &push);
    assert_eq!(result.node, Some(head.clone()));
    let copy = result.conflict.expect("both are kept");
    assert_eq!(bytes_at(&server, &copy.path), MINE);
    let mut push = Push::new();
    let conflict = OnConflict::Refuse;
    push.whole(&PushPut { conflict, ..header }, b"a third one!");
    let result = one(&device, &push);
    assert_eq!(
        (result.status, result.node),
        (PushStatus::Stale, Some(head))
    );
}

#[test]
fn an_edit_of_a_deleted_file_makes_it_again() {
    let mut at = overtaken();
    at.device.api().remove("/documents/a.txt");
    let refused = push_mine(&at, at.head.mtime, OnConflict::Refuse);
    assert_eq!((refused.status, refused.node), (PushStatus::Stale, None));
    let node = done(push_mine(&at, at.head.mtime, OnConflict::Keep));
    assert_ne!(node.id, at.first.id);
    at.device.pull();
    assert_in_step(&at.device, &at.server.admin());
}

#[test]
fn a_push_that_comes_again_after_others_went_on_from_it_is_no_conflict() {
    // Its answer was lost; until it was sent again, others read the file and changed it.
    for mtime in [1_600_000_000_000, 4_000_000_000_000] {
        let (server, mut device) = begin();
        let first = write(&device, &new("/documents/a", 5), b"first");
        let header = PushPut {
            mtime: Some(mtime),
            ..based(&first.etag, "/documents/a", MINE.len())
        };
        let mine = write(&device, &header, MINE);
        let dav = server.admin();
        let seen = dav.head_of("/dav/documents/a").etag();
        dav.request("PUT", "/dav/documents/a", &[("If-Match", &seen)], THEIRS)
            .expect(&[204]);
        device.pull();

        let mut push = Push::new();
        push.whole(&header, MINE);
        let again = one(&device, &push);

        // The head is answered, and that it is not what was sent.
        assert_eq!(again.etag.as_ref(), Some(&mine.etag));
        let head = done(again);
        assert_eq!(head.version, 3);
        assert_ne!(head.etag, mine.etag);
        assert_eq!(bytes_at(&server, "/documents/a"), THEIRS);
        assert_eq!(conflicts(&device), [] as [Value; 0]);
        assert_eq!(device.pull(), []);
    }
}

#[test]
fn a_new_file_that_comes_again_after_others_went_on_from_it_is_no_conflict() {
    let (server, mut device) = begin();
    let header = PushPut {
        mtime: Some(1_600_000_000_000),
        ..new("/documents/a", MINE.len())
    };
    write(&device, &header, MINE);
    server
        .admin()
        .put("/dav/documents/a", THEIRS)
        .expect(&[204]);
    device.pull();
    let again = write(&device, &header, MINE);
    assert_eq!(again.version, 2, "the head is answered");
    assert_eq!(bytes_at(&server, "/documents/a"), THEIRS);
    assert_eq!(device.pull(), []);
}

#[test]
fn a_deletion_with_an_id_finds_what_has_moved_and_spares_what_came_to_its_place() {
    let at = overtaken();
    let delete = |parent: Option<i64>, etag: &str| {
        let mut push = Push::new();
        push.item(&PushItem::Delete {
            path: "/documents/a.txt".to_owned(),
            id: Some(at.head.id),
            parent,
            base: Some(etag.to_owned()),
        });
        push
    };
    let wrong = [
        delete(None, &at.first.etag),
        delete(at.head.parent, &at.head.etag),
    ];
    let right = delete(None, &at.head.etag);
    at.server.admin().mkcol("/dav/other").expect(&[201]);
    at.device.api().rename("/documents/a.txt", "/other/b.txt");
    at.device.api().upload("/documents/a.txt", b"another one");
    for wrong in wrong {
        let result = one(&at.device, &wrong);
        let path = result.node.map(|node| node.path);
        assert_eq!(
            (result.status, path.as_deref()),
            (PushStatus::Stale, Some("/other/b.txt"))
        );
    }
    for _ in 0..2 {
        assert_eq!(one(&at.device, &right).status, PushStatus::Done);
        assert_eq!(at.server.admin().get("/dav/other/b.txt").status, 404);
        assert_eq!(bytes_at(&at.server, "/documents/a.txt"), b"another one");
    }
}

#[test]
fn a_deletion_with_a_base_spares_what_has_changed() {
    let mut at = overtaken();
    let mut push = Push::new();
    push.item(&deleted("/documents/a.txt", Some(&at.first.etag)));
    let result = one(&at.device, &push);
    assert_eq!(
        (result.status, result.node),
        (PushStatus::Stale, Some(at.head.clone()))
    );
    assert_eq!(at.device.pull(), []);
    let mut push = Push::new();
    push.item(&deleted("/documents/a.txt", Some(&at.head.etag)))
        .item(&deleted("/documents/a.txt", Some(&at.head.etag)));
    let results = at.device.results(&push);
    assert!(
        results
            .iter()
            .all(|r| r.status == PushStatus::Done && r.node.is_none()),
        "{results:?}"
    );
    assert_eq!(at.server.admin().get("/dav/documents/a.txt").status, 404);
}

#[test]
fn moves_and_copies_that_come_again_say_what_is_in_their_way() {
    let (_server, mut device) = begin();
    write(&device, &new("/documents/a", 1), b"a");
    let mut push = Push::new();
    push.item(&super::copied("/documents/a", "/documents/c"))
        .item(&super::moved("/documents/a", "/documents/b"));
    assert!(
        device
            .results(&push)
            .into_iter()
            .all(|result| done(result).kind == Kind::File)
    );
    device.pull();
    let again = device.results(&push);
    refused(&again[0], "not-found", None);
    refused(&again[1], "not-found", None);
    let mut push = Push::new();
    push.item(&super::copied("/documents/b", "/documents/c"));
    refused(&one(&device, &push), "exists", None);
    assert_eq!(device.pull(), []);
}
