use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use super::world::{ROOT, World, children, missing, names};
use crate::client::item::{Content, ItemId, Kind};
use crate::client::local::folder::{FolderError, OWN};
use crate::client::local::scan::{Found, Numbers, Scan, ScanError, Scope, TroubleKind};

/// A folder with some things in it that are known.
fn some() -> World {
    let mut world = World::new();
    world.write("a/b/one", "1");
    world.write("a/two", "22");
    world.write("three", "333");
    world.mkdir("empty");
    world.link("link", "/nowhere");
    world.settle();
    assert_eq!(world.scan(), Found::default());
    world
}

fn troubles(found: &Found) -> Vec<(String, TroubleKind)> {
    let trouble = found.troubles.iter();
    trouble
        .map(|trouble| (trouble.path.to_string_lossy().into_owned(), trouble.kind))
        .collect()
}

#[test]
fn a_first_scan_finds_everything_new_with_collections_first_and_nothing_of_ours() {
    let mut world = World::new();
    world.write("a/b/one", "1");
    world.link("link", "nowhere");
    let found = world.scan();
    assert_eq!(found.changed.len(), 4);
    assert!(
        found
            .changed
            .iter()
            .all(|local| local.item.id.0 < 0 && local.racy)
    );
    let at = |name| names(&found).iter().position(|n| *n == name).unwrap();
    assert!(at("a") < at("b") && at("b") < at("one"));
    let link = &found.changed[at("link")].item;
    assert_eq!((link.kind, link.parent), (Kind::Link, ROOT));
    assert!(matches!(link.content, Content::Local(_)));
}

#[test]
fn what_was_not_touched_is_not_found() {
    let mut world = some();
    assert_eq!(world.scan(), Found::default());
}

#[test]
fn a_file_that_was_written_keeps_its_id_and_has_other_bytes() {
    let mut world = some();
    let id = world.id("a/two");
    world.write("a/two", "other");
    let found = world.scan();
    assert_eq!(names(&found), ["two"]);
    assert_eq!(found.changed[0].item.id, id);
    assert!(matches!(found.changed[0].item.content, Content::Local(_)));
    assert!(found.missing.is_empty());
}

#[test]
fn a_file_saved_by_renaming_over_it_stays_the_same_item() {
    let mut world = some();
    let id = world.id("a/two");
    // As vim does it, with a backup that is kept.
    world.rename("a/two", "a/two~");
    world.write("a/two", "2222");
    let found = world.scan();
    assert_eq!(names(&found), ["two", "two~"]);
    assert_eq!(found.changed[0].item.id, id);
    assert!(found.changed[1].item.id.0 < 0);
    assert!(found.missing.is_empty());
}

#[test]
fn a_file_may_be_run_or_not_and_has_the_same_bytes() {
    let mut world = some();
    world.chmod("three", 0o755);
    let found = world.settle();
    assert_eq!(names(&found), ["three"]);
    assert!(found.changed[0].item.executable);
    assert_eq!(found.changed[0].item.content, Content::Version("f1".into()));
    assert_eq!(world.scan(), Found::default());
}

#[test]
fn a_file_of_which_only_the_inode_changed_is_to_be_compared() {
    let mut world = some();
    world.chmod("three", 0o600);
    let found = world.settle();
    assert_eq!((found.changed.len(), found.suspects.len()), (0, 1));
    assert_eq!(world.scan(), Found::default());
    // A program that puts the time back.
    let time = fs::metadata(world.at("three")).unwrap().modified().unwrap();
    world.write("three", "xyz");
    let file = File::options().write(true).open(world.at("three")).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
    let found = world.scan();
    assert_eq!((found.changed.len(), found.suspects.len()), (0, 1));
}

#[test]
fn a_moved_file_and_a_moved_link_keep_their_ids_and_contents() {
    let mut world = some();
    let (file, link) = (world.id("three"), world.id("link"));
    world.rename("three", "a/b/drei");
    world.rename("link", "empty/link");
    let found = world.settle();
    assert_eq!(found.changed.len(), 2);
    assert!(found.missing.is_empty());
    assert!(
        found
            .changed
            .iter()
            .all(|local| local.item.content == Content::Version("f1".into()))
    );
    assert_eq!((world.id("a/b/drei"), world.id("empty/link")), (file, link));
    assert_eq!(world.scan(), Found::default());
}

#[test]
fn a_moved_collection_is_one_change_and_what_changed_in_it_is_found_by_name() {
    let mut world = some();
    let ids = ["a", "a/b", "a/b/one"].map(|path| world.id(path));
    world.rename("a", "empty/c");
    assert_eq!(names(&world.scan()), ["c"]);
    world.write("empty/c/b/one", "other");
    world.write("empty/c/new", "new");
    world.remove("empty/c/two");
    let found = world.settle();
    assert_eq!(found.changed.len(), 3);
    assert_eq!(missing(&found), ["two"]);
    assert_eq!(
        ["empty/c", "empty/c/b", "empty/c/b/one"].map(|path| world.id(path)),
        ids
    );
    assert_eq!(world.modelled(), world.real());
}

#[test]
fn a_collection_moved_into_a_new_one_or_out_of_a_deleted_one_is_found() {
    let mut world = some();
    let (a, b) = (world.id("a"), world.id("a/b"));
    world.mkdir("new/deep");
    world.rename("a", "new/deep/a");
    assert_eq!(names(&world.settle()), ["new", "deep", "a"]);
    assert_eq!(world.id("new/deep/a"), a);
    world.rename("new/deep/a/b", "b");
    world.remove("new");
    let found = world.settle();
    assert_eq!(names(&found), ["b"]);
    assert_eq!(missing(&found), ["a", "deep", "new", "two"]);
    assert_eq!(world.id("b"), b);
    assert_eq!(world.scan(), Found::default());
}

#[test]
fn collections_that_lie_in_each_other_the_other_way_round_are_both_found() {
    let mut world = some();
    let (a, b, one) = (world.id("a"), world.id("a/b"), world.id("a/b/one"));
    world.rename("a/b", "b");
    world.rename("a", "b/a");
    let found = world.settle();
    assert!(found.missing.is_empty(), "{found:?}");
    assert_eq!(
        [world.id("b/a"), world.id("b"), world.id("b/one")],
        [a, b, one]
    );
    assert_eq!(world.modelled(), world.real());
}

#[test]
fn an_inode_that_was_used_again_makes_no_move() {
    let mut world = some();
    let known = &mut world.known;
    let id = *known
        .iter()
        .find(|(_, known)| known.item.name == "three")
        .unwrap()
        .0;
    world.remove("three");
    world.write("unlike", "other bytes");
    let inode = world.stamp("unlike").inode;
    // As if the file system had given it the same number.
    world
        .known
        .get_mut(&id)
        .unwrap()
        .stamp
        .as_mut()
        .unwrap()
        .inode = inode;
    world.rename("a", "away");
    world.mkdir("away/x");
    let found = world.scan();
    assert_eq!(missing(&found), ["three"]);
    assert!(
        found
            .changed
            .iter()
            .any(|local| local.item.name == "unlike" && local.item.id.0 < 0)
    );
    // A collection that has nothing of the old one.
    let mut world = some();
    let a = world.id("a");
    world.remove("a");
    world.write("z/stranger", "x");
    let inode = world.stamp("z").inode;
    world
        .known
        .get_mut(&a)
        .unwrap()
        .stamp
        .as_mut()
        .unwrap()
        .inode = inode;
    let found = world.settle();
    assert_eq!(missing(&found), ["a", "b", "one", "two"]);
    assert_eq!(names(&found), ["z", "stranger"]);
    assert_eq!(world.modelled(), world.real());
}

#[test]
fn of_two_hard_links_at_most_one_is_the_moved_file() {
    let mut world = some();
    let id = world.id("three");
    fs::hard_link(world.at("three"), world.at("x")).unwrap();
    world.rename("three", "y");
    let found = world.settle();
    assert!(found.missing.is_empty());
    let moved = found
        .changed
        .iter()
        .filter(|local| local.item.id == id)
        .count();
    assert_eq!((found.changed.len(), moved), (2, 1));
    assert_eq!(world.modelled(), world.real());
}

#[test]
fn a_file_that_became_a_collection_is_another_item() {
    let mut world = some();
    world.remove("three");
    world.write("three/in", "in");
    world.remove("empty");
    world.write("empty", "file");
    let found = world.settle();
    assert_eq!(missing(&found), ["empty", "three"]);
    assert_eq!(world.modelled(), world.real());
    assert_eq!(world.scan(), Found::default());
}

#[test]
fn a_missing_collection_is_told_with_all_that_was_below() {
    let mut world = some();
    world.remove("a");
    assert_eq!(missing(&world.scan()), ["a", "b", "one", "two"]);
}

#[test]
fn a_stamp_is_racy_only_for_a_moment() {
    let mut world = some();
    world.write("three", "4444");
    assert!(world.scan().changed[0].racy);
    std::thread::sleep(Duration::from_millis(60));
    assert!(!world.scan().changed[0].racy);
    // A time in the future that somebody has set is trusted.
    let file = File::options().write(true).open(world.at("three")).unwrap();
    let future = SystemTime::now() + Duration::from_secs(100_000);
    file.set_times(FileTimes::new().set_modified(future))
        .unwrap();
    assert!(world.scan().changed[0].racy);
    std::thread::sleep(Duration::from_millis(60));
    assert!(!world.scan().changed[0].racy);
}

#[test]
fn what_has_no_stamp_is_taken_for_changed_and_is_not_moved() {
    let mut world = some();
    let id = world.id("three");
    world.known.get_mut(&id).unwrap().stamp = None;
    let found = world.scan();
    assert_eq!(
        (names(&found), found.changed[0].item.id),
        (vec!["three"], id)
    );
}

#[test]
fn names_and_kinds_that_cannot_be_synced_are_troubles_and_leave_others_alone() {
    let mut world = some();
    fs::write(
        world
            .folder
            .path()
            .join(std::ffi::OsStr::from_bytes(b"\xff")),
        "x",
    )
    .unwrap();
    world.write("new\nline", "x");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.at("pipe"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    world.write("a\u{0308}", "x");
    world.write("\u{e4}", "y");
    let found = world.scan();
    let mut kinds = troubles(&found);
    kinds.sort_by_key(|(path, _)| path.clone());
    let expected = [
        ("new\nline", TroubleKind::Control),
        ("pipe", TroubleKind::Special),
        ("\u{e4}", TroubleKind::SameName),
        ("\u{fffd}", TroubleKind::NotUtf8),
    ];
    assert_eq!(kinds, expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert_eq!(names(&found), ["a\u{0308}"]);
    assert!(found.missing.is_empty());
}

#[test]
fn a_known_name_stays_when_another_one_comes_that_looks_the_same() {
    let mut world = World::new();
    world.write("\u{e4}", "y");
    world.settle();
    world.write("a\u{0308}", "x");
    let found = world.scan();
    assert_eq!(
        troubles(&found),
        [("a\u{0308}".to_owned(), TroubleKind::SameName)]
    );
    assert!(found.changed.is_empty() && found.missing.is_empty());
}

#[test]
fn a_file_renamed_to_a_name_that_cannot_be_synced_is_not_missing() {
    let mut world = some();
    world.rename("three", "th\tree");
    world.rename("a/b", "a/\u{7f}b");
    let found = world.scan();
    assert!(found.missing.is_empty(), "{found:?}");
    assert_eq!(found.troubles.len(), 2);
}

#[test]
fn what_a_pipe_or_a_link_has_taken_the_place_of_is_not_deleted_below() {
    let mut world = some();
    fs::rename(world.at("a"), world.outside("a")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.at("a"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let found = world.scan();
    assert!(found.missing.is_empty());
    assert_eq!(troubles(&found), [("a".to_owned(), TroubleKind::Special)]);
    // A link is seen, and it is not followed.
    world.remove("a");
    symlink(world.outside("a"), world.at("a")).unwrap();
    let found = world.settle();
    assert_eq!(missing(&found), ["a", "b", "one", "two"]);
    assert_eq!(world.modelled(), world.real());
}

#[test]
fn a_folder_that_lost_its_marker_gives_no_result() {
    let mut world = some();
    fs::remove_dir_all(world.at(OWN)).unwrap();
    let scan = Scan {
        folder: &world.folder,
        root: ROOT,
        scope: &Scope::All,
        most: usize::MAX,
    };
    let known = &world.known;
    let mut tell =
        |id: ItemId, name: Option<&str>| Ok::<_, std::io::Error>(children(known, id, name));
    let mut numbers = Numbers { id: 0, content: 0 };
    let result = scan.run(&mut world.ignore, &mut numbers, &mut tell);
    assert!(matches!(
        result,
        Err(ScanError::Folder(FolderError::NoMarker(_)))
    ));
}

#[test]
fn a_folder_that_is_emptied_while_it_is_scanned_gives_no_result() {
    let mut world = some();
    let (path, known) = (world.folder.path().to_owned(), world.known.clone());
    let scan = Scan {
        folder: &world.folder,
        root: ROOT,
        scope: &Scope::All,
        most: usize::MAX,
    };
    let mut tell = |id: ItemId, name: Option<&str>| {
        if id == ROOT {
            fs::remove_dir_all(&path).unwrap();
        }
        Ok::<_, std::io::Error>(children(&known, id, name))
    };
    let mut numbers = Numbers { id: 0, content: 0 };
    let result = scan.run(&mut world.ignore, &mut numbers, &mut tell);
    assert!(matches!(
        result,
        Err(ScanError::Folder(FolderError::Missing(_)))
    ));
}

#[test]
fn a_collection_stays_while_something_out_of_it_is_kept() {
    let mut world = World::new();
    world.write("b/c/a\u{0308}", "x");
    world.write("b/d", "z");
    world.write("\u{e4}", "y");
    world.settle();
    // It is called like another one where it is now, so it is not synced for now, and not deleted either.
    world.rename("b/c/a\u{0308}", "a\u{0308}");
    world.remove("b");
    let found = world.scan();
    assert_eq!(
        troubles(&found),
        [("a\u{0308}".to_owned(), TroubleKind::SameName)]
    );
    assert!(found.changed.is_empty());
    let missing: Vec<&str> = found
        .missing
        .iter()
        .map(|known| &*known.item.name)
        .collect();
    assert_eq!(missing, ["d"]);
}
