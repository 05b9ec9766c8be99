use std::fs;
use std::io::read_to_string;
use std::time::Duration;

use super::world::World;
use crate::client::item::ItemId;
use crate::client::local::folder::OWN;
use crate::client::local::read::{self, Opened};
use crate::client::local::shadow::Shadows;

fn opened(world: &World, path: &str) -> Opened {
    read::open(&world.folder, path, &world.stamp(path)).unwrap()
}

#[test]
fn the_old_bytes_of_a_version_are_there_when_the_file_has_others() {
    let world = World::new();
    world.write("a", "old");
    let mut shadows = Shadows::new(&world.folder, 1000);
    assert!(shadows.keep(&world.folder, ItemId(300), "f1", &opened(&world, "a")));
    world.write("a", "new bytes");
    assert_eq!(
        read_to_string(shadows.open(&world.folder, ItemId(300), "f1").unwrap()).unwrap(),
        "old"
    );
    assert!(shadows.open(&world.folder, ItemId(300), "f2").is_none());
    assert!(
        shadows
            .open(&world.folder, ItemId(300 + 256), "f1")
            .is_none()
    );
    // Another version takes its place, also after another start.
    let mut shadows = Shadows::new(&world.folder, 1000);
    assert!(shadows.keep(&world.folder, ItemId(300), "f2", &opened(&world, "a")));
    assert!(shadows.open(&world.folder, ItemId(300), "f1").is_none());
    assert_eq!(
        read_to_string(shadows.open(&world.folder, ItemId(300), "f2").unwrap()).unwrap(),
        "new bytes"
    );
    shadows.forget(&world.folder, ItemId(300)).unwrap();
    assert!(shadows.open(&world.folder, ItemId(300), "f2").is_none());
}

#[test]
fn copies_stay_within_the_budget_and_those_used_long_ago_go_first() {
    let world = World::new();
    let mut shadows = Shadows::new(&world.folder, 1000);
    for nth in 1..=5 {
        world.write("a", &"x".repeat(190));
        assert!(shadows.keep(&world.folder, ItemId(nth), "f1", &opened(&world, "a")));
        std::thread::sleep(Duration::from_millis(12));
    }
    if fs::read_dir(world.at(OWN).join("shadow/01"))
        .unwrap()
        .any(|entry| entry.unwrap().file_name() == "1-f1-be-r")
    {
        // The file system shares blocks: then there is no budget.
        return;
    }
    assert!(shadows.open(&world.folder, ItemId(1), "f1").is_some());
    assert!(shadows.keep(&world.folder, ItemId(6), "f1", &opened(&world, "a")));
    let kept: Vec<i64> = (1..=6)
        .filter(|nth| shadows.open(&world.folder, ItemId(*nth), "f1").is_some())
        .collect();
    assert_eq!(kept, [1, 4, 5, 6]);
    // One takes a quarter at most.
    world.write("a", &"x".repeat(251));
    assert!(!shadows.keep(&world.folder, ItemId(7), "f1", &opened(&world, "a")));
    assert_eq!(fs::read_dir(world.at(OWN).join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_damaged_shadow_and_one_of_a_file_that_changed_is_none() {
    let world = World::new();
    world.write("a", "bytes");
    let mut shadows = Shadows::new(&world.folder, 1000);
    assert!(shadows.keep(&world.folder, ItemId(1), "f1", &opened(&world, "a")));
    let dir = world.at(OWN).join("shadow/01");
    let path = fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    fs::write(&path, "byte").unwrap();
    assert!(shadows.open(&world.folder, ItemId(1), "f1").is_none());
    assert!(!path.exists());
    let before = opened(&world, "a");
    world.write("a", "others");
    assert!(!shadows.keep(&world.folder, ItemId(1), "f2", &before));
    assert!(!shadows.keep(&world.folder, ItemId(1), "../f3", &opened(&world, "a")));
    assert!(shadows.open(&world.folder, ItemId(1), "f2").is_none());
}
