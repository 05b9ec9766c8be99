//! `/shared` is one folder for all accounts; everything else is one's own.

use webdav_tests::{TestServer, xml};

const PASSWORD: &str = "a long password 1";

#[test]
fn what_one_shares_all_can_read_change_and_delete() {
    let server = TestServer::start();
    let (alice, bob) = (
        server.add_user("alice", PASSWORD, None),
        server.add_user("bob", PASSWORD, None),
    );
    alice.mkcol("/dav/shared/holiday/").expect(&[201]);
    alice
        .put("/dav/shared/holiday/plan.txt", b"sea")
        .expect(&[201]);

    assert_eq!(bob.names("/dav/shared/holiday/"), ["plan.txt"]);
    assert_eq!(
        bob.get("/dav/shared/holiday/plan.txt").expect(&[200]).body,
        b"sea"
    );
    bob.put("/dav/shared/holiday/plan.txt", b"mountains")
        .expect(&[204]);
    assert_eq!(alice.get("/dav/shared/holiday/plan.txt").body, b"mountains");
    bob.delete("/dav/shared/holiday/").expect(&[204]);
    assert_eq!(alice.names("/dav/shared/"), Vec::<String>::new());
}

#[test]
fn own_files_are_seen_by_nobody_else() {
    let server = TestServer::start();
    let (alice, bob) = (
        server.add_user("alice", PASSWORD, None),
        server.add_user("bob", PASSWORD, None),
    );
    alice.put("/dav/documents/diary", b"alice's").expect(&[201]);
    bob.put("/dav/documents/diary", b"bob's").expect(&[201]);

    assert_eq!(alice.get("/dav/documents/diary").body, b"alice's");
    assert_eq!(bob.get("/dav/documents/diary").body, b"bob's");
    for client in [&bob, &server.admin()] {
        for path in ["/dav/alice/documents/diary", "/alice/documents/diary"] {
            let status = client.get(path).status;
            assert!(matches!(status, 403 | 404), "{path}: {status}");
        }
    }
}

#[test]
fn files_and_folders_go_from_the_own_to_the_shared_folder_and_back() {
    let server = TestServer::start();
    let (alice, bob) = (
        server.add_user("alice", PASSWORD, None),
        server.add_user("bob", PASSWORD, None),
    );
    alice.mkcol("/dav/documents/d/").expect(&[201]);
    alice.put("/dav/documents/d/a", b"content").expect(&[201]);

    alice
        .copy("/dav/documents/d/", "/dav/shared/copied/")
        .expect(&[201]);
    assert_eq!(
        bob.get("/dav/shared/copied/a").expect(&[200]).body,
        b"content"
    );
    alice
        .rename("/dav/documents/d/", "/dav/shared/moved/")
        .expect(&[201]);
    assert_eq!(
        bob.get("/dav/shared/moved/a").expect(&[200]).body,
        b"content"
    );
    bob.rename("/dav/shared/moved/a", "/dav/photos/mine")
        .expect(&[201]);
    assert_eq!(bob.get("/dav/photos/mine").expect(&[200]).body, b"content");
    assert_eq!(alice.names("/dav/shared/moved/"), Vec::<String>::new());
    alice
        .request("PROPFIND", "/dav/documents/d/", &[("Depth", "0")], b"")
        .expect(&[404]);
}

#[test]
fn a_large_file_is_readable_after_it_changed_folders() {
    // Spaces have keys of their own; the content must follow.
    let server = TestServer::start();
    let (alice, bob) = (
        server.add_user("alice", PASSWORD, None),
        server.add_user("bob", PASSWORD, None),
    );
    let bytes = webdav_tests::content::noise(1, 5_000_000);
    alice.put("/dav/documents/a.bin", &bytes).expect(&[201]);
    alice
        .rename("/dav/documents/a.bin", "/dav/shared/a.bin")
        .expect(&[201]);
    assert!(bob.get("/dav/shared/a.bin").expect(&[200]).body == bytes);
    bob.copy("/dav/shared/a.bin", "/dav/photos/a.bin")
        .expect(&[201]);
    alice.delete("/dav/shared/a.bin").expect(&[204]);
    assert!(bob.get("/dav/photos/a.bin").expect(&[200]).body == bytes);
}

#[test]
fn shared_files_do_not_count_against_ones_own_quota() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, Some("1000"));
    bob.put("/dav/shared/a", &vec![1; 5000]).expect(&[201]);
    let listing = bob.propfind("/dav/", "0", &xml::propfind("<D:quota-used-bytes/>"));
    assert_eq!(listing.only().dav("quota-used-bytes"), "0");
    bob.rename("/dav/shared/a", "/dav/a").expect(&[507]);
    assert_eq!(
        bob.get("/dav/shared/a").expect(&[200]).body.len(),
        5000,
        "it stays where it was"
    );
}

#[test]
fn the_mount_shows_changes_to_everybody() {
    let server = TestServer::start();
    let (alice, bob) = (
        server.add_user("alice", PASSWORD, None),
        server.add_user("bob", PASSWORD, None),
    );
    let root = || {
        bob.propfind("/dav/", "0", &xml::propfind("<D:getetag/>"))
            .only()
            .dav("getetag")
            .to_owned()
    };
    let before = root();
    alice.put("/dav/shared/a", b"1").expect(&[201]);
    assert_ne!(root(), before, "bob's sync client must look into /shared");
}
