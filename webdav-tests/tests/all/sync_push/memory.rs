//! The memory bound holds for pushes, too.

use std::io::{self, Read};

use sync_server::protocol::stream::{self, MEDIA_TYPE};
use sync_server::protocol::sync::PushStatus;
use webdav_tests::content::{Noise, noise};
use webdav_tests::device::{Push, parse};
use webdav_tests::http::Body;
use webdav_tests::memory;

use super::{begin, new, write};

/// Most resident memory under load, in MiB.
const PEAK_MIB: u64 = 100;
const MIB: u64 = 1 << 20;

/// Bytes of parts, one behind the other.
fn chain(parts: Vec<Box<dyn Read>>) -> Box<dyn Read> {
    let none: Box<dyn Read> = Box::new(io::empty());
    parts
        .into_iter()
        .fold(none, |all, part| Box::new(all.chain(part)))
}

fn bytes(bytes: Vec<u8>) -> Box<dyn Read> {
    Box::new(io::Cursor::new(bytes))
}

#[test]
fn a_push_of_200_mb_fits_into_the_bound() {
    let large = if crate::long() { 1024 * MIB } else { 200 * MIB };
    let (server, device) = begin();
    let base = noise(1, 20_000_000);
    let node = write(&device, &new("/documents/base", base.len()), &base);
    // One large literal, then an edit with large patches, then many small files.
    let mut head = Push::new();
    head.begin(&new(
        "/documents/large",
        usize::try_from(large).expect("64 bits"),
    ));
    stream::lit_head(head.raw(), large);
    let mut rest = Push::new();
    rest.raw().clear();
    rest.end();
    let piece_len = 4 << 20;
    let patched = 4 * piece_len;
    let root = Some("00".repeat(16));
    rest.begin(&sync_server::protocol::sync::PushPut {
        root,
        ..super::based(&node.etag, "/documents/base", patched)
    });
    for piece in 0..4 {
        let (from, to) = (piece * piece_len, (piece + 1) * piece_len);
        rest.patch(&base, from..to + 1_000_000, &base[from + 1..=to]);
    }
    rest.end();
    for n in 0..2000 {
        rest.whole(&new(&format!("/documents/{n}"), 8000), &base[n..n + 8000]);
    }
    let length = head.bytes().len() as u64 + large + rest.bytes().len() as u64;
    let mut body = chain(vec![
        bytes(head.bytes().to_vec()),
        Box::new(Noise::new(7, large)),
        bytes(rest.bytes().to_vec()),
    ]);
    drop(rest);
    memory::reset_peak(server.pid());

    let headers = [("Content-Type", MEDIA_TYPE)];
    let answer = device.api().send(
        "POST",
        "sync/push",
        &headers,
        Body::Stream(&mut body, length),
    );

    let peak = memory::peak_mib(server.pid());
    let results = parse::<sync_server::protocol::sync::Pushed>(&answer, 200).results;
    assert_eq!(results.len(), 2002);
    assert_eq!(results[0].status, PushStatus::Done, "{:?}", results[0]);
    super::refused(&results[1], "checksum-mismatch", Some("root"));
    assert!(
        results[2..]
            .iter()
            .all(|result| result.status == PushStatus::Done)
    );
    println!("peak RSS in MiB: {peak}");
    assert!(peak <= PEAK_MIB, "{peak} MiB");
}
