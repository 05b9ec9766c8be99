//! What is taken away from this device, and what is left behind.

use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;

use super::world::World;
use crate::client::item::ItemId;
use crate::client::local::tests::hook;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_wanted_here_any_more_is_forgotten_before_it_is_taken_away() {
    let mut world = World::with(&["d/a", "d/b", "e"]).await;
    let ids = ["d", "d/a", "d/b"].map(|path| ItemId(world.server().find(path).unwrap()));
    let journal = Arc::clone(&world.engine.journal);
    let known = Arc::new(Mutex::new(None));
    let told = Arc::clone(&known);
    let _looked = hook::once("out", move || {
        let rows = Handle::current().block_on(journal.items(&ids));
        *told.lock().unwrap() = Some(rows.unwrap().len());
    });
    let mut config = world.engine.config.clone();
    config.exclude = vec!["/d".to_owned()];
    world.engine.set_config(config).await.unwrap();
    let outcome = world.pass().await;
    world.go_on(outcome).await;
    assert_eq!(*known.lock().unwrap(), Some(0));
    assert_eq!(world.tree().into_keys().collect::<Vec<_>>(), ["e"]);
    // And is here again when it is wanted again
    let mut config = world.engine.config.clone();
    config.exclude.clear();
    world.engine.set_config(config).await.unwrap();
    world.settle().await;
    assert_eq!(world.tree().len(), 4);
}
