//! The database is lost before, while and after everything is sealed anew.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::fixture::{Opened, Site, collect, database, noise};
use crate::crypto::SegmentId;
use crate::jobs::{self, Lease, reseal};
use crate::store::Store;
use crate::store::meta::{seals, segments};
use crate::types::Clock;

/// At so many bytes a second the job does a step and then waits for hours.
const A_STEP: Option<u64> = Some(1);
/// Steps are a page of small contents and each segment; with this many there is something wrong.
const STEPS_MAX: u32 = 60;

#[tokio::test]
async fn a_database_lost_at_any_time_of_sealing_anew_comes_back_and_is_sealed_anew() {
    let mut site = Site::new().await;
    let mut files = Vec::new();
    for generation in 1..=2 {
        put(&site.opened, &mut files, &format!("old {generation}")).await;
        site.rekey().await;
        // One that no snapshot knows, for a while.
        let newer = (format!("/newer {generation}"), noise(generation, 30_000));
        site.opened.put(&newer.0, &newer.1).await;
        lost(&site, &files, &newer).await;
        if generation == 2 {
            // So that small contents change by being sealed anew and by nothing else.
            site.take().await.unwrap();
        }
        let mut steps = 0;
        while is_left(&site.opened.store).await {
            steps += 1;
            assert!(steps < STEPS_MAX);
            run(&site.opened.store, A_STEP, 150 * steps).await;
            // The first is small contents.
            if steps % 2 == 1 {
                site.take().await;
            }
            if generation == 2 {
                lost(&site, &files, &newer).await;
            }
        }
        assert!(steps > 3, "{steps}");
        assert!(collect(&site.opened).await > 100_000);
        lost(&site, &files, &newer).await;
        site.take().await.unwrap();
        lost(&site, &files, &newer).await;
        files.push(newer);
        all_there(&site.opened, &files).await;
    }
}

#[tokio::test]
async fn a_segment_that_was_emptied_and_is_needed_again_is_sealed_anew_as_well() {
    let mut site = Site::new().await;
    let mut files = Vec::new();
    put(&site.opened, &mut files, "old").await;
    let old = on_disk(&site);
    site.rekey().await;
    let known = named(&site.opened.store).await;
    let mut steps = 0;
    while named(&site.opened.store).await.contains(&known[0]) {
        steps += 1;
        assert!(steps < STEPS_MAX);
        run(&site.opened.store, A_STEP, 150 * steps).await;
    }
    assert!(is_left(&site.opened.store).await);
    site.take().await.unwrap();
    for file in on_disk(&site) {
        if !old.contains(&file) {
            fs::remove_file(file).unwrap();
        }
    }
    let nothing = (files[0].0.clone(), files[0].1.clone());
    lost(&site, &files, &nothing).await;
}

/// The files of segments.
fn on_disk(site: &Site) -> Vec<PathBuf> {
    let groups = fs::read_dir(site.folder.path().join("data/seg")).unwrap();
    let files = groups.flat_map(|group| fs::read_dir(group.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

/// The segments that have rows.
async fn named(store: &Store) -> Vec<SegmentId> {
    let mut conn = store.meta.read().await.unwrap();
    let page = segments::page(&mut conn, 0, 100).await.unwrap();
    page.into_iter().map(|segment| segment.name).collect()
}

/// Small and large ones in both spaces, and a previous version of each, in segments of their own.
async fn put(opened: &Opened, files: &mut Vec<(String, Vec<u8>)>, name: &str) {
    for (nth, len) in (0..).zip([10, 5_000, 20_000, 100_000]) {
        let at = format!("{}/{name} {len}", ["", "/shared"][nth % 2]);
        opened.put(&at, &noise(len, 12_000)).await;
        let bytes = noise(nth as u64, usize::try_from(len).unwrap());
        opened.put(&at, &bytes).await;
        files.push((at, bytes));
    }
    opened.close_segments().await;
}

async fn all_there(opened: &Opened, files: &[(String, Vec<u8>)]) {
    for (at, bytes) in files {
        assert!(opened.read(at).await.unwrap() == *bytes, "{at}");
    }
}

/// Loses the database of a copy: all comes back, can be sealed anew to the end, and then opens with the
/// newest keys alone.
async fn lost(site: &Site, files: &[(String, Vec<u8>)], newer: &(String, Vec<u8>)) {
    let (copy, done) = site.copy().await;
    assert_eq!((done.torn, done.missing, done.broken), (0, 0, 0));
    assert_eq!(done.refused, 0);
    for _ in 0..2 {
        let opened = Opened::open(copy.path(), &database(copy.path(), "anew")).await;
        all_there(&opened, files).await;
        let (at, bytes) = newer;
        let found = match opened.read(at).await {
            Ok(found) => found,
            Err(_) => opened.read(&format!("/recovered{at}")).await.unwrap(),
        };
        assert!(found == *bytes);
        assert!(run(&opened.store, None, 60_000).await);
        assert!(!is_left(&opened.store).await);
        let keys = seals::all(&mut opened.store.meta.read().await.unwrap()).await;
        assert_eq!(keys.unwrap().len(), 2, "one for each space");
        opened.store.close().await;
    }
}

/// Seals anew until the job is done or some milliseconds are over; whether it is done.
async fn run(store: &Arc<Store>, rate: Option<u64>, most: u32) -> bool {
    reseal::free(&store.meta).await.unwrap();
    let site = jobs::Site {
        store: Arc::clone(store),
        clock: Clock::system(),
        stop: CancellationToken::new(),
    };
    let lease = Lease::take(&site, reseal::NAME, None).await.unwrap();
    let lease = lease.expect("nobody else has it");
    let most = Duration::from_millis(u64::from(most));
    let done = timeout(most, reseal::run(&lease, rate)).await;
    done.is_ok_and(|done| done.unwrap())
}

async fn is_left(store: &Store) -> bool {
    reseal::under_way(&store.meta).await.unwrap()
}
