//! Finding nodes by a part of their name.

use std::collections::BTreeSet;

use serde_json::Value;
use webdav_tests::api::{id, route, text};
use webdav_tests::{Api, TestServer};

use super::{PASSWORD, paths};

/// The paths that a search finds, sorted.
#[track_caller]
fn found(api: &Api, q: &str, under: &str) -> Vec<String> {
    let items = api.all(&route("files/search", &[("q", q), ("path", under)]));
    let mut paths: Vec<String> = paths(&items).into_iter().map(ToOwned::to_owned).collect();
    paths.sort();
    paths
}

#[test]
fn a_part_of_a_name_finds_it_in_any_case_in_all_that_one_sees() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, None);
    let (admin, bob) = (
        Api::admin(&server),
        Api::register(&server, "bob", PASSWORD, "laptop"),
    );
    admin.upload("/documents/Invoice 2024.pdf", b"1");
    admin.mkdir("/photos/old invoices");
    admin.upload("/photos/old invoices/scan.jpg", b"2");
    admin.upload("/shared/invoice.txt", b"3");
    bob.upload("/documents/bob's invoice", b"4");

    let all = [
        "/documents/Invoice 2024.pdf",
        "/photos/old invoices",
        "/shared/invoice.txt",
    ];
    for q in ["invoice", "INVOICE", "nvoIc"] {
        assert_eq!(found(&admin, q, "/"), all);
    }
    assert_eq!(
        found(&admin, "invoice", "/photos"),
        ["/photos/old invoices"]
    );
    assert_eq!(found(&admin, "invoice", "/shared"), ["/shared/invoice.txt"]);
    // Below a collection, not the collection itself
    assert_eq!(
        found(&admin, "invoice", "/photos/old invoices"),
        Vec::<String>::new()
    );
    assert_eq!(
        found(&admin, "scan", "/photos/old invoices"),
        ["/photos/old invoices/scan.jpg"]
    );
    assert_eq!(
        found(&bob, "invoice", "/"),
        ["/documents/bob's invoice", "/shared/invoice.txt"]
    );
    assert_eq!(
        found(&admin, "nothing like this", "/"),
        Vec::<String>::new()
    );
    // What is found is told as info tells it
    let items = admin.all("files/search?q=invoice");
    assert!(
        items
            .iter()
            .all(|node| admin.info(text(node, "path")) == *node),
        "{items:?}"
    );
}

#[test]
fn what_is_special_to_a_database_is_a_letter_like_any_other() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for name in [
        "100%",
        "100 percent",
        "a_b",
        "axb",
        "back\\slash",
        "quote'",
        "tab",
        "[x]",
        "semi;colon",
        "*star?",
    ] {
        api.upload(&format!("/documents/{name}"), b"x");
    }
    for (q, only) in [
        ("100%", "100%"),
        ("a_b", "a_b"),
        ("\\", "back\\slash"),
        ("'", "quote'"),
        ("[x]", "[x]"),
        (";", "semi;colon"),
        ("*", "*star?"),
        ("?", "*star?"),
    ] {
        assert_eq!(found(&api, q, "/"), [format!("/documents/{only}")], "{q}");
    }
}

#[test]
fn names_in_all_scripts_are_found_however_they_are_composed() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for name in ["Lärm.txt", "日本語メモ", "😀 smile"] {
        api.upload(&format!("/documents/{name}"), b"x");
    }
    assert_eq!(found(&api, "lärm", "/"), ["/documents/Lärm.txt"]);
    assert_eq!(found(&api, "本語", "/"), ["/documents/日本語メモ"]);
    assert_eq!(found(&api, "😀", "/"), ["/documents/😀 smile"]);
    // As macOS types it
    assert_eq!(found(&api, "la\u{308}rm", "/"), ["/documents/Lärm.txt"]);
}

#[test]
fn trash_is_not_searched() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.mkdir("/documents/folder");
    api.upload("/documents/folder/needle 1", b"1");
    api.upload("/documents/needle 2", b"2");
    api.upload("/documents/needle 3", b"3");
    api.remove("/documents/needle 2");
    api.remove("/documents/folder");
    assert_eq!(found(&api, "needle", "/"), ["/documents/needle 3"]);
}

#[test]
fn pages_of_any_size_find_all_once() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for n in 0..40 {
        let top = if n % 2 == 0 { "/documents" } else { "/shared" };
        api.upload(&format!("{top}/needle {n}"), b"x");
        api.upload(&format!("{top}/hay {n}"), b"x");
    }
    for limit in [1, 3, 20, 40, 41, 1000] {
        let items = api.all(&format!("files/search?q=needle&limit={limit}"));
        let ids: BTreeSet<i64> = items.iter().map(id).collect();
        assert_eq!((items.len(), ids.len()), (40, 40), "pages of {limit}");
        assert!(items.iter().map(id).is_sorted(), "not in the order of ids");
        let first = api
            .get(&format!("files/search?q=needle&limit={limit}"))
            .json(200);
        assert!(
            first["items"]
                .as_array()
                .is_some_and(|items| items.len() <= limit)
        );
    }
}

#[test]
fn a_search_that_cannot_be_is_refused() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.get("files/search").any_problem();
    let asks = |parameters: &[(&str, &str)]| api.get(&route("files/search", parameters));
    asks(&[("q", "")]).problem_at("invalid", 422, "q");
    asks(&[("q", &"ä".repeat(256))]).problem_at("invalid", 422, "q");
    assert_eq!(
        asks(&[("q", &"ä".repeat(255))]).json(200)["items"],
        Value::Array(vec![])
    );
    asks(&[("q", "x"), ("limit", "0")]).problem_at("invalid", 422, "limit");
    asks(&[("q", "x"), ("cursor", "y")]).problem_at("invalid", 422, "cursor");
    asks(&[("q", "x"), ("path", "/missing")]).problem("not-found", 404);
    asks(&[("q", "x"), ("path", "..")]).problem_at("bad-path", 400, "path");
}
