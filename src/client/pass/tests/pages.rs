//! What is told, and sent, in several parts.

use super::wire::refused;
use super::world::World;

fn fill(world: &World) {
    let mut server = world.server();
    server.mkdir("d");
    for n in 0..25 {
        server.put(&format!("d/{n}"), &format!("bytes of {n}"));
    }
}

fn change(world: &World) {
    let mut server = world.server();
    for n in 0..5 {
        server.remove(&format!("d/{n}"));
        server.rename(&format!("d/{}", n + 10), &format!("moved {n}"));
        server.put(&format!("d/{}", n + 20), "edited");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_of_many_pages_is_taken_in_whole() {
    for page in [1, 2, 7, 26] {
        let mut world = World::new().await;
        world.server().page = page;
        fill(&world);
        world.settle().await;
        change(&world);
        world.settle().await;
        assert_eq!(world.tree()["moved 4"], "bytes of 14");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_server_forgets_between_two_pages_everything_is_heard_anew() {
    for forgets in 0..5 {
        let mut world = World::new().await;
        fill(&world);
        world.settle().await;
        change(&world);
        world.write("mine", "made here");
        world.server().page = 3;
        world.server().forgets = Some(forgets);
        world.settle().await;
        assert_eq!(world.tree()["moved 4"], "bytes of 14");
        assert_eq!(world.tree()["mine"], "made here");
        assert_eq!(world.server().forgets, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_push_did_not_do_is_done_later_and_the_pushes_behind_it_are_done() {
    let mut world = World::with(&["d0/x", "d1/x", "d2/x"]).await;
    for n in 0..2_300 {
        world.write(&format!("d{}/{n}", n % 3), &format!("bytes of {n}"));
    }
    world.server().pushed.clear();
    world.server().results = vec![refused("locked"); 20];
    let outcome = world.pass().await;
    assert_eq!((outcome.done, outcome.failed), (2_280, 20), "{outcome:?}");
    assert_eq!(world.server().pushed.len(), 2_300);
    world.go_on(outcome).await;
    assert_eq!(world.server().pushed.len(), 2_320);
    assert_eq!(world.server().tree(), world.tree());
}
