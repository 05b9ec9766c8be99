//! What is taken away from this device, and what is left behind.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;

use super::wire::refused;
use super::world::World;
use crate::client::item::ItemId;
use crate::client::journal::Begun;
use crate::client::local::Stamp;
use crate::client::local::place::{Refused, Stage, parts};
use crate::client::local::read::Opened;
use crate::client::local::shadow::Shadows;
use crate::client::local::tests::hook;
use crate::client::pass::Outcome;

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

/// Keeps old bytes of a version.
fn keep(world: &World, path: &str, id: ItemId, etag: &str) -> bool {
    let folder = &world.engine.folder;
    let file = File::open(world.at(path)).unwrap();
    let opened = Opened::of(&file).unwrap();
    world.engine.shadows().keep(folder, id, etag, &opened)
}

#[tokio::test(flavor = "multi_thread")]
async fn old_bytes_are_kept_of_versions_that_are_in_step_only() {
    let mut world = World::with(&["a", "b", "c"]).await;
    let mut kept = Vec::new();
    for path in ["a", "b", "c"] {
        let id = ItemId(world.server().find(path).unwrap());
        let etag = world.engine.journal.item(id).await.unwrap().unwrap().0.etag;
        assert!(keep(&world, path, id, &etag));
        kept.push((id, etag.to_string()));
    }
    world.settle().await;
    let mut there = Shadows::kept(&world.engine.folder).unwrap();
    there.sort_unstable();
    kept.sort_unstable();
    assert_eq!(there, kept);
    // One is deleted, and one has other bytes
    let left = kept
        .iter()
        .find(|(id, _)| Some(id.0) == world.server().find("c"));
    let left = left.cloned().unwrap();
    world.remove("a");
    world.server().put("b", "others");
    world.settle().await;
    assert_eq!(Shadows::kept(&world.engine.folder).unwrap(), [left]);
    // None are when there is no room for what comes
    let mut outcome = Outcome::default();
    let refused = world.engine.refused("d", &Refused::NoSpace, &mut outcome);
    refused.await.unwrap();
    assert_eq!(Shadows::kept(&world.engine.folder).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_come_of_a_version_stays_while_that_is_to_come() {
    let mut world = World::with(&["a"]).await;
    let id = ItemId(world.server().find("a").unwrap());
    let other = ItemId(world.server().put("b", "of another"));
    let folder = Arc::clone(&world.engine.folder);
    let begin = |id, etag: &str| {
        let (mut part, _) = Stage::part(&folder, id, etag, false).unwrap();
        part.write(b"begun").unwrap();
    };
    let current = world.server().etag("b");
    for (id, etag) in [
        (id, "f1"),
        (other, "f0"),
        (other, &*current),
        (ItemId(99), "f1"),
    ] {
        begin(id, etag);
    }
    // It does not come yet
    world.server().before_fetch = Some(Box::new(|server| {
        server.put("b", "and again another");
    }));
    world.pass().await;
    assert_eq!(parts(&folder).unwrap(), [(other, current)]);
    world.settle().await;
    assert_eq!(parts(&folder).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_given_up_once_its_file_is_another_one_or_nothing_is_to_be_sent() {
    let mut world = World::with(&["a"]).await;
    world.write("b", "b");
    let seen = fs::metadata(world.at("b")).unwrap();
    let stamp = Stamp {
        inode: seen.ino(),
        size: seen.size(),
        mtime_ns: seen.mtime() * 1_000_000_000 + seen.mtime_nsec(),
        ctime_ns: 0,
    };
    let edited = Stamp { size: 7, ..stamp };
    for (upload, path, stamp) in [(5, "gone", stamp), (6, "a", edited), (7, "b", stamp)] {
        let base = "none".to_owned();
        let begun = Begun {
            upload,
            base,
            stamp,
        };
        world.engine.journal.begin(path, &begun).await.unwrap();
    }
    // It may be what failed
    world.server().results.push(refused("locked"));
    world.pass().await;
    let mut asked = world.server().asked.clone();
    asked.sort();
    assert_eq!(asked, ["DELETE uploads/5", "DELETE uploads/6"]);
    world.settle().await;
    assert_eq!(world.server().asked[2..], ["DELETE uploads/7"]);
    assert_eq!(world.engine.journal.uploads().await.unwrap(), []);
}
