use super::world::{World, missing, names};
use crate::client::local::ignore::{DEFAULTS, Ignore, RULES};
use crate::client::local::scan::{Found, TroubleKind};

#[test]
fn ours_and_what_programs_leave_behind_is_never_synced() {
    let ignore = Ignore::new([]);
    for path in [
        ".sync-client",
        ".sync-client/tmp/x",
        "a/.b.swp",
        "x/~$doc.docx",
        ".~lock.a.odt#",
        "v.mkv.part",
    ] {
        assert!(ignore.skips(path, false), "{path}");
    }
    assert!(ignore.skips(".Trash-1000/files/x", false));
    for path in [
        "a",
        "a~",
        "desktop.ini",
        "a/.sync-client",
        "partly",
        "swp",
        ".env",
    ] {
        assert!(!ignore.skips(path, false), "{path}");
    }
    assert!(DEFAULTS.len() < 20);
}

#[test]
fn excluded_folders_are_skipped_with_all_below_and_not_others_that_begin_alike() {
    let ignore = Ignore::new(["/Photos/2019/".to_owned(), String::new()]);
    assert!(ignore.skips("Photos/2019", true) && ignore.skips("Photos/2019/a/b", false));
    for path in ["Photos", "Photos/2020", "Photos/20190", "x/Photos/2019"] {
        assert!(!ignore.skips(path, true), "{path}");
    }
}

#[test]
fn rules_of_a_folder_hold_below_it_and_the_nearest_decides() {
    let mut world = World::new();
    world.write(RULES, "*.log\n/build/\n!keep.part\n");
    world.write("a/.syncignore", "!important.log\nlocal/*\n");
    for path in [
        "x.log",
        "a/important.log",
        "a/x.log",
        "a/local/x",
        "build/x",
        "a/build/x",
        "keep.part",
    ] {
        world.write(path, path);
    }
    let found = world.settle();
    let mut here: Vec<String> = world.modelled().into_keys().collect();
    here.retain(|path| !path.ends_with(RULES));
    assert_eq!(
        here,
        [
            "a",
            "a/build",
            "a/build/x",
            "a/important.log",
            "a/local",
            "keep.part"
        ]
    );
    assert_eq!(found.rules_changed, ["", "a"]);
    assert!(world.ignore.skips("a/local/y/z", false) && !world.ignore.skips("b/local/y", false));
    assert_eq!(world.scan(), Found::default());
}

#[test]
fn new_rules_make_known_things_forgotten_and_never_missing() {
    let mut world = World::new();
    world.write("a/b/x.tmp", "x");
    world.write("a/y", "y");
    world.settle();
    world.write(RULES, "*.tmp\nb/\n");
    let ids = [world.id("a/b"), world.id("a/b/x.tmp")];
    let found = world.scan();
    assert_eq!(names(&found), [RULES]);
    assert!(found.missing.is_empty());
    let mut forgotten = found.forgotten.clone();
    forgotten.sort_unstable();
    let mut expected = ids.to_vec();
    expected.sort_unstable();
    assert_eq!(forgotten, expected);
    // Also when they are gone.
    world.remove("a/b");
    let found = world.scan();
    assert_eq!((found.forgotten.len(), found.missing.len()), (2, 0));
    // And by the choice of folders.
    world.remove(RULES);
    world.write("a/b/x.tmp", "x");
    world.ignore = Ignore::new(["a".to_owned()]);
    let found = world.scan();
    assert_eq!((found.forgotten.len(), found.missing.len()), (4, 0));
}

#[test]
fn rules_that_went_let_things_in_again() {
    let mut world = World::new();
    world.write(RULES, "*.tmp\n");
    world.write("a/x.tmp", "x");
    world.settle();
    world.remove(RULES);
    let found = world.settle();
    assert_eq!(
        (names(&found), missing(&found)),
        (vec!["x.tmp"], vec![RULES])
    );
}

#[test]
fn rules_that_cannot_be_read_forget_nothing_and_let_nothing_in() {
    let mut world = World::new();
    world.write("a/x.tmp", "x");
    world.write("a/y", "y");
    world.settle();
    world.write("a/.syncignore", &"*.tmp\n".repeat(20_000));
    world.write("a/secret", "s");
    let found = world.scan();
    assert_eq!(found.troubles.len(), 1);
    assert_eq!(found.troubles[0].kind, TroubleKind::RulesTooLarge);
    assert!(found.forgotten.is_empty() && found.missing.is_empty());
    assert!(found.changed.is_empty(), "{found:?}");
    world.write("a/.syncignore", "*.tmp\n{a\n");
    let found = world.scan();
    assert_eq!(found.troubles.len(), 1, "{:?}", found.troubles);
    assert_eq!(found.troubles[0].kind, TroubleKind::Pattern(2));
    assert_eq!(found.forgotten.len(), 1);
}
