//! Damaged bytes: named with the files that need them, never served, healed by the same bytes.

use std::fs;
use std::path::Path;

use super::fixture::{Bench, ID, SPACE, flip, noise, only, path};
use crate::jobs::fsck::{Finding, Kind};
use crate::store::content::RebuildError;

/// Damage of contents: kind, statement, its number, a file, and the bytes of that.
async fn contents(bench: &Bench) -> Vec<(Kind, &'static str, i64, &'static str, Vec<u8>)> {
    let large = bench.node("/a/b/large").await.content.unwrap().0;
    let small = bench.node("/a/small").await.content.unwrap().0;
    vec![
        (
            Kind::Manifest,
            "UPDATE content SET manifest = root WHERE id = $1",
            large,
            "/a/b/large",
            noise(1, 100_000),
        ),
        (
            Kind::Manifest,
            "UPDATE content SET size = size + 1 WHERE id = $1",
            large,
            "/a/b/large",
            noise(1, 100_000),
        ),
        (
            Kind::Manifest,
            "UPDATE content SET manifest = (SELECT o.manifest FROM content o
                WHERE o.manifest IS NOT NULL AND o.id <> $1 ORDER BY o.id LIMIT 1) WHERE id = $1",
            large,
            "/a/b/large",
            noise(1, 100_000),
        ),
        (
            Kind::Manifest,
            "UPDATE content SET manifest = NULL WHERE id = $1",
            large,
            "/a/b/large",
            noise(1, 100_000),
        ),
        (
            Kind::Manifest,
            "DELETE FROM chunk WHERE id = (SELECT min(id) FROM chunk) AND $1 > 0",
            large,
            "/a/b/large",
            noise(1, 100_000),
        ),
        (
            Kind::Inline,
            "UPDATE content SET sealed = root WHERE id = $1",
            small,
            "/a/small",
            b"a few bytes".to_vec(),
        ),
        (
            Kind::Inline,
            "UPDATE content SET size = size - 1 WHERE id = $1",
            small,
            "/a/small",
            b"a few bytes".to_vec(),
        ),
    ]
}

#[tokio::test]
async fn damaged_contents_are_named_not_served_and_healed_by_the_same_bytes() {
    let bench = Bench::full().await;
    for (kind, plant, number, file, bytes) in contents(&bench).await {
        bench.plant(plant, &[number]).await;

        let (found, summary) = bench.fsck(true, false).await;
        only(&found, kind, file);
        assert!(summary.damaged > 0);
        assert!(bench.read(file).await.is_err(), "{file} after {plant}");
        let (found, summary) = bench.fsck(true, true).await;
        let done = only(&found, kind, file).repaired.clone();
        assert!(done.is_some_and(|text| text.contains("offered to nobody")));
        assert!(summary.damaged > summary.repaired);
        // It cannot be helped yet, and nothing else is said.
        let again = bench.fsck(true, false).await.0;
        assert!(
            again.iter().all(|finding| finding.kind == kind),
            "{again:#?}"
        );
        assert!(!again.is_empty());

        // Somewhere else the same bytes come again.
        bench.put("/c/healer", &bytes).await;
        assert!(
            bench.read(file).await.unwrap() == bytes,
            "{file} after {plant}"
        );
        assert_eq!(bench.fsck(true, true).await.1.damaged, 0, "after {plant}");
        assert_eq!(bench.kinds().await, [], "after {plant}");
    }
}

#[tokio::test]
async fn a_damaged_segment_names_exactly_the_files_that_need_it() {
    let bench = Bench::empty().await;
    // One chunk each, wherever the space cuts.
    bench.put("/one", &noise(1, 15_000)).await;
    bench.put("/both", &noise(1, 15_000)).await;
    bench.store.segments.close_all().await.unwrap();
    bench.put("/two", &noise(2, 15_000)).await;
    let two = bench.segments();
    assert_eq!(two.len(), 2);
    for segment in two {
        let whole = fs::read(&segment).unwrap();
        let holds_one = !is_of(&bench, "/two", &segment).await;
        let expected: &[&str] = if holds_one {
            &["user:one/one", "user:one/both"]
        } else {
            &["user:one/two"]
        };
        let damages: [(&str, Option<Vec<u8>>); 5] = [
            ("missing", None),
            ("another header", Some([b"x", &whole[1..]].concat())),
            // Its last bytes are what only a lost database needs.
            ("too short", Some(whole[..whole.len() - 1000].to_vec())),
            ("empty", Some(Vec::new())),
            (
                "zeroed",
                Some([&whole[..32], &vec![0; whole.len() - 32]].concat()),
            ),
        ];
        for (what, bytes) in damages {
            fs::remove_file(&segment).unwrap();
            if let Some(bytes) = &bytes {
                fs::write(&segment, bytes).unwrap();
            }
            let (found, _) = bench.fsck(false, false).await;
            let [finding] = found.as_slice() else {
                panic!("{what}: {found:#?}")
            };
            assert!(matches!(finding.kind, Kind::Segment | Kind::Record));
            assert_eq!(finding.files, expected, "{what}");
            let name = segment.file_stem().unwrap().to_str().unwrap();
            assert!(finding.subject.contains(name), "{finding:?}");
            for at in ["/one", "/both", "/two"] {
                let needs = expected.contains(&format!("{SPACE}{at}").as_str());
                assert_eq!(bench.read(at).await.is_err(), needs, "{at}, {what}");
            }
            let _there = fs::remove_file(&segment);
            fs::write(&segment, &whole).unwrap();
            // Reading has marked what did not open; now it does.
            bench.fsck(false, true).await;
            assert_eq!(bench.kinds().await, []);
        }
        assert!(bench.read("/one").await.unwrap() == noise(1, 15_000));
    }
}

/// Whether a file fails without a segment.
async fn is_of(bench: &Bench, at: &str, segment: &Path) -> bool {
    let aside = segment.with_extension("aside");
    fs::rename(segment, &aside).unwrap();
    let (found, _) = bench.fsck(false, false).await;
    fs::rename(&aside, segment).unwrap();
    let named = |finding: &Finding| finding.files.iter().any(|file| file.ends_with(at));
    found.iter().any(named)
}

#[tokio::test]
async fn a_record_that_is_damaged_is_healed_by_the_same_bytes_and_stays_on_the_disk() {
    let bench = Bench::empty().await;
    let bytes = noise(1, 100_000);
    bench.put("/a", &bytes).await;
    bench.put("/b", &noise(2, 15_000)).await;
    let segment = bench.segments().remove(0);
    flip(&segment, 32 + 16 + 40);

    let (found, _) = bench.fsck(true, true).await;
    only(&found, Kind::Record, "user:one/a");
    assert!(bench.read("/a").await.is_err());
    assert!(bench.read("/b").await.is_ok());
    // Not to be found by who says that it is stored already.
    let content = bench.node("/a").await.content.unwrap();
    let facts = bench.tree.content_facts(content).await.unwrap();
    let known = bench.tree.known_content(ID, facts.root, facts.size);
    assert!(known.await.unwrap().is_none());

    bench.put("/c", &bytes).await;

    assert!(bench.read("/a").await.unwrap() == bytes);
    assert_eq!(bench.kinds().await, []);
    assert!(segment.exists());
    let known = bench.tree.known_content(ID, facts.root, facts.size);
    assert!(known.await.unwrap().is_some());
}

#[tokio::test]
async fn a_mark_on_what_is_sound_is_taken_off() {
    let bench = Bench::full().await;
    bench.plant("UPDATE chunk SET damaged = 1", &[]).await;
    bench.plant("UPDATE content SET damaged = 1", &[]).await;

    let (found, summary) = bench.fsck(false, false).await;
    assert!(found.iter().all(|finding| finding.kind == Kind::Marked));
    assert_eq!(summary.damaged, 0);
    bench.fsck(false, true).await;

    assert_eq!(bench.kinds().await, []);
}

#[tokio::test]
async fn collection_leaves_what_is_damaged_where_it_is_until_it_is_healed() {
    let bench = Bench::empty().await;
    let bytes = noise(1, 15_000);
    bench.put("/a", &bytes).await;
    bench.put("/b", &noise(2, 15_000)).await;
    let dead = bench.put("/dead", &noise(3, 400_000)).await;
    let segment = bench.segments().remove(0);
    flip(&segment, 32 + 16 + 40);
    bench.fsck(true, true).await;
    bench.tree.remove(&path("/dead")).await.unwrap();
    bench.tree.purge(dead.id).await.unwrap();

    bench.collect().await;

    // What was sound has moved; what was not is where it was, with its row.
    assert!(segment.exists());
    assert_eq!(bench.kinds().await, [Kind::Record]);
    assert!(bench.read("/a").await.is_err());
    assert!(bench.read("/b").await.unwrap() == noise(2, 15_000));

    bench.put("/again", &bytes).await;
    bench.collect().await;

    assert!(!segment.exists());
    assert!(bench.read("/a").await.unwrap() == bytes);
    assert_eq!(bench.kinds().await, []);
}

#[tokio::test]
async fn what_nothing_names_any_more_goes_though_it_is_damaged() {
    let bench = Bench::empty().await;
    let node = bench.put("/a", &noise(1, 15_000)).await;
    let segment = bench.segments().remove(0);
    flip(&segment, 32 + 16 + 40);
    bench.fsck(true, true).await;
    bench.tree.remove(&path("/a")).await.unwrap();
    bench.tree.purge(node.id).await.unwrap();

    bench.collect().await;

    assert!(!segment.exists());
    assert_eq!(bench.kinds().await, []);
}

#[tokio::test]
async fn a_change_of_a_damaged_file_does_not_name_what_is_damaged() {
    let bench = Bench::empty().await;
    let bytes = noise(1, 700_000);
    let node = bench.put("/a", &bytes).await;
    let segment = bench.segments().remove(0);
    flip(&segment, 32 + 16 + 40);
    bench.fsck(true, true).await;
    let size = bytes.len() as u64;
    let class = crate::chunk::Class::Small;
    let mut rebuild = bench
        .tree
        .rebuild(ID, node.content, class, size)
        .await
        .unwrap();

    let copied = rebuild.copy(0, size).await;
    let built = match copied {
        Ok(()) => rebuild.finish().await.map(drop),
        Err(error) => Err(error),
    };

    let error = built.err().unwrap();
    assert!(
        matches!(&error, RebuildError::Store(error) if error.is_damage()),
        "{error}"
    );
}
