//! The real sync client: its commands, and what it does to folders and to a server, from outside. Pairs of devices
//! are called A and B.

mod commands;
mod conflicts;
mod daemon;
mod keeping;
mod kinds;
mod limits;
mod pairs;
mod parts;
mod random;
mod resolve;
mod saves;
mod spaces;
mod systemd;

use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::client::{Daemon, assert_same_bytes, same_bytes, within};
use webdav_tests::{Client, TestServer};

/// A daemon that sent nothing for so long has ended what it was at.
const RESTS: Duration = Duration::from_secs(1);

/// A server with two devices of one account, in step.
#[track_caller]
fn pair() -> (TestServer, Client, Client) {
    let server = TestServer::start();
    let (a, b) = (Client::admin(&server, "A"), Client::admin(&server, "B"));
    a.sync();
    b.sync();
    (server, a, b)
}

/// The same with daemons at work on both.
#[track_caller]
fn daemons() -> (TestServer, (Client, Daemon), (Client, Daemon)) {
    let (server, a, b) = pair();
    let (running_a, running_b) = (a.daemon(), b.daemon());
    (server, (a, running_a), (b, running_b))
}

/// Bytes that a device's daemon has sent so far.
#[track_caller]
fn sent(client: &Client) -> u64 {
    let status = client.status();
    status["daemon"]["sent"].as_u64().expect("a daemon runs")
}

/// Waits until a daemon is in step and has nothing more to say.
#[track_caller]
fn wait_until_it_rests(client: &Client) {
    let since = Instant::now();
    let (mut before, mut quiet) = (None, Instant::now());
    while quiet.elapsed() < RESTS {
        let status = client.status();
        assert!(since.elapsed() < RESTS * 20, "it does not rest: {status}");
        let daemon = &status["daemon"];
        let now = daemon["sent"]
            .as_u64()
            .filter(|_| daemon["doing"] == "in step");
        if now.is_none() || now != before {
            (before, quiet) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until both devices have the same bytes, and fails when that takes too long.
#[track_caller]
fn wait_until_alike(a: &Client, b: &Client, limit: Duration) {
    let alike = || {
        let since = Instant::now();
        let alike = same_bytes(&a.tree(), &b.tree());
        // Reading all of it over and over would be what keeps the machine busy.
        thread::sleep(since.elapsed() * 4);
        alike
    };
    if !within(limit, alike) {
        println!("A: {}\nB: {}", a.status(), b.status());
        assert_same_bytes(a, b);
    }
}
