//! Write locks (class 2) as davfs2, Office and `LibreOffice` use them (CT05 to CT08, CT30).

use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::{Dav, Response, TestServer, xml};

#[track_caller]
fn lock_with(dav: &Dav, path: &str, headers: &[(&str, &str)]) -> Response {
    dav.request("LOCK", path, headers, xml::lock("exclusive").as_bytes())
}

/// Takes an exclusive lock and returns its token with the angle brackets.
#[track_caller]
fn lock(dav: &Dav, path: &str) -> String {
    token(
        &lock_with(
            dav,
            path,
            &[("Depth", "infinity"), ("Timeout", "Second-600")],
        )
        .expect(&[200, 201]),
    )
}

#[track_caller]
fn token(response: &Response) -> String {
    let token = response
        .header("lock-token")
        .unwrap_or_else(|| panic!("no Lock-Token: {response}"));
    assert!(token.starts_with('<') && token.ends_with('>'), "{token}");
    token.to_owned()
}

fn unlock(dav: &Dav, path: &str, token: &str) -> Response {
    dav.request("UNLOCK", path, &[("Lock-Token", token)], b"")
}

fn put_with(dav: &Dav, path: &str, condition: &str) -> Response {
    dav.request("PUT", path, &[("If", condition)], b"changed")
}

#[test]
fn davfs2_creates_a_file_by_locking_its_name() {
    // CT05: the empty file must exist, and its ETag must not change before the first PUT.
    let server = TestServer::start();
    let dav = server.admin();
    let url = format!("{}new.txt", server.dav_url());

    let locked = lock_with(
        &dav,
        "/dav/new.txt",
        &[("Depth", "0"), ("Timeout", "Second-1800")],
    );
    let token = token(&locked.expect(&[201]));
    let etag = dav.head_of("/dav/new.txt").expect(&[200]).etag();
    assert!(dav.names("/dav/").contains(&"new.txt".to_owned()));
    assert_eq!(dav.head_of("/dav/new.txt").etag(), etag);
    let condition = format!("<{url}> ({token})");
    let headers = [("If-Match", etag.as_str()), ("If", condition.as_str())];
    dav.request("PUT", "/dav/new.txt", &headers, b"content")
        .expect(&[204]);
    unlock(&dav, "/dav/new.txt", &token).expect(&[204]);

    assert_eq!(dav.get("/dav/new.txt").body, b"content");
    dav.delete("/dav/new.txt").expect(&[204]);
}

#[test]
fn a_lock_keeps_out_everyone_without_its_token() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let token = lock(&dav, "/dav/a");

    dav.put("/dav/a", b"2").expect(&[423]);
    dav.delete("/dav/a").expect(&[423]);
    dav.rename("/dav/a", "/dav/b").expect(&[423]);
    dav.request("PROPPATCH", "/dav/a", &[], xml::set("<T:x/>").as_bytes())
        .expect(&[423]);
    lock_with(&dav, "/dav/a", &[]).expect(&[423]);
    dav.put("/dav/c", b"3").expect(&[201]);
    dav.rename("/dav/c", "/dav/a").expect(&[423]);
    assert_eq!(dav.get("/dav/a").expect(&[200]).body, b"1");

    put_with(&dav, "/dav/a", &format!("({token})")).expect(&[204]);
    unlock(&dav, "/dav/a", &token).expect(&[204]);
    dav.put("/dav/a", b"4").expect(&[204]);
}

#[test]
fn the_token_may_be_tagged_with_a_url_a_path_or_nothing() {
    // davfs2 / Cyberduck / Finder and Windows.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let token = lock(&dav, "/dav/a");
    for tag in [
        format!("<{}a> ", server.dav_url()),
        "</dav/a> ".to_owned(),
        String::new(),
    ] {
        put_with(&dav, "/dav/a", &format!("{tag}({token})")).expect(&[204]);
    }
    put_with(
        &dav,
        "/dav/a",
        "(<urn:uuid:00000000-0000-0000-0000-000000000000>)",
    )
    .expect(&[412, 423]);
    put_with(&dav, "/dav/a", &format!("</dav/other> ({token})")).expect(&[412, 423]);
}

#[test]
fn a_moved_file_leaves_its_lock_behind() {
    // CT06: davfs2 renames with the token and then locks the new name.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let token = lock(&dav, "/dav/a");
    let condition = format!("<{}a> ({token})", server.dav_url());
    let headers = [
        ("Destination", "/dav/b"),
        ("Overwrite", "T"),
        ("If", condition.as_str()),
    ];

    dav.request("MOVE", "/dav/a", &headers, b"").expect(&[201]);

    let again = lock(&dav, "/dav/b");
    unlock(&dav, "/dav/b", &again).expect(&[204]);
    dav.put("/dav/a", b"a new file under the old name")
        .expect(&[201]);
}

#[test]
fn unlock_takes_a_token_without_brackets() {
    // CT07: Windows sends it so.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let token = lock(&dav, "/dav/a");
    unlock(&dav, "/dav/a", token.trim_matches(['<', '>'])).expect(&[204]);
    dav.put("/dav/a", b"2").expect(&[204]);
}

#[test]
fn a_lock_needs_neither_depth_nor_timeout() {
    // CT08: Windows sends no Depth.
    let server = TestServer::start();
    let dav = server.admin();
    lock_with(&dav, "/dav/new", &[]).expect(&[201]);
    dav.put("/dav/a", b"1").expect(&[201]);
    lock_with(
        &dav,
        "/dav/a",
        &[("Timeout", "Second-3600"), ("translate", "f")],
    )
    .expect(&[200]);
}

#[test]
fn the_granted_time_is_finite_and_long_enough_for_office() {
    let server = TestServer::start();
    let dav = server.admin();
    for (n, timeout) in [
        "Infinite, Second-4100000000",
        "Infinite",
        "Second-3600",
        "Second-180",
    ]
    .into_iter()
    .enumerate()
    {
        let answer = lock_with(&dav, &format!("/dav/{n}"), &[("Timeout", timeout)]).expect(&[201]);
        let text = answer.text();
        let (_, rest) = text
            .split_once("Second-")
            .unwrap_or_else(|| panic!("{timeout}: no finite timeout in {text}"));
        let seconds: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let seconds: u64 = seconds.parse().expect("a number");
        assert!(
            (180..=100_000).contains(&seconds),
            "{timeout} gave {seconds}"
        );
    }
}

#[test]
fn a_refresh_has_no_body_and_keeps_the_token() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let token = lock(&dav, "/dav/a");
    let condition = format!("({token})");
    let headers = [("If", condition.as_str()), ("Timeout", "Second-900")];

    let refreshed = dav.request("LOCK", "/dav/a", &headers, b"").expect(&[200]);

    assert!(
        refreshed.text().contains(token.trim_matches(['<', '>'])),
        "{refreshed}"
    );
    dav.request("LOCK", "/dav/a", &[("If", "(<urn:uuid:0>)")], b"")
        .expect(&[412, 423, 400]);
    dav.request("LOCK", "/dav/a", &[], b"")
        .expect(&[400, 412, 423]);
}

/// The seconds that `lockdiscovery` still gives the lock on `/dav/a`; `None` when it is not locked.
#[track_caller]
fn seconds_left(dav: &Dav) -> Option<u64> {
    let listing = dav.propfind("/dav/a", "0", &xml::propfind("<D:lockdiscovery/>"));
    let (_, rest) = listing.only().dav("lockdiscovery").split_once("Second-")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(digits.parse().expect("a number"))
}

#[test]
fn an_abandoned_lock_expires() {
    // "423 that never goes away" is what people complain about most. The shortest lock lasts three
    // minutes, so the short run only sees its time go by (RFC 4918 section 14.29).
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    lock_with(&dav, "/dav/a", &[("Timeout", "Second-1")]).expect(&[200]);
    let granted = seconds_left(&dav).expect("it is locked");
    assert!(
        granted <= 300,
        "{granted} s for an abandoned lock of one second"
    );

    let (goal, patience) = if crate::long() {
        (0, granted + 30)
    } else {
        (granted - 2, 30)
    };
    let until = Instant::now() + Duration::from_secs(patience);
    while seconds_left(&dav).is_some_and(|left| left > goal || goal == 0) {
        assert!(
            Instant::now() < until,
            "it still has {:?} s",
            seconds_left(&dav)
        );
        thread::sleep(Duration::from_millis(200));
    }
    if goal == 0 {
        dav.put("/dav/a", b"2").expect(&[204]);
    }
}

#[test]
fn locks_survive_a_restart() {
    let mut server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let token = lock(&dav, "/dav/a");

    server.restart();

    let dav = server.admin();
    dav.put("/dav/a", b"2").expect(&[423]);
    put_with(&dav, "/dav/a", &format!("({token})")).expect(&[204]);
    unlock(&dav, "/dav/a", &token).expect(&[204]);
}

#[test]
fn a_deep_lock_covers_what_is_below_and_what_comes() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/d/").expect(&[201]);
    dav.put("/dav/d/a", b"1").expect(&[201]);
    let token = lock(&dav, "/dav/d/");

    dav.put("/dav/d/a", b"2").expect(&[423]);
    dav.put("/dav/d/new", b"2").expect(&[423]);
    dav.mkcol("/dav/d/sub/").expect(&[423]);
    lock_with(&dav, "/dav/d/a", &[]).expect(&[423]);
    put_with(
        &dav,
        "/dav/d/new",
        &format!("<{}d/> ({token})", server.dav_url()),
    )
    .expect(&[201]);
    unlock(&dav, "/dav/d/", &token).expect(&[204]);
    dav.put("/dav/d/a", b"2").expect(&[204]);
}

#[test]
fn a_lock_on_a_folder_alone_protects_its_membership() {
    // RFC 4918 section 7.4.
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/d/").expect(&[201]);
    dav.put("/dav/d/a", b"1").expect(&[201]);
    lock_with(&dav, "/dav/d/", &[("Depth", "0")]).expect(&[200]);

    dav.put("/dav/d/a", b"2").expect(&[204]);
    dav.put("/dav/d/new", b"2").expect(&[423]);
    dav.delete("/dav/d/a").expect(&[423]);
}

#[test]
fn a_locked_child_protects_its_folder() {
    // CT30: the folder is refused as a whole; a half-deleted tree would be worse.
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/d/").expect(&[201]);
    dav.put("/dav/d/a", b"1").expect(&[201]);
    dav.put("/dav/d/b", b"1").expect(&[201]);
    lock(&dav, "/dav/d/a");

    dav.delete("/dav/d/").expect(&[423, 207]);
    dav.rename("/dav/d/", "/dav/e/").expect(&[423, 207]);

    assert_eq!(dav.names("/dav/d/"), ["a", "b"]);
}

#[test]
fn shared_locks_stand_together_and_keep_exclusive_ones_out() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let shared = || {
        dav.request("LOCK", "/dav/a", &[], xml::lock("shared").as_bytes())
            .expect(&[200])
    };
    let (one, two) = (token(&shared()), token(&shared()));

    assert_ne!(one, two);
    lock_with(&dav, "/dav/a", &[]).expect(&[423]);
    dav.put("/dav/a", b"2").expect(&[423]);
    put_with(&dav, "/dav/a", &format!("({two})")).expect(&[204]);
}

#[test]
fn nobody_else_can_use_or_remove_a_lock() {
    let server = TestServer::start();
    let (admin, bob) = (
        server.admin(),
        server.add_user("bob", "a long password 1", None),
    );
    admin.put("/dav/shared/a", b"1").expect(&[201]);
    let token = lock(&admin, "/dav/shared/a");

    bob.put("/dav/shared/a", b"2").expect(&[423]);
    put_with(&bob, "/dav/shared/a", &format!("({token})")).expect(&[403, 412, 423]);
    unlock(&bob, "/dav/shared/a", &token).expect(&[403, 409, 423]);
    bob.get("/dav/shared/a").expect(&[200]);

    put_with(&admin, "/dav/shared/a", &format!("({token})")).expect(&[204]);
}

#[test]
fn the_same_name_in_another_account_is_not_locked() {
    let server = TestServer::start();
    let (admin, bob) = (
        server.admin(),
        server.add_user("bob", "a long password 1", None),
    );
    lock(&admin, "/dav/documents/a");
    bob.put("/dav/documents/a", b"bob's").expect(&[201]);
}

#[test]
fn unlocking_what_is_not_locked_is_refused() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    unlock(
        &dav,
        "/dav/a",
        "<urn:uuid:00000000-0000-0000-0000-000000000000>",
    )
    .expect(&[400, 409, 412, 403]);
    dav.request("UNLOCK", "/dav/a", &[], b"").expect(&[400]);
}

#[test]
fn a_copy_is_not_locked() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    lock(&dav, "/dav/a");
    dav.copy("/dav/a", "/dav/b").expect(&[201]);
    dav.put("/dav/b", b"2").expect(&[204]);
}
