//! Slow and silent clients: they lose their connection, nobody else notices them.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use webdav_tests::content::noise;
use webdav_tests::raw::Raw;
use webdav_tests::{Dav, Setup, TestServer};

/// A request of somebody else may take this long at most, on a busy machine.
const FAST: Duration = Duration::from_secs(2);

/// Connects from another address of this machine, so that limits per address hit only that one.
fn stranger(server: &TestServer) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from: std::net::SocketAddr = "127.0.0.2:0".parse().expect("an address");
    socket.bind(&from.into()).expect("all of 127/8 is ours");
    let to: std::net::SocketAddr = server.address().parse().expect("an address");
    socket
        .connect(&to.into())
        .expect("the listener's queue takes it");
    socket.into()
}

#[track_caller]
fn works_fast(dav: &Dav, rounds: usize) {
    let bytes = noise(1, 20_000);
    for n in 0..rounds {
        let since = Instant::now();
        dav.put(&format!("/dav/documents/{n}"), &bytes)
            .expect(&[201, 204]);
        assert!(dav.get(&format!("/dav/documents/{n}")).expect(&[200]).body == bytes);
        dav.request("PROPFIND", "/dav/documents/", &[("Depth", "1")], b"")
            .expect(&[207]);
        let took = since.elapsed();
        assert!(took < FAST, "three requests took {took:?}");
    }
}

#[test]
fn three_hundred_half_open_connections_disturb_nobody() {
    let mut server = TestServer::start();
    let dav = server.admin();
    let authorization = dav.authorization().expect("logged in");
    let open: Vec<TcpStream> = (0..300)
        .map(|n| {
            use std::io::Write;
            let mut tcp = stranger(&server);
            let sent = match n % 3 {
                0 => String::new(),
                1 => "GET /dav/ HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(),
                _ => format!("PUT /dav/{n} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: 100\r\n\r\nabc"),
            };
            // One that is refused outright is as good.
            let _refused = tcp.write_all(sent.as_bytes());
            tcp
        })
        .collect();

    works_fast(&dav, 40);
    works_fast(&dav.again(), 5);

    assert!(server.is_alive());
    drop(open);
    works_fast(&dav, 5);
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let server = Setup::default()
        .env("SYNC_HTTP__HEADER_TIMEOUT", "1s")
        .start();
    let mut raw = Raw::connect(&server.address());
    raw.send("GET /dav/ HTTP/1.1\r\nHost: x\r\n");
    let since = Instant::now();
    // One header now and then keeps it alive for ever in servers that count from the last byte.
    while raw.send("X-Slow: 1\r\n") {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "still open after 30 s"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn an_upload_that_stalls_is_cut_off_without_a_trace() {
    let server = Setup::default()
        .env("SYNC_HTTP__BODY_TIMEOUT", "1s")
        .start();
    let dav = server.admin();
    dav.put("/dav/old", b"the old content").expect(&[201]);
    for path in ["/dav/new", "/dav/old"] {
        let mut raw = Raw::connect(&server.address());
        let authorization = dav.authorization().expect("logged in");
        raw.send(format!(
            "PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: 100\r\n\r\nabc"
        ));
        assert!(
            raw.is_closed_within(Duration::from_secs(30)),
            "still open after 30 s"
        );
    }
    dav.get("/dav/new").expect(&[404]);
    assert_eq!(dav.get("/dav/old").body, b"the old content");
}

#[test]
fn a_slow_but_steady_upload_is_patiently_taken() {
    let server = Setup::default()
        .env("SYNC_HTTP__BODY_TIMEOUT", "2s")
        .env("SYNC_HTTP__HEADER_TIMEOUT", "1s")
        .start();
    let dav = server.admin();
    let mut raw = Raw::connect(&server.address());
    let authorization = dav.authorization().expect("logged in");
    raw.send(format!("PUT /dav/a HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: 20\r\n\r\n"));
    for _ in 0..20 {
        assert!(raw.send("x"), "cut off in the middle");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(
        raw.answer(Duration::from_secs(20))
            .expect("an answer")
            .status,
        201
    );
    assert_eq!(dav.get("/dav/a").body, [b'x'; 20]);
}

#[test]
fn a_listing_of_thousands_does_not_hold_up_small_requests() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/big/").expect(&[201]);
    std::thread::scope(|scope| {
        for part in 0..8 {
            let dav = dav.again();
            scope.spawn(move || {
                for n in 0..200 {
                    dav.put(&format!("/dav/big/{part}-{n}"), b"x")
                        .expect(&[201]);
                }
            });
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let dav = dav.again();
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(dav.propfind("/dav/big/", "1", "").entries.len(), 1601);
                }
            });
        }
        works_fast(&dav.again(), 20);
    });
}

#[test]
fn running_requests_are_finished_when_the_server_stops() {
    let mut server = TestServer::start();
    let dav = server.admin();
    let bytes = noise(5, 3_000_000);
    dav.put("/dav/a", b"old").expect(&[201]);
    let mut raw = Raw::connect(&server.address());
    let authorization = dav.authorization().expect("logged in");
    let length = bytes.len();
    raw.send(format!("PUT /dav/a HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: {length}\r\n\r\n"));
    raw.send(&bytes[..1_000_000]);
    // Given that the server has begun with the upload (another request was answered after its bytes came)
    dav.get("/dav/a").expect(&[200]);
    // When it is told to stop, and the rest of the upload comes
    let upload = std::thread::scope(|scope| {
        let rest = scope.spawn(|| {
            raw.send(&bytes[1_000_000..]);
            raw.answer(Duration::from_secs(20))
        });
        assert!(server.stop().success(), "exit 0 after SIGTERM");
        rest.join().expect("the upload")
    });
    // Then what was acknowledged is there
    server.start_again();
    let now = server.admin().get("/dav/a").expect(&[200]).body;
    match upload {
        Some(answer) if answer.status < 300 => assert!(now == bytes, "acknowledged, but not there"),
        _ => assert!(now == b"old" || now == bytes, "{} bytes", now.len()),
    }
}
