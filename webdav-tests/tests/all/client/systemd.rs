//! What systemd is told.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use webdav_tests::client::Daemon;
use webdav_tests::{Client, TestServer};

/// How long systemd waits for a sign of life; half of it is what it advises between two.
const WATCHDOG: Duration = Duration::from_secs(2);

/// The lines that came to a socket until one begins as wanted.
#[track_caller]
fn heard(socket: &UnixDatagram, wanted: &str, limit: Duration) -> Vec<String> {
    let until = Instant::now() + limit;
    let mut lines = Vec::new();
    while !lines.iter().any(|line: &String| line.starts_with(wanted)) {
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no {wanted} among {lines:?}");
        socket.set_read_timeout(Some(left)).expect("a time");
        let mut bytes = [0; 4096];
        if let Ok(len) = socket.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
            lines.extend(text.lines().map(ToOwned::to_owned));
        }
    }
    lines
}

/// A daemon that tells this socket what it would tell systemd.
#[track_caller]
fn notifying(client: &Client, watchdog: Option<Duration>) -> (UnixDatagram, Daemon) {
    let path = client.config().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let daemon = Daemon::spawn(client, |command| {
        command.env("NOTIFY_SOCKET", &path);
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
    });
    (socket, daemon)
}

#[test]
fn systemd_is_told_when_it_is_ready_lives_and_stops() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    let (socket, daemon) = notifying(&a, Some(WATCHDOG));
    let limit = Duration::from_secs(20);
    heard(&socket, "READY=1", limit);
    // Each within the time that systemd waits, also when nothing happens
    for _ in 0..3 {
        let since = Instant::now();
        heard(&socket, "WATCHDOG=1", limit);
        let took = since.elapsed();
        assert!(took < WATCHDOG, "a sign of life took {took:?}");
    }
    let ended = std::thread::spawn(move || daemon.stop());
    heard(&socket, "STOPPING=1", limit);
    assert!(ended.join().expect("it ends").success());
}

#[test]
fn systemd_hears_of_a_daemon_that_reads_a_large_file() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    let file = std::fs::File::create(a.path("large")).expect("a file");
    file.set_len(4 << 30).expect("a file with holes");
    let (socket, _daemon) = notifying(&a, Some(WATCHDOG));
    heard(&socket, "READY=1", Duration::from_secs(20));
    let begun = Instant::now();
    while begun.elapsed() < WATCHDOG * 3 {
        let since = Instant::now();
        heard(&socket, "WATCHDOG=1", Duration::from_secs(20));
        let took = since.elapsed();
        assert!(took < WATCHDOG, "a sign of life took {took:?}");
    }
}

#[test]
fn systemd_is_told_that_it_is_ready_while_the_server_is_away() {
    let (mut server, a, _b) = super::pair();
    server.keep_port();
    server.stop();
    let (socket, daemon) = notifying(&a, None);
    let limit = Duration::from_secs(20);
    heard(&socket, "READY=1", limit);
    let lines = heard(&socket, "STATUS=", limit);
    assert!(
        lines.iter().any(|line| line.contains("server")),
        "{lines:?}"
    );
    assert!(daemon.stop().success());
}
