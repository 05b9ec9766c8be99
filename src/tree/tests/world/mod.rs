//! Everything accounts do, against a world kept by hand: trash, versions, properties, locks, uploads in
//! parts, batches, a quota, a shared space, time, collection, restarts. The model in `model.rs` is about names.

mod check;
mod given;
mod perform;
mod state;
mod verbs;

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::Builder;

use self::perform::Stage;
use self::verbs::{At, Verb, verb};

/// What must have been done at least once, else the test says nothing about it.
const ALL: [&str; 16] = [
    "Batch",
    "Collect",
    "Colour",
    "Copy",
    "CopyAcross",
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
];

/// One life of a store; how often each kind of verb changed something.
async fn live(verbs: &[Verb]) -> BTreeMap<String, u64> {
    let mut stage = Stage::new().await;
    for at in At::first() {
        stage.perform(&Verb::Mkdir(at)).await;
    }
    for verb in verbs {
        stage.perform(verb).await;
    }
    stage.perform(&Verb::Collect).await;
    stage.perform(&Verb::Reopen).await;
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
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        for (kind, times) in runtime.block_on(live(&verbs)) {
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
