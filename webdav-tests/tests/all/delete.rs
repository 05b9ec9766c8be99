//! DELETE as a client sees it: gone at once, the name is free, the space comes back.

use webdav_tests::{TestServer, xml};

#[test]
fn a_deleted_file_is_gone_and_its_name_is_free() {
    let server = TestServer::start();
    let dav = server.admin();
    let old = dav.put("/dav/a", b"first").expect(&[201]).etag();

    dav.delete("/dav/a").expect(&[204]);

    dav.get("/dav/a").expect(&[404]);
    assert!(!dav.names("/dav/").contains(&"a".to_owned()));
    dav.delete("/dav/a").expect(&[404]);
    let new = dav.put("/dav/a", b"second").expect(&[201]).etag();
    assert_ne!(old, new);
    assert_eq!(dav.get("/dav/a").body, b"second");
}

#[test]
fn a_deleted_folder_takes_everything_with_it() {
    let server = TestServer::start();
    let dav = server.admin();
    for path in ["/dav/d/", "/dav/d/e/", "/dav/d/e/f/"] {
        dav.mkcol(path).expect(&[201]);
        dav.put(&format!("{path}file"), b"x").expect(&[201]);
    }

    // davfs2 and rclone purge with a trailing slash; 207 would be an error for KDE.
    dav.delete("/dav/d/").expect(&[204]);

    for path in ["/dav/d/", "/dav/d/e/f/", "/dav/d/e/f/file"] {
        dav.request("PROPFIND", path, &[("Depth", "0")], b"")
            .expect(&[404]);
    }
    dav.mkcol("/dav/d/").expect(&[201]);
    assert_eq!(dav.names("/dav/d/"), Vec::<String>::new());
}

#[test]
fn a_folder_can_be_made_and_deleted_again_and_again() {
    let server = TestServer::start();
    let dav = server.admin();
    for _ in 0..5 {
        dav.mkcol("/dav/d/").expect(&[201]);
        dav.put("/dav/d/a", b"x").expect(&[201]);
        dav.delete("/dav/d").expect(&[204]);
    }
    assert!(!dav.names("/dav/").contains(&"d".to_owned()));
}

#[test]
fn the_root_and_the_shared_folder_cannot_be_deleted_or_moved() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/shared/a", b"x").expect(&[201]);
    for path in ["/dav/", "/dav/shared/"] {
        dav.delete(path).expect(&[403, 405]);
        dav.rename(path, "/dav/documents/x/")
            .expect(&[403, 405, 409]);
    }
    assert_eq!(dav.get("/dav/shared/a").body, b"x");
}

#[test]
fn deleting_lowers_what_is_used() {
    let server = TestServer::start();
    let dav = server.admin();
    let used = || -> u64 {
        let listing = dav.propfind("/dav/", "0", &xml::propfind("<D:quota-used-bytes/>"));
        listing
            .only()
            .dav("quota-used-bytes")
            .parse()
            .expect("a number")
    };
    let before = used();
    dav.put("/dav/a", &vec![7; 100_000]).expect(&[201]);
    assert_eq!(used(), before + 100_000);
    dav.delete("/dav/a").expect(&[204]);
    assert_eq!(used(), before);
}

#[test]
fn a_delete_with_a_stale_condition_deletes_nothing() {
    let server = TestServer::start();
    let dav = server.admin();
    let old = dav.put("/dav/a", b"1").expect(&[201]).etag();
    dav.put("/dav/a", b"2").expect(&[204]);
    dav.request("DELETE", "/dav/a", &[("If-Match", &old)], b"")
        .expect(&[412]);
    assert_eq!(dav.get("/dav/a").body, b"2");
}
