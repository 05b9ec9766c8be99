//! `GET sync/pull`: what changed since a cursor, by the ids of the nodes.

mod others;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use sync_server::protocol::sync::{Change, Changes};
use webdav_tests::api::{self, Api, number, route, text};
use webdav_tests::content::{Noise, noise};
use webdav_tests::device::{Device, assert_in_step, parse};
use webdav_tests::{Dav, TestServer, postgres};

const PASSWORD: &str = "a long password 1";

/// Names of the nodes in changes, in the order of the answer; gone ones by a minus sign and the id.
fn told(changes: &[Change]) -> Vec<String> {
    let name = |change: &Change| match &change.node {
        Some(node) => node.name.clone(),
        None => format!("-{}", change.id),
    };
    changes.iter().map(name).collect()
}

/// The epoch of the cursor of a status, and the rest of it.
#[track_caller]
fn split(status: &Value) -> (&str, &str) {
    let parts = text(status, "cursor").split_once('_');
    parts.expect("an epoch and spaces")
}

/// The only change.
#[track_caller]
fn only(changes: Vec<Change>) -> Change {
    let [change] = <[Change; 1]>::try_from(changes).expect("one change");
    change
}

/// The id of what is at a path.
#[track_caller]
fn id(device: &Device, path: &str) -> i64 {
    api::id(&device.api().info(path))
}

/// Sends what is at a path to trash and returns its id.
#[track_caller]
fn remove(device: &Device, path: &str) -> i64 {
    let id = id(device, path);
    device.api().remove(path);
    id
}

#[track_caller]
fn restore(device: &Device, id: i64) {
    let restored = device.api().post_nothing(&format!("trash/{id}/restore"));
    restored.json(200);
}

#[track_caller]
fn page(api: &Api, cursor: Option<&str>, limit: u32) -> Changes {
    let limit = limit.to_string();
    let mut asked = vec![("limit", &*limit)];
    asked.extend(cursor.map(|cursor| ("cursor", cursor)));
    parse(&api.get(&route("sync/pull", &asked)), 200)
}

#[test]
fn the_first_pull_is_everything_that_is_there_and_the_next_nothing() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    dav.put("/dav/documents/d/small", b"1").expect(&[201]);
    dav.put("/dav/photos/large", &noise(1, 300_000))
        .expect(&[201]);
    dav.put("/dav/shared/both", b"2").expect(&[201]);
    dav.put("/dav/gone", b"3").expect(&[201]);
    dav.delete("/dav/gone").expect(&[204]);

    let mut device = Device::admin(&server, "laptop");
    let first = device.pull();

    assert!(
        first
            .iter()
            .all(|change| !change.deleted && !change.restored)
    );
    assert_in_step(&device, &dav);
    for node in device.mirror().nodes() {
        assert_eq!(device.mirror().path(node).as_ref(), Some(&node.path));
    }
    let cursor = device.cursor().map(ToOwned::to_owned);
    assert_eq!(told(&device.pull()), [""; 0]);
    assert_eq!(device.cursor(), cursor.as_deref(), "nothing happened");
}

#[test]
fn a_change_is_a_node_as_it_is_now_and_told_once() {
    let server = TestServer::start();
    let dav = server.admin();
    for name in ["a", "b", "c", "d"] {
        dav.put(&format!("/dav/documents/{name}"), name.as_bytes())
            .expect(&[201]);
    }
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    let (b, c) = (id(&device, "/documents/b"), id(&device, "/documents/c"));

    for n in 1..=10 {
        dav.put("/dav/documents/a", format!("{n}").as_bytes())
            .expect(&[204]);
    }
    dav.delete("/dav/documents/b").expect(&[204]);
    dav.rename("/dav/documents/c", "/dav/photos/e")
        .expect(&[201]);
    dav.put("/dav/documents/f", b"new").expect(&[201]);

    let changes = device.pull();
    assert_eq!(told(&changes), ["a", &format!("-{b}"), "e", "f"]);
    assert_eq!(changes[0].node.as_ref().map(|node| node.version), Some(11));
    assert_eq!(changes[2].id, c, "a moved file is the same node");
    assert_in_step(&device, &dav);
}

#[test]
fn a_moved_collection_is_one_change_whatever_lies_below() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    for n in 0..50 {
        dav.put(&format!("/dav/documents/d/{n}"), &noise(n, 20_000))
            .expect(&[201]);
    }
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    let before = device.api().http().traffic();

    dav.rename("/dav/documents/d/", "/dav/photos/e/")
        .expect(&[201]);
    let change = only(device.pull());

    let node = change.node.expect("it is there");
    assert_eq!((&*node.path, change.restored), ("/photos/e", false));
    let spent = device.api().http().traffic() - before;
    assert!(spent.received < 2000, "{spent:?}: bytes were fetched again");
    assert_in_step(&device, &dav);
}

#[test]
fn a_deleted_collection_is_one_change_and_takes_what_lies_below_with_it() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    for n in 0..10 {
        dav.put(&format!("/dav/documents/d/{n}"), b"x")
            .expect(&[201]);
    }
    let mut device = Device::admin(&server, "laptop");
    device.pull();

    let gone = remove(&device, "/documents/d");

    let change = only(device.pull());
    assert_eq!((change.id, change.deleted), (gone, true));
    assert_eq!(change.node, None);
    assert_in_step(&device, &dav);
}

#[test]
fn what_left_a_deleted_collection_before_stays_with_all_below() {
    // The collection that left is told behind the one that was deleted, because it changed again.
    let server = TestServer::start();
    let dav = server.admin();
    for path in ["d/", "d/inner/"] {
        dav.mkcol(&format!("/dav/documents/{path}")).expect(&[201]);
    }
    dav.put("/dav/documents/d/inner/file", b"x").expect(&[201]);
    let mut device = Device::admin(&server, "laptop").with_page(1);
    device.pull();

    dav.rename("/dav/documents/d/inner/", "/dav/photos/inner/")
        .expect(&[201]);
    let gone = remove(&device, "/documents/d");
    dav.rename("/dav/photos/inner/", "/dav/photos/outer/")
        .expect(&[201]);

    assert_eq!(
        told(&device.pull()),
        [format!("-{gone}"), "outer".to_owned()]
    );
    assert_in_step(&device, &dav);
}

#[test]
fn what_is_purged_before_anybody_heard_is_told_as_gone() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/documents/a", b"x").expect(&[201]);
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    dav.put("/dav/documents/d/b", b"x").expect(&[201]);
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    dav.put("/dav/documents/d/unheard", b"x").expect(&[201]);

    let gone = ["/documents/a", "/documents/d"].map(|path| remove(&device, path));
    for id in gone {
        let purged = device.api().delete(&format!("trash/{id}"));
        purged.expect(&[204]);
    }

    let heard = device.pull();
    assert!(heard.iter().all(|change| change.deleted), "{heard:?}");
    for id in gone {
        assert!(heard.iter().any(|change| change.id == id), "{heard:?}");
    }
    assert_in_step(&device, &dav);
    // Nor does it trouble whoever comes later.
    let mut later = Device::admin(&server, "phone");
    assert!(later.pull().iter().all(|change| !change.deleted));
    assert_in_step(&later, &dav);
}

#[test]
fn what_came_and_went_between_two_pulls_does_no_harm() {
    let server = TestServer::start();
    let dav = server.admin();
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    dav.put("/dav/documents/d/a", b"x").expect(&[201]);
    dav.delete("/dav/documents/d/").expect(&[204]);
    let heard = device.pull();
    assert!(heard.iter().all(|change| change.deleted), "{heard:?}");
    assert_in_step(&device, &dav);
}

#[test]
fn a_collection_back_from_trash_is_flagged_to_those_who_lost_it() {
    let server = TestServer::start();
    let dav = server.admin();
    for path in ["d/", "d/inner/"] {
        dav.mkcol(&format!("/dav/documents/{path}")).expect(&[201]);
    }
    dav.put("/dav/documents/d/a", b"1").expect(&[201]);
    dav.put("/dav/documents/d/inner/b", &noise(1, 100_000))
        .expect(&[201]);
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    let gone = remove(&device, "/documents/d");
    device.pull();
    assert_eq!(device.mirror().get(gone), None);

    restore(&device, gone);

    let change = only(device.pull());
    assert_eq!((change.id, change.restored), (gone, true));
    assert_in_step(&device, &dav);
    // A file that comes back needs no listing.
    let file = remove(&device, "/documents/d/a");
    device.pull();
    restore(&device, file);
    let change = only(device.pull());
    assert_eq!((change.id, change.restored), (file, false));
    assert_in_step(&device, &dav);
    assert_eq!(told(&device.pull()), [""; 0]);
}

#[test]
fn the_flag_of_a_restored_collection_survives_a_later_rename_and_paging() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    dav.put("/dav/documents/d/a", b"1").expect(&[201]);
    let mut device = Device::admin(&server, "laptop").with_page(1);
    device.pull();
    let gone = remove(&device, "/documents/d");
    device.pull();

    restore(&device, gone);
    dav.put("/dav/documents/other", b"2").expect(&[201]);
    dav.rename("/dav/documents/d/", "/dav/documents/e/")
        .expect(&[201]);

    let heard = device.pull();
    assert_eq!(told(&heard), ["other", "e"]);
    assert!(heard[1].restored, "{heard:?}");
    assert_in_step(&device, &dav);
}

#[test]
fn a_collection_that_went_and_came_back_between_two_pulls_is_as_it_was() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    dav.put("/dav/documents/d/a", b"1").expect(&[201]);
    let mut device = Device::admin(&server, "laptop").with_page(1);
    device.pull();
    let gone = remove(&device, "/documents/d");
    restore(&device, gone);
    dav.put("/dav/documents/d/a", b"2").expect(&[204]);
    device.pull();
    assert_in_step(&device, &dav);
}

#[test]
fn a_file_saved_by_renaming_a_temporary_one_keeps_its_id() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/documents/a", b"1").expect(&[201]);
    let mut device = Device::admin(&server, "laptop").with_page(1);
    device.pull();
    let kept = id(&device, "/documents/a");

    dav.put("/dav/documents/a.tmp", b"2").expect(&[201]);
    device.pull();
    let gone = id(&device, "/documents/a.tmp");
    dav.rename("/dav/documents/a.tmp", "/dav/documents/a")
        .expect(&[204]);

    let mut heard: Vec<_> = device.pull().iter().map(|c| (c.id, c.deleted)).collect();
    heard.sort_unstable();
    assert_eq!(heard, [(kept, false), (gone, true)]);
    assert_in_step(&device, &dav);
}

#[test]
fn a_copied_collection_is_told_node_by_node() {
    let server = TestServer::start();
    let dav = server.admin();
    for path in ["d/", "d/inner/"] {
        dav.mkcol(&format!("/dav/documents/{path}")).expect(&[201]);
    }
    for path in ["d/a", "d/inner/b"] {
        dav.put(&format!("/dav/documents/{path}"), b"x")
            .expect(&[201]);
    }
    let mut device = Device::admin(&server, "laptop").with_page(3);
    device.pull();
    dav.copy("/dav/documents/d/", "/dav/photos/d/")
        .expect(&[201]);
    let mut names = told(&device.pull());
    names.sort();
    assert_eq!(names, ["a", "b", "d", "inner"]);
    assert_in_step(&device, &dav);
}

#[test]
fn a_cursor_of_elsewhere_is_410_and_everything_can_be_pulled_again() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/documents/a", b"x").expect(&[201]);
    server.add_user("bob", PASSWORD, None);
    let bob = Api::register(&server, "bob", PASSWORD, "phone");
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    // Of a database that is further on, and of another one that stands where this one does.
    let status = device.api().status();
    let own = &status["spaces"][0];
    let (space, seq) = (api::id(own), number(own, "seq"));
    let (epoch, spaces) = split(&status);
    let later = format!("{epoch}_{space}.{}", seq + 1);
    let other = format!("{:016x}_{spaces}", !u64::from_str_radix(epoch, 16).unwrap());
    for foreign in [bob.cursor(), later, other] {
        let route = route("sync/pull", &[("cursor", &foreign)]);
        device
            .api()
            .get(&route)
            .problem_at("stale-cursor", 410, "cursor");
        device.set_cursor(Some(&foreign));
        assert!(!device.pull().is_empty());
        assert_in_step(&device, &dav);
        assert_eq!(told(&device.pull()), [""; 0]);
    }
}

#[test]
fn a_cursor_that_is_too_old_is_410_by_another_name_and_everything_can_be_pulled_again() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/documents/a", b"x").expect(&[201]);
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    let old = device.api().cursor();
    dav.delete("/dav/documents/a").expect(&[204]);
    postgres::execute(&server, "UPDATE space SET feed_floor = seq");
    for (name, rest) in [
        ("sync/pull", None),
        ("sync/poll", Some(("timeout", "0"))),
        ("sync/events", None),
    ] {
        let mut parameters = vec![("cursor", &*old)];
        parameters.extend(rest);
        let answer = device.api().get(&route(name, &parameters));
        answer.problem_at("expired-cursor", 410, "cursor");
    }
    device.set_cursor(Some(&old));
    assert!(!device.pull().is_empty());
    assert_in_step(&device, &dav);
}

#[test]
fn cursors_survive_a_restart() {
    let mut server = TestServer::start();
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    let status = device.api().cursor();
    server.restart();
    device.reconnect(&server);
    let dav = server.admin();
    dav.put("/dav/documents/a", b"x").expect(&[201]);
    assert_eq!(told(&device.pull()), ["a"]);
    let since = page(device.api(), Some(&status), 10);
    assert_eq!(
        told(&since.changes),
        ["a"],
        "the cursor of `status` is one of a pull"
    );
    assert_in_step(&device, &dav);
}

#[test]
fn a_page_that_is_full_says_so_and_the_last_one_does_not() {
    let server = TestServer::start();
    let dav = server.admin();
    let api = Api::admin(&server);
    let before = api.cursor();
    for name in ["a", "b", "c"] {
        dav.put(&format!("/dav/documents/{name}"), b"x")
            .expect(&[201]);
    }
    let first = page(&api, Some(&before), 2);
    assert_eq!((told(&first.changes).len(), first.more), (2, true));
    let second = page(&api, Some(&first.cursor), 2);
    assert_eq!(
        (told(&second.changes), second.more),
        (vec!["c".to_owned()], false)
    );
    let exact = page(&api, Some(&before), 3);
    assert_eq!((told(&exact.changes).len(), exact.more), (3, false));
    // The same cursor gives the same again: an answer that was lost costs nothing.
    assert_eq!(page(&api, Some(&before), 2).changes, first.changes);
}

#[test]
fn wrong_questions_are_refused_by_name() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let status = api.status();
    let (epoch, _) = split(&status);
    let wrong = [
        "",
        "x",
        "1",
        "1.",
        "1.2.3",
        "1.2.3.4.5",
        "-1.2",
        "1.2_",
        "1.99999999999999999999",
    ];
    let behind_an_epoch = wrong.map(|rest| format!("{epoch}_{rest}"));
    for cursor in wrong
        .into_iter()
        .chain(behind_an_epoch.iter().map(String::as_str))
    {
        let asked = route("sync/pull", &[("cursor", cursor)]);
        api.get(&asked).problem_at("invalid", 422, "cursor");
    }
    for limit in ["0", "10001"] {
        api.get(&route("sync/pull", &[("limit", limit)]))
            .problem_at("invalid", 422, "limit");
    }
    for asked in ["limit=-1", "limit=x", "since=1", "cursor=1.2&cursor=1.2"] {
        api.get(&format!("sync/pull?{asked}"))
            .problem("bad-request", 400);
    }
    Api::anonymous(&server)
        .get("sync/pull")
        .problem("unauthorized", 401);
    assert_eq!(api.post("sync/pull", &json!({})).status, 405);
}
