//! What is found is told once, and nothing that is found ends a check.

use super::fixture::{Bench, only};
use crate::jobs::fsck::Kind;

const LOSE_CONTENT: &str = "UPDATE node SET content = 999 WHERE id = $1";

#[tokio::test]
async fn what_cannot_be_repaired_is_told_once_beside_what_can() {
    let bench = Bench::full().await;
    let (kept, folder) = (bench.node("/c/kept").await, bench.node("/a").await);
    bench.plant(LOSE_CONTENT, &[kept.id.0]).await;
    let other_sum = "UPDATE node SET tree_size = tree_size + 1 WHERE id = $1";
    bench.plant(other_sum, &[folder.id.0]).await;

    let (found, summary) = bench.fsck(false, true).await;

    let lost = found.iter().filter(|found| found.kind == Kind::Content);
    assert_eq!(lost.count(), 1, "{found:#?}");
    assert!(summary.repaired > 0);
    assert_eq!(summary.damaged, summary.repaired + 1);
}

#[tokio::test]
async fn a_content_of_a_space_that_is_not_there_ends_nothing() {
    let bench = Bench::full().await;
    let small = bench.node("/a/small").await.content.unwrap();
    let give_away = "UPDATE content SET space = 77 WHERE id = $1";
    bench.plant(give_away, &[small.0]).await;
    bench
        .plant("UPDATE upload SET received = received - 1", &[])
        .await;

    let (found, _) = bench.fsck(true, false).await;

    only(&found, Kind::Key, "space-77");
    only(&found, Kind::Content, "/a/small");
    // Looked at last.
    only(&found, Kind::Upload, "");
}

#[tokio::test]
async fn a_file_whose_space_does_not_open_ends_nothing() {
    let bench = Bench::full().await;
    let small = bench.node("/a/small").await.id.0;
    let other_size = "UPDATE node SET size = size + 1 WHERE id = $1";
    bench.plant(other_size, &[small]).await;
    let other_key = "UPDATE space SET wrapped_key = (SELECT root FROM content LIMIT 1)
        WHERE id = 1";
    bench.plant(other_key, &[]).await;
    // Keys that were opened before stay open.
    let Bench { folder, store, .. } = bench;
    store.close().await;
    let bench = Bench::open(folder).await;

    let (found, _) = bench.fsck(true, true).await;

    only(&found, Kind::Key, "user:one");
}
