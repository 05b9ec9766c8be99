use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::hook;
use super::world::World;
use crate::client::item::{ItemId, Kind};
use crate::client::local::folder::OWN;
use crate::client::local::place::{
    Batch, Old, Refused, Stage, make_collection, move_item, occupied, read_link, remove_collection,
    remove_file, set_executable,
};
use crate::client::local::stamp::Stamp;
use crate::types::Millis;

/// Puts a file in its place.
fn put(world: &World, path: &str, text: &str, expected: Option<Stamp>) -> Result<Stamp, Refused> {
    let mut stage = Stage::file(&world.folder, false)?;
    stage.write(text.as_bytes())?;
    stage.set_time(Millis(1_700_000_000_123))?;
    let mut batch = Batch::new(&world.folder);
    batch.add(stage, path, expected);
    batch.commit().placed.remove(0).map(|placed| placed.stamp)
}

/// Names in `tmp/`.
fn temps(world: &World) -> usize {
    fs::read_dir(world.at(OWN).join("tmp")).unwrap().count()
}

/// On a file system that can exchange names, and as on one that cannot.
fn both(test: impl Fn(World)) {
    for plain in [false, true] {
        hook::set_plain(plain);
        test(World::new());
        hook::set_plain(false);
    }
}

#[test]
fn a_new_file_is_there_whole_with_its_time_and_its_stamp() {
    both(|world| {
        let stamp = put(&world, "a", "text", None).unwrap();
        assert_eq!(
            (world.read("a"), world.stamp("a")),
            ("text".to_owned(), stamp)
        );
        assert_eq!(stamp.mtime_ns, 1_700_000_000_123_000_000);
        assert_eq!(put(&world, "none/a", "text", None), Err(Refused::NoParent));
        assert_eq!(temps(&world), 0);
    });
}

#[test]
fn a_file_that_nobody_expected_is_not_replaced() {
    both(|world| {
        world.write("a", "mine");
        assert_eq!(put(&world, "a", "theirs", None), Err(Refused::Occupied));
        world.link("b", "nowhere");
        assert_eq!(put(&world, "b", "theirs", None), Err(Refused::Occupied));
        assert_eq!((world.read("a"), temps(&world)), ("mine".to_owned(), 0));
    });
}

#[test]
fn a_file_is_replaced_and_what_it_was_is_kept_until_it_is_discarded() {
    both(|world| {
        world.write("a", "old");
        world.chmod("a", 0o600);
        let mut stage = Stage::file(&world.folder, true).unwrap();
        stage.write(b"new").unwrap();
        let mut batch = Batch::new(&world.folder);
        batch.add(stage, "a", Some(world.stamp("a")));
        let placed = batch.commit().placed.remove(0).unwrap();
        assert_eq!(
            (world.read("a"), world.stamp("a")),
            ("new".to_owned(), placed.stamp)
        );
        // Nobody may read it who could not before.
        let mode = fs::metadata(world.at("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let old = placed.old.unwrap();
        let mut kept = fs::read_dir(world.at(OWN).join("tmp")).unwrap();
        let kept = kept.next().unwrap().unwrap().path();
        assert_eq!(fs::read_to_string(kept).unwrap(), "old");
        assert_eq!(old.discard(), Ok(None));
        assert_eq!(temps(&world), 0);
    });
}

#[test]
fn an_edit_before_or_in_the_middle_of_the_exchange_is_never_lost() {
    both(|world| {
        let middle = if hook::is_plain() { "out" } else { "exchange" };
        for point in ["before", middle] {
            world.write(point, "old");
            let expected = world.stamp(point);
            let path = world.at(point);
            let edit = move || fs::write(&path, "edited here").unwrap();
            let _waiting = if point == "before" {
                edit();
                None
            } else {
                Some(hook::once(point, edit))
            };
            let result = put(&world, point, "theirs", Some(expected));
            assert_eq!(result, Err(Refused::Touched), "{point}");
            let now = (world.read(point), temps(&world));
            assert_eq!(now, ("edited here".to_owned(), 0), "{point}");
        }
    });
}

#[test]
fn a_file_saved_by_renaming_in_the_middle_is_never_lost() {
    let world = World::new();
    world.write("a", "old");
    let expected = world.stamp("a");
    world.write("first", "first edit");
    world.write("second", "second edit");
    let (first, second, a) = (world.at("first"), world.at("second"), world.at("a"));
    let at = a.clone();
    let _exchange = hook::once("exchange", move || fs::rename(&first, &at).unwrap());
    // And once more, between the exchange and the way back.
    let _back = hook::once("back", move || fs::rename(&second, &a).unwrap());
    assert_eq!(
        put(&world, "a", "theirs", Some(expected)),
        Err(Refused::Touched)
    );
    assert_eq!(world.read("a"), "second edit");
    assert_eq!(world.read("a.rescued-1"), "first edit");
    assert_eq!((world.real().len(), temps(&world)), (2, 0));
}

#[test]
fn a_file_made_while_the_place_was_empty_stays() {
    hook::set_plain(true);
    let world = World::new();
    world.write("a", "old");
    let expected = world.stamp("a");
    let path = world.at("a");
    let _between = hook::once("between", move || fs::write(&path, "made here").unwrap());
    assert_eq!(
        put(&world, "a", "theirs", Some(expected)),
        Err(Refused::Touched)
    );
    hook::set_plain(false);
    assert_eq!((world.read("a").as_str(), temps(&world)), ("made here", 0));
}

#[test]
fn bytes_written_to_the_old_file_by_who_still_has_it_open_are_kept_beside() {
    both(|world| {
        world.write("a.log", "old");
        let mut open = File::options()
            .append(true)
            .open(world.at("a.log"))
            .unwrap();
        let removed = remove_file(&world.folder, "a.log", &world.stamp("a.log")).unwrap();
        open.write_all(b" and more").unwrap();
        assert_eq!(removed.discard(), Ok(Some("a.log.rescued-1".to_owned())));
        assert_eq!(world.read("a.log.rescued-1"), "old and more");
    });
}

#[test]
fn a_removed_file_is_gone_and_one_that_was_edited_stays() {
    both(|world| {
        world.write("d/a", "a");
        world.write("d/b", "b");
        let [a, b] = ["d/a", "d/b"].map(|path| world.stamp(path));
        assert_eq!(
            remove_file(&world.folder, "d/a", &a).map(Old::discard),
            Ok(Ok(None))
        );
        let path = world.at("d/b");
        let _out = hook::once("out", move || fs::write(&path, "edited").unwrap());
        assert_eq!(
            remove_file(&world.folder, "d/b", &b).map(drop),
            Err(Refused::Touched)
        );
        assert_eq!(
            remove_file(&world.folder, "d/a", &a).map(drop),
            Err(Refused::Touched)
        );
        assert_eq!(
            (
                world.real().len(),
                world.read("d/b").as_str(),
                temps(&world)
            ),
            (2, "edited", 0)
        );
        // A collection in its place is left alone.
        world.remove("d/b");
        world.write("d/b/in", "in");
        assert_eq!(
            remove_file(&world.folder, "d/b", &b).map(drop),
            Err(Refused::Touched)
        );
        assert_eq!(world.read("d/b/in"), "in");
    });
}

#[test]
fn an_item_moves_only_if_it_is_that_item_and_only_to_a_free_place() {
    both(|world| {
        world.write("a", "a");
        world.write("b", "b");
        world.mkdir("d");
        let stamp = world.stamp("a");
        let to = |to: &str, stamp: &Stamp| move_item(&world.folder, "a", to, Kind::File, stamp);
        assert_eq!(to("b", &stamp), Err(Refused::Occupied));
        assert_eq!(to("d/x", &world.stamp("b")), Err(Refused::Touched));
        assert_eq!(to("none/x", &stamp), Err(Refused::NoParent));
        assert_eq!(to("d/a", &stamp), Ok(world.stamp("d/a")));
        let dir = world.stamp("d");
        assert_eq!(
            move_item(&world.folder, "d", "e", Kind::Collection, &dir),
            Ok(world.stamp("e"))
        );
        // One that was edited moves too, and its stamp tells that it was.
        let old = world.stamp("e/a");
        world.write("e/a", "edited");
        assert_eq!(
            move_item(&world.folder, "e/a", "a", Kind::File, &old),
            Ok(old)
        );
        assert_eq!(world.read("a"), "edited");
        // One that takes its place in the last moment goes back.
        let (a, other, stamp) = (world.at("a"), world.at("b"), world.stamp("a"));
        let _move = hook::once("move", move || fs::rename(&other, &a).unwrap());
        assert_eq!(
            move_item(&world.folder, "a", "e/a", Kind::File, &stamp),
            Err(Refused::Touched)
        );
        assert_eq!(world.read("a"), "b");
    });
}

#[test]
fn a_collection_goes_when_it_is_empty_and_tells_what_keeps_it() {
    let world = World::new();
    assert_eq!(make_collection(&world.folder, "d"), Ok(world.stamp("d")));
    assert_eq!(make_collection(&world.folder, "d"), Err(Refused::Occupied));
    assert_eq!(
        make_collection(&world.folder, "x/d"),
        Err(Refused::NoParent)
    );
    world.write("d/ignored.part", "x");
    let stamp = world.stamp("d");
    let refused = Err(Refused::NotEmpty(vec!["ignored.part".to_owned()]));
    assert_eq!(remove_collection(&world.folder, "d", &stamp), refused);
    world.remove("d/ignored.part");
    let other = Stamp {
        inode: stamp.inode + 1,
        ..stamp
    };
    assert_eq!(
        remove_collection(&world.folder, "d", &other),
        Err(Refused::Touched)
    );
    assert_eq!(remove_collection(&world.folder, "d", &stamp), Ok(()));
    assert!(world.real().is_empty());
}

#[test]
fn a_file_may_be_run_by_those_who_may_read_it() {
    let world = World::new();
    world.write("a", "a");
    world.chmod("a", 0o640);
    let old = world.stamp("a");
    let stamp = set_executable(&world.folder, "a", &old, true).unwrap();
    let mode = || fs::metadata(world.at("a")).unwrap().mode() & 0o777;
    assert_eq!((mode(), stamp), (0o750, world.stamp("a")));
    set_executable(&world.folder, "a", &stamp, false).unwrap();
    assert_eq!(mode(), 0o640);
    world.write("a", "edited");
    assert_eq!(set_executable(&world.folder, "a", &old, true), Ok(old));
    assert_eq!(mode(), 0o750);
    world.remove("a");
    world.write("a", "another");
    let other = Stamp {
        inode: world.stamp("a").inode + 1,
        ..old
    };
    assert_eq!(
        set_executable(&world.folder, "a", &other, false),
        Err(Refused::Touched)
    );
}

#[test]
fn links_are_text_and_nothing_is_done_through_them() {
    both(|world| {
        let secret = world.outside("secret");
        fs::write(&secret, "secret").unwrap();
        let absolute = secret.to_str().unwrap();
        for (path, target) in [("in", "d/x"), ("out", "../../etc"), ("absolute", absolute)] {
            let mut batch = Batch::new(&world.folder);
            batch.add(Stage::link(&world.folder, target).unwrap(), path, None);
            let stamp = batch.commit().placed.remove(0).unwrap().stamp;
            assert_eq!(
                read_link(&world.folder, path, &stamp),
                Ok(target.to_owned())
            );
        }
        // A link is replaced by another one, and by a file.
        let mut batch = Batch::new(&world.folder);
        batch.add(
            Stage::link(&world.folder, "new").unwrap(),
            "in",
            Some(world.stamp("in")),
        );
        let stamp = batch.commit().placed.remove(0).unwrap().stamp;
        assert_eq!(read_link(&world.folder, "in", &stamp), Ok("new".to_owned()));
        assert!(put(&world, "in", "file", Some(stamp)).is_ok());
        assert_eq!((world.read("in").as_str(), temps(&world)), ("file", 0));
        fs::create_dir(world.outside("d")).unwrap();
        symlink(world.outside("d"), world.at("d")).unwrap();
        assert_eq!(put(&world, "d/x", "x", None), Err(Refused::NoParent));
        assert_eq!(
            make_collection(&world.folder, "d/x"),
            Err(Refused::NoParent)
        );
        assert_eq!(fs::read_dir(world.outside("d")).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    });
}

#[test]
fn nothing_is_put_into_what_is_ours() {
    let world = World::new();
    for path in [".sync-client/x", ".sync-client/folder", "..", "d/..", "."] {
        assert_eq!(
            put(&world, path, "x", None),
            Err(Refused::Permission),
            "{path}"
        );
        assert_eq!(
            make_collection(&world.folder, path),
            Err(Refused::Permission),
            "{path}"
        );
    }
    world.folder.check().unwrap();
}

#[test]
fn many_files_are_put_in_place_each_by_itself() {
    let world = World::new();
    let mut batch = Batch::new(&world.folder);
    for nth in 0..200 {
        world.mkdir(&format!("d{nth}"));
        let mut stage = Stage::file(&world.folder, nth % 2 == 0).unwrap();
        stage.write(nth.to_string().as_bytes()).unwrap();
        batch.add(stage, &format!("d{nth}/f"), None);
    }
    world.remove("d77");
    let results = batch.commit().placed;
    for (nth, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), nth == 77);
        let mode = fs::metadata(world.at(&format!("d{nth}/f"))).map(|data| data.mode() & 0o100);
        assert_eq!(
            mode.ok(),
            (nth != 77).then_some(if nth % 2 == 0 { 0o100 } else { 0 })
        );
    }
    assert_eq!(temps(&world), 0);
}

#[test]
fn runs_of_another_file_are_copied() {
    let world = World::new();
    let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(world.at("old"), &bytes).unwrap();
    let old = File::open(world.at("old")).unwrap();
    let mut stage = Stage::file(&world.folder, false).unwrap();
    stage.copy(&old, 1000, 3_000_000).unwrap();
    stage.write(b"between").unwrap();
    stage.copy(&old, 0, 5).unwrap();
    assert!(stage.copy(&old, 3_999_999, 2).is_err());
    let mut batch = Batch::new(&world.folder);
    batch.add(stage, "new", None);
    assert!(batch.commit().placed.remove(0).is_ok());
    let expected = [
        &bytes[1000..3_001_000],
        b"between",
        &bytes[..5],
        &bytes[3_999_999..],
    ]
    .concat();
    assert!(fs::read(world.at("new")).unwrap() == expected);
}

#[test]
fn a_staged_file_that_is_dropped_leaves_nothing() {
    let world = World::new();
    drop(Stage::file(&world.folder, false).unwrap());
    drop(Stage::link(&world.folder, "x").unwrap());
    assert_eq!(temps(&world), 0);
}

#[test]
fn a_name_that_is_taken_by_another_spelling_is_told() {
    let world = World::new();
    world.write("Name", "x");
    let root = File::open(world.folder.path()).unwrap();
    assert_eq!(occupied(&root, "Name"), Refused::Occupied);
    assert_eq!(occupied(&root, "name"), Refused::CaseClash);
}

#[test]
fn a_name_that_is_too_long_is_told() {
    let world = World::new();
    assert_eq!(
        put(&world, &"n".repeat(256), "x", None),
        Err(Refused::NameTooLong)
    );
    assert_eq!(
        make_collection(&world.folder, &"n".repeat(256)),
        Err(Refused::NameTooLong)
    );
}

#[test]
fn what_has_come_in_parts_and_does_not_get_its_place_is_there_for_the_next_try() {
    both(|world| {
        world.write("a", "old");
        let expected = world.stamp("a");
        let part = || Stage::part(&world.folder, ItemId(7), "f2", false).unwrap();
        let (mut stage, _) = part();
        stage.write(b"all that came").unwrap();
        let mut batch = Batch::new(&world.folder);
        batch.add(stage, "a", Some(expected));
        let (edit, at) = (
            world.at("a"),
            if hook::is_plain() { "out" } else { "exchange" },
        );
        let _edited = hook::once(at, move || fs::remove_file(&edit).unwrap());
        let refused = batch.commit().placed.remove(0).err();
        assert_eq!(refused, Some(Refused::Touched));
        assert_eq!(temps(&world), 1);
        let (mut stage, there) = part();
        assert_eq!(there, 13);
        stage.spoil().unwrap();
        drop(stage);
        assert_eq!(temps(&world), 0);
    });
}
