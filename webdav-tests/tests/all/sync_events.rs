//! Hints in real time: the WebSocket, and the long poll for those who cannot.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use sync_server::protocol::sync::{Event, Poll};
use webdav_tests::api::{Api, route};
use webdav_tests::device::{Device, Events, Heard, Push, Style, parse, put};
use webdav_tests::raw::Raw;
use webdav_tests::{Setup, TestServer};

const PASSWORD: &str = "a long password 1";
/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is looked for every 5 s would take longer.
const AT_ONCE: Duration = Duration::from_secs(2);
/// How long a silence is waited for.
const QUIET: Duration = Duration::from_millis(300);

#[track_caller]
fn open(api: &Api, cursor: Option<&str>) -> Events {
    match Events::open(api, cursor) {
        Ok(events) => events,
        Err(status) => panic!("no socket: {status}"),
    }
}

/// The space in which `/documents` lies.
#[track_caller]
fn own_space(api: &Api) -> i64 {
    api.info("/documents")["space"].as_i64().expect("an id")
}

/// Takes hints until none comes for a while; the last turn of each space.
fn drain(events: &mut Events) -> Vec<Event> {
    let mut last: Vec<Event> = Vec::new();
    while let Heard::Hint(event) = events.next(QUIET) {
        last.retain(|known| known.space != event.space);
        last.push(event);
    }
    last
}

#[track_caller]
fn poll(api: &Api, cursor: &str, timeout: &str) -> (Vec<Event>, Duration) {
    let since = Instant::now();
    let answer = api.get(&route(
        "sync/poll",
        &[("cursor", cursor), ("timeout", timeout)],
    ));
    (parse::<Poll>(&answer, 200).events, since.elapsed())
}

#[test]
fn a_hint_comes_within_a_tenth_of_a_second_of_a_write() {
    let server = TestServer::start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    let space = own_space(&api);
    let mut events = open(&api, None);
    let mut waits: Vec<Duration> = (0..20)
        .map(|n| {
            let dav = dav.again();
            // The log-in and the connection are not what is measured.
            dav.get("/dav/documents/missing").expect(&[404]);
            let since = Instant::now();
            let put = thread::spawn(move || {
                dav.put(&format!("/dav/documents/{n}"), b"x").expect(&[201]);
            });
            assert_eq!(events.hint(PATIENCE).space, space);
            let waited = since.elapsed();
            put.join().expect("a writer");
            assert_eq!(events.next(Duration::from_millis(20)), Heard::Silence);
            waited
        })
        .collect();
    waits.sort();
    let (median, longest) = (waits[10], waits[19]);
    println!("from the begin of a PUT to the hint: median {median:?}, longest {longest:?}");
    assert!(median <= Duration::from_millis(100), "{waits:?}");
    assert!(longest < Duration::from_millis(500), "{waits:?}");
}

#[test]
fn a_hint_names_the_turn_that_a_pull_then_shows() {
    let server = TestServer::start();
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    let mut events = open(device.api(), device.cursor());
    assert_eq!(events.next(QUIET), Heard::Silence, "nothing is new");

    let phone = Device::admin(&server, "phone");
    let mut push = Push::new();
    push.whole(&put("/documents/a", 1), b"x");
    phone.results(&push);

    let hints = drain(&mut events);
    let heard = device.pull();
    let node = heard[0].node.as_ref().expect("a node");
    let (space, seq) = (node.space, node.seq);
    assert_eq!(hints, [Event { space, seq }]);
    // One's own push is told, too.
    let keep = sync_server::protocol::sync::OnConflict::Keep;
    assert!(device.write("/documents/b", b"y".to_vec(), 1, Style::Whole, keep));
    device.push();
    assert_eq!(events.hint(PATIENCE).space, space);
}

#[test]
fn only_spaces_that_one_sees_are_told() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, None);
    let api = Api::admin(&server);
    let own = own_space(&api);
    let mut events = open(&api, None);
    bob.put("/dav/documents/diary", b"x").expect(&[201]);
    assert_eq!(events.next(QUIET), Heard::Silence);
    bob.put("/dav/shared/plan", b"x").expect(&[201]);
    let shared = events.hint(PATIENCE).space;
    assert_ne!(shared, own);
    drain(&mut events);
    server.admin().put("/dav/photos/a", b"x").expect(&[201]);
    assert_eq!(events.hint(PATIENCE).space, own);
}

#[test]
fn what_happened_since_the_cursor_is_told_at_once() {
    let mut server = TestServer::start();
    let api = Api::admin(&server);
    let cursor = api.cursor();
    let dav = server.admin();
    for n in 0..5 {
        dav.put(&format!("/dav/documents/{n}"), b"x").expect(&[201]);
    }
    dav.put("/dav/shared/a", b"x").expect(&[201]);
    let mut hints = drain(&mut open(&api, Some(&cursor)));
    hints.sort_by_key(|event| event.space);
    assert_eq!(hints.len(), 2, "one for each space: {hints:?}");
    // Also over a restart.
    server.restart();
    let again = api.on(&server);
    let mut later = drain(&mut open(&again, Some(&cursor)));
    later.sort_by_key(|event| event.space);
    assert_eq!(later, hints);
    let mut events = open(&again, Some(&again.cursor()));
    assert_eq!(events.next(QUIET), Heard::Silence);
    server
        .admin()
        .put("/dav/documents/new", b"x")
        .expect(&[201]);
    events.hint(PATIENCE);
}

#[test]
fn many_writes_become_few_hints() {
    let server = TestServer::start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    let mut events = open(&api, None);
    for n in 0..200 {
        dav.put("/dav/documents/a", format!("{n}").as_bytes())
            .expect(&[201, 204]);
    }
    let space = own_space(&api);
    let mut turns = Vec::new();
    while let Heard::Hint(event) = events.next(QUIET) {
        assert_eq!(event.space, space);
        turns.push(event.seq);
    }
    assert!(turns.is_sorted_by(|a, b| a < b), "{turns:?}");
    let status = api.status();
    let spaces = status["spaces"].as_array().expect("spaces").iter();
    let seq = spaces
        .filter(|entry| entry["id"] == space)
        .map(|entry| entry["seq"].as_i64());
    assert_eq!(
        { seq }.next_back().flatten(),
        turns.last().copied(),
        "the last turn is told"
    );
}

#[test]
fn a_revoked_device_is_shown_out() {
    let server = TestServer::start();
    let (laptop, phone) = (Api::admin(&server), Device::admin(&server, "phone"));
    let mut events = open(phone.api(), None);
    let mut others = open(&laptop, None);
    let revoked = laptop.delete(&format!("devices/{}", phone.api().device()));
    revoked.expect(&[204]);
    server.admin().put("/dav/documents/a", b"x").expect(&[201]);
    match events.next(AT_ONCE) {
        Heard::Closed(code) => assert_eq!(code, 4401),
        Heard::Hint(event) => panic!("a device that is shut out hears of {event:?}"),
        Heard::Silence => panic!("it is still open after {AT_ONCE:?}"),
    }
    assert_eq!(Events::open(phone.api(), None).err(), Some(401));
    others.hint(PATIENCE);
}

#[test]
fn a_long_poll_of_a_revoked_device_ends_with_401() {
    let server = TestServer::start();
    let (laptop, phone) = (Api::admin(&server), Api::admin(&server));
    let (status, device) = (phone.status(), phone.device());
    let cursor = status["cursor"].as_str().expect("a cursor");
    let waits = route("sync/poll", &[("cursor", cursor), ("timeout", "30")]);
    let waiting = thread::spawn(move || (phone.get(&waits), Instant::now()));
    thread::sleep(QUIET);
    let revoked = laptop.delete(&format!("devices/{device}"));
    revoked.expect(&[204]);
    let since = Instant::now();
    let (answer, at) = waiting.join().expect("an answer");
    answer.problem("unauthorized", 401);
    assert!(at.saturating_duration_since(since) < AT_ONCE);
}

#[test]
fn a_log_out_closes_the_socket() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let mut events = open(&api, None);
    api.post_nothing("auth/logout").expect(&[204]);
    assert_eq!(events.closed(AT_ONCE), 4401);
}

#[test]
fn a_server_that_stops_says_so_and_is_not_held_up() {
    let mut server = TestServer::start();
    let api = Api::admin(&server);
    let cursor = api.cursor();
    let mut sockets: Vec<Events> = (0..20).map(|_| open(&api, None)).collect();
    // One that does not listen, one that polls.
    let deaf = open(&api, None);
    let polling = api.again();
    let polled = thread::spawn(move || {
        let asked = [("cursor", &*cursor), ("timeout", "55")];
        polling.get(&route("sync/poll", &asked)).status
    });
    thread::sleep(QUIET);
    let since = Instant::now();
    let status = server.stop();
    let took = since.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    for events in &mut sockets {
        assert_eq!(events.closed(PATIENCE), 1001);
    }
    assert_eq!(polled.join().expect("a poll"), 200);
    drop(deaf);
}

#[test]
fn three_hundred_sockets_hear_of_one_write() {
    // All come from one address here.
    let server = Setup::default()
        .env("SYNC_HTTP__CONNECTIONS_PER_IP_MAX", "0")
        .start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    let before = webdav_tests::memory::pss_mib(server.pid());
    let mut sockets: Vec<Events> = (0..300).map(|_| open(&api, None)).collect();
    let with = webdav_tests::memory::pss_mib(server.pid());
    println!("PSS in MiB: {before} without, {with} with 300 sockets");
    assert!(with.saturating_sub(before) <= 20, "{before}, {with}");
    dav.put("/dav/documents/a", b"x").expect(&[201]);
    let turns: Vec<Event> = sockets
        .iter_mut()
        .map(|socket| socket.hint(PATIENCE))
        .collect();
    assert!(turns.iter().all(|turn| turn.space == turns[0].space));
    // Those who leave without a word leave their places.
    drop(sockets);
    let mut again: Vec<Events> = (0..300).map(|_| open(&api, None)).collect();
    dav.put("/dav/documents/b", b"x").expect(&[201]);
    for socket in &mut again {
        socket.hint(PATIENCE);
    }
}

#[test]
fn a_client_that_never_reads_disturbs_nobody() {
    let server = TestServer::start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    let deaf: Vec<Events> = (0..20).map(|_| open(&api, None)).collect();
    for events in &deaf {
        // Small buffers fill soon, and answers to pings fill them.
        let mut socket = events.socket();
        let shown = socket2::SockRef::from(socket);
        shown.set_recv_buffer_size(2048).expect("a socket");
        shown
            .set_write_timeout(Some(Duration::from_millis(200)))
            .expect("a socket");
        let ping = [&b"\x89\xfd\0\0\0\0"[..], &[7; 125]].concat();
        for _ in 0..20 {
            // The server may stop reading, too.
            if socket.write_all(&ping.repeat(500)).is_err() {
                break;
            }
        }
    }
    let mut hearing = open(&api, None);
    webdav_tests::memory::reset_peak(server.pid());
    let mut longest = Duration::ZERO;
    for n in 0..400 {
        let since = Instant::now();
        dav.put("/dav/documents/a", format!("{n}").as_bytes())
            .expect(&[201, 204]);
        hearing.hint(PATIENCE);
        longest = longest.max(since.elapsed());
    }
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(webdav_tests::memory::peak_mib(server.pid()) < 100);
}

#[test]
fn what_a_client_says_on_the_socket_does_no_harm() {
    let server = TestServer::start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let handshake = api.head("GET", "sync/events", &headers) + "\r\n";
    // Frames by hand: too long, unmasked, of an unknown kind, cut off.
    let frames: [&[u8]; 4] = [
        b"\x82\xff\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00",
        b"\x81\x05hello",
        b"\x8f\x80\x00\x00\x00\x00",
        b"\x81",
    ];
    for frame in frames {
        let mut raw = Raw::connect(&server.address());
        assert!(raw.send(&handshake));
        assert!(raw.send(frame));
        raw.finish_sending();
        assert!(raw.is_closed_within(PATIENCE), "{frame:?}");
    }
    let mut events = open(&api, None);
    dav.put("/dav/documents/a", b"x").expect(&[201]);
    events.hint(PATIENCE);
}

#[test]
fn what_is_no_handshake_is_refused_by_what_is_wrong() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.get("sync/events")
        .problem_at("upgrade-required", 426, "Upgrade");
    Api::anonymous(&server)
        .get("sync/events")
        .problem("unauthorized", 401);
    let cursor = api.cursor();
    let (epoch, _) = cursor.split_once('_').expect("an epoch");
    // A space that is not there, and a turn that was not taken.
    let unknown = format!("{epoch}_999.1");
    let ahead = format!("{epoch}_{}.{}", own_space(&api), i64::MAX);
    for (cursor, status) in [("nonsense", 422), ("", 422), (&unknown, 410), (&ahead, 410)] {
        assert_eq!(
            Events::open(&api, Some(cursor)).err(),
            Some(status),
            "{cursor:?}"
        );
    }
}

#[test]
fn a_long_poll_wakes_with_a_change_and_ends_without_one() {
    let server = TestServer::start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    let (space, cursor) = (own_space(&api), api.cursor());
    for timeout in ["0", "1"] {
        let (events, took) = poll(&api, &cursor, timeout);
        let seconds: u64 = timeout.parse().expect("a number");
        assert_eq!(events, []);
        let most = Duration::from_secs(seconds + 1);
        assert!(
            (Duration::from_secs(seconds)..most).contains(&took),
            "{took:?}"
        );
    }
    let waiting = (api.again(), cursor.clone());
    let polled = thread::spawn(move || poll(&waiting.0, &waiting.1, "30"));
    thread::sleep(QUIET);
    dav.put("/dav/documents/a", b"x").expect(&[201]);
    let (events, took) = polled.join().expect("a poll");
    assert_eq!(
        events.iter().map(|event| event.space).collect::<Vec<_>>(),
        [space]
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    // What is there already is told at once.
    let (again, took) = poll(&api, &cursor, "30");
    assert_eq!(again, events);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let asked = [("cursor", &*cursor), ("timeout", "56")];
    api.get(&route("sync/poll", &asked))
        .problem_at("invalid", 422, "timeout");
    api.get("sync/poll").problem("bad-request", 400);
}
