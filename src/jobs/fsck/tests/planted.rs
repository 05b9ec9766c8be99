//! One planted damage for each kind of finding.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use super::fixture::{Bench, SPACE, noise, only};
use crate::jobs::fsck::Kind;

/// A damage that can be repaired.
struct Case {
    kind: Kind,
    plant: &'static str,
    numbers: Vec<i64>,
    /// Named as a file that needs it, as far as one does.
    file: &'static str,
    /// What is said to have been done.
    done: &'static str,
}

fn case(
    kind: Kind,
    plant: &'static str,
    numbers: &[i64],
    file: &'static str,
    done: &'static str,
) -> Case {
    Case {
        kind,
        plant,
        numbers: numbers.to_vec(),
        file,
        done,
    }
}

#[tokio::test]
async fn a_sound_store_has_no_findings() {
    let bench = Bench::full().await;

    let (found, summary) = bench.fsck(true, false).await;

    assert_eq!(found, []);
    // The collections and files, the deleted one included; the root is none of them.
    assert_eq!((summary.nodes, summary.damaged), (9, 0));
    assert!(summary.contents >= 7 && summary.chunks >= 8, "{summary:?}");
}

/// Damage of everything that follows from other rows.
async fn figures(bench: &Bench) -> Vec<Case> {
    let [a, b, c] = [
        bench.node("/a").await.id.0,
        bench.node("/a/b").await.id.0,
        bench.node("/c").await.id.0,
    ];
    let (large, changed) = (
        bench.node("/a/b/large").await.id.0,
        bench.node("/c/changed").await.id.0,
    );
    let small = bench.node("/a/small").await.id.0;
    let root = b - 2;
    let one = |kind, plant, node, file| case(kind, plant, &[node], file, "worked out again");
    let all = |kind, plant| case(kind, plant, &[], SPACE, "worked out again");
    let made = |plant| case(Kind::Root, plant, &[root], SPACE, "made anew");
    let (name, lost) = (
        "UPDATE node SET name_key = 'other' WHERE id = $1",
        "UPDATE node SET space = 2 WHERE id = $1",
    );
    let (sum, order, size, version) = (
        "UPDATE node SET tree_size = 7 WHERE id = $1",
        "UPDATE node SET tree_seq = 0 WHERE id = $1",
        "UPDATE node SET size = size + 1 WHERE id = $1",
        "UPDATE version SET size = size + 1 WHERE node = $1",
    );
    vec![
        one(Kind::Sum, sum, b, "/a/b"),
        one(Kind::Order, order, a, "/a"),
        one(Kind::Size, size, large, "/a/b/large"),
        one(Kind::Version, version, changed, "/c/changed"),
        all(Kind::Counters, "UPDATE space SET seq = 1, last_node = 1"),
        all(Kind::Locks, "UPDATE space SET locks = 3"),
        made("UPDATE node SET trashed = 5 WHERE id = $1"),
        made("DELETE FROM node WHERE id = $1"),
        case(Kind::Name, name, &[small], "/a/small", "named again"),
        case(Kind::Lost, lost, &[c], "/c", "given back"),
    ]
}

#[tokio::test]
async fn what_follows_from_other_rows_is_found_named_and_worked_out_again() {
    let bench = Bench::full().await;
    for case in figures(&bench).await {
        let Case {
            kind,
            plant,
            numbers,
            file,
            done,
        } = case;
        bench.plant(plant, &numbers).await;

        let (found, summary) = bench.fsck(false, false).await;
        assert!(only(&found, kind, file).repaired.is_none());
        assert!(summary.damaged > 0 && summary.repaired == 0, "{summary:?}");
        let (found, summary) = bench.fsck(false, true).await;
        let repaired = only(&found, kind, file).repaired.clone();
        assert!(repaired.is_some_and(|text| text.contains(done)), "{plant}");
        assert_eq!(summary.damaged, summary.repaired, "{plant}: {found:#?}");

        assert_eq!(bench.fsck(true, false).await.0, [], "after {plant}");
        for (at, bytes) in [
            ("/a/b/large", noise(1, 100_000)),
            ("/c/kept", noise(3, 30_000)),
        ] {
            assert!(bench.read(at).await.unwrap() == bytes, "{at} after {plant}");
        }
    }
    // What is written goes on from there.
    bench.put("/a/b/new", &noise(8, 50_000)).await;
    assert_eq!(bench.kinds().await, []);
}

#[tokio::test]
async fn what_hangs_on_nothing_comes_back_under_recovered() {
    let bench = Bench::full().await;
    let [a, b, c] = [
        bench.node("/a").await.id.0,
        bench.node("/a/b").await.id.0,
        bench.node("/c").await.id.0,
    ];
    let kept = bench.node("/c/kept").await.id.0;
    let small = bench.node("/a/small").await.id.0;
    let move_to = "UPDATE node SET parent = $2 WHERE id = $1";
    let cases = [
        // Below a node that is not there, below a file, below nothing, and in a circle.
        (Kind::Lost, move_to, vec![kept, 12_345], "/recovered/kept"),
        (Kind::Lost, move_to, vec![b, small], "/recovered/b/large"),
        (
            Kind::Lost,
            "UPDATE node SET parent = NULL, name = '' WHERE id = $1",
            vec![c],
            "",
        ),
        (Kind::Circle, move_to, vec![a, a], "/recovered/a/small"),
    ];
    for (kind, plant, numbers, place) in cases {
        bench.plant(plant, &numbers).await;

        let (found, _) = bench.fsck(false, false).await;
        only(&found, kind, "");
        let (found, summary) = bench.fsck(false, true).await;
        let done = only(&found, kind, "").repaired.clone();
        assert!(done.is_some_and(|text| text.starts_with("moved to recovered/")));
        assert_eq!(summary.damaged, summary.repaired, "{found:#?}");

        assert_eq!(bench.fsck(true, false).await.0, [], "after {plant}");
        if !place.is_empty() {
            bench.read(place).await.unwrap();
        }
    }
    // One without a name that can be is called by its id, and what lies in it is there.
    let nameless = format!("/recovered/node-{c}/changed");
    assert!(bench.read(&nameless).await.unwrap() == noise(5, 21_000));
    let large = bench.read("/recovered/b/large").await.unwrap();
    assert!(large == noise(1, 100_000));
}

#[tokio::test]
async fn two_circles_and_what_lies_below_them_come_back() {
    let bench = Bench::full().await;
    let [a, b, c] = [
        bench.node("/a").await.id.0,
        bench.node("/a/b").await.id.0,
        bench.node("/c").await.id.0,
    ];
    // b hangs on a and a on b; c on itself.
    let move_to = "UPDATE node SET parent = $2 WHERE id = $1";
    bench.plant(move_to, &[a, b]).await;
    bench.plant(move_to, &[c, c]).await;

    let (found, summary) = bench.fsck(false, true).await;

    let circles = found.iter().filter(|finding| finding.kind == Kind::Circle);
    assert_eq!(circles.count(), 2, "{found:#?}");
    assert_eq!(summary.damaged, summary.repaired, "{found:#?}");
    assert_eq!(bench.fsck(true, false).await.0, []);
    let large = bench.read("/recovered/a/b/large").await.unwrap();
    assert!(large == noise(1, 100_000));
    bench.read("/recovered/c/kept").await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_helped_is_named_and_stays_named() {
    let bench = Bench::full().await;
    let (kept, changed) = (
        bench.node("/c/kept").await.id.0,
        bench.node("/c/changed").await.id.0,
    );
    bench
        .plant("UPDATE node SET content = 999 WHERE id = $1", &[kept])
        .await;
    bench
        .plant(
            "UPDATE version SET content = 999 WHERE node = $1",
            &[changed],
        )
        .await;
    bench
        .plant("UPDATE upload SET received = received - 1", &[])
        .await;
    bench
        .plant(
            "UPDATE space SET wrapped_key = (SELECT root FROM content LIMIT 1)
                WHERE id = 1",
            &[],
        )
        .await;

    let expected = [Kind::Key, Kind::Content, Kind::Version];
    let (found, summary) = bench.fsck(false, true).await;

    let kinds: Vec<_> = found.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, expected, "{found:#?}");
    only(&found, Kind::Content, "user:one/c/kept");
    only(&found, Kind::Version, "user:one/c/changed");
    assert_eq!((summary.damaged, summary.repaired), (3, 0));
    let (again, _) = bench.fsck(false, true).await;
    assert_eq!(again, found);
    assert!(bench.read("/c/kept").await.is_err());
}

#[tokio::test]
async fn an_upload_that_does_not_lead_to_its_bytes_is_named() {
    let bench = Bench::full().await;
    bench
        .plant("UPDATE upload SET received = received - 1", &[])
        .await;
    assert_eq!(bench.kinds().await, [Kind::Upload]);
}

#[tokio::test]
async fn files_that_no_row_knows_are_moved_and_nothing_is_deleted() {
    let bench = Bench::full().await;
    // Nothing is held any more that could be appended to.
    bench.store.segments.close_all().await.unwrap();
    let seg = bench.folder.path().join("data/seg");
    let name = "ab".repeat(16);
    let orphan = seg.join(format!("ab/{name}.seg"));
    let fresh = seg.join(format!("ab/ab{}.seg", "cd".repeat(15)));
    let strange = seg.join("ab/notes.txt");
    fs::create_dir_all(seg.join("ab")).unwrap();
    for file in [&orphan, &fresh, &strange] {
        fs::write(file, file.display().to_string()).unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_hours(2);
    File::options()
        .write(true)
        .open(&orphan)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();

    let (found, summary) = bench.fsck(false, false).await;
    let mut kinds: Vec<_> = found.iter().map(|finding| finding.kind).collect();
    kinds.sort_by_key(|kind| kind.word());
    // Whoever makes a segment may not have come to make its row, so the fresh one is left alone.
    assert!(
        kinds.contains(&Kind::Orphan) && kinds.contains(&Kind::Foreign),
        "{found:#?}"
    );
    assert_eq!(summary.damaged, 0);
    assert!(orphan.exists() && strange.exists());
    let (found, _) = bench.fsck(false, true).await;
    assert!(
        found.iter().all(|finding| finding.repaired.is_some()),
        "{found:#?}"
    );

    assert!(!orphan.exists() && !strange.exists() && fresh.exists());
    let aside = bench.folder.path().join("data/quarantine");
    let moved = fs::read_to_string(aside.join(format!("{name}.seg"))).unwrap();
    assert_eq!(moved, orphan.display().to_string());
    assert!(aside.join("notes.txt").exists());
    assert_eq!(bench.kinds().await, []);
}
