use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{hook, world::World};
use crate::client::local::ignore::{Ignore, RULES};
use crate::client::local::scan::{Found, Reach, Scope};
use crate::client::local::watch::{Watch, WatchError};

/// What happens while it is watched until nothing more does.
async fn dirty(watch: &mut Watch) -> BTreeMap<String, Reach> {
    let mut all = BTreeMap::new();
    while let Ok(batch) = timeout(Duration::from_millis(400), watch.next()).await {
        all.extend(batch.unwrap());
    }
    all
}

fn watch(world: &World) -> Watch {
    Watch::new(Arc::clone(&world.folder), world.ignore.clone()).unwrap()
}

#[tokio::test]
async fn a_change_is_told_within_the_time_and_once() {
    let mut world = World::new();
    world.write("d/a", "a");
    world.settle();
    let mut watch = watch(&world);
    assert_eq!(watch.len(), 2);
    let begin = Instant::now();
    world.write("d/a", "changed");
    let batch = watch.next().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_millis(300),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(batch, BTreeMap::from([("d/a".to_owned(), Reach::Entry)]));
    assert_eq!(dirty(&mut watch).await, BTreeMap::new());
}

#[tokio::test]
async fn both_ends_of_a_move_are_ready_and_what_is_in_a_new_collection_is_told() {
    let mut world = World::new();
    world.write("a/moved", "a");
    world.mkdir("b");
    world.settle();
    let mut watch = watch(&world);
    assert_eq!(watch.ready().await.unwrap(), BTreeMap::new());
    world.rename("a/moved", "b/here");
    world.write("b/new/file", "new");
    let ready = watch.ready().await.unwrap();
    let found = world.scan_in(&Scope::Dirty(ready));
    assert!(found.missing.is_empty(), "{found:?}");
    world.apply(&found);
    assert_eq!(world.modelled(), world.real());
    // What is in a new collection is told from then on
    world.write("b/new/file", "edited");
    let more = watch.ready().await.unwrap();
    assert!(more.contains_key("b/new/file"), "{more:?}");
}

#[tokio::test]
async fn what_has_happened_by_now_is_ready_and_nothing_else_is_waited_for() {
    let world = World::new();
    world.write("d/a", "a");
    let mut watch = watch(&world);
    let begin = Instant::now();
    assert_eq!(watch.ready().await.unwrap(), BTreeMap::new());
    assert!(begin.elapsed() < Duration::from_millis(20));
    world.rename("d", "e");
    let ready = watch.ready().await.unwrap();
    assert_eq!(ready.keys().collect::<Vec<_>>(), ["d", "e"]);
    // What is still written to may take its time
    let mut open = File::create(world.at("e/b")).unwrap();
    dirty(&mut watch).await;
    open.write_all(b"begun").unwrap();
    assert_eq!(watch.ready().await.unwrap(), BTreeMap::new());
    let batch = timeout(Duration::from_secs(2), watch.next());
    assert_eq!(batch.await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_stays_open_is_told_when_it_rests() {
    let world = World::new();
    world.write("log", "");
    let mut watch = watch(&world);
    let mut log = File::options().append(true).open(world.at("log")).unwrap();
    log.write_all(b"line").unwrap();
    assert!(
        timeout(Duration::from_millis(350), watch.next())
            .await
            .is_err()
    );
    let batch = timeout(Duration::from_secs(2), watch.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(batch, BTreeMap::from([("log".to_owned(), Reach::Entry)]));
}

#[tokio::test]
async fn new_moved_and_deleted_collections_are_followed() {
    let mut world = World::new();
    world.write("a/b/x", "x");
    world.settle();
    let mut watch = watch(&world);
    world.write("n/e/w/file", "new");
    world.rename("a", "n/a");
    let scope = Scope::Dirty(dirty(&mut watch).await);
    let found = world.scan_in(&scope);
    world.apply(&found);
    assert_eq!(world.modelled(), world.real());
    assert_eq!(watch.len(), 6);
    // What is in them is told by the new paths.
    world.write("n/a/b/x", "changed");
    world.write("n/e/w/file", "changed too");
    let all = dirty(&mut watch).await;
    assert_eq!(all.keys().collect::<Vec<_>>(), ["n/a/b/x", "n/e/w/file"]);
    fs::rename(world.at("n/a"), world.outside("a")).unwrap();
    world.remove("n/e");
    dirty(&mut watch).await;
    assert_eq!(watch.len(), 2);
    fs::write(world.outside("a/b/x"), "not ours").unwrap();
    assert_eq!(dirty(&mut watch).await, BTreeMap::new());
}

#[tokio::test]
async fn what_is_ignored_is_not_watched_until_it_is_not_ignored_any_more() {
    let mut world = World::new();
    world.write(RULES, "build/\n");
    world.write("build/deep/x", "x");
    world.settle();
    let mut watch = watch(&world);
    assert_eq!(watch.len(), 1);
    world.write("build/deep/y", "y");
    world.write("new.part", "half");
    world.mkdir("build2");
    world.rename("build2", "build/two");
    world.write("seen", "x");
    let all = dirty(&mut watch).await;
    assert!(all.contains_key("seen"), "{all:?}");
    let ignored = |path: &String| path.starts_with("build/") || path == "new.part";
    assert!(!all.keys().any(ignored), "{all:?}");
    world.remove(RULES);
    let scope = Scope::Dirty(dirty(&mut watch).await);
    let found = world.scan_in(&scope);
    assert_eq!(found.rules_changed, [""]);
    watch.set_ignore(world.ignore.clone(), &found.rules_changed);
    dirty(&mut watch).await;
    assert_eq!(watch.len(), 4);
    watch.set_ignore(Ignore::new(["build".to_owned()]), &[String::new()]);
    dirty(&mut watch).await;
    assert_eq!(watch.len(), 1);
}

#[tokio::test]
async fn a_folder_that_goes_is_told() {
    let world = World::new();
    let mut watch = watch(&world);
    fs::rename(world.folder.path(), world.outside("gone")).unwrap();
    assert!(matches!(watch.next().await, Err(WatchError::RootGone)));
}

#[tokio::test]
async fn without_more_watches_those_there_are_stay_and_the_rest_is_named() {
    let world = World::new();
    world.write("a/b/c/x", "x");
    hook::set_watches(2);
    let mut watch = watch(&world);
    assert_eq!(
        (watch.len(), watch.unwatched()),
        (2, &["a/b".to_owned()][..])
    );
    world.write("a/new", "new");
    world.write("a/b/new", "new");
    assert_eq!(
        dirty(&mut watch).await.into_keys().collect::<Vec<_>>(),
        ["a/new"]
    );
}

#[tokio::test]
async fn more_events_than_are_kept_make_everything_dirty_and_nothing_is_missed() {
    let mut world = World::new();
    world.settle();
    let mut watch = watch(&world);
    let most: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    world.mkdir("d");
    // Each gives two events that are not like the ones before.
    world.write("a", "a");
    for nth in 0..=most / 2 {
        let (from, to) = if nth % 2 == 0 { ("a", "b") } else { ("b", "a") };
        world.rename(from, to);
    }
    world.write("late/file", "late");
    let all = dirty(&mut watch).await;
    assert_eq!(all.get(""), Some(&Reach::Below));
    assert_eq!(watch.len(), 3);
    let found = world.scan_in(&Scope::Dirty(all));
    world.apply(&found);
    assert_eq!(world.modelled(), world.real());
    world.write("late/file", "later");
    assert_eq!(
        dirty(&mut watch).await.into_keys().collect::<Vec<_>>(),
        ["late/file"]
    );
}

/// A child process makes thousands of files while they are scanned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_found_in_a_storm() {
    let files = if std::env::var_os("SYNC_TEST_LONG").is_some() {
        50_000
    } else {
        5000
    };
    let mut world = World::new();
    world.settle();
    let mut watch = watch(&world);
    let script = format!(
        "i=0; while [ $i -lt {files} ]; do d=d$((i / 100))/e$((i % 7)); [ -d $d ] || mkdir -p $d; echo $i > $d/$i; \
         i=$((i + 1)); done; mv d1 moved; rm -r d2; mkdir late; echo late > late/late"
    );
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(script)
        .current_dir(world.folder.path())
        .spawn()
        .unwrap();
    let mut batches = 0;
    let mut again = BTreeMap::new();
    loop {
        let mut paths = std::mem::take(&mut again);
        match timeout(Duration::from_secs(1), watch.next()).await {
            Ok(batch) => paths.extend(batch.unwrap()),
            Err(_) if paths.is_empty() && child.try_wait().unwrap().is_some() => break,
            Err(_) => {}
        }
        batches += 1;
        let found = world.scan_in(&Scope::Dirty(paths));
        again = found.again.clone();
        world.apply(&found);
    }
    assert!(child.wait().unwrap().success());
    assert!(batches < files / 20, "{batches} batches");
    assert_eq!(
        world.real().keys().collect::<Vec<_>>(),
        world.modelled().keys().collect::<Vec<_>>()
    );
    assert_eq!(world.scan(), Found::default());
}
