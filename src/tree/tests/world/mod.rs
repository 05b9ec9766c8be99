//! Everything accounts do, against a world kept by hand: trash, versions, properties, locks, uploads in
//! parts, batches, a quota, a shared space, time, collection, restarts. The model in `model.rs` is about names.

mod check;
mod crash;
mod every;
mod given;
mod perform;
mod state;
mod upkeep;
mod uploads;
mod verbs;

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use self::crash::Life;
use self::perform::Stage;
use self::verbs::{At, Verb, verb};

/// What must have been done at least once, else the test says nothing about it.
const ALL: [&str; 19] = [
    "Batch",
    "Collect",
    "Colour",
    "Copy",
    "CopyAcross",
    "Crash",
    "Finish",
    "Lock",
    "Mkdir",
    "Move",
    "MoveAcross",
    "Parts",
    "Purge",
    "Put",
    "Quota",
    "Restore",
    "RestoreVersion",
    "Snapshot",
    "Together",
];

/// One life of a store; how often each kind of verb changed something.
fn live(verbs: &[Verb]) -> BTreeMap<String, u64> {
    let mut life = Life::begin();
    let mut stage = life.run(Stage::new(&life));
    for at in At::first() {
        life.run(stage.perform(&Verb::Mkdir(at)));
    }
    for verb in verbs {
        if let Verb::Crash(verb, step, loss) = verb {
            let steps = stage.steps.get(&verb.kind()).copied().unwrap_or(8);
            let step = u64::from(*step) % (steps + 2);
            stage.crash(&mut life, verb, step, *loss);
            life.run(stage.perform(verb));
        } else {
            life.run(stage.perform(verb));
        }
    }
    life.run(stage.perform(&Verb::Collect));
    life.run(stage.perform(&Verb::Reopen));
    life.run(stage.check_store(true));
    stage.done
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

/// How many lives: some, many in a long run, and few on PostgreSQL, where each takes ten times as long.
fn cases() -> u32 {
    match (is_set("SYNC_TEST_LONG"), is_set("SYNC_TEST_POSTGRES")) {
        (true, _) => 3000,
        (false, true) => 6,
        (false, false) => 32,
    }
}

/// The same lives each time; others each time in a long run.
fn runner() -> TestRunner {
    let config = ProptestConfig {
        cases: cases(),
        max_shrink_iters: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if is_set("SYNC_TEST_LONG") {
        return TestRunner::new(config);
    }
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn whatever_accounts_do_the_store_holds_what_it_must_and_nothing_else() {
    let done = Mutex::new(BTreeMap::<String, u64>::new());
    let verbs = prop::collection::vec(verb(), 1..100);
    let ran = runner().run(&verbs, |verbs| {
        for (kind, times) in live(&verbs) {
            *done.lock().unwrap().entry(kind).or_default() += times;
        }
        Ok(())
    });
    let done = done.into_inner().unwrap();
    println!("{done:?}");
    assert!(ran.is_ok(), "{}", ran.unwrap_err());
    for kind in ALL.iter().filter(|_| cases() >= 32) {
        assert!(done.contains_key(*kind), "{kind} was never done");
    }
}
