//! What another device has done since the pass has heard.

use super::wire::refused;
use super::world::World;
use crate::client::item::ItemId;
use crate::client::local::scan::{Reach, Scope};
use crate::protocol::sync::{PushItem, PushResult, PushStatus};

/// What was deleted, of all that was sent.
fn deletes(world: &World) -> Vec<PushItem> {
    let server = world.server();
    let deletes = server.pushed.iter();
    let deletes = deletes.filter(|item| matches!(item, PushItem::Delete { .. }));
    deletes.cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_folder_that_meets_one_which_is_known_under_another_name_deletes_nothing() {
    for file in [None, Some("b/new"), Some("b/1")] {
        let mut world = World::with(&["a/1", "a/2", "a/in/3"]).await;
        let id = world.server().find("a");
        world.mkdir("b");
        if let Some(path) = file {
            world.write(path, "new here");
        }
        world.server().before_push = Some(Box::new(|server| server.rename("a", "b")));
        world.pass().await;
        // What the system tells of the new folder may come only now
        let outcome = world.pass_over(&[("b", Reach::Below)]).await;
        world.go_on(outcome).await;
        world.settle().await;
        assert_eq!(deletes(&world), [], "{file:?}");
        let tree = world.tree();
        assert_eq!(world.server().find("b"), id, "{tree:?}");
        for path in ["b/2", "b/in/3"] {
            assert!(tree.contains_key(path), "{tree:?}");
        }
        for text in ["bytes of a/1", "new here"]
            .iter()
            .take(1 + usize::from(file.is_some()))
        {
            assert!(tree.values().any(|there| there == text), "{tree:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_here_while_its_folder_moves_there_goes_from_where_it_lies_by_then() {
    for gone in ["a/1", "a/in"] {
        let mut world = World::with(&["a/1", "a/2", "a/in/3"]).await;
        world.remove(gone);
        world.server().before_push = Some(Box::new(|server| server.rename("a", "b")));
        world.pass().await;
        world.settle().await;
        let there = world.server().tree();
        assert_eq!(world.tree(), there, "{gone}");
        assert!(there.contains_key("b/2"), "{there:?}");
        assert!(!there.contains_key(&gone.replace('a', "b")), "{there:?}");
        assert!(world.server().find("a").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_here_while_it_moves_there_stays() {
    for to in ["b/1", "a/one"] {
        let mut world = World::with(&["a/1", "a/2", "b/3"]).await;
        world.remove("a/1");
        world.server().before_push = Some(Box::new(move |server| server.rename("a/1", to)));
        world.pass().await;
        world.settle().await;
        assert_eq!(
            world.tree().get(to).map(String::as_str),
            Some("bytes of a/1")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_that_meets_one_which_is_known_under_another_name_leaves_it_there() {
    let mut world = World::with(&["a"]).await;
    let id = world.server().find("a");
    world.write("b", "new here");
    // The server keeps both, and the newer one at the path
    world.server().before_push = Some(Box::new(|server| {
        server.rename("a", "b");
        server.put("b", "new here");
        server.put("b.conflict", "bytes of a");
        let done = server.wins("b", "b.conflict");
        server.results.push(done);
    }));
    let outcome = world.pass().await;
    world.go_on(outcome).await;
    world.settle().await;
    assert_eq!(deletes(&world), []);
    let tree = world.tree();
    assert!(!tree.contains_key("a"), "{tree:?}");
    assert_eq!(tree["b"], "new here");
    assert_eq!(world.server().find("b"), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_of_what_has_the_name_by_now_is_not_taken_for_that_of_another() {
    let mut world = World::with(&["x"]).await;
    let id = world.server().find("x").unwrap();
    world.rename("x", "y");
    world.server().before_push = Some(Box::new(|server| {
        server.rename("x", "z");
        server.put("x", "another");
    }));
    let outcome = world.pass().await;
    assert!(outcome.more);
    let known = world.engine.journal.item(ItemId(id)).await.unwrap();
    assert_eq!(known.unwrap().0.name, "x");
    world.go_on(outcome).await;
    world.settle().await;
    let texts: Vec<_> = world.tree().into_values().collect();
    assert!(texts.contains(&"bytes of x".to_owned()), "{texts:?}");
    assert!(texts.contains(&"another".to_owned()), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_did_not_take_is_known_in_the_next_pass() {
    for first in [PushResult::bare(PushStatus::Stale), refused("locked")] {
        let mut world = World::with(&["gone", "d/gone", "old/a", "edited", "d/keep"]).await;
        let mut changed = Vec::new();
        world.remove("gone");
        world.remove("d/gone");
        world.rename("old", "new");
        world.write("new/a", "also edited");
        world.write("edited", "an edit");
        world.write("made/file", "a new one");
        for path in ["gone", "d/gone", "old", "new", "edited", "made"] {
            changed.push((path, Reach::Below));
        }
        world.server().results = vec![first.clone(); 8];
        let outcome = world.pass_over(&changed).await;
        assert_eq!(outcome.done, 0);
        world.server().results.clear();
        let outcome = world.pass_in(Scope::Dirty(outcome.again)).await;
        world.go_on(outcome).await;
        assert_eq!(world.server().tree(), world.tree());
        assert_eq!(world.tree().len(), 7, "{:?}", world.tree());
        let new = |item: &&PushItem| {
            matches!(item, PushItem::Put(put)
                if put.path == "/new/a" && put.base.as_deref() == Some("none"))
        };
        assert_eq!(world.server().pushed.iter().find(new), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_the_bytes_that_were_sent_is_heard_of_at_once() {
    let mut world = World::with(&["x"]).await;
    world.write("x", "mine");
    world.server().before_push = Some(Box::new(|server| {
        server.put("x", "mine");
        let mut done = server.wins("x", "x");
        server.put("x", "theirs");
        (done.node, done.conflict) = (server.wins("x", "x").node, None);
        server.results.push(done);
    }));
    let outcome = world.pass().await;
    assert!(outcome.more);
    world.go_on(outcome).await;
    assert_eq!(world.tree()["x"], "theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_does_not_come_out_at_the_server_goes_whole() {
    let mut world = World::with(&["a"]).await;
    world.write("a", "changed");
    world.server().results.push(refused("checksum-mismatch"));
    world.server().pushed.clear();
    let outcome = world.pass().await;
    assert_eq!((outcome.done, outcome.failed), (1, 0));
    assert_eq!(world.server().tree(), world.tree());
    assert_eq!(world.server().pushed.len(), 2);
    // When that does not help either it is told
    world.write("a", "changed again");
    for _ in 0..2 {
        let refused = refused("checksum-mismatch");
        world.server().results.push(refused);
    }
    assert_eq!(world.pass().await.failed, 1);
    world.settle().await;
}
