//! Two devices whose users do whatever comes to their minds, while programs, lines and the server break: in the end
//! both have the same, and nothing is lost that nobody threw away.

mod player;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use webdav_tests::client::{Thing, assert_same_bytes};
use webdav_tests::content::{Noise, sha1_hex};
use webdav_tests::proxy::Proxy;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, Client, Setup, TestServer};

use crate::sync_devices::kept::Kept;
use player::Player;

/// Syncs of each device in a row after which both sides must be in step.
const ROUNDS_TO_SETTLE: usize = 8;
/// Exit codes of a sync that could not be done at all, and of one that could not do some of it.
const FAILED: i32 = 1;
const SOME_FAILED: i32 = 4;
/// Lines of the diary that are shown after a failure.
const LAST: usize = 200;

/// What goes wrong while a device syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    None,
    /// The client is killed.
    ClientDies,
    /// The server is killed, and started again.
    ServerDies,
    /// The line is cut, and mended.
    LineCut,
}

/// Everybody, and what they write down.
struct World {
    server: TestServer,
    way: Proxy,
    players: [Player; 2],
    random: Noise,
    diary: Vec<String>,
    /// Syncs that were killed while they worked.
    killed: u32,
    /// Syncs that could not go on without their server.
    failed: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut server = Setup::default()
            .env("SYNC_VERSIONS__KEEP", "100000")
            .env("SYNC_VERSIONS__KEEP_ALWAYS", "100000")
            .start();
        server.keep_port();
        let way = Proxy::to(&server.address());
        let url = format!("http://{}", way.address());
        let players = ["A", "B"].map(|name| Player::new(Client::at(&url, name), seed));
        Self {
            server,
            way,
            players,
            random: Noise::new(seed, 0),
            diary: Vec::new(),
            killed: 0,
            failed: 0,
        }
    }

    /// A device syncs, and maybe something breaks meanwhile.
    fn sync(&mut self, nth: usize, mishap: Mishap) {
        self.players[nth].before_sync();
        let client = &self.players[nth].client;
        let mut syncing = client.spawn(&["sync", "--force-delete"]);
        let wait = self.random.number() % 250;
        let pause = || std::thread::sleep(std::time::Duration::from_millis(wait));
        match mishap {
            Mishap::None => {}
            Mishap::ClientDies => {
                pause();
                syncing.kill().expect("our own child");
            }
            Mishap::ServerDies => {
                pause();
                self.server.kill9();
                self.server.start_again();
            }
            Mishap::LineCut => {
                pause();
                self.way.cut();
                self.way.mend();
            }
        }
        let status = syncing.wait().expect("our own child");
        self.killed += u32::from(status.signal().is_some());
        self.failed += u32::from(status.code() == Some(FAILED));
        self.diary.push(format!(
            "{} syncs, {mishap:?} after {wait} ms: {status}",
            self.players[nth].name()
        ));
        let done = matches!(status.code(), Some(0 | SOME_FAILED));
        assert!(mishap != Mishap::None || done, "{status} and nothing broke");
        self.players[nth].after_sync(status.success());
    }

    fn round(&mut self, round: u64) {
        self.diary.push(format!("-- round {round}"));
        let both = self.random.number().is_multiple_of(2);
        let first = usize::from(self.random.number().is_multiple_of(2));
        let edits = 1 + self.random.number() % 6;
        let order: &[usize] = if both { &[first, 1 - first] } else { &[first] };
        for nth in order {
            for _ in 0..edits {
                let line = self.players[*nth].edit();
                self.diary.push(line);
            }
        }
        for nth in [first, 1 - first] {
            let mishap = match self.random.number() % 12 {
                0 | 1 => Mishap::ClientDies,
                2 => Mishap::ServerDies,
                3 => Mishap::LineCut,
                _ => Mishap::None,
            };
            self.sync(nth, mishap);
        }
    }

    /// Syncs until both have the same, then looks whether anything is lost.
    fn end(&mut self) {
        for _ in 0..ROUNDS_TO_SETTLE {
            for nth in [0, 1] {
                self.players[nth].before_sync();
                let said = self.players[nth].client.run(&["sync", "--force-delete"]);
                let (name, text) = (self.players[nth].name(), said.text());
                let (code, said_error) = (said.code, &said.stderr);
                let troubles = self.players[nth].client.status()["troubles"].to_string();
                let said = format!("{} {}", text.trim(), said_error.trim());
                self.diary.push(format!(
                    "{name} settles: {code} {said}; troubles: {troubles}"
                ));
                self.players[nth].after_sync(code == 0);
            }
        }
        for player in &self.players {
            player.client.sync();
        }
        assert_same_bytes(&self.players[0].client, &self.players[1].client);
        for player in &self.players {
            let did = player.client.json(&["sync"]);
            assert_eq!(
                did["changes"],
                0,
                "{} finds something to do: {did}",
                player.name()
            );
            assert_eq!(player.client.status()["troubles"], serde_json::json!([]));
        }
        self.nothing_is_lost();
    }

    /// What a user left as a file's content must be somewhere: here, or as a version, or in trash.
    fn nothing_is_lost(&self) {
        let api = Api::login(&self.server, "admin", ADMIN_PASSWORD);
        let kept = Kept::find(&api);
        let mut here = BTreeMap::new();
        for player in &self.players {
            for (path, thing) in player.client.tree() {
                if let Thing::File { bytes, .. } = thing {
                    here.insert(sha1_hex(&bytes), path);
                }
            }
        }
        let ledger = self.players.iter().flat_map(|player| &player.ledger);
        let lost: Vec<_> = ledger
            .clone()
            .filter(|(hash, _)| !kept.hashes.contains(*hash) && !here.contains_key(*hash))
            .map(|(_, what)| what)
            .collect();
        println!(
            "{} contents were left at a sync, {} are in the folders, {} on the server in {} files, {} from trash",
            ledger.count(),
            here.len(),
            kept.hashes.len(),
            kept.files,
            kept.restored,
        );
        assert!(lost.is_empty(), "lost: {lost:#?}");
        for player in &self.players {
            assert!(!player.ledger.is_empty(), "{} left nothing", player.name());
        }
    }
}

/// Lets both work; when something is wrong at the end, says with which seed and what was done.
fn play(seed: u64, rounds: u64) -> World {
    let mut world = World::new(seed);
    let played = catch_unwind(AssertUnwindSafe(|| {
        for round in 1..=rounds {
            world.round(round);
        }
        world.end();
    }));
    if let Err(failure) = played {
        eprintln!("SYNC_TEST_SEED={seed} with {rounds} rounds: what was done last");
        for line in &world.diary[world.diary.len().saturating_sub(LAST)..] {
            eprintln!("{line}");
        }
        resume_unwind(failure);
    }
    world
}

/// The seed of this run: `SYNC_TEST_SEED`, or always the same.
fn seed() -> u64 {
    let given = std::env::var("SYNC_TEST_SEED").ok();
    given.map_or(2026, |seed| {
        seed.parse().expect("SYNC_TEST_SEED is a number")
    })
}

fn rounds(default: u64, long: u64) -> u64 {
    match std::env::var("SYNC_TEST_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("SYNC_TEST_ROUNDS is a number"),
        Err(_) if crate::long() => long,
        Err(_) => default,
    }
}

#[test]
fn two_devices_agree_and_nothing_is_lost_whatever_users_do_and_whatever_breaks() {
    let world = play(seed(), rounds(60, 600));
    println!(
        "{} syncs were killed, {} failed",
        world.killed, world.failed
    );
    assert!(world.killed > 0, "all was over before anybody was killed");
}

#[test]
fn short_works_of_other_seeds_agree_as_well() {
    let seeds = if crate::long() { 50 } else { 4 };
    for nth in 1..=seeds {
        play(seed() + nth, rounds(6, 15));
    }
}
