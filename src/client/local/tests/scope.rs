use super::world::{World, missing, names};
use crate::client::local::ignore::RULES;
use crate::client::local::scan::{Found, Reach};

fn some() -> World {
    let mut world = World::new();
    world.write("a/b/one", "1");
    world.write("a/two", "22");
    world.write("three", "333");
    world.write("c/four", "4444");
    world.settle();
    world
}

#[test]
fn only_what_is_asked_for_is_looked_at() {
    let mut world = some();
    world.write("three", "x");
    world.write("a/two", "y");
    world.remove("c");
    let found = world.scan_paths(&[("a/two", Reach::Entry)]);
    assert_eq!((names(&found), found.missing.len()), (vec!["two"], 0));
    let found = world.scan_paths(&[("", Reach::Children)]);
    assert_eq!(
        (names(&found), missing(&found)),
        (vec!["three"], vec!["c", "four"])
    );
    let found = world.scan_paths(&[("", Reach::Below), ("a/two", Reach::Entry)]);
    assert_eq!(
        (found.changed.len(), missing(&found)),
        (2, vec!["c", "four"])
    );
}

#[test]
fn moves_from_one_dirty_place_to_another_keep_their_ids() {
    let mut world = some();
    let (b, four) = (world.id("a/b"), world.id("c/four"));
    world.rename("a/b", "c/bb");
    world.rename("c/four", "a/four");
    let paths = [
        ("a/b", Reach::Entry),
        ("c/bb", Reach::Below),
        ("c/four", Reach::Entry),
        ("a/four", Reach::Entry),
    ];
    let found = world.scan_paths(&paths);
    assert!(found.missing.is_empty());
    world.apply(&found);
    assert_eq!((world.id("c/bb"), world.id("a/four")), (b, four));
    assert_eq!(world.scan(), Found::default());
}

#[test]
fn paths_below_what_moved_went_or_came_later_are_found_from_above() {
    let mut world = some();
    let a = world.id("a");
    // Events of a path that is elsewhere by now.
    world.write("a/b/one", "edited");
    world.rename("a", "z");
    let paths = [
        ("a/b/one", Reach::Entry),
        ("a", Reach::Entry),
        ("z", Reach::Below),
        ("z/b", Reach::Children),
    ];
    let found = world.scan_paths(&paths);
    assert_eq!(found.changed.len(), 2, "{found:?}");
    world.apply(&found);
    assert_eq!(world.id("z"), a);
    // A path whose folder is gone, without a word about the folder.
    world.remove("z");
    let found = world.scan_paths(&[("z/b/one", Reach::Entry)]);
    assert_eq!(missing(&found), ["b", "one", "two", "z"]);
    // A path in folders that are all new.
    world.write("n/e/w", "new");
    let found = world.scan_paths(&[("n/e/w", Reach::Entry)]);
    assert_eq!(names(&found), ["n", "e", "w"]);
}

#[test]
fn a_replaced_collection_is_looked_at_once_whatever_is_dirty_in_it() {
    let mut world = some();
    world.rename("a", "old");
    world.write("a/b/one", "other");
    world.write("a/new", "new");
    let paths = [
        ("a", Reach::Below),
        ("a/b/one", Reach::Entry),
        ("a/b", Reach::Children),
        ("a/new", Reach::Entry),
        ("old", Reach::Below),
    ];
    let found = world.scan_paths(&paths);
    let mut ids: Vec<_> = found.changed.iter().map(|local| local.item.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), found.changed.len(), "{found:?}");
    world.apply(&found);
    assert_eq!(world.modelled(), world.real());
}

#[test]
fn other_rules_reach_what_is_not_dirty() {
    let mut world = some();
    world.write(RULES, "four\n");
    let found = world.scan_paths(&[(RULES, Reach::Entry)]);
    assert_eq!((found.forgotten.len(), names(&found)), (1, vec![RULES]));
    assert_eq!(found.rules_changed, [""]);
    world.apply(&found);
    assert_eq!(world.scan(), Found::default());
    let found = world.scan_paths(&[("c/four", Reach::Entry), ("c/none", Reach::Entry)]);
    assert_eq!(found, Found::default());
}
