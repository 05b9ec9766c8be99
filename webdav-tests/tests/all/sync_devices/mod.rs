//! Devices that edit the same files, crash, lose answers and meet WebDAV clients: in the end all have the
//! same, and nothing that was ever acknowledged is lost.

pub(crate) mod kept;
mod player;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use webdav_tests::content::Noise;
use webdav_tests::device::assert_in_step;
use webdav_tests::{Setup, TestServer};

use kept::Kept;
use player::Player;

/// Lines of the diaries that are shown after a failure.
const LAST: usize = 300;

/// A server that keeps every version, so that what was overwritten can be looked for.
fn server() -> TestServer {
    Setup::default()
        .env("SYNC_VERSIONS__KEEP", "100000")
        .env("SYNC_VERSIONS__KEEP_ALWAYS", "100000")
        .start()
}

/// Lets players play; when that fails, says with which seed, and what was done last.
fn play(seed: u64, count: usize, rounds: impl FnOnce(&mut [Player])) {
    let server = server();
    let players = (0..count).map(|name| Player::new(&server, name, seed));
    let mut players: Vec<Player> = players.collect();
    let played = catch_unwind(AssertUnwindSafe(|| {
        rounds(&mut players);
        end(&server, &mut players);
    }));
    if let Err(failure) = played {
        let mut lines: Vec<_> = players
            .into_iter()
            .flat_map(|player| player.diary)
            .collect();
        lines.sort_by_key(|(round, _)| *round);
        let last = lines.len().saturating_sub(LAST);
        eprintln!("SYNC_TEST_SEED={seed}: what was done last");
        for (round, line) in &lines[last..] {
            eprintln!("{round:5} {line}");
        }
        resume_unwind(failure);
    }
}

/// Everybody sends and hears the rest; then all must have the same, and nothing may be lost.
fn end(server: &TestServer, players: &mut [Player]) {
    for player in &mut *players {
        player.round += 1;
        player.sync();
    }
    let dav = server.admin();
    for player in &mut *players {
        player.device.pull();
        assert_eq!(player.device.pull(), []);
        assert_in_step(&player.device, &dav);
    }
    let ledger: BTreeMap<_, _> = players.iter().flat_map(|player| &player.ledger).collect();
    let kept = Kept::find(players[0].device.api());
    let lost = ledger
        .iter()
        .filter(|(hash, _)| !kept.hashes.contains(**hash));
    let lost: Vec<_> = lost.map(|(_, what)| what).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    println!(
        "{} contents were acknowledged; {} files with {} contents, {} nodes from trash",
        ledger.len(),
        kept.files,
        kept.hashes.len(),
        kept.restored,
    );
}

/// One after the other, in an order that depends on the seed alone.
fn in_turn(seed: u64, rounds: u64) -> impl FnOnce(&mut [Player]) {
    let mut random = Noise::new(seed, 0);
    move |players| {
        for round in 1..=rounds {
            let nth = random.number() % players.len() as u64;
            players[usize::try_from(nth).expect("few")].play(round);
        }
    }
}

/// The seed of this run: `SYNC_TEST_SEED`, or always the same.
fn seed() -> u64 {
    let given = std::env::var("SYNC_TEST_SEED").ok();
    given.map_or(2026, |seed| {
        seed.parse().expect("SYNC_TEST_SEED is a number")
    })
}

#[test]
fn two_devices_agree_and_nothing_acknowledged_is_lost() {
    let rounds = if crate::long() { 5000 } else { 1000 };
    play(seed(), 2, in_turn(seed(), rounds));
}

#[test]
fn three_devices_agree_and_nothing_acknowledged_is_lost() {
    let (seeds, rounds) = if crate::long() { (20, 1000) } else { (1, 150) };
    for nth in 0..seeds {
        play(seed() + nth, 3, in_turn(seed() + nth, rounds));
    }
}

#[test]
fn devices_that_sync_at_the_same_time_agree_and_nothing_acknowledged_is_lost() {
    let rounds = if crate::long() { 1000 } else { 60 };
    play(seed(), 3, |players| {
        thread::scope(|scope| {
            for player in players {
                scope.spawn(move || (1..=rounds).for_each(|round| player.play(round)));
            }
        });
    });
}
