//! What another device has done since the pass has heard.

use super::world::World;
use crate::client::local::scan::Reach;
use crate::protocol::sync::PushItem;

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
        for text in ["bytes of a/1", "new here"].iter().take(1 + usize::from(file.is_some())) {
            assert!(tree.values().any(|there| there == text), "{tree:?}");
        }
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
