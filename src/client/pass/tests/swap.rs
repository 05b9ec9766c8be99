//! Things that another device has exchanged.

use std::fs;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;

use super::model::ROOT;
use super::world::World;
use crate::client::item::ItemId;
use crate::client::local::passing_name;
use crate::client::local::tests::hook;
use crate::protocol::sync::PushItem;

/// Exchanges two on the server, over a third name.
fn exchange(world: &World, one: &str, other: &str) {
    let mut server = world.server();
    server.rename(one, "t");
    server.rename(other, one);
    server.rename("t", other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_whose_renames_the_journal_did_not_hear_of_is_not_undone() {
    let mut world = World::with(&["x", "y", "one/a", "two/b"]).await;
    exchange(&world, "x", "y");
    exchange(&world, "one", "two");
    let wanted = world.server().tree();
    // A pass that was killed behind its last rename
    for (one, other) in [("x", "y"), ("one", "two")] {
        world.rename(one, "t");
        world.rename(other, one);
        world.rename("t", other);
    }
    world.settle().await;
    assert_eq!(world.server().tree(), wanted);
    assert_eq!(
        world.server().pushed.len(),
        6,
        "{:?}",
        world.server().pushed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_was_begun_is_ended() {
    for steps in 1..3 {
        let mut world = World::with(&["x", "y", "one/a", "two/b"]).await;
        let ids = ["x", "one"].map(|path| world.server().find(path).unwrap());
        exchange(&world, "x", "y");
        exchange(&world, "one", "two");
        let wanted = world.server().tree();
        // A pass that was killed while one let the other pass
        for (id, (one, other)) in ids.into_iter().zip([("x", "y"), ("one", "two")]) {
            world.rename(one, &passing_name(ItemId(id)));
            if steps == 2 {
                world.rename(other, one);
            }
        }
        world.settle().await;
        assert_eq!(world.server().tree(), wanted);
        assert_eq!(world.server().pushed.len(), 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_did_not_come_to_its_place_in_a_swap_comes_there_later() {
    for other in ["y", "d/y"] {
        let mut world = World::with(&["x", other]).await;
        exchange(&world, "x", other);
        // Somebody makes a file of the name that the last of them was to get
        let paths = ["x", other].map(|path| world.at(path));
        let make = move || {
            let free = paths.iter().find(|path| !path.exists()).unwrap();
            fs::write(free, "new").unwrap();
        };
        let _waiting = (hook::once("move", || {}), hook::once("move", || {}));
        let _made = hook::once("move", make);
        let outcome = world.pass().await;
        assert_eq!(outcome.failed, 1);
        world.go_on(outcome).await;
        world.settle().await;
        let texts: Vec<_> = world.tree().into_values().collect();
        for text in ["bytes of x", &format!("bytes of {other}"), "new"] {
            assert!(
                texts.iter().any(|there| there == text),
                "{:?}",
                world.tree()
            );
        }
        let server = world.server();
        let deletes = |item: &&PushItem| matches!(item, PushItem::Delete { .. });
        assert_eq!(server.pushed.iter().find(deletes), None);
        let texts = ["x", other].map(|path| server.tree()[path].clone());
        assert_eq!(
            texts,
            [format!("bytes of {other}"), "bytes of x".to_owned()]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_knows_of_a_swap_before_anything_else_is_done() {
    let mut world = World::with(&["x", "y"]).await;
    for path in ["u", "v"] {
        world.write(path, path);
    }
    world.settle().await;
    let y = world.server().find("y").unwrap();
    exchange(&world, "x", "y");
    exchange(&world, "u", "v");
    let journal = Arc::clone(&world.engine.journal);
    let known = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&known);
    let look = move || {
        let rows = Handle::current().block_on(journal.child(ItemId(ROOT), "x"));
        *told.lock().unwrap() = rows.unwrap().iter().map(|(row, _)| row.id.0).collect();
    };
    let _swapped = [(); 3].map(|()| hook::once("move", || {}));
    let _looked = hook::once("move", look);
    world.pass().await;
    assert_eq!(*known.lock().unwrap(), [y]);
}
