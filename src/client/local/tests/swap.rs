//! Things that have changed their names with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::world::{ROOT, World, missing, names};
use crate::client::item::{Content, ItemId};
use crate::client::local::passing_name;
use crate::client::local::scan::{Found, Local, Reach, Scope};

fn some() -> World {
    let mut world = World::new();
    for path in [
        "a", "b", "c", "d/e", "one/x", "one/same", "two/y", "two/same",
    ] {
        world.write(path, &format!("bytes of {path}"));
    }
    world.settle();
    world
}

/// Alone, and among much that is new of which a scan tells one or two.
fn worlds() -> impl Iterator<Item = World> {
    [usize::MAX, 1, 2].into_iter().map(|most| {
        let mut world = some();
        if most < usize::MAX {
            for nth in 0..6 {
                world.write(&format!("new {}/in/{nth}", nth % 2), "new");
            }
        }
        world.most = most;
        world
    })
}

/// What is found to be otherwise of what was known.
fn known(found: &Found) -> impl Iterator<Item = &Local> {
    let changed = found.changed.iter();
    changed.filter(|local| local.item.id.is_known())
}

/// Where those items are that were found elsewhere; all of them must hold what they held.
#[track_caller]
fn moves(world: &World, found: &Found) -> BTreeMap<ItemId, (ItemId, String)> {
    assert_eq!(missing(found), [""; 0]);
    assert_eq!(found.forgotten, []);
    let moves = known(found).map(|local| {
        let item = &local.item;
        assert!(!matches!(item.content, Content::Local(_)), "{item:?}");
        assert_ne!(item.place(), world.known[&item.id].item.place());
        (item.id, (item.parent, item.name.clone()))
    });
    moves.collect()
}

/// Lets something pass, as it is done while both sides are brought together.
fn park(world: &World, path: &str) -> String {
    let name = passing_name(world.id(path));
    world.rename(path, &name);
    name
}

fn places<const N: usize>(
    places: [(ItemId, ItemId, &str); N],
) -> BTreeMap<ItemId, (ItemId, String)> {
    let place = |(id, parent, name): (ItemId, ItemId, &str)| (id, (parent, name.to_owned()));
    places.into_iter().map(place).collect()
}

#[test]
fn files_that_were_exchanged_have_moved_and_were_not_edited() {
    for mut world in worlds() {
        let [a, c, d, e] = ["a", "c", "d", "d/e"].map(|path| world.id(path));
        world.rename("a", "t");
        world.rename("c", "a");
        world.rename("d/e", "c");
        world.rename("t", "d/e");
        let wanted = places([(a, d, "e"), (c, ROOT, "a"), (e, ROOT, "c")]);
        let found = world.scan();
        assert_eq!(moves(&world, &found), wanted);
        let paths = ["a", "c", "d/e"].map(|path| (path, Reach::Entry));
        let found = world.scan_paths(&paths);
        assert_eq!(moves(&world, &found), wanted);
        // Of what is not looked at nothing is said
        let found = world.scan_paths(&paths[..2]);
        assert!(missing(&found).is_empty());
    }
}

#[test]
fn a_file_in_the_place_of_one_that_went_elsewhere_has_moved_there() {
    for mut world in worlds() {
        let [a, b] = ["a", "b"].map(|path| world.id(path));
        world.rename("a", "n");
        world.rename("b", "a");
        let found = world.scan();
        assert_eq!(
            moves(&world, &found),
            places([(a, ROOT, "n"), (b, ROOT, "a")])
        );
        // With a new one in its own place it is one that is saved with a copy of the old one
        world.write("b", "new bytes");
        let found = world.scan();
        assert!(missing(&found).is_empty());
        assert_eq!(names(&found)[..3], ["a", "b", "n"]);
        assert_eq!([found.changed[0].item.id, found.changed[1].item.id], [a, b]);
    }
}

#[test]
fn collections_that_were_exchanged_keep_what_lies_in_them() {
    for mut world in worlds() {
        let [one, two, d] = ["one", "two", "d"].map(|path| world.id(path));
        world.rename("one", "t");
        world.rename("two", "one");
        world.rename("t", "two");
        let wanted = places([(one, ROOT, "two"), (two, ROOT, "one")]);
        let found = world.scan();
        assert_eq!(moves(&world, &found), wanted);
        let below = |path| (path, Reach::Below);
        let found = world.scan_paths(&[below("one"), below("two"), ("two/x", Reach::Entry)]);
        assert_eq!(moves(&world, &found), wanted);
        // Also at different depths
        world.rename("two", "d/in");
        let found = world.scan();
        let wanted = places([(one, d, "in"), (two, ROOT, "one")]);
        assert_eq!(moves(&world, &found), wanted);
    }
}

#[test]
fn what_lets_others_pass_is_what_it_was_wherever_they_are_by_then() {
    for mut world in worlds() {
        let [a, b, one, two] = ["a", "b", "one", "two"].map(|path| world.id(path));
        let parked = [park(&world, "a"), park(&world, "one")];
        let alone = places([(a, ROOT, &parked[0]), (one, ROOT, &parked[1])]);
        let found = world.scan();
        assert_eq!(moves(&world, &found), alone);
        world.rename("b", "a");
        world.rename("two", "one");
        let mut wanted = alone.clone();
        wanted.extend(places([(b, ROOT, "a"), (two, ROOT, "one")]));
        let found = world.scan();
        assert_eq!(moves(&world, &found), wanted);
        // What has its name now need not be known
        world.write("b", "new");
        world.remove("a");
        world.write("a", "newer");
        let found = world.scan();
        let place = |id| {
            let local = found.changed.iter().find(|local| local.item.id == id);
            local.map(|local| local.item.name.clone())
        };
        assert_eq!(place(a), Some(parked[0].clone()));
        assert!(missing(&found).is_empty());
    }
}

#[test]
fn what_was_written_to_while_it_let_others_pass_is_an_edit_of_it() {
    for mut world in worlds() {
        let [a, b] = ["a", "b"].map(|path| world.id(path));
        let parked = park(&world, "a");
        world.rename("b", "a");
        world.write(&parked, "an edit");
        let found = world.scan();
        assert!(missing(&found).is_empty());
        let local = |id| found.changed.iter().find(|local| local.item.id == id);
        let (a, b) = (local(a).unwrap(), local(b).unwrap());
        assert_eq!((&a.item.name, &*b.item.name), (&parked, "a"));
        assert!(matches!(a.item.content, Content::Local(_)));
        assert!(matches!(b.item.content, Content::Version(_)));
        assert_eq!(known(&found).count(), 2);
    }
}

#[test]
fn of_two_that_are_known_under_one_name_the_one_that_lies_there_has_it() {
    for (first, second) in [("a", "b"), ("b", "a"), ("one", "two"), ("two", "one")] {
        for mut world in worlds() {
            let [id, other] = [first, second].map(|path| world.id(path));
            let parked = park(&world, first);
            world.rename(second, first);
            // The journal knows that the other one has come, and not that this one waits.
            let known = world.known.get_mut(&other).unwrap();
            known.item.name = first.to_owned();
            let wanted = places([(id, ROOT, &parked)]);
            let found = world.scan();
            assert_eq!(moves(&world, &found), wanted, "{first}");
            let found = world.scan_paths(&[
                (first, Reach::Entry),
                (&parked, Reach::Entry),
                (first, Reach::Below),
            ]);
            assert_eq!(moves(&world, &found), wanted, "{first}");
        }
    }
}

#[test]
fn a_folder_that_was_copied_has_moved_nothing_although_inodes_are_those_of_others() {
    for mut world in worlds() {
        let [one, two] = ["one", "two"].map(|path| world.id(path));
        let inode = |world: &World, id| world.known[&id].stamp.unwrap().inode;
        let inodes = [inode(&world, one), inode(&world, two)];
        for known in world.known.values_mut() {
            let stamp = known.stamp.as_mut().unwrap();
            stamp.inode = match known.item.id {
                id if id == one => inodes[1],
                id if id == two => inodes[0],
                _ => stamp.inode + (1 << 40),
            };
        }
        let found = world.scan();
        assert!(missing(&found).is_empty());
        for local in known(&found) {
            assert_eq!(local.item.place(), world.known[&local.item.id].item.place());
        }
    }
}

#[test]
fn what_went_to_where_all_is_new_and_left_its_name_to_another_one_has_moved() {
    for mut world in worlds() {
        let [a, b, c, one, two] = ["a", "b", "c", "one", "two"].map(|path| world.id(path));
        world.mkdir("new 1/in/deep/er");
        for (from, to) in [
            ("a", "new 1/in/deep/er/z"),
            ("b", "a"),
            ("one", "new 1/in/deep/er/one"),
            ("two", "one"),
        ] {
            world.rename(from, to);
        }
        let found = world.scan();
        assert_eq!(missing(&found), [""; 0]);
        assert!(found.left.is_empty());
        assert_eq!(
            known(&found)
                .map(|local| local.item.id)
                .collect::<BTreeSet<_>>(),
            BTreeSet::from([a, b, one, two])
        );
        world.apply(&found);
        assert_eq!(world.path(a), "new 1/in/deep/er/z");
        assert_eq!(world.path(one), "new 1/in/deep/er/one");
        assert_eq!([world.path(b), world.path(two)], ["a", "one"]);
        assert_eq!(world.path(c), "c");
        assert_eq!(world.modelled(), world.real());
    }
}

#[test]
fn a_file_that_is_saved_by_renaming_is_an_edit_and_what_is_new_comes_in_portions_yet() {
    for mut world in worlds() {
        let a = world.id("a");
        fs::write(world.outside("a"), "saved").unwrap();
        fs::rename(world.outside("a"), world.at("a")).unwrap();
        let mut scope = Scope::All;
        for nth in 0.. {
            assert!(nth < 20, "it comes to no end");
            let found = world.scan_in(&scope);
            assert_eq!(missing(&found), [""; 0]);
            let edited: Vec<_> = known(&found).map(|local| local.item.id).collect();
            assert_eq!(edited, if nth == 0 { vec![a] } else { Vec::new() });
            assert!(found.changed.len() - edited.len() <= world.most);
            world.apply(&found);
            if found.left.is_empty() {
                break;
            }
            scope = Scope::Dirty(found.left);
        }
        assert_eq!(world.modelled(), world.real());
    }
}

#[test]
fn what_went_to_where_all_is_new_out_of_a_collection_that_another_one_has_replaced_has_moved() {
    for mut world in worlds() {
        let [d, e] = ["d", "d/e"].map(|path| world.id(path));
        world.mkdir("new 1/in/deep/er");
        world.rename("d/e", "new 1/in/deep/er/e");
        if world.most == 1 {
            // It need not be another one, when it is not known which one it was
            world.known.get_mut(&d).unwrap().stamp = None;
        } else {
            // Still there, so that the other one has another inode
            fs::rename(world.at("d"), world.outside("d")).unwrap();
            world.mkdir("d");
        }
        let found = world.scan();
        assert_eq!(missing(&found), [""; 0]);
        let changed: Vec<_> = known(&found).map(|local| local.item.id).collect();
        assert_eq!(changed, [e]);
        world.apply(&found);
        assert_eq!(world.path(e), "new 1/in/deep/er/e");
        assert_eq!(world.path(d), "d");
    }
}

#[test]
fn a_file_that_left_its_name_to_others_that_are_all_known_is_found_where_all_is_new() {
    for mut world in worlds() {
        let [a, b, c] = ["a", "b", "c"].map(|path| world.id(path));
        world.mkdir("new 1/in/deep/er");
        for (from, to) in [("a", "new 1/in/deep/er/z"), ("b", "a"), ("c", "b")] {
            world.rename(from, to);
        }
        fs::hard_link(world.at("a"), world.at("c")).unwrap();
        let found = world.scan();
        assert_eq!(missing(&found), [""; 0]);
        let changed: BTreeSet<_> = known(&found).map(|local| local.item.id).collect();
        assert_eq!(changed, BTreeSet::from([a, b, c]));
        world.apply(&found);
        assert_eq!(world.path(a), "new 1/in/deep/er/z");
        assert_eq!(world.path(c), "b");
        assert_eq!(world.modelled(), world.real());
    }
}
