//! Exports of a real store into a real folder.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{Error, Export, Exported, LIST, run};
use crate::crypto::MasterKey;
use crate::jobs::tests::fixture::{Fixture, path};
use crate::store::meta::{Meta, testing};
use crate::store::{self, Store};
use crate::tree::{Node, Overwrite, Write};
use crate::types::Millis;

/// The space of the fixture's account.
const OWN: &str = "~one";

/// A fixture and where it is exported to.
struct Moving {
    f: Fixture,
    _folder: TempDir,
    to: PathBuf,
}

impl Moving {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("out");
        Self {
            f: Fixture::new().await,
            _folder: folder,
            to,
        }
    }

    async fn export(&self, what: &Export) -> Result<Exported, Error> {
        run(&self.f.site.store, &self.to, what).await
    }

    async fn all(&self) -> Exported {
        self.export(&Export::default()).await.unwrap()
    }

    async fn on(&self) -> Exported {
        let what = Export {
            resume: true,
            ..Export::default()
        };
        self.export(&what).await.unwrap()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.to.join(OWN).join(path)
    }

    fn list(&self) -> String {
        fs::read_to_string(self.to.join(LIST)).unwrap()
    }

    /// Changes a row as only damage or an attacker does.
    async fn tamper(&self, text: &'static str, node: &Node) {
        let id = node.id.0;
        self.f
            .transaction(move |conn| {
                Box::pin(async move {
                    assert_eq!(testing::execute(conn, text, &[id]).await?, 1);
                    Ok(())
                })
            })
            .await;
    }

    /// The files of segments.
    fn segments(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.f.folder.path().join("data/seg")).unwrap();
        let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    getrandom::fill(&mut noise).unwrap();
    noise
}

fn modified(path: &Path) -> Millis {
    fs::symlink_metadata(path)
        .unwrap()
        .modified()
        .unwrap()
        .into()
}

fn dated(time: i64) -> Write {
    Write {
        modified: Some(Millis(time)),
        ..Write::default()
    }
}

/// Turns one byte in the middle of a file over, or back.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn every_file_comes_out_with_its_bytes_and_its_time() {
    let m = Moving::new().await;
    let long = "ä".repeat(127);
    let files = [
        ("documents/empty".to_owned(), Vec::new(), 1),
        (
            "documents/a b\u{301} 'c'\\.txt".to_owned(),
            b"inline".to_vec(),
            1_700_000_000_123,
        ),
        (".hidden".to_owned(), noise(9000), -86_400_001),
        (
            "documents/sub/large".to_owned(),
            noise(3_000_000),
            4_000_000_000_999,
        ),
        (long, b"x".to_vec(), 5000),
    ];
    m.f.mkdir("/documents/sub").await;
    m.f.mkdir("/documents/nothing").await;
    for (at, bytes, time) in &files {
        m.f.write(&format!("/{at}"), bytes, dated(*time)).await;
    }
    let folder = m.f.tree.lookup(&path("/documents/sub")).await.unwrap();

    let done = m.all().await;

    assert_eq!(
        (done.files, done.failed, done.equal, done.restless),
        (5, 0, 0, 0)
    );
    assert_eq!(done.bytes, 6 + 9000 + 3_000_000 + 1);
    for (at, bytes, time) in &files {
        let file = m.at(at);
        assert!(fs::read(&file).unwrap() == *bytes, "{at}");
        assert_eq!(modified(&file), Millis(*time), "{at}");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(modified(&m.at("documents/sub")), folder.modified);
    assert!(m.at("documents/nothing").is_dir());
    // Nothing else: no list, no file on its way.
    let mut names: Vec<_> = fs::read_dir(&m.to)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["shared", OWN]);
}

#[tokio::test]
async fn programs_can_be_run_and_links_lead_nowhere_outside() {
    let m = Moving::new().await;
    let link = |time| Write {
        link: true,
        ..dated(time)
    };
    m.f.mkdir("/documents/bin").await;
    let program = Write {
        executable: Some(true),
        ..dated(1000)
    };
    m.f.write("/documents/run", b"#!/bin/sh", program).await;
    let inside = [
        ("documents/bin/run", "../run"),
        ("documents/bin/up", "../../photos"),
        ("documents/run2", "./run"),
        ("documents/nothing", "not there"),
    ];
    let other_space = format!("../../{}/x", "shared");
    let outside = [
        ("documents/root", "/etc/passwd"),
        ("documents/out", other_space.as_str()),
        ("documents/odd", "bin/../../../x"),
        ("top", ".."),
    ];
    for (at, target) in inside.iter().chain(&outside) {
        m.f.write(&format!("/{at}"), target.as_bytes(), link(7_000))
            .await;
    }

    let done = m.all().await;

    assert_eq!((done.files, done.failed), (9, 0));
    let mode = fs::metadata(m.at("documents/run"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    for (at, target) in inside {
        assert_eq!(fs::read_link(m.at(at)).unwrap(), Path::new(target));
        assert_eq!(modified(&m.at(at)), Millis(7_000));
    }
    for (at, target) in outside {
        assert!(!m.at(at).is_symlink(), "{at}");
        assert_eq!(fs::read(m.at(at)).unwrap(), target.as_bytes());
    }
    assert_eq!(fs::read(m.at("documents/bin/run")).unwrap(), b"#!/bin/sh");
    let done = m.on().await;
    assert_eq!((done.files, done.equal, done.failed), (0, 9, 0));
    m.f.write("/documents/bin/run", b"../run2", link(8_000))
        .await;
    let done = m.on().await;
    assert_eq!((done.files, done.equal), (1, 8));
    assert_eq!(
        fs::read_link(m.at("documents/bin/run")).unwrap(),
        Path::new("../run2")
    );
}

#[tokio::test]
async fn a_file_that_does_not_open_leaves_nothing_behind_and_is_listed() {
    let m = Moving::new().await;
    m.f.put("/documents/before", b"fine").await;
    m.f.put("/documents/damaged", &noise(500_000)).await;
    m.f.put("/documents/later", b"fine, too").await;
    let segments = m.segments();
    let [segment] = &segments[..] else {
        panic!("{segments:?}")
    };
    flip(segment);

    let done = m.all().await;

    assert_eq!((done.files, done.failed), (2, 1));
    assert!(!m.at("documents/damaged").exists());
    let list = m.list();
    assert!(list.starts_with("~one/documents/damaged\t"), "{list}");
    assert_eq!(list.lines().count(), 1);
    assert_eq!(fs::read(m.at("documents/later")).unwrap(), b"fine, too");
    let names = fs::read_dir(&m.to).unwrap().count();
    assert_eq!(names, 3, "two spaces and the list");

    flip(segment);
    let done = m.on().await;
    assert_eq!((done.files, done.equal, done.failed), (1, 2, 0));
    assert!(m.at("documents/damaged").exists());
    assert!(!m.to.join(LIST).exists());
}

#[tokio::test]
async fn an_export_goes_on_with_what_is_missing_or_other_and_only_when_told_to() {
    let m = Moving::new().await;
    for name in ["a", "b", "c", "d"] {
        m.f.write(&format!("/documents/{name}"), b"one", dated(1000))
            .await;
    }
    m.all().await;
    fs::remove_file(m.at("documents/a")).unwrap();
    fs::write(m.at("documents/b"), b"cut").unwrap();
    m.f.write("/documents/c", b"other", dated(1000)).await;
    let kept = fs::metadata(m.at("documents/d")).unwrap();

    let refused = m.export(&Export::default()).await;
    assert!(matches!(refused, Err(Error::NotEmpty(_))), "{refused:?}");
    assert_eq!(fs::read(m.at("documents/b")).unwrap(), b"cut");
    let done = m.on().await;

    assert_eq!((done.files, done.equal), (3, 1));
    for (name, bytes) in [("a", &b"one"[..]), ("b", b"one"), ("c", b"other")] {
        assert_eq!(fs::read(m.at("documents").join(name)).unwrap(), bytes);
    }
    let now = fs::metadata(m.at("documents/d")).unwrap();
    assert_eq!(
        now.created().ok(),
        kept.created().ok(),
        "it was not written again"
    );
    assert_eq!(m.on().await.files, 0);
}

#[tokio::test]
async fn names_that_lead_elsewhere_lead_nowhere() {
    let m = Moving::new().await;
    for (name, rename) in [
        ("a", "UPDATE node SET name = '../../escaped' WHERE id = $1"),
        ("b", "UPDATE node SET name = '..' WHERE id = $1"),
        ("c", "UPDATE node SET name = '/tmp/escaped' WHERE id = $1"),
        ("d", "UPDATE node SET name = '' WHERE id = $1"),
    ] {
        let node = m.f.put(&format!("/documents/{name}"), b"x").await;
        m.tamper(rename, &node).await;
    }
    m.f.mkdir("/documents/e").await;
    m.f.put("/documents/e/inside", b"x").await;
    let folder = m.f.tree.lookup(&path("/documents/e")).await.unwrap();
    m.tamper("UPDATE node SET name = '..' WHERE id = $1", &folder)
        .await;
    m.f.put("/documents/fine", b"x").await;

    let done = m.all().await;

    assert_eq!((done.files, done.failed), (1, 5));
    assert_eq!(m.list().lines().count(), 5);
    assert!(!m.to.parent().unwrap().join("escaped").exists());
    let found = fs::read_dir(m.at("documents")).unwrap().count();
    assert_eq!(found, 1);
}

#[tokio::test]
async fn links_in_the_target_are_not_followed() {
    let m = Moving::new().await;
    m.f.put("/documents/a", b"new").await;
    m.f.put("/photos/b", b"new").await;
    m.f.put("/c", b"new").await;
    let elsewhere = tempfile::tempdir().unwrap();
    let precious = elsewhere.path().join("precious");
    fs::write(&precious, b"old").unwrap();
    fs::create_dir_all(m.at("photos")).unwrap();
    symlink(elsewhere.path(), m.at("documents")).unwrap();
    symlink(&precious, m.at("photos/b")).unwrap();
    symlink(&precious, m.to.join(LIST)).unwrap();
    symlink(&precious, m.to.join(".export.part")).unwrap();

    let done = m.on().await;

    assert_eq!((done.files, done.failed), (2, 1));
    assert!(m.list().starts_with("~one/documents\t"));
    assert_eq!(fs::read(&precious).unwrap(), b"old");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    // A link in the place of a file gives way to the file.
    assert!(fs::symlink_metadata(m.at("photos/b")).unwrap().is_file());
    assert_eq!(fs::read(m.at("photos/b")).unwrap(), b"new");
}

#[tokio::test]
async fn previous_versions_come_out_under_their_numbers_beside_the_plain_tree() {
    let m = Moving::new().await;
    for (text, time) in [("one", 1000), ("two", 2000), ("three", 3000)] {
        m.f.write("/documents/a", text.as_bytes(), dated(time))
            .await;
    }
    m.f.put("/documents/once", b"x").await;
    let what = Export {
        versions: true,
        ..Export::default()
    };
    let done = m.export(&what).await.unwrap();
    assert_eq!((done.files, done.failed), (4, 0));
    let kept = m.to.join(".versions").join(OWN).join("documents");
    for (number, text, time) in [("1", "one", 1000), ("2", "two", 2000)] {
        let file = kept.join("a").join(number);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert_eq!(modified(&file), Millis(time));
    }
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(m.at("documents/a")).unwrap(), "three");
}

#[tokio::test]
async fn one_space_can_be_asked_for_by_its_name() {
    let m = Moving::new().await;
    m.f.put("/documents/a", b"x").await;
    m.f.put("/shared/b", b"y").await;
    let only = |name: &str| Export {
        space: Some(name.to_owned()),
        ..Export::default()
    };
    let unknown = m.export(&only("nobody")).await;
    assert!(matches!(unknown, Err(Error::NoSpace(..))));
    assert!(!m.to.exists());
    let done = m.export(&only("shared")).await.unwrap();
    assert_eq!(done.files, 1);
    assert_eq!(fs::read(m.to.join("shared/b")).unwrap(), b"y");
    assert!(!m.at("").exists());
}

#[tokio::test]
async fn what_stays_while_others_come_and_go_is_all_there() {
    const STEADY: usize = 40;
    let m = Moving::new().await;
    for nth in 0..STEADY {
        m.f.put(&format!("/documents/steady {nth}"), &noise(20_000))
            .await;
    }
    let from = path("/documents/steady 0");
    let (writer, tree) = (m.f.site.store.clone(), m.f.tree.clone());
    let restless = tokio::spawn(async move {
        // From what is gone through late to what is gone through early, and what is read away.
        for nth in 0..STEADY {
            let from = path(&format!("/documents/steady {nth}"));
            let to = path(&format!("/backups/steady {nth}"));
            tree.rename(&from, &to, Overwrite::No).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(writer);
    });
    let done = m.all().await;
    restless.await.unwrap();
    assert_eq!(done.failed, 0);
    assert!(m.f.tree.lookup(&from).await.is_err());
    let last = m.on().await;
    assert_eq!((last.failed, last.restless), (0, 0));
    for nth in 0..STEADY {
        assert!(m.at(&format!("backups/steady {nth}")).is_file(), "{nth}");
    }
}

#[tokio::test]
async fn a_store_that_is_only_read_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let database = testing::database(folder.path());
    let data = folder.path().join("data");
    let file = folder.path().join("key");
    let key = || {
        MasterKey::load_or_create(&file)
            .map(|(key, _)| key)
            .unwrap()
    };
    let none = Store::open_to_read(&database, &data, key()).await;
    assert!(none.is_err(), "there is nothing");
    let keep = store::meta::versions::Keep::default();
    let made = Store::open(&database, &data, key(), keep).await.unwrap();
    made.close().await;
    fs::remove_dir_all(&data).unwrap();

    let stranger = MasterKey::generate().unwrap();
    let refused = Store::open_to_read(&database, &data, stranger).await.err();
    assert!(
        matches!(refused, Some(store::Error::WrongKey { .. })),
        "{refused:?}"
    );
    let read = Store::open_to_read(&database, &data, key()).await.unwrap();
    assert!(read.pin_to_read().await.unwrap().is_none());
    assert!(read.pin().await.is_err());
    read.close().await;
    assert!(!data.exists());
}

#[tokio::test]
async fn a_database_of_another_version_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let database = testing::database(folder.path());
    let meta = Meta::open(&database).await.unwrap();
    let newer: store::Result<u64> = meta
        .write(|conn| {
            Box::pin(async move {
                let later = "UPDATE _sqlx_migrations SET version = version + 1000
                    WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)";
                testing::execute(conn, later, &[]).await
            })
        })
        .await;
    assert_eq!(newer.unwrap(), 1);
    meta.close().await;
    let refused = Meta::open_to_read(&database).await.err();
    assert!(
        matches!(refused, Some(store::Error::Unfit(_))),
        "{refused:?}"
    );
}
