//! Many faults on one process, which must not hold more afterwards than before.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use webdav_tests::api::{id, number};
use webdav_tests::content::noise;
use webdav_tests::faults::call::{CREATE, READ, SYNC, WRITE};
use webdav_tests::faults::class::{DB, SEG, SEG_FOLDER, WAL};
use webdav_tests::faults::{Fault, Faults, How};
use webdav_tests::http::Body;
use webdav_tests::{Api, Dav, Response, TestServer, memory};

const CLIENTS: u64 = 4;
/// Faults that come and go.
const GUSTS: [(u32, u32, How); 7] = [
    (SEG, SYNC, How::Broken),
    (SEG, WRITE, How::Full),
    (SEG | SEG_FOLDER, CREATE | SYNC, How::Crowded),
    (WAL, WRITE, How::Torn),
    (WAL, SYNC, How::Broken),
    (SEG, READ, How::Broken),
    (DB | WAL, SYNC | WRITE, How::Full),
];
const PART: usize = 200_000;
/// Within which it lets go of what nobody waits for any more: two beats of the process.
const CALM_WITHIN: Duration = Duration::from_secs(15);

/// What a process holds: open files, threads, and MiB of its own.
fn held(server: &TestServer) -> (usize, usize, u64) {
    let count = |what: &str| {
        let folder = format!("/proc/{}/{what}", server.pid());
        fs::read_dir(folder).expect("it runs").count()
    };
    (count("fd"), count("task"), memory::own_mib(server.pid()))
}

fn segments(server: &TestServer) -> usize {
    let folders = fs::read_dir(server.dir().join("data/seg")).expect("a folder");
    folders
        .map(|folder| fs::read_dir(folder.expect("an entry").path()).map_or(0, Iterator::count))
        .sum()
}

/// Sends the next part of an upload, whatever comes.
fn send_part(api: &Api, upload: i64, offset: i64, bytes: &[u8]) -> Response {
    let offset = offset.to_string();
    let headers = [
        ("Upload-Offset", &*offset),
        ("Content-Type", "application/octet-stream"),
    ];
    let route = format!("uploads/{upload}");
    api.send("PATCH", &route, &headers, Body::Bytes(bytes))
}

/// Goes on with an upload where the server says it is; whether it is whole.
fn go_on(api: &Api, upload: i64, bytes: &[u8]) -> bool {
    let state = api.get(&format!("uploads/{upload}"));
    if state.status == 503 {
        return false;
    }
    let at = number(&state.json(200), "offset");
    let from = usize::try_from(at).expect("not negative");
    let to = bytes.len().min(from + PART);
    let sent = send_part(api, upload, at, &bytes[from..to]);
    let allowed = sent.status < 300 || [409, 503, 507].contains(&sent.status);
    assert!(allowed, "{sent}");
    sent.status < 300 && to == bytes.len()
}

fn busy(dav: &Dav, client: u64, until: Instant) -> u64 {
    let mut refused = 0;
    for nth in 0.. {
        if Instant::now() > until {
            break;
        }
        let path = format!("/dav/storm{client}.{}", nth % 5);
        let bytes = noise(client * 1000 + nth, 60_000);
        let put = dav.put(&path, &bytes).expect(&[201, 204, 503, 507]);
        refused += u64::from(put.status > 300);
        // A body may break off.
        let _read = dav.try_send("GET", &path, &[], Body::None, None);
    }
    refused
}

fn finished(api: &Api, upload: i64) -> Vec<u8> {
    api.post_nothing(&format!("uploads/{upload}/finish"))
        .json(200);
    api.download("/in-parts")
}

#[test]
fn nothing_is_held_any_more_after_a_storm_of_faults() {
    let rounds = if crate::long() { 20 } else { 2 };
    let faults = Faults::new();
    let server = faults.setup().start();
    let api = Api::admin(&server);
    // Given what a busy server holds
    blow(&server, Duration::from_secs(1));
    let before = (held(&server), segments(&server));
    let whole = noise(4711, PART * 8);
    let asked = json!({"path": "/in-parts", "size": whole.len()});
    let upload = id(&api.post("uploads", &asked).json(201));
    // When faults come and go, also below an upload in parts
    let (mut refused, mut met) = (0, 0);
    for (classes, calls, how) in GUSTS.into_iter().cycle().take(GUSTS.len() * rounds) {
        faults.begin(Fault {
            classes,
            calls,
            how,
            evict: false,
        });
        refused += thread::scope(|scope| {
            let (again, whole) = (api.again(), &whole);
            scope.spawn(move || go_on(&again, upload, whole));
            blow(&server, Duration::from_millis(400))
        });
        met += faults.hits();
        faults.end();
        well(&server);
    }
    // Then the upload goes on and nothing is left of them
    let since = Instant::now();
    while !go_on(&api, upload, &whole) {
        assert!(since.elapsed() < CALM_WITHIN, "the upload stays taken");
    }
    let got = finished(&api, upload);
    assert!(got == whole, "{} bytes", got.len());
    loop {
        let after = (held(&server), segments(&server));
        let ((files, threads, mib), segments) = before;
        let less = after.0.0 <= files + 24
            && after.0.1 <= threads + 24
            && after.0.2 <= mib + 40
            && after.1 <= segments + GUSTS.len() * rounds;
        if less {
            println!("{met} faults, {refused} refusals; held before {before:?}, after {after:?}");
            break;
        }
        assert!(
            since.elapsed() < CALM_WITHIN,
            "held before {before:?}, after {after:?}"
        );
        thread::sleep(Duration::from_millis(100));
    }
    assert!(refused > 0 && met > 0);
}

fn blow(server: &TestServer, how_long: Duration) -> u64 {
    let until = Instant::now() + how_long;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| (server.admin(), client))
        .collect();
    thread::scope(|scope| {
        let busy = clients
            .into_iter()
            .map(|(dav, client)| scope.spawn(move || busy(&dav, client, until)));
        let busy: Vec<_> = busy.collect();
        busy.into_iter()
            .map(|busy| busy.join().expect("a client"))
            .sum()
    })
}

fn well(server: &TestServer) {
    let (dav, since) = (server.admin(), Instant::now());
    while dav.get("/health").status != 200 || dav.put("/dav/well", b"x").status > 300 {
        assert!(since.elapsed() < CALM_WITHIN, "it is not well again");
        thread::sleep(Duration::from_millis(30));
    }
}
