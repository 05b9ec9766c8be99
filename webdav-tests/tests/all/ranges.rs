//! Range requests: Finder reads everything in 32 KiB ranges, players seek (CT14).

use webdav_tests::TestServer;
use webdav_tests::content::{Noise, assert_same, noise, prose};

#[test]
fn any_range_is_the_same_slice_of_the_file() {
    let server = TestServer::start();
    let dav = server.admin();
    let bytes = noise(3, 5_000_000);
    dav.put("/dav/a.bin", &bytes).expect(&[201]);
    let mut random = Noise::new(4, 0);
    for _ in 0..200 {
        let below = |limit: usize, n: u64| usize::try_from(n % limit as u64).expect("small");
        let from = below(bytes.len(), random.number());
        let to = (from + below(400_000, random.number())).min(bytes.len() - 1);
        let range = format!("bytes={from}-{to}");
        let part = dav
            .request("GET", "/dav/a.bin", &[("Range", &range)], b"")
            .expect(&[206]);
        assert_same(&part.body, &bytes[from..=to], &range);
        let said = format!("bytes {from}-{to}/{}", bytes.len());
        assert_eq!(part.header("content-range"), Some(said.as_str()));
    }
}

#[test]
fn open_suffix_and_overlong_ranges_are_cut_to_the_file() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.txt", b"0123456789").expect(&[201]);
    let cases: [(&str, &[u8]); 5] = [
        ("bytes=0-0", b"0"),
        ("bytes=4-", b"456789"),
        ("bytes=-3", b"789"),
        ("bytes=0-", b"0123456789"),
        ("bytes=8-1000000", b"89"),
    ];
    for (range, expected) in cases {
        let part = dav
            .request("GET", "/dav/a.txt", &[("Range", range)], b"")
            .expect(&[206]);
        assert_eq!(part.body, expected, "{range}");
    }
    // Everything there is: as a part or as the whole.
    let suffix = [("Range", "bytes=-1000000")];
    let whole = dav
        .request("GET", "/dav/a.txt", &suffix, b"")
        .expect(&[200, 206]);
    assert_eq!(whole.body, b"0123456789");
}

#[test]
fn a_range_outside_the_file_is_416() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.txt", b"0123456789").expect(&[201]);
    dav.put("/dav/empty", b"").expect(&[201]);
    for (path, range) in [
        ("/dav/a.txt", "bytes=10-"),
        ("/dav/a.txt", "bytes=1000-2000"),
        ("/dav/empty", "bytes=0-0"),
    ] {
        let answer = dav
            .request("GET", path, &[("Range", range)], b"")
            .expect(&[416]);
        if let Some(said) = answer.header("content-range") {
            assert!(said.starts_with("bytes */"), "{said}");
        }
    }
}

#[test]
fn if_range_gives_the_part_of_the_right_version_only() {
    let server = TestServer::start();
    let dav = server.admin();
    let old = dav.put("/dav/a.txt", b"0123456789").expect(&[201]).etag();
    let new = dav.put("/dav/a.txt", b"abcdefghij").expect(&[204]).etag();
    let part = |etag: &str| {
        dav.request(
            "GET",
            "/dav/a.txt",
            &[("Range", "bytes=2-3"), ("If-Range", etag)],
            b"",
        )
    };

    assert_eq!(part(&new).expect(&[206]).body, b"cd");
    assert_eq!(part(&old).expect(&[200]).body, b"abcdefghij");
}

#[test]
fn several_ranges_at_once_are_answered_rightly_or_with_everything() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.txt", b"0123456789").expect(&[201]);

    let answer = dav
        .request("GET", "/dav/a.txt", &[("Range", "bytes=0-1,4-5")], b"")
        .expect(&[200, 206]);

    if answer.status == 200 {
        assert_eq!(answer.body, b"0123456789");
    } else {
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("multipart/byteranges"), "{answer}");
        assert!(
            answer.text().contains("01") && answer.text().contains("45"),
            "{answer}"
        );
    }
}

#[test]
fn a_head_with_a_range_has_no_body() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.txt", b"0123456789").expect(&[201]);
    dav.request("HEAD", "/dav/a.txt", &[("Range", "bytes=2-3")], b"")
        .expect(&[200, 206]);
    // The connection is still in step: a stray body would be read as the next answer.
    assert_eq!(dav.get("/dav/a.txt").expect(&[200]).body, b"0123456789");
}

#[test]
fn a_range_is_never_compressed() {
    // A range counts bytes of the file, not of its compressed form.
    let server = TestServer::start();
    let dav = server.admin();
    let text = prose(200_000);
    dav.put("/dav/a.txt", &text).expect(&[201]);
    let headers = [
        ("Range", "bytes=1000-99999"),
        ("Accept-Encoding", "gzip, zstd"),
    ];

    let part = dav
        .request("GET", "/dav/a.txt", &headers, b"")
        .expect(&[206]);

    assert_eq!(part.header("content-encoding"), None);
    assert_same(&part.body, &text[1000..100_000], "the range");
}

#[test]
fn malformed_ranges_do_no_harm() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.txt", b"0123456789").expect(&[201]);
    let nonsense = [
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "lines=1-2",
        "bytes",
        "=",
        "bytes=99999999999999999999999-",
        "bytes=0-99999999999999999999999",
        "bytes=-0",
        "bytes=0-1-2",
        "bytes=,,,,",
        "bytes=--5",
    ];
    for range in nonsense {
        let answer = dav.request("GET", "/dav/a.txt", &[("Range", range)], b"");
        answer.expect(&[200, 206, 400, 416]);
    }
    let many = format!("bytes={}", vec!["0-0"; 500].join(","));
    dav.request("GET", "/dav/a.txt", &[("Range", &many)], b"")
        .expect(&[200, 206, 400, 416]);
}
