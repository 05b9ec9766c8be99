//! What is told, and sent, in several parts.

use super::wire::refused;
use super::world::World;
use crate::client::local::scan::Scope;
use crate::client::pass::Asked;

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

fn put_many(world: &World, files: usize) {
    let mut server = world.server();
    for n in 0..files / 100 {
        server.mkdir(&format!("d{n}"));
        for nth in 0..100 {
            server.put(&format!("d{n}/{nth}"), &format!("bytes of {nth} in {n}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_others_were_put_in_place_is_known_when_the_line_breaks() {
    let mut world = World::new().await;
    put_many(&world, 6_000);
    world.server().breaks = Some((4, 500));
    world.server().is_gone = true;
    let asked = Asked {
        scope: Scope::All,
        pull: true,
        force_delete: false,
    };
    world.engine.pass(&asked).await.unwrap_err();
    let here = world.tree().len() - 60;
    assert_eq!((here, world.server().fetched), (4_500, 4_500));
    world.server().is_gone = false;
    world.settle().await;
    // Nothing came twice, and nothing was compared.
    assert_eq!(world.server().fetched, 6_000);
    assert!(world.server().asked.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_asked_for_early_and_given_up_is_asked_for_again() {
    let mut world = World::new().await;
    put_many(&world, 4_000);
    // The first two are asked for in their turn.
    world.server().breaks = Some((2, 0));
    let outcome = world.pass().await;
    assert_eq!((outcome.done, outcome.failed), (4_040, 0), "{outcome:?}");
    assert_eq!(world.server().fetched, 4_000);
    assert_eq!(world.server().tree(), world.tree());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_in_its_place_does_not_stop_what_comes_behind_it() {
    let mut world = World::new().await;
    put_many(&world, 6_000);
    let ours = ["d0/7", "d30/7", "d59/99"];
    let write: Vec<_> = ours.map(|path| world.at(path)).into();
    world.server().before_fetch = Some(Box::new(move |_| {
        for path in &write {
            std::fs::write(path, "made here meanwhile").unwrap();
        }
    }));
    let outcome = world.pass().await;
    assert_eq!((outcome.done, outcome.failed), (6_057, 3), "{outcome:?}");
    for path in ours {
        assert_eq!(world.tree()[path], "made here meanwhile");
        world.remove(path);
    }
    world.settle().await;
    assert_eq!(world.server().fetched, 6_003);
}
