//! Items that are refused: each by itself, with nothing changed, and the others are done.

use sync_server::chunk::patch;
use sync_server::protocol::files::Node;
use sync_server::protocol::stream;
use sync_server::protocol::sync::{PushItem, PushPut, PushResult, PushStatus};
use webdav_tests::content::noise;
use webdav_tests::device::{Device, Push, put};
use webdav_tests::{Api, Dav, xml};

use super::{
    PASSWORD, based, begin, copied, deleted, done, mkdir, moved, new, one, refused, write,
};

/// A file of 200,000 bytes to refer to.
struct Old {
    node: Node,
    bytes: Vec<u8>,
}

fn old(device: &Device) -> Old {
    let bytes = noise(1, 200_000);
    let node = write(device, &new("/documents/a", bytes.len()), &bytes);
    Old { node, bytes }
}

/// An edit of the file that must give `size` bytes with a root that is none.
fn edit(old: &Old, size: usize) -> PushPut {
    PushPut {
        root: Some("00".repeat(16)),
        ..based(&old.node.etag, "/documents/a", size)
    }
}

/// Sends the item between two good ones; returns its result and checks that it changed nothing.
#[track_caller]
fn between(device: &mut Device, fill: impl Fn(&mut Push)) -> PushResult {
    device.pull();
    let mut push = Push::new();
    push.whole(&put("/documents/before", 1), b"x");
    fill(&mut push);
    push.whole(&put("/documents/after", 1), b"x");
    let results = device.results(&push);
    let [before, result, after] = <[PushResult; 3]>::try_from(results).expect("three results");
    done(before);
    done(after);
    let mut heard = device.pull();
    heard.retain(|change| {
        let name = change.node.as_ref().map_or("", |node| &node.name);
        !["before", "after"].contains(&name)
    });
    assert_eq!(heard, []);
    result
}

#[test]
fn bytes_with_another_root_or_checksum_are_refused() {
    let (_server, mut device) = begin();
    let old = old(&device);
    let result = between(&mut device, |push| {
        push.begin(&edit(&old, 200_000)).copy(0, 200_000).end();
    });
    refused(&result, "checksum-mismatch", Some("root"));
    let result = between(&mut device, |push| {
        push.whole(&edit(&old, 3), b"abc");
    });
    refused(&result, "checksum-mismatch", Some("root"));
    let wrong = Some(format!("SHA256:{}", "00".repeat(32)));
    for size in [3, 200_000] {
        let result = between(&mut device, |push| {
            let checksum = wrong.clone();
            push.whole(
                &PushPut {
                    checksum,
                    ..new("/documents/b", size)
                },
                &old.bytes[..size],
            );
        });
        refused(&result, "checksum-mismatch", Some("checksum"));
    }
    // A right root and a wrong checksum, of bytes that are not sent.
    let root = Some(device.space(old.node.space).root(&old.bytes));
    let result = between(&mut device, |push| {
        let (checksum, root) = (wrong.clone(), root.clone());
        push.begin(&PushPut {
            checksum,
            root,
            ..new("/documents/b", 200_000)
        })
        .same()
        .end();
    });
    refused(&result, "checksum-mismatch", Some("checksum"));
}

#[test]
fn operations_that_trust_need_a_root() {
    let (_server, mut device) = begin();
    let old = old(&device);
    let header = PushPut {
        root: None,
        ..edit(&old, 200_000)
    };
    for nth in 0..4 {
        let result = between(&mut device, |push| {
            push.begin(&header);
            match nth {
                0 => push.copy(0, 200_000),
                1 => push.reference(&[0; 16]),
                2 => push.patch(&old.bytes, 0..100, b"x"),
                _ => push.same(),
            };
            push.end();
        });
        refused(&result, "invalid", Some("root"));
    }
}

#[test]
fn sizes_that_are_not_as_stated_are_refused() {
    let (_server, mut device) = begin();
    let old = old(&device);
    for (size, sent) in [
        (2, 3),
        (4, 3),
        (0, 1),
        (1, 0),
        (1 << 40, 3),
        (100_000, 100_001),
        (100_001, 100_000),
    ] {
        let result = between(&mut device, |push| {
            push.whole(&new("/documents/b", size), &old.bytes[..sent]);
        });
        refused(&result, "bad-length", Some("size"));
    }
    let result = between(&mut device, |push| {
        push.begin(&edit(&old, 199_999)).copy(0, 200_000).end();
    });
    refused(&result, "bad-length", Some("size"));
    let result = between(&mut device, |push| {
        push.begin(&edit(&old, 200_001)).copy(0, 200_000).end();
    });
    refused(&result, "bad-length", Some("size"));
}

#[test]
fn copies_outside_of_the_base_are_refused() {
    let (_server, mut device) = begin();
    let old = old(&device);
    let huge = stream::NUMBER_MAX / 2;
    for (offset, len) in [
        (0, 200_001),
        (200_000, 1),
        (200_001, 0),
        (199_999, 2),
        (huge, huge),
        (huge, 0),
    ] {
        let result = between(&mut device, |push| {
            push.begin(&edit(&old, 200_000)).copy(offset, len).end();
        });
        refused(&result, "bad-stream", Some("COPY"));
    }
}

/// The last fields of a PATCH whose first 100 bytes of the base are the prefix.
fn packed(push: &mut Push, base_len: u32, raw_len: u32, frame: &[u8]) {
    stream::patch(push.raw(), 0, base_len, raw_len, frame);
}

#[test]
fn patches_that_do_not_open_are_refused() {
    let (_server, mut device) = begin();
    let old = old(&device);
    let raw = vec![0; 4 << 20];
    let bomb = patch::encode(&old.bytes[..100], &raw).expect("memory");
    assert!(bomb.len() < 2000, "4 MiB of zeroes in {} bytes", bomb.len());
    let fine = patch::encode(&old.bytes[..100], b"fine").expect("memory");
    let wide = {
        let mut compressor = zstd::bulk::Compressor::new(1).expect("memory");
        let parameters = [
            zstd::zstd_safe::CParameter::WindowLog(27),
            zstd::zstd_safe::CParameter::ContentSizeFlag(false),
        ];
        for parameter in parameters {
            compressor.set_parameter(parameter).expect("a parameter");
        }
        let mut frame = Vec::new();
        let mut encoder = zstd::stream::Encoder::new(&mut frame, 1).expect("memory");
        encoder.window_log(27).expect("a parameter");
        std::io::Write::write_all(&mut encoder, b"fine").expect("memory");
        encoder.finish().expect("memory");
        frame
    };
    let frames: [(&[u8], u32); 8] = [
        // It gives more, or less, than it states.
        (&bomb, 1000),
        (&fine, 3),
        (&fine, 5),
        // No frame, a piece of one, two, something behind it.
        (b"", 4),
        (b"nonsense that is no frame", 4),
        (&fine[..fine.len() - 1], 4),
        (&[&fine[..], &fine[..]].concat(), 8),
        // A window of 128 MiB.
        (&wide, 4),
    ];
    for (frame, raw_len) in frames {
        let result = between(&mut device, |push| {
            push.begin(&edit(&old, raw_len as usize));
            packed(push, 100, raw_len, frame);
            push.end();
        });
        refused(&result, "bad-stream", Some("PATCH"));
    }
    // Made against other bytes than the base has.
    let result = between(&mut device, |push| {
        let frame = patch::encode(&old.bytes[1000..3000], &old.bytes[1000..3000]);
        push.begin(&edit(&old, 2000));
        packed(push, 2000, 2000, &frame.expect("memory"));
        push.end();
    });
    assert_eq!(result.status, PushStatus::Error);
    let problem = result.problem.expect("a problem");
    assert!(
        ["bad-stream", "checksum-mismatch"].contains(&problem.name()),
        "{problem:?}"
    );
}

#[test]
fn many_bombs_give_no_more_than_was_stated() {
    let (server, mut device) = begin();
    let old = old(&device);
    let bomb = patch::encode(b"", &vec![0; 4 << 20]).expect("memory");
    webdav_tests::memory::reset_peak(server.pid());
    let result = between(&mut device, |push| {
        push.begin(&edit(&old, 10 << 20));
        for _ in 0..1000 {
            packed(push, 0, 4 << 20, &bomb);
        }
        push.end();
    });
    refused(&result, "bad-length", Some("size"));
    assert!(webdav_tests::memory::peak_mib(server.pid()) < 100);
}

#[test]
fn a_file_of_very_many_operations_is_refused() {
    let (_server, mut device) = begin();
    let old = old(&device);
    let result = between(&mut device, |push| {
        push.begin(&edit(&old, 2000));
        for n in 0..2000 {
            push.copy(n * 50, 1);
        }
        push.end();
    });
    refused(&result, "too-large", None);
}

#[test]
fn places_where_no_file_can_be_are_refused_by_what_is_wrong() {
    let (_server, mut device) = begin();
    write(&device, &new("/documents/file", 1), b"x");
    let long = format!("/documents/{}", "n".repeat(256));
    let cases = [
        ("/documents/../a", "bad-path", Some("path")),
        ("/documents/a\u{0}", "bad-path", Some("path")),
        (&long, "bad-path", Some("path")),
        ("/missing/a", "no-parent", None),
        ("/documents/file/a", "no-parent", None),
        ("/documents", "is-a-collection", None),
        ("/shared", "is-a-collection", None),
        ("/", "is-a-collection", None),
    ];
    for (path, name, field) in cases {
        for size in [1, 100_000] {
            let result = between(&mut device, |push| {
                push.whole(&put(path, size), &vec![1; size]);
            });
            if name == "no-parent" || path == "/" || path == "/shared" {
                let problem = result.problem.as_ref().expect("refused");
                let fit = [
                    "no-parent",
                    "not-a-collection",
                    "is-a-collection",
                    "forbidden",
                ];
                assert!(fit.contains(&problem.name()), "{path}: {problem:?}");
                continue;
            }
            refused(&result, name, field);
        }
    }
}

#[test]
fn fields_that_cannot_be_are_refused_by_name() {
    let (_server, mut device) = begin();
    let good = new("/documents/a", 1);
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (
            PushPut {
                base: text("d1"),
                ..good.clone()
            },
            "base",
        ),
        (
            PushPut {
                base: text(""),
                ..good.clone()
            },
            "base",
        ),
        (
            PushPut {
                from: text("x"),
                ..good.clone()
            },
            "from",
        ),
        (
            PushPut {
                root: text("12"),
                ..good.clone()
            },
            "root",
        ),
        (
            PushPut {
                root: text(&"xy".repeat(16)),
                ..good.clone()
            },
            "root",
        ),
        (
            PushPut {
                checksum: text("CRC32:00"),
                ..good.clone()
            },
            "checksum",
        ),
        (
            PushPut {
                mtime: Some(i64::MAX),
                ..good.clone()
            },
            "mtime",
        ),
        (
            PushPut {
                created: Some(i64::MIN),
                ..good
            },
            "created",
        ),
    ];
    for (header, field) in cases {
        let result = between(&mut device, |push| {
            push.whole(&header, b"x");
        });
        refused(&result, "invalid", Some(field));
    }
}

#[test]
fn items_without_content_are_refused_by_what_is_wrong() {
    let (_server, mut device) = begin();
    write(&device, &new("/documents/file", 1), b"x");
    let cases: [(PushItem, &[&str]); 12] = [
        (mkdir("/documents/file"), &["exists"]),
        (mkdir("/missing/d"), &["no-parent"]),
        (mkdir("/documents/.."), &["bad-path"]),
        (moved("/documents/missing", "/documents/b"), &["not-found"]),
        (moved("/documents/file", "/missing/b"), &["no-parent"]),
        (moved("/documents/file", "/photos"), &["exists"]),
        (moved("/documents", "/documents/inside"), &["forbidden"]),
        (moved("/shared", "/elsewhere"), &["forbidden"]),
        (copied("/documents/missing", "/documents/b"), &["not-found"]),
        (copied("/documents", "/documents/inside"), &["forbidden"]),
        (deleted("/", None), &["forbidden"]),
        (deleted("/shared", None), &["forbidden"]),
    ];
    for (item, names) in cases {
        let result = between(&mut device, |push| {
            push.item(&item);
        });
        assert_eq!(result.status, PushStatus::Error, "{item:?} {result:?}");
        let problem = result.problem.expect("an error has a problem");
        assert!(names.contains(&problem.name()), "{item:?} {problem:?}");
    }
}

#[test]
fn what_does_not_fit_the_quota_is_refused_and_the_rest_is_done() {
    let (server, _) = begin();
    server.add_user("bob", PASSWORD, Some("1000000"));
    let bob = Device::new(Api::register(&server, "bob", PASSWORD, "phone"));
    let large = noise(1, 600_000);
    let mut push = Push::new();
    push.whole(&new("/documents/a", large.len()), &large)
        .whole(&new("/documents/b", large.len()), &large)
        .whole(&new("/documents/small", 5), b"small")
        .item(&copied("/documents/a", "/documents/c"));
    let results = bob.results(&push);
    done(results[0].clone());
    refused(&results[1], "quota-exceeded", None);
    done(results[2].clone());
    refused(&results[3], "quota-exceeded", None);
    // Many small files of one batch count together; bytes that are there already count as well.
    let mut push = Push::new();
    for n in 0..100 {
        push.whole(&new(&format!("/documents/{n}"), 8000), &large[..8000]);
    }
    let results = bob.results(&push);
    let fit = results
        .iter()
        .filter(|result| result.status == PushStatus::Done);
    assert_eq!(fit.count(), 49, "(1,000,000 - 600,005) / 8000");
    refused(&results[99], "quota-exceeded", None);
    // What becomes smaller always fits.
    write(&bob, &put("/documents/a", 5), b"small");
}

#[track_caller]
fn lock(dav: &Dav, path: &str) -> String {
    let headers = [("Depth", "infinity"), ("Timeout", "Second-600")];
    let locked = dav.request("LOCK", path, &headers, xml::lock("exclusive").as_bytes());
    let locked = locked.expect(&[200, 201]);
    locked.header("lock-token").expect("a token").to_owned()
}

#[test]
fn what_is_locked_stays_as_it_is() {
    let (server, mut device) = begin();
    let dav = server.admin();
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    dav.put("/dav/documents/d/a", b"x").expect(&[201]);
    dav.put("/dav/documents/b", b"x").expect(&[201]);
    let token = lock(&dav, "/dav/documents/d/");
    let cases = [
        moved("/documents/d/a", "/documents/c"),
        moved("/documents/b", "/documents/d/b"),
        copied("/documents/b", "/documents/d/b"),
        deleted("/documents/d/a", None),
        deleted("/documents/d", None),
        mkdir("/documents/d/e"),
    ];
    for item in cases {
        let result = between(&mut device, |push| {
            push.item(&item);
        });
        refused(&result, "locked", None);
    }
    for path in ["/documents/d/a", "/documents/d/new"] {
        let result = between(&mut device, |push| {
            push.whole(&put(path, 1), b"y");
        });
        refused(&result, "locked", None);
    }
    dav.request(
        "UNLOCK",
        "/dav/documents/d/",
        &[("Lock-Token", &token)],
        b"",
    )
    .expect(&[204]);
    let mut push = Push::new();
    push.whole(&put("/documents/d/a", 1), b"y");
    done(one(&device, &push));
}
