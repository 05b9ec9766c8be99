//! What is new comes in portions.

use super::world::World;
use crate::client::local::scan::{Found, Reach, Scope};

/// Three new collections with five files in each.
fn much() -> World {
    let mut world = World::new();
    for nth in 0..15 {
        world.write(&format!("dir {}/{nth}", nth % 3), &"x".repeat(nth + 1));
    }
    world.most = 4;
    world
}

fn names(found: &Found) -> Vec<&str> {
    let names = found.changed.iter().map(|local| &*local.item.name);
    names.collect()
}

/// Scans until nothing is left; how many scans that took.
fn scan_all(world: &mut World) -> usize {
    let mut scope = Scope::All;
    for scans in 1.. {
        let found = world.scan_in(&scope);
        assert!(found.changed.len() <= world.most, "{found:?}");
        assert_eq!(found.left.is_empty(), found.short.is_empty());
        world.apply(&found);
        if found.left.is_empty() {
            return scans;
        }
        scope = Scope::Dirty(found.left);
    }
    0
}

#[test]
fn much_that_is_new_comes_in_portions_each_with_what_it_lies_in() {
    let mut world = much();
    assert!(scan_all(&mut world) >= 5);
    assert_eq!(world.modelled(), world.real());
    world.most = usize::MAX;
    assert_eq!(world.scan(), Found::default());
}

#[test]
fn a_large_collection_comes_in_portions_when_it_is_known_and_when_it_is_new() {
    let mut world = World::new();
    world.mkdir("known");
    world.settle();
    for nth in 0..10 {
        world.write(&format!("known/{nth}"), "x");
        world.write(&format!("new/{nth}"), "x");
    }
    world.most = 3;
    assert!(scan_all(&mut world) >= 7);
    assert_eq!(world.modelled(), world.real());
}

#[test]
fn nothing_waits_while_something_is_gone() {
    let mut world = World::new();
    world.write("file", "moved");
    world.settle();
    let id = world.known.values().next().unwrap().item.id;
    for nth in 0..10 {
        world.write(&format!("dir/sub/{nth}"), &"x".repeat(nth + 10));
    }
    world.rename("file", "dir/sub/renamed");
    world.most = 2;
    let found = world.scan();
    assert!(found.left.is_empty() && found.missing.is_empty());
    assert_eq!(found.changed.len(), 13);
    let moved = found.changed.iter().find(|local| local.item.id == id);
    assert_eq!(moved.unwrap().item.name, "renamed");
}

#[test]
fn what_was_known_is_told_however_much_is_new() {
    let mut world = World::new();
    world.write("z", "before");
    world.settle();
    for nth in 0..10 {
        world.write(&format!("{nth}"), "new");
    }
    world.write("z", "edited");
    world.most = 2;
    let found = world.scan();
    assert_eq!(names(&found), ["z", "0", "1"]);
    let left: Vec<_> = found.left.into_iter().collect();
    assert_eq!(left, [(String::new(), Reach::Children)]);
}
