//! What a push does: files of every operation, many at once, and changes without content.

use sync_server::protocol::sync::{Class, PushPut, PushStatus};
use webdav_tests::content::{assert_same, noise, prose};
use webdav_tests::device::{Device, Push, assert_in_step, put};

use super::{based, begin, copied, deleted, done, mkdir, moved, new, one, write};

/// Small files as a folder of sources has them.
fn sources(count: usize) -> Vec<(String, Vec<u8>)> {
    let file = |n: usize| {
        let text = prose(100 + (n * 37) % 3000);
        let bytes = [format!("// file {n}\n").as_bytes(), &text[..]].concat();
        (format!("/documents/d{}/f{n}.rs", n % 20), bytes)
    };
    (0..count).map(file).collect()
}

fn push_of(files: &[(String, Vec<u8>)]) -> Push {
    let mut push = Push::new();
    for n in 0..20 {
        push.item(&mkdir(&format!("/documents/d{n}")));
    }
    for (path, bytes) in files {
        push.whole(&new(path, bytes.len()), bytes);
    }
    push
}

#[test]
fn two_thousand_small_files_go_in_one_request() {
    let (server, device) = begin();
    let files = sources(2000);
    let push = push_of(&files);
    let before = device.api().http().traffic();

    let results = device.results_of_zstd(&push);

    let spent = device.api().http().traffic() - before;
    let raw: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(spent.sent * 10 < raw as u64, "{spent:?} for {raw} bytes");
    assert_eq!(results.len(), 2020);
    for (result, (path, bytes)) in results[20..].iter().zip(&files) {
        let node = done(result.clone());
        assert_eq!((&node.path, node.size), (path, bytes.len() as u64));
        assert_eq!(node.version, 1);
    }
    // Another device hears of all and has the same bytes.
    let mut other = Device::admin(&server, "phone");
    other.pull();
    for (path, bytes) in &files {
        let node = other.mirror().at(path).expect("a file");
        assert_same(other.content(&node.etag).expect("bytes"), bytes, path);
    }
    // Sent again as it is, it is done again and changes nothing.
    let again = device.results(&push);
    assert!(again.iter().all(|result| result.status == PushStatus::Done));
    assert_eq!(other.pull(), []);
}

#[test]
fn every_kind_of_operation_gives_its_bytes() {
    let (server, mut device) = begin();
    let old = noise(1, 400_000);
    let node = write(&device, &new("/documents/a", old.len()), &old);
    let space = device.space(node.space);
    let cut = space.cut(&old);
    let (chunk, chunk_len) = cut.chunks[2];
    let chunk_at: usize = cut.chunks[..2].iter().map(|(_, len)| *len as usize).sum();
    let chunk_end = chunk_at + chunk_len as usize;
    let mut patched = old[150_000..250_000].to_vec();
    patched.splice(50_000..50_010, *b"something else");

    let wanted = [
        &old[100_000..399_000],
        b"literal",
        &old[chunk_at..chunk_end],
        &patched,
        b"",
        &old[..1],
    ]
    .concat();
    let mut push = Push::new();
    let header = PushPut {
        root: Some(space.root(&wanted)),
        ..based(&node.etag, "/documents/a", wanted.len())
    };
    push.begin(&header)
        .copy(100_000, 299_000)
        .lit(b"lit")
        .lit(b"")
        .lit(b"eral")
        .reference(&chunk.0)
        .patch(&old, 140_000..260_000, &patched)
        .copy(7, 0)
        .copy(0, 1)
        .end();

    let after = done(one(&device, &push));
    assert_eq!((after.id, after.version), (node.id, 2));
    let got = server.admin().get("/dav/documents/a").expect(&[200]).body;
    assert_same(&got, &wanted, "the new version");
    let manifest = device.api().get(&format!("sync/manifest?id={}", node.id));
    assert_eq!(manifest.expect(&[200]).body, space.cut(&wanted).manifest());
}

#[test]
fn contents_of_every_size_are_cut_as_the_device_cuts_them() {
    let (server, mut device) = begin();
    let own = device.mirror().at("/documents").expect("a folder").space;
    let space = device.space(own);
    let sizes = [
        0, 1, 8191, 8192, 8193, 16_383, 16_384, 16_385, 65_536, 262_144, 262_145, 3_000_000,
    ];
    let mut push = Push::new();
    for size in sizes {
        let bytes = noise(size as u64, size);
        // The root is held against what the server makes of the bytes.
        let header = PushPut {
            root: Some(space.root(&bytes)),
            ..new(&format!("/documents/{size}"), size)
        };
        push.whole(&header, &bytes);
    }
    for (result, size) in device.results(&push).into_iter().zip(sizes) {
        let node = done(result);
        let bytes = noise(size as u64, size);
        let got = server.admin().get(&format!("/dav/documents/{size}"));
        assert_same(&got.expect(&[200]).body, &bytes, &node.path);
        let manifest = device.api().get(&format!("sync/manifest?id={}", node.id));
        assert_eq!(manifest.expect(&[200]).body, space.cut(&bytes).manifest());
    }
}

#[test]
fn a_new_file_may_be_made_from_another_one() {
    let (server, mut device) = begin();
    let old = noise(1, 200_000);
    let source = write(&device, &new("/documents/a", old.len()), &old);
    let changed = [&old[..150_000], b"changed"].concat();
    write(
        &device,
        &based(&source.etag, "/documents/a", changed.len()),
        &changed,
    );
    let wanted = [&old[100_000..], &old[..10]].concat();
    // From an earlier version of the other one, too.
    let header = PushPut {
        source: Some(source.id),
        from: Some(source.etag),
        root: Some(device.space(source.space).root(&wanted)),
        ..new("/photos/b", wanted.len())
    };
    let mut push = Push::new();
    push.begin(&header).copy(100_000, 100_000).copy(0, 10).end();
    done(one(&device, &push));
    let got = server.admin().get("/dav/photos/b").expect(&[200]).body;
    assert_same(&got, &wanted, "/photos/b");
}

#[test]
fn a_known_content_needs_no_bytes() {
    let (server, mut device) = begin();
    let bytes = noise(1, 5_000_000);
    let node = write(&device, &new("/documents/a", bytes.len()), &bytes);
    let space = device.space(node.space);
    for path in ["/photos/same", "/photos/chunks"] {
        let before = device.api().http().traffic();
        let mut push = Push::new();
        if path.ends_with("same") {
            push.by_root(&space, &new(path, bytes.len()), &bytes);
        } else {
            push.chunks(&space, &new(path, bytes.len()), &bytes, |_| true);
        }
        let copy = done(one(&device, &push));
        let spent = device.api().http().traffic() - before;
        assert!(spent.sent < 3000, "{path}: {spent:?}");
        assert_eq!(copy.etag, node.etag, "the same bytes are one content");
        assert_ne!(copy.id, node.id);
    }
    // Also when they are only in trash by now.
    for path in ["/documents/a", "/photos/same", "/photos/chunks"] {
        device.api().remove(path);
    }
    let mut push = Push::new();
    push.by_root(&space, &new("/documents/back", bytes.len()), &bytes);
    done(one(&device, &push));
    let got = server.admin().get("/dav/documents/back").expect(&[200]);
    assert_same(&got.body, &bytes, "/documents/back");
}

#[test]
fn what_is_stated_of_a_file_is_kept() {
    let (_server, device) = begin();
    let header = PushPut {
        mtime: Some(1_600_000_000_123),
        created: Some(1_500_000_000_456),
        checksum: Some(
            "SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        ),
        ..new("/documents/abc", 3)
    };
    let node = write(&device, &header, b"abc");
    assert_eq!(
        (node.mtime, node.created),
        (1_600_000_000_123, 1_500_000_000_456)
    );
    assert_eq!(node.checksum, header.checksum);
    let info = device.api().info("/documents/abc");
    assert_eq!(
        serde_json::from_value::<sync_server::protocol::files::Node>(info).expect("a node"),
        node
    );
}

#[test]
fn a_file_may_be_cut_in_the_other_class() {
    let (server, mut device) = begin();
    let bytes = noise(1, 5_000_000);
    let small = write(&device, &new("/documents/small", bytes.len()), &bytes);
    let header = PushPut {
        class: Some(Class::Large),
        ..new("/documents/large", bytes.len())
    };
    let large = write(&device, &header, &bytes);
    let got = server.admin().get("/dav/documents/large").expect(&[200]);
    assert_same(&got.body, &bytes, "/documents/large");
    let chunks = |id: i64| {
        device
            .api()
            .get(&format!("sync/manifest?id={id}"))
            .body
            .len()
            / 20
    };
    assert!(chunks(large.id) * 3 < chunks(small.id));
    // Its bytes still serve as a base for a content cut in the usual way.
    let changed = [&bytes[..], b"more"].concat();
    let header = PushPut {
        root: Some(device.space(large.space).root(&changed)),
        ..based(&large.etag, "/documents/large", changed.len())
    };
    let mut push = Push::new();
    push.begin(&header).copy(0, 5_000_000).lit(b"more").end();
    done(one(&device, &push));
    let got = server.admin().get("/dav/documents/large").expect(&[200]);
    assert_same(&got.body, &changed, "/documents/large");
}

#[test]
fn items_are_done_in_their_order() {
    let (server, mut device) = begin();
    let dav = server.admin();
    dav.put("/dav/photos/old", b"old").expect(&[201]);
    let mut push = Push::new();
    push.item(&mkdir("/documents/d"))
        .whole(&new("/documents/d/a", 1), b"1")
        .whole(&put("/documents/d/a", 1), b"2")
        .item(&moved("/documents/d", "/documents/e"))
        .whole(&put("/documents/e/a", 1), b"3")
        .item(&copied("/documents/e", "/documents/f"))
        .item(&deleted("/documents/e/a", None))
        .whole(&new("/documents/e/a", 1), b"4")
        .item(&deleted("/photos/old", None))
        .item(&mkdir("/documents/d"));
    let results = device.results(&push);
    assert!(
        results
            .iter()
            .all(|result| result.status == PushStatus::Done),
        "{results:?}"
    );

    let tree = dav.tree("/dav/");
    let file = |path: &str| tree.get(path).cloned().flatten();
    assert_eq!(file("/documents/e/a"), Some(b"4".to_vec()));
    assert_eq!(file("/documents/f/a"), Some(b"3".to_vec()));
    assert_eq!(tree.get("/documents/d"), Some(&None));
    assert_eq!(tree.get("/photos/old"), None);
    let paths: Vec<_> = results
        .iter()
        .map(|r| r.node.as_ref().map(|node| &*node.path))
        .collect();
    let expected = [
        Some("/documents/d"),
        Some("/documents/d/a"),
        Some("/documents/d/a"),
        Some("/documents/e"),
        Some("/documents/e/a"),
        Some("/documents/f"),
        None,
        Some("/documents/e/a"),
        None,
        Some("/documents/d"),
    ];
    assert_eq!(paths, expected);
    device.pull();
    assert_in_step(&device, &dav);
}

#[test]
fn what_follows_files_that_are_being_named_is_done_behind_them() {
    let (server, device) = begin();
    let bytes = |n: usize| format!("bytes of {n}").into_bytes();
    let path = |n: usize| format!("/documents/f{n}");
    let mut push = Push::new();
    for n in 0..700 {
        push.whole(&new(&path(n), bytes(n).len()), &bytes(n));
    }
    // Over one that is being named, in the batch behind it.
    push.whole(&put(&path(0), 4), b"over");
    push.item(&moved(&path(1), "/documents/moved"))
        .whole(&new(&path(1), 5), b"again");
    for n in 700..1300 {
        push.whole(&new(&path(n), bytes(n).len()), &bytes(n));
    }
    push.item(&deleted(&path(1299), None));
    for (nth, result) in device.results(&push).iter().enumerate() {
        assert_eq!(result.status, PushStatus::Done, "{nth}: {result:?}");
    }

    let mut tree = server.admin().tree("/dav/");
    let mut file = |path: &str| tree.remove(path).flatten();
    assert_eq!(file(&path(0)), Some(b"over".to_vec()));
    assert_eq!(file(&path(1)), Some(b"again".to_vec()));
    assert_eq!(file("/documents/moved"), Some(bytes(1)));
    assert_eq!(file(&path(1299)), None);
    for n in 2..1299 {
        assert_eq!(file(&path(n)), Some(bytes(n)), "{n}");
    }
}

#[test]
fn a_file_goes_over_another_one_only_when_the_item_says_so() {
    use sync_server::protocol::sync::PushItem::{Copy, Move};
    let (server, device) = begin();
    let a = write(&device, &new("/documents/a", 1), b"a");
    let b = write(&device, &new("/documents/b", 1), b"b");
    let (from, to) = ("/documents/a".to_owned(), "/documents/b".to_owned());
    for item in [moved(&from, &to), copied(&from, &to)] {
        let mut push = Push::new();
        push.item(&item);
        super::refused(&one(&device, &push), "exists", None);
    }
    let overwrite = true;
    let copy = Copy {
        from: from.clone(),
        to: to.clone(),
        overwrite,
    };
    let rename = Move {
        from,
        to,
        overwrite,
    };
    let mut push = Push::new();
    push.item(&copy).item(&rename);
    for (result, version) in device.results(&push).into_iter().zip([2, 2]) {
        let node = done(result);
        assert_eq!(
            (node.id, node.version, &node.etag),
            (b.id, version, &a.etag)
        );
    }
    let dav = server.admin();
    assert_eq!(dav.get("/dav/documents/b").expect(&[200]).body, b"a");
    dav.get("/dav/documents/a").expect(&[404]);
}

#[test]
fn deleting_what_is_not_there_is_done() {
    let (_server, mut device) = begin();
    write(&device, &new("/documents/file", 1), b"x");
    device.pull();
    let mut push = Push::new();
    for path in [
        "/documents/missing",
        "/missing/deep/down",
        "/documents/file/below",
    ] {
        push.item(&deleted(path, None))
            .item(&deleted(path, Some("f1")));
    }
    let results = device.results(&push);
    assert!(
        results
            .iter()
            .all(|result| result.status == PushStatus::Done),
        "{results:?}"
    );
    assert_eq!(device.pull(), []);
}

#[test]
fn a_push_of_nothing_does_nothing() {
    let (_server, mut device) = begin();
    assert_eq!(device.results(&Push::new()), []);
    assert_eq!(device.results_of_zstd(&Push::new()), []);
    assert_eq!(device.pull(), []);
}
