//! Everything accounts do, against a world kept by hand: trash, versions, properties, locks, uploads in
//! parts, batches, a quota, a shared space, time, collection, restarts. The model in `model.rs` is about names.

mod check;
mod perform;
mod state;
mod verbs;

use proptest::prelude::*;

use self::perform::Stage;
use self::verbs::{Verb, verb};

async fn run(verbs: Vec<Verb>) {
    let mut stage = Stage::new().await;
    for verb in &verbs {
        stage.perform(verb).await;
    }
    stage.perform(&Verb::Collect).await;
    stage.perform(&Verb::Reopen).await;
}

/// As many random lives of a store as there is time for.
fn cases() -> ProptestConfig {
    let cases = if std::env::var_os("SYNC_TEST_LONG").is_some() {
        5000
    } else {
        48
    };
    ProptestConfig {
        cases,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_accounts_do_the_store_holds_what_it_must_and_nothing_else(
        verbs in prop::collection::vec(verb(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(verbs));
    }
}
