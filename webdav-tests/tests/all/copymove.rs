//! COPY and MOVE: whole or not at all, and never onto something by mistake (CT12).

use webdav_tests::content::noise;
use webdav_tests::{Dav, TestServer};

/// `/dav/tree/` with two files and a folder.
fn tree(dav: &Dav) {
    dav.mkcol("/dav/tree/").expect(&[201]);
    dav.mkcol("/dav/tree/sub/").expect(&[201]);
    dav.put("/dav/tree/a", b"in tree").expect(&[201]);
    dav.put("/dav/tree/sub/b", &noise(1, 100_000))
        .expect(&[201]);
}

#[track_caller]
fn is_tree(dav: &Dav, path: &str) {
    assert_eq!(dav.names(&format!("{path}/")), ["a", "sub"]);
    assert_eq!(dav.get(&format!("{path}/a")).body, b"in tree");
    assert!(dav.get(&format!("{path}/sub/b")).body == noise(1, 100_000));
}

#[test]
fn a_moved_file_keeps_its_etag_and_leaves_nothing_behind() {
    let server = TestServer::start();
    let dav = server.admin();
    let etag = dav.put("/dav/a", b"content").expect(&[201]).etag();

    dav.rename("/dav/a", "/dav/documents/b").expect(&[201]);

    dav.get("/dav/a").expect(&[404]);
    let moved = dav.get("/dav/documents/b").expect(&[200]);
    assert_eq!((moved.etag(), moved.body), (etag, b"content".to_vec()));
}

#[test]
fn a_folder_moves_and_copies_with_everything_in_it() {
    let server = TestServer::start();
    let dav = server.admin();
    tree(&dav);

    dav.copy("/dav/tree/", "/dav/copy/").expect(&[201]);
    is_tree(&dav, "/dav/copy");
    is_tree(&dav, "/dav/tree");
    dav.rename("/dav/tree", "/dav/documents/moved")
        .expect(&[201]);
    is_tree(&dav, "/dav/documents/moved");
    dav.request("PROPFIND", "/dav/tree/", &[("Depth", "0")], b"")
        .expect(&[404]);

    // The copy is a thing of its own.
    dav.put("/dav/copy/a", b"changed").expect(&[204]);
    is_tree(&dav, "/dav/documents/moved");
}

#[test]
fn copying_a_folder_alone_leaves_its_members() {
    let server = TestServer::start();
    let dav = server.admin();
    tree(&dav);
    dav.request(
        "COPY",
        "/dav/tree/",
        &[("Destination", "/dav/empty/"), ("Depth", "0")],
        b"",
    )
    .expect(&[201]);
    assert_eq!(dav.names("/dav/empty/"), Vec::<String>::new());
}

#[test]
fn overwrite_f_never_overwrites() {
    // GNOME renames with it; 412 is its "exists already".
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"a").expect(&[201]);
    dav.put("/dav/b", b"b").expect(&[201]);
    for method in ["MOVE", "COPY"] {
        let headers = [("Destination", "/dav/b"), ("Overwrite", "F")];
        dav.request(method, "/dav/a", &headers, b"").expect(&[412]);
    }
    assert_eq!(dav.get("/dav/a").body, b"a");
    assert_eq!(dav.get("/dav/b").body, b"b");
}

#[test]
fn overwriting_replaces_and_says_204() {
    let server = TestServer::start();
    let dav = server.admin();
    for overwrite in [None, Some(("Overwrite", "T"))] {
        dav.put("/dav/a", b"a").expect(&[201]);
        dav.put("/dav/b", b"b").expect(&[201, 204]);
        let headers: Vec<_> = [("Destination", "/dav/b")]
            .into_iter()
            .chain(overwrite)
            .collect();
        dav.request("COPY", "/dav/a", &headers, b"").expect(&[204]);
        assert_eq!(dav.get("/dav/b").body, b"a");
        dav.put("/dav/a", b"newer").expect(&[204]);
        dav.request("MOVE", "/dav/a", &headers, b"").expect(&[204]);
        assert_eq!(dav.get("/dav/b").body, b"newer");
        dav.get("/dav/a").expect(&[404]);
    }
}

#[test]
fn a_folder_takes_the_place_of_another_without_mixing() {
    let server = TestServer::start();
    let dav = server.admin();
    tree(&dav);
    dav.mkcol("/dav/old/").expect(&[201]);
    dav.put("/dav/old/leftover", b"x").expect(&[201]);

    dav.rename("/dav/tree/", "/dav/old/").expect(&[204]);

    is_tree(&dav, "/dav/old");
}

#[test]
fn impossible_targets_are_refused_and_nothing_changes() {
    let server = TestServer::start();
    let dav = server.admin();
    tree(&dav);
    for method in ["MOVE", "COPY"] {
        let to = |from: &str, to: &str| dav.request(method, from, &[("Destination", to)], b"");
        to("/dav/tree/", "/dav/tree/sub/inside/").expect(&[403, 409]);
        to("/dav/tree/", "/dav/tree/").expect(&[403]);
        to("/dav/tree/a", "/dav/no/parent").expect(&[409]);
        to("/dav/missing", "/dav/x").expect(&[404]);
        to("/dav/tree/a", "/dav/").expect(&[403, 405, 409]);
        to("/dav/tree/a", "/elsewhere/x").expect(&[400, 403, 404, 409, 502]);
        to("/dav/", "/dav/documents/root/").expect(&[403, 409]);
    }
    is_tree(&dav, "/dav/tree");
    assert_eq!(dav.names("/dav/documents/"), Vec::<String>::new());
}

#[test]
fn save_by_rename_works_over_an_existing_file() {
    // Editors write a temporary file and move it over the old one.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/letter.odt", b"first").expect(&[201]);
    for round in 0..5 {
        let text = format!("save {round}");
        dav.put("/dav/.letter.odt.tmp", text.as_bytes())
            .expect(&[201]);
        dav.rename("/dav/.letter.odt.tmp", "/dav/letter.odt")
            .expect(&[204]);
        assert_eq!(dav.get("/dav/letter.odt").body, text.as_bytes());
    }
    assert_eq!(
        dav.names("/dav/"),
        ["backups", "documents", "letter.odt", "photos", "shared"]
    );
}

#[test]
fn a_name_can_change_its_case_and_swap_with_another() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/readme", b"1").expect(&[201]);
    dav.rename("/dav/readme", "/dav/README").expect(&[201]);
    assert_eq!(dav.get("/dav/README").body, b"1");
    dav.put("/dav/other", b"2").expect(&[201]);
    dav.rename("/dav/README", "/dav/t").expect(&[201]);
    dav.rename("/dav/other", "/dav/README").expect(&[201]);
    dav.rename("/dav/t", "/dav/other").expect(&[201]);
    assert_eq!(
        (dav.get("/dav/README").body, dav.get("/dav/other").body),
        (b"2".to_vec(), b"1".to_vec())
    );
}

#[test]
fn a_move_with_a_length_of_zero_keeps_the_content() {
    // Finder sends Content-Length: 0 with MOVE; servers have taken it for the size of the file.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"content").expect(&[201]);
    let headers = [("Destination", "/dav/b"), ("Content-Length", "0")];
    dav.request("MOVE", "/dav/a", &headers, b"").expect(&[201]);
    assert_eq!(dav.get("/dav/b").body, b"content");
}

#[test]
fn moves_of_one_folder_by_many_end_in_one_place() {
    let server = TestServer::start();
    let dav = server.admin();
    tree(&dav);
    let won: usize = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|n| {
                let dav = dav.again();
                scope.spawn(move || {
                    let moved = dav.rename("/dav/tree/", &format!("/dav/documents/t{n}/"));
                    usize::from(moved.expect(&[201, 404]).status == 201)
                })
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().expect("a racer"))
            .sum()
    });
    assert_eq!(won, 1);
    let place = dav.names("/dav/documents/");
    assert_eq!(place.len(), 1, "{place:?}");
    is_tree(&dav, &format!("/dav/documents/{}", place[0]));
}
