//! What was known to be damaged is known after the database was lost, and what was healed is not marked.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::fixture::{Opened, Site, base, load_into, noise, path, rows};
use crate::store::meta::{Conn, damage};
use crate::store::snapshot::{Folder, Kind, Writer};
use crate::store::{Result, Store};
use crate::types::{ChunkRow, ContentId, Millis};

/// How many chunks and contents have marks.
async fn marks(store: &Store) -> (u64, u64) {
    let mut conn = store.meta.read().await.unwrap();
    damage::count(&mut conn).await.unwrap()
}

/// The only segment there is.
fn segment(site: &Site) -> PathBuf {
    let groups = fs::read_dir(site.folder.path().join("data/seg")).unwrap();
    let mut files = groups.flat_map(|group| fs::read_dir(group.unwrap().path()).unwrap());
    let only = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    only
}

/// Flips a bit of the first record.
fn flip(segment: &Path) {
    let file = fs::File::options().read(true).write(true).open(segment);
    let (file, at, mut byte) = (file.unwrap(), 32 + 16 + 40, [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

async fn first_chunk(conn: &mut Conn) -> Result<damage::At> {
    let behind = damage::At {
        row: ChunkRow(0),
        segment: 0,
        start: 0,
    };
    Ok(damage::records(conn, behind, 1).await?[0].at)
}

async fn small(opened: &Opened) -> ContentId {
    let node = opened.tree.lookup(&path("/small")).await.unwrap();
    node.content.unwrap()
}

async fn set_mark(opened: &Opened, content: ContentId, marked: bool) {
    let done: Result<bool> = opened
        .store
        .meta
        .write(move |conn| {
            Box::pin(async move {
                if marked {
                    damage::mark_content(conn, content, Millis(1)).await
                } else {
                    damage::clear_content(conn, content).await
                }
            })
        })
        .await;
    assert!(done.unwrap());
}

/// A chunk of `/a` and the content of `/small` have marks, and the snapshot is newer.
async fn damaged() -> Site {
    let mut site = Site::new().await;
    site.opened.put("/a", &noise(1, 100_000)).await;
    site.opened.put("/small", b"a few bytes").await;
    site.take().await.unwrap();
    flip(&segment(&site));
    assert!(site.opened.read("/a").await.is_err());
    let content = small(&site.opened).await;
    set_mark(&site.opened, content, true).await;
    assert_eq!(marks(&site.opened.store).await, (1, 1));
    let taken = site.take().await.unwrap();
    assert_eq!(taken.kind, Kind::Delta);
    assert_eq!(site.take().await, None);
    site
}

#[tokio::test]
async fn marks_come_back_with_the_database() {
    let site = damaged().await;
    site.opened.store.close().await;
    // Small files beside the snapshot would heal what they hold.
    let beside = Folder::of(&site.folder.path().join("data"));
    beside.drop_small().await.unwrap();

    let done = site.recover("anew").await.unwrap();

    assert_eq!((done.missing, done.broken), (0, 0));
    let opened = site.open("anew").await;
    assert_eq!(marks(&opened.store).await, (1, 1));
    // So the same bytes are stored anew instead of being found.
    opened.put("/b", &noise(1, 100_000)).await;
    opened.put("/c", b"a few bytes").await;
    assert_eq!(marks(&opened.store).await, (0, 0));
    assert!(opened.read("/a").await.unwrap() == noise(1, 100_000));
}

#[tokio::test]
async fn marks_that_were_taken_off_stay_off() {
    let mut site = damaged().await;
    flip(&segment(&site));
    let space = site.opened.tree.user().space;
    let cleared: Result<u64> = site
        .opened
        .store
        .meta
        .write(move |conn| {
            Box::pin(async move {
                let at = first_chunk(conn).await?;
                damage::clear(conn, space, &[at]).await
            })
        })
        .await;
    assert_eq!(cleared.unwrap(), 1);
    assert!(site.take().await.is_some());
    let content = small(&site.opened).await;
    set_mark(&site.opened, content, false).await;
    assert!(site.take().await.is_some());

    let folder = site.folder.path();
    let loaded = load_into(folder, &folder.join("data"), &site.database("loaded")).await;

    assert_eq!(marks(&loaded).await, (0, 0));
}

/// Whoever heals a content may change its row and nothing else.
#[tokio::test]
async fn a_content_that_was_healed_comes_back_healed() {
    let mut site = damaged().await;
    let before = rows(&site.opened.store).await;
    site.opened.put("/small", b"a few bytes").await;
    site.opened.put("/a", &noise(1, 100_000)).await;
    assert_ne!(rows(&site.opened.store).await, before);
    site.take().await.unwrap();

    let folder = site.folder.path();
    let loaded = load_into(folder, &folder.join("data"), &site.database("loaded")).await;

    assert_eq!(marks(&loaded).await, (0, 0));
    assert_eq!(rows(&loaded).await, rows(&site.opened.store).await);
}

/// Contents and chunks had no marks in the first snapshots.
#[tokio::test]
async fn snapshots_of_before_have_no_marks_and_are_read() {
    let site = damaged().await;
    let mut pages = rows(&site.opened.store).await;
    for page in &mut pages {
        if [4, 5].contains(&page.window.unit) {
            for row in page.tables.iter_mut().flatten() {
                row.pop().unwrap();
            }
        }
    }
    let elsewhere = site.folder.path().join("elsewhere");
    let at = Folder::of(&elsewhere);
    let lock = at.lock().await.unwrap();
    let writer = Writer::create(&at, &base(1), site.opened.store.keys.master()).await;
    let mut writer = writer.unwrap();
    for page in &pages {
        writer.push(page).await.unwrap();
    }
    writer.finish().await.unwrap();
    drop(lock);

    let loaded = load_into(site.folder.path(), &elsewhere, &site.database("loaded")).await;

    assert_eq!(marks(&loaded).await, (0, 0));
    assert_eq!(rows(&loaded).await.len(), pages.len());
}
