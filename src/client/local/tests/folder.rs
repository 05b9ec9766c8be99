use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::world::World;
use crate::client::config::ConfigDir;
use crate::client::local::folder::{Folder, FolderError, OWN, out_name};
use crate::client::local::place::Stage;
use crate::client::local::stamp::Stamp;

#[test]
fn a_folder_opens_with_its_id_and_with_no_other() {
    let world = World::new();
    let path = world.folder.path();
    let id = Folder::id_of(path).unwrap();
    assert!(Folder::open(path, &id).is_ok());
    assert!(matches!(
        Folder::open(path, "other"),
        Err(FolderError::OtherId(_))
    ));
    assert!(matches!(Folder::create(path), Err(FolderError::Taken(_))));
    world.folder.check().unwrap();
}

#[test]
fn a_folder_that_was_emptied_unmounted_or_exchanged_is_told_apart() {
    let world = World::new();
    let path = world.folder.path();
    let id = &Folder::id_of(path).unwrap();
    fs::rename(path, world.outside("elsewhere")).unwrap();
    assert!(matches!(world.folder.check(), Err(FolderError::Missing(_))));
    assert!(matches!(
        Folder::open(path, id),
        Err(FolderError::Missing(_))
    ));
    fs::create_dir(path).unwrap();
    assert!(matches!(world.folder.check(), Err(FolderError::Missing(_))));
    assert!(matches!(
        Folder::open(path, id),
        Err(FolderError::NoMarker(_))
    ));
    Folder::create(path).unwrap();
    assert!(matches!(
        Folder::open(path, id),
        Err(FolderError::OtherId(_))
    ));
    fs::remove_dir_all(path).unwrap();
    fs::rename(world.outside("elsewhere"), path).unwrap();
    world.folder.check().unwrap();
    fs::remove_file(path.join(OWN).join("folder")).unwrap();
    assert!(matches!(
        world.folder.check(),
        Err(FolderError::NoMarker(_))
    ));
    assert!(matches!(Folder::id_of(path), Err(FolderError::NoMarker(_))));
}

#[test]
fn nothing_is_opened_through_a_link_or_outside_or_in_what_is_ours() {
    let world = World::new();
    fs::create_dir(world.outside("out")).unwrap();
    fs::write(world.outside("out").join("a"), "secret").unwrap();
    symlink(world.outside("out"), world.at("link")).unwrap();
    world.write("dir/a", "a");
    let open = |path: &str| world.folder.open_at(path, OFlags::RDONLY).map(drop);
    assert_eq!(open("dir/a"), Ok(()));
    assert_eq!(open("link/a"), Err(Errno::LOOP));
    assert_eq!(open("link"), Err(Errno::LOOP));
    assert_eq!(open("../out/a"), Err(Errno::XDEV));
    for ours in [".sync-client/folder", ".SYNC-client", "./.sync-client/tmp"] {
        assert_eq!(open(ours), Err(Errno::PERM), "{ours}");
    }
    // The same without openat2.
    let walk = |path: &str| {
        world
            .folder
            .walk(path, OFlags::RDONLY | OFlags::NOFOLLOW)
            .map(drop)
    };
    assert_eq!(walk("dir/a"), Ok(()));
    assert!(matches!(walk("link/a"), Err(Errno::LOOP | Errno::NOTDIR)));
    assert_eq!(walk("../out/a"), Err(Errno::XDEV));
}

#[test]
fn what_a_dead_process_left_goes_and_a_local_edit_among_it_comes_back() {
    let world = World::new();
    let tmp = world.at(OWN).join("tmp");
    fs::write(tmp.join("new-0"), "half").unwrap();
    let expected = Stamp {
        inode: 1,
        size: 2,
        mtime_ns: -3,
        ctime_ns: 0,
    };
    fs::write(tmp.join(out_name("t-1", 7, &expected)), "somebody's edit").unwrap();
    fs::write(tmp.join("x"), "ours").unwrap();
    let ours = world
        .folder
        .open_at("", OFlags::PATH)
        .map(|_| fs::metadata(tmp.join("x")).unwrap())
        .unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&ours);
    fs::rename(tmp.join("x"), tmp.join(out_name("t-2", inode, &expected))).unwrap();
    let id = Folder::id_of(world.folder.path()).unwrap();
    let again = Folder::open(world.folder.path(), &id).unwrap();
    assert_eq!(again.recovered(), ["recovered-1"]);
    assert_eq!(world.read("recovered-1"), "somebody's edit");
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
}

#[test]
fn a_lock_is_held_until_what_is_staged_is_gone_too() {
    let world = World::new();
    let path = world.folder.path();
    let id = Folder::id_of(path).unwrap();
    let settings = ConfigDir::find(Some(&world.outside("settings"))).unwrap();
    settings.create().unwrap();
    let mut folder = Folder::open(path, &id).unwrap();
    folder.hold(Arc::new(settings.lock().unwrap()));
    let folder = Arc::new(folder);
    let stage = Stage::file(&folder, false).unwrap();
    drop(folder);
    assert!(settings.lock().is_err());
    drop(stage);
    settings.lock().unwrap();
}
