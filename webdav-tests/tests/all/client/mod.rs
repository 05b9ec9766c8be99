//! The real sync client: its commands, and what it does to folders and to a server, from outside. Pairs of devices
//! are called A and B.

mod commands;
mod conflicts;
mod daemon;
mod keeping;
mod kinds;
mod limits;
mod pairs;
mod random;
mod saves;
mod spaces;
mod systemd;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::client::{Daemon, Thing, assert_same_bytes, within};
use webdav_tests::{Client, TestServer};

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

/// Waits until both devices have the same bytes, and fails when that takes too long.
#[track_caller]
fn wait_until_alike(a: &Client, b: &Client, limit: Duration) {
    let bytes = |client: &Client| {
        let things = client.tree().into_iter().map(|(path, thing)| match thing {
            Thing::File {
                bytes, executable, ..
            } => (path, Some((bytes, executable))),
            Thing::Folder | Thing::Link(_) => (path, None),
        });
        things.collect::<BTreeMap<_, _>>()
    };
    let alike = || {
        let since = Instant::now();
        let alike = bytes(a) == bytes(b);
        // Reading all of it over and over would be what keeps the machine busy.
        thread::sleep(since.elapsed() * 4);
        alike
    };
    if !within(limit, alike) {
        println!("A: {}\nB: {}", a.status(), b.status());
        assert_same_bytes(a, b);
    }
}
