//! What the user may not do. Tests often run as root, who may do everything, so these give that up on a thread of
//! their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;

use rustix::fs::{Gid, Uid};

use super::world::{World, missing, names};
use crate::client::item::Kind;
use crate::client::local::place::{
    Batch, Refused, Stage, make_collection, move_item, remove_file, set_executable,
};
use crate::client::local::read::{self, ReadError};
use crate::client::local::scan::{Found, TroubleKind};

/// A user without any rights of others.
const NOBODY: u32 = 65534;

/// A folder of a user who is not root.
fn some() -> World {
    let mut world = World::new();
    world.write("a/b/one", "1");
    world.write("a/two", "22");
    world.write("three", "333");
    world.settle();
    let mut left = vec![world.outside("")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        // Only root can, and only he has to.
        std::os::unix::fs::lchown(&path, Some(NOBODY), Some(NOBODY)).ok();
    }
    // A new owner is a change of the inode.
    world.settle();
    assert_eq!(world.scan(), Found::default());
    world
}

/// Does something as a user who is not root.
fn as_user<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let drop_rights = || {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        // Who is not root cannot, and need not.
        rustix::thread::set_thread_res_gid(gid, gid, gid).ok();
        rustix::thread::set_thread_res_uid(uid, uid, uid).ok();
    };
    thread::scope(|scope| {
        let act = || {
            drop_rights();
            act()
        };
        scope.spawn(act).join().unwrap()
    })
}

#[test]
fn nothing_below_a_collection_that_cannot_be_read_is_missing() {
    for mode in [0o000, 0o300] {
        let mut world = some();
        world.chmod("a", mode);
        world.remove("three");
        let found = as_user(|| world.scan());
        assert_eq!(missing(&found), ["three"]);
        assert_eq!(found.troubles.len(), 1);
        assert!(matches!(found.troubles[0].kind, TroubleKind::Unreadable(_)));
        world.chmod("a", 0o755);
        assert!(world.settle().changed.is_empty());
    }
}

#[test]
fn what_has_a_name_but_cannot_be_looked_at_is_not_missing() {
    let mut world = some();
    // The names can be read, and nothing else.
    world.chmod("a", 0o600);
    let found = as_user(|| world.scan());
    assert!(
        found.missing.is_empty() && found.changed.is_empty(),
        "{found:?}"
    );
    assert_eq!(found.troubles.len(), 2);
    world.chmod("a", 0o755);
}

#[test]
fn a_moved_collection_that_cannot_be_read_is_not_missing() {
    let mut world = some();
    world.rename("a", "z");
    world.chmod("z", 0o000);
    let found = as_user(|| world.scan());
    assert!(
        found.missing.is_empty() && found.changed.is_empty(),
        "{found:?}"
    );
    world.chmod("z", 0o755);
    assert_eq!(names(&world.scan()), ["z"]);
}

#[test]
fn what_lies_on_another_file_system_stays_as_it_was_and_is_not_entered() {
    let mut world = some();
    Arc::get_mut(&mut world.folder).unwrap().device = (0, 0);
    world.write("a/new", "new");
    let found = world.scan();
    assert!(
        found.missing.is_empty() && found.changed.is_empty(),
        "{found:?}"
    );
    assert_eq!(found.troubles.len(), 1);
    assert_eq!(found.troubles[0].kind, TroubleKind::Mounted);
}

#[test]
fn what_the_user_may_not_do_is_told_and_leaves_everything_as_it_was() {
    let world = some();
    world.chmod("a", 0o555);
    world.chmod("three", 0o000);
    let (two, three) = (world.stamp("a/two"), world.stamp("three"));
    as_user(|| {
        let folder = &world.folder;
        for (path, expected) in [("a/new", None), ("a/two", Some(two))] {
            let mut stage = Stage::file(folder, false).unwrap();
            stage.write(b"theirs").unwrap();
            let mut batch = Batch::new(folder);
            batch.add(stage, path, expected);
            assert_eq!(
                batch.commit().placed.remove(0).map(drop),
                Err(Refused::Permission),
                "{path}"
            );
        }
        assert_eq!(make_collection(folder, "a/new"), Err(Refused::Permission));
        assert_eq!(
            move_item(folder, "a/two", "x", Kind::File, &two),
            Err(Refused::Permission)
        );
        assert_eq!(
            remove_file(folder, "a/two", &two).map(drop),
            Err(Refused::Permission)
        );
        assert_eq!(
            set_executable(folder, "three", &three, true),
            Err(Refused::Permission)
        );
        assert!(matches!(
            read::open(folder, "three", &three),
            Err(ReadError::Io(_))
        ));
    });
    assert_eq!(
        (world.read("a/two").as_str(), world.real().len()),
        ("22", 5)
    );
    let mode = fs::metadata(world.at("a/two"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
}
