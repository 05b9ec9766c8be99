//! What the server lacks, and that it tells nobody what others have.

use std::collections::BTreeSet;

use sync_server::protocol::sync::{Need, PushPut, PushResult, PushStatus};
use webdav_tests::content::{assert_same, hex, noise};
use webdav_tests::device::{Cut, Device, Push, Style};
use webdav_tests::{Api, TestServer};

use super::{PASSWORD, based, begin, done, new, one, write};

/// The chunks of a content, as a result names those that are not there.
fn all_of(cut: &Cut) -> Need {
    let named = cut.chunks.iter().map(|(stand_in, _)| hex(&stand_in.0));
    let named: BTreeSet<String> = named.collect();
    Need::Chunks(named.into_iter().collect())
}

#[track_caller]
fn needs(result: &PushResult, expected: &Need) {
    assert_eq!(result.status, PushStatus::Need, "{result:?}");
    assert_eq!(result.need.as_ref(), Some(expected), "{result:?}");
    assert_eq!((&result.node, &result.problem), (&None, &None));
}

/// A device of `admin`, and one of `bob` who has a file of 300,000 bytes that admin has not.
fn two_accounts() -> (TestServer, Device, Device, Vec<u8>, i64) {
    let (server, device) = begin();
    server.add_user("bob", PASSWORD, None);
    let mut bob = Device::new(Api::register(&server, "bob", PASSWORD, "phone"));
    bob.pull();
    let secret = noise(9, 300_000);
    let node = write(&bob, &new("/documents/secret", secret.len()), &secret);
    (server, device, bob, secret, node.id)
}

#[test]
fn a_base_that_is_not_kept_is_needed_and_a_whole_file_does() {
    let (server, mut device) = begin();
    let bytes = noise(1, 50_000);
    let node = write(&device, &new("/documents/a", bytes.len()), &bytes);
    let other = write(&device, &new("/documents/b", 1), b"x");
    let space = device.space(node.space);
    let root = Some(space.root(&bytes));
    // One that never was, one of another file, none at all.
    for base in ["ffffff", &*other.etag, "none"] {
        for patch in [false, true] {
            let header = PushPut {
                root: root.clone(),
                ..based(base, "/documents/a", bytes.len())
            };
            let mut push = Push::new();
            push.begin(&header);
            if patch {
                push.patch(&bytes, 0..40_000, &bytes);
            } else {
                push.copy(0, 50_000);
            }
            push.end();
            needs(&one(&device, &push), &Need::Base);
        }
    }
    assert_eq!(device.pull().len(), 2, "nothing but the two files");
    // Also when nothing is at the path any more.
    device.api().remove("/documents/a");
    let mut push = Push::new();
    push.edit(
        &space,
        &based(&node.etag, "/documents/a", 50_000),
        &bytes,
        &bytes,
    );
    needs(&one(&device, &push), &Need::Base);
    let header = PushPut {
        root,
        ..based(&node.etag, "/documents/a", bytes.len())
    };
    write(&device, &header, &bytes);
    assert_same(&server.admin().get("/dav/documents/a").body, &bytes, "a");
}

#[test]
fn a_base_in_another_space_does_not_help() {
    let (_server, mut device) = begin();
    let bytes = noise(1, 50_000);
    let node = write(&device, &new("/documents/a", bytes.len()), &bytes);
    device.pull();
    let shared = device.mirror().nodes().find(|node| node.path == "/shared");
    let shared = shared.expect("a root").space;
    let header = PushPut {
        source: Some(node.id),
        from: Some(node.etag),
        root: Some(device.space(shared).root(&bytes)),
        ..new("/shared/a", bytes.len())
    };
    let mut push = Push::new();
    push.begin(&header).copy(0, 50_000).end();
    needs(&one(&device, &push), &Need::Base);
    let mut push = Push::new();
    push.whole(&header, &bytes);
    done(one(&device, &push));
}

#[test]
fn unknown_chunks_are_named_and_the_others_need_not_be_sent_again() {
    let (server, mut device) = begin();
    let known = noise(1, 300_000);
    let node = write(&device, &new("/documents/a", known.len()), &known);
    let space = device.space(node.space);
    let bytes = [&known[..], &noise(2, 300_000)].concat();
    let cut = space.cut(&bytes);
    let mut push = Push::new();
    push.chunks(&space, &new("/documents/b", bytes.len()), &bytes, |_| true);

    let result = one(&device, &push);

    let Some(Need::Chunks(named)) = &result.need else {
        panic!("{result:?}")
    };
    let old = space.cut(&known).chunks;
    let missing = cut.chunks.iter().filter(|chunk| !old.contains(chunk));
    let missing: BTreeSet<String> = missing.map(|(stand_in, _)| hex(&stand_in.0)).collect();
    let named_once: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(named_once, missing);
    assert!(missing.len() < cut.chunks.len());
    assert_eq!(server.admin().get("/dav/documents/b").status, 404);
    let mut push = Push::new();
    push.chunks(
        &space,
        &new("/documents/b", bytes.len()),
        &bytes,
        |stand_in| !named.contains(&hex(stand_in)),
    );
    done(one(&device, &push));
    assert_same(&server.admin().get("/dav/documents/b").body, &bytes, "b");
}

#[test]
fn of_very_many_unknown_chunks_only_so_many_are_named() {
    let (_server, device) = begin();
    let mut push = Push::new();
    for (nth, path) in ["/documents/a", "/documents/b"].into_iter().enumerate() {
        let root = Some("00".repeat(16));
        push.begin(&PushPut {
            root,
            ..new(path, 1_000_000)
        });
        for n in 0..10_000_u128 {
            push.reference(&(n * 2 + nth as u128).to_be_bytes());
        }
        push.end();
    }
    let results = device.results(&push);
    let named = results.iter().map(|result| match &result.need {
        Some(Need::Chunks(named)) => named.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(named.collect::<Vec<_>>(), [10_000, 6384]);
}

#[test]
fn an_unknown_content_is_needed() {
    let (_server, mut device) = begin();
    let bytes = noise(1, 50_000);
    let own = device.mirror().at("/documents").expect("a folder").space;
    let space = device.space(own);
    let mut push = Push::new();
    push.by_root(&space, &new("/documents/a", bytes.len()), &bytes);
    needs(&one(&device, &push), &Need::Content);
    // The root of other bytes with another size is none of this size.
    write(&device, &new("/documents/b", bytes.len()), &bytes);
    let header = PushPut {
        root: Some(space.root(&bytes)),
        ..new("/documents/a", 49_999)
    };
    let mut push = Push::new();
    push.begin(&header).same().end();
    needs(&one(&device, &push), &Need::Content);
}

#[test]
fn chunks_and_contents_of_others_are_as_unknown_as_random_ones() {
    let (_server, mut device, mut bob, secret, _) = two_accounts();
    let (own, theirs) = {
        let space_of = |device: &Device| device.mirror().at("/documents").expect("a folder").space;
        (space_of(&device), space_of(&bob))
    };
    let (mine, theirs) = (device.space(own), bob.space(theirs));
    for space in [&mine, &theirs] {
        let cut = space.cut(&secret);
        let mut push = Push::new();
        push.chunks(space, &new("/documents/x", secret.len()), &secret, |_| true)
            .by_root(space, &new("/documents/y", secret.len()), &secret);
        let results = device.results(&push);
        needs(&results[0], &all_of(&cut));
        needs(&results[1], &Need::Content);
    }
    // The same words for what nobody has.
    let random = noise(77, 300_000);
    let cut = mine.cut(&random);
    let mut push = Push::new();
    push.chunks(&mine, &new("/documents/x", random.len()), &random, |_| true)
        .by_root(&mine, &new("/documents/y", random.len()), &random);
    let results = device.results(&push);
    needs(&results[0], &all_of(&cut));
    needs(&results[1], &Need::Content);
}

#[test]
fn versions_of_others_are_no_base() {
    let (_server, mut device, bob, secret, id) = two_accounts();
    let etag = serde_json::from_value::<String>(bob.api().info("/documents/secret")["etag"].take());
    let etag = etag.expect("a text");
    let mine = write(&device, &new("/documents/a", 1), b"x");
    let root = Some(device.space(mine.space).root(&secret));
    // As the base of a file of one's own: like one that never was.
    for base in [&*etag, "ffffff"] {
        let header = PushPut {
            root: root.clone(),
            ..based(base, "/documents/a", secret.len())
        };
        let mut push = Push::new();
        push.begin(&header).copy(0, secret.len() as u64).end();
        needs(&one(&device, &push), &Need::Base);
    }
    // Through the node of the other: like a node that never was.
    for source in [id, 999_999] {
        let header = PushPut {
            source: Some(source),
            from: Some(etag.clone()),
            root: root.clone(),
            ..new("/documents/b", secret.len())
        };
        let mut push = Push::new();
        push.begin(&header).copy(0, secret.len() as u64).end();
        needs(&one(&device, &push), &Need::Base);
    }
    assert_eq!(device.pull().len(), 1);
}

#[test]
fn a_device_asked_for_more_sends_the_whole_file() {
    let (server, mut device) = begin();
    let dav = server.admin();
    let bytes = noise(1, 100_000);
    dav.put("/dav/documents/a", &bytes).expect(&[201]);
    device.pull();
    // The file moved away meanwhile, so its path has no such version.
    dav.rename("/dav/documents/a", "/dav/photos/a")
        .expect(&[201]);
    let edited = [&bytes[..], b"edited"].concat();
    let keep = sync_server::protocol::sync::OnConflict::Keep;
    assert!(device.write(
        "/documents/a",
        edited.clone(),
        1_700_000_000_000,
        Style::Delta,
        keep
    ));
    assert!(device.write(
        "/documents/new",
        noise(5, 50_000),
        1_700_000_000_000,
        Style::Same,
        keep
    ));
    let outcomes = device.push();
    assert_eq!(outcomes.len(), 2);
    assert_same(&dav.get("/dav/documents/a").body, &edited, "a");
    device.pull();
    webdav_tests::device::assert_in_step(&device, &dav);
}
