//! Files of snapshots that are not as they were written.

use std::fs;

use super::fixture::{Site, base, noise};
use crate::crypto::MasterKey;
use crate::jobs::recover::RecoverError;
use crate::store::Result;
use crate::store::snapshot::{Cell, Row};
use crate::store::snapshot::{Folder, Head, Kind, Page, Reader, Window, Writer};

fn read(path: &std::path::Path, master: &MasterKey) -> Result<Vec<Page>> {
    let mut reader = Reader::open(path, master)?;
    let mut pages = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        let mut rest = &frame[..];
        while !rest.is_empty() {
            pages.push(Page::decode(&mut rest).unwrap());
        }
    }
    Ok(pages)
}

/// Three pages of which each fills a frame, and one that does not.
fn pages() -> Vec<Page> {
    let page = |at, len| {
        let row: Row = vec![Cell::Int(at), Cell::Bytes(noise(at.unsigned_abs(), len))];
        Page {
            window: Window { unit: 4, at },
            tables: vec![vec![row]],
        }
    };
    let large = 1024 * 1024;
    vec![page(1, large), page(2, large), page(3, large), page(4, 10)]
}

#[tokio::test]
async fn a_file_opens_only_as_a_whole_as_it_was_written_and_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = Folder::of(folder.path());
    let _lock = at.lock().await.unwrap().unwrap();
    let master = MasterKey::generate().unwrap();
    let mut writer = Writer::create(&at, &base(7), &master).await.unwrap();
    for page in pages() {
        writer.push(&page).await.unwrap();
    }
    assert_eq!(at.entries().unwrap(), [], "it has no name before the end");
    let bytes = writer.finish().await.unwrap();
    let entry = at.entries().unwrap().remove(0);
    let written = fs::read(&entry.path).unwrap();
    assert_eq!((entry.number, bytes), (7, written.len() as u64));
    assert!(read(&entry.path, &master).unwrap() == pages());

    let changed = folder.path().join("changed");
    let refused = |bytes: &[u8]| {
        fs::write(&changed, bytes).unwrap();
        read(&changed, &master).is_err()
    };
    assert!(!refused(&written));
    assert!(read(&entry.path, &MasterKey::generate().unwrap()).is_err());
    // Every byte of the header and the lengths, and some of each frame.
    let frame = |nth: usize| {
        let mut at = 72;
        for _ in 0..nth {
            let length = u32::from_be_bytes(written[at..at + 4].try_into().unwrap());
            at += 8 + length as usize;
        }
        at
    };
    let ends: Vec<_> = (0..=4).map(frame).collect();
    assert_eq!(ends[4], written.len(), "four frames");
    let heads = ends[..4].iter().flat_map(|at| *at..at + 12);
    let tails = ends[1..].iter().flat_map(|at| at - 4..*at);
    for at in (0..72).chain(heads).chain(tails) {
        let mut flipped = written.clone();
        flipped[at] ^= 1;
        assert!(refused(&flipped), "byte {at}");
    }
    for end in &ends[..4] {
        for cut in [end - 1, *end, end + 1, end + 8] {
            assert!(refused(&written[..cut]), "cut at {cut}");
        }
    }
    assert!(refused(&[&written[..], &[0]].concat()));
    let swapped = [
        &written[..72],
        &written[ends[1]..ends[2]],
        &written[72..ends[1]],
        &written[ends[2]..],
    ];
    assert!(refused(&swapped.concat()), "frames in another order");
    let dropped = [&written[..ends[1]], &written[ends[2]..]];
    assert!(refused(&dropped.concat()), "a frame left out");
}

#[tokio::test]
async fn one_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = Folder::of(folder.path());
    let lock = at.lock().await.unwrap().unwrap();
    let head = Head {
        kind: Kind::Delta,
        before: [2; 16],
        ..base(1)
    };
    let master = MasterKey::generate().unwrap();
    let writer = Writer::create(&at, &head, &master).await.unwrap();
    drop(writer);
    fs::write(at.path().join("0000000000000002.new"), "killed").unwrap();
    assert!(at.lock().await.unwrap().is_none(), "one writes");
    drop(lock);
    let _again = at.lock().await.unwrap().unwrap();
    let left: Vec<_> = fs::read_dir(at.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the lock: {left:?}");
}

/// A base, then five states of a file, one a delta.
async fn chain() -> Site {
    let mut site = Site::new().await;
    for nth in 0..6 {
        site.opened
            .put("/a", format!("state {nth}").as_bytes())
            .await;
        site.take().await.unwrap();
    }
    assert_eq!(site.snapshot_files().len(), 6);
    site
}

async fn recovered(site: &Site, name: &str) -> (String, u64, u64) {
    let done = site.recover(name).await.unwrap();
    let opened = site.open(name).await;
    let text = opened.read("/a").await.unwrap();
    let text = String::from_utf8(text).unwrap();
    opened.store.close().await;
    (text, done.files, done.refused)
}

#[tokio::test]
async fn the_chain_before_a_damaged_or_missing_file_is_used() {
    let site = chain().await;
    let files = site.snapshot_files();
    let good = fs::read(&files[4]).unwrap();
    let mut flipped = good.clone();
    flipped[100] ^= 1;

    assert_eq!(recovered(&site, "whole").await, ("state 5".into(), 6, 0));
    fs::write(&files[4], flipped).unwrap();
    assert_eq!(recovered(&site, "flipped").await, ("state 3".into(), 4, 2));
    fs::write(&files[4], &good[..good.len() - 20]).unwrap();
    assert_eq!(recovered(&site, "cut").await, ("state 3".into(), 4, 2));
    fs::remove_file(&files[4]).unwrap();
    assert_eq!(recovered(&site, "missing").await, ("state 3".into(), 4, 1));
    fs::rename(&files[5], &files[4]).unwrap();
    assert_eq!(recovered(&site, "renamed").await, ("state 3".into(), 4, 1));
}

#[tokio::test]
async fn the_generation_before_is_kept_for_the_day_on_which_a_base_is_damaged() {
    let mut site = chain().await;
    for nth in 6..8 {
        site.begin_anew();
        site.opened
            .put("/a", format!("state {nth}").as_bytes())
            .await;
        site.take().await.unwrap();
    }
    let files = site.snapshot_files();
    assert_eq!(files.len(), 2, "two bases, nothing before");
    let mut damaged = fs::read(&files[1]).unwrap();
    damaged[200] ^= 1;
    fs::write(&files[1], damaged).unwrap();
    assert_eq!(recovered(&site, "older").await, ("state 6".into(), 1, 1));
    fs::write(&files[0], "").unwrap();
    let none = site.recover("none").await;
    assert!(matches!(none, Err(RecoverError::NoSnapshot(_))));
}

#[tokio::test]
async fn nothing_of_names_and_contents_lies_in_clear() {
    let mut site = Site::new().await;
    let text = b"a text that everybody would know";
    site.opened.put("/a name that tells", text).await;
    site.take().await.unwrap();
    for file in site.snapshot_files() {
        let bytes = fs::read(file).unwrap();
        for known in [&b"a name that tells"[..], &text[..], b"wrapped", b"shared"] {
            assert!(!bytes.windows(known.len()).any(|at| at == known));
        }
    }
}
