//! Hundreds of requests that stand still hold little together, and others go on working.

use std::io::Write as _;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use sync_server::protocol::stream::{self, MEDIA_TYPE};
use sync_server::protocol::sync::{Class, PushPut, PushStatus};
use webdav_tests::content::{noise, prose};
use webdav_tests::device::{Device, Push, put, zstd_of};
use webdav_tests::http::Body;
use webdav_tests::raw::Raw;
use webdav_tests::{Api, TestServer, memory};

/// Most resident memory with them, in MiB.
const PEAK_MIB: u64 = 150;
/// So many stand still.
const MANY: usize = 200;
/// A request of somebody else may take this long at most, on a busy machine.
const FAST: Duration = Duration::from_secs(5);
/// The server's patience with those it has no memory for, and some.
const PATIENCE: Duration = Duration::from_secs(40);
const PASSWORD: &str = "Another-Horse-9-Battery";

/// Begins a push with so many bytes and sends no more.
fn push(api: &Api, more: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let head = api.head("POST", "sync/push", more);
    let kind = format!("Content-Type: {MEDIA_TYPE}\r\nContent-Length: 1000000000\r\n\r\n");
    [head.as_bytes(), kind.as_bytes(), body].concat()
}

/// Sends the same from many connections; those who are not read wait in threads of their own.
fn stand_still(server: &TestServer, request: Vec<u8>) -> Vec<JoinHandle<Raw>> {
    let request: &'static [u8] = request.leak();
    let begin = |_| {
        let mut raw = Raw::connect(&server.address());
        std::thread::spawn(move || {
            // Some are refused before they have sent everything.
            let _sent = raw.send(request);
            raw
        })
    };
    (0..MANY).map(begin).collect()
}

/// Another account writes, reads and looks in no time.
#[track_caller]
fn works_fast(other: &Api, name: &str) {
    let since = Instant::now();
    works(other, name);
    let took = since.elapsed();
    assert!(
        took < FAST,
        "an upload, a download and a listing took {took:?}"
    );
}

#[track_caller]
fn works(other: &Api, name: &str) {
    let text = prose(100_000);
    let coding = [("Content-Encoding", "zstd")];
    let body = zstd_of(&text);
    let route = format!("files/upload?path=/{name}");
    other
        .send("POST", &route, &coding, Body::Bytes(&body))
        .json(201);
    assert!(other.download(&format!("/{name}")) == text);
    assert!(other.names("/").contains(&name.to_owned()));
}

struct Stage {
    server: TestServer,
    device: Device,
    other: Api,
}

fn stage() -> Stage {
    let server = TestServer::start();
    server.add_user("other", PASSWORD, None);
    let device = Device::admin(&server, "laptop");
    let other = Api::login(&server, "other", PASSWORD);
    memory::reset_peak(server.pid());
    Stage {
        server,
        device,
        other,
    }
}

impl Stage {
    #[track_caller]
    fn assert_small(&self, name: &str) {
        let peak = memory::peak_mib(self.server.pid());
        println!("peak RSS in MiB with {MANY} that stand still, {name}: {peak}");
        assert!(peak <= PEAK_MIB, "{name}: {peak} MiB");
    }

    /// Others work while these stand still, and somebody is told to come again in time.
    #[track_caller]
    fn hold(&self, request: Vec<u8>, name: &str) {
        let mut still = stand_still(&self.server, request);
        for n in 0..10 {
            works_fast(&self.other, &format!("{name}-{n}"));
        }
        let last = still.pop().expect("there are many");
        let mut last = last.join().expect("it sends or is closed");
        let answer = last.answer(PATIENCE).expect("an answer");
        answer.problem("busy", 503);
        assert!(answer.header("retry-after").is_some(), "{answer}");
        works_fast(&self.other, &format!("{name}-after"));
        self.assert_small(name);
    }
}

#[test]
fn pushes_within_a_zstd_frame_wait_for_a_bounded_memory() {
    let stage = stage();
    let mut stream = Push::new();
    stream.begin(&put("/nowhere/x", 1 << 40));
    stream::lit_head(stream.raw(), 1 << 40);
    stream.raw().resize(20 << 20, 0);
    let mut packer = zstd::Encoder::new(Vec::new(), 1).expect("memory");
    packer.window_log(23).expect("a window");
    packer.write_all(stream.bytes()).expect("memory");
    packer.flush().expect("memory");
    let body = packer.get_ref().clone();

    let api = stage.device.api();
    stage.hold(push(api, &[("Content-Encoding", "zstd")], &body), "zstd");
}

#[test]
fn pushes_within_a_patch_wait_for_a_bounded_memory() {
    let stage = stage();
    let length = 4 << 20;
    let mut stream = Push::new();
    stream.begin(&PushPut {
        root: Some("00".repeat(16)),
        ..put("/x", length)
    });
    let packed = noise(1, length);
    stream::patch(stream.raw(), 0, 0, 4 << 20, &packed);
    let body = &stream.bytes()[..stream.bytes().len() - 500];

    stage.hold(push(stage.device.api(), &[], body), "patch");
}

#[test]
fn small_files_are_named_when_their_sender_pauses() {
    let stage = stage();
    let mut stream = Push::new();
    for n in 0..100 {
        stream.whole(&put(&format!("/{n}"), 8000), &noise(n, 8000));
    }
    let still = stand_still(&stage.server, push(stage.device.api(), &[], stream.bytes()));
    let until = Instant::now() + PATIENCE;
    while stage.device.api().look("/99").status != 200 {
        assert!(Instant::now() < until, "nothing was named");
    }
    // Twenty thousand files are much work, so this takes its time.
    works(&stage.other, "files");
    let _held: Vec<_> = still.into_iter().map(JoinHandle::join).collect();
    stage.assert_small("files");
}

#[test]
fn fetches_of_many_small_files_wait_for_a_bounded_memory() {
    let stage = stage();
    let mut stream = Push::new();
    for n in 0..200 {
        stream.whole(&put(&format!("/{n}"), 8000), &noise(n, 8000));
    }
    let results = stage.device.results(&stream);
    let nodes = results.into_iter().filter_map(|result| result.node);
    let items: Vec<_> = nodes
        .map(|node| json!({"id": node.id, "to": node.etag}))
        .collect();
    // More than sockets hold.
    let items: Vec<_> = items.iter().cycle().take(1000).collect();
    let body = json!({ "items": items }).to_string();
    let length = body.len().to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", &*length),
    ];
    let head = stage.device.api().head("POST", "sync/fetch", &headers);

    stage.hold(format!("{head}\r\n{body}").into_bytes(), "fetch");
}

#[test]
fn slow_downloads_of_the_longest_chunks_hold_none() {
    let stage = stage();
    let length = 40 << 20;
    let mut stream = Push::new();
    // Without any place to cut, all chunks have the greatest length.
    let large = PushPut {
        class: Some(Class::Large),
        ..put("/large", length)
    };
    stream.whole(&large, &vec![0; length]);
    let results = stage.device.results(&stream);
    assert_eq!(results[0].status, PushStatus::Done, "{results:?}");
    memory::reset_peak(stage.server.pid());

    let api = stage.device.api();
    let request = api.head("GET", "files/download?path=/large", &[]) + "\r\n";
    let still = stand_still(&stage.server, request.into_bytes());
    let _held: Vec<_> = still.into_iter().map(JoinHandle::join).collect();
    for n in 0..10 {
        works_fast(&stage.other, &format!("down-{n}"));
    }
    stage.assert_small("downloads");
    assert!(api.download("/large") == vec![0; length]);
}
