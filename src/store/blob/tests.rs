//! Tests of segments on real files.

use std::path::PathBuf;

use super::*;
use crate::crypto::SpaceKey;
use crate::types::SpaceId;

fn keys(space: i64) -> Arc<SpaceKeys> {
    Arc::new(SpaceKeys::derive(
        SpaceId(space),
        &SpaceKey::generate().unwrap(),
    ))
}

fn piece(keys: &SpaceKeys, plain: impl Into<Bytes>) -> Piece {
    let plain = plain.into();
    Piece {
        id: keys.chunk_id(&plain),
        plain,
    }
}

fn noise(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.join("seg"))
        .unwrap()
        .flat_map(|xx| fs::read_dir(xx.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

/// A segment of three records: compressed, raw, compressed.
async fn small_segment(folder: &Path) -> (Arc<SpaceKeys>, Vec<Place>, Vec<u8>) {
    let (keys, segments) = (keys(1), Segments::open(folder).await.unwrap());
    let plains = [vec![b'a'; 200], noise(60), vec![b'b'; 300]];
    let pieces = plains
        .into_iter()
        .map(|plain| piece(&keys, plain))
        .collect();
    let places = segments.append(&keys, pieces).await.unwrap();
    segments.sync(&places).await.unwrap();
    let bytes = fs::read(&files(folder)[0]).unwrap();
    (keys, places, bytes)
}

#[tokio::test]
async fn chunks_of_all_kinds_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, segments) = (keys(1), Segments::open(folder.path()).await.unwrap());
    let plains = [
        vec![],
        b"x".to_vec(),
        vec![0; 2 << 20],
        noise(2 << 20),
        noise(100_000),
        vec![7; 70_000],
    ];
    let pieces = plains
        .iter()
        .map(|plain| piece(&keys, plain.clone()))
        .collect();
    let places = segments.append(&keys, pieces).await.unwrap();
    segments.sync(&places).await.unwrap();
    for (place, plain) in places.iter().zip(&plains) {
        let (id, read) = segments.read(&keys, *place).await.unwrap();
        assert_eq!(read, plain);
        assert_eq!(id, keys.chunk_id(plain));
    }
    assert!(places[2].stored < 1000, "zeroes are compressed");
    assert_eq!(
        places[3].stored as usize,
        (2 << 20) + record::OVERHEAD,
        "noise is not"
    );
    let too_long = piece(&keys, vec![0; (2 << 20) + 1]);
    assert!(segments.append(&keys, vec![too_long]).await.is_err());
}

#[tokio::test]
async fn other_keys_open_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_, places, _) = small_segment(folder.path()).await;
    for stranger in [keys(1), keys(2)] {
        let segments = Segments::open(folder.path()).await.unwrap();
        assert!(segments.read(&stranger, places[0]).await.is_err());
    }
}

#[tokio::test]
async fn no_plaintext_and_no_chunk_id_lies_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, segments) = (keys(1), Segments::open(folder.path()).await.unwrap());
    let plain = noise(500);
    let id = keys.chunk_id(&plain);
    let places = segments
        .append(&keys, vec![piece(&keys, plain.clone())])
        .await
        .unwrap();
    segments.sync(&places).await.unwrap();
    let bytes = fs::read(&files(folder.path())[0]).unwrap();
    assert!(
        !bytes
            .windows(16)
            .any(|window| window == &plain[..16] || window == &id.0[..16])
    );
}

#[tokio::test]
async fn every_flipped_byte_is_noticed_by_reading() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, places, bytes) = small_segment(folder.path()).await;
    let path = &files(folder.path())[0];
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        fs::write(path, &changed).unwrap();
        let segments = Segments::open(folder.path()).await.unwrap();
        let mut failed = 0;
        for place in &places {
            failed += usize::from(segments.read(&keys, *place).await.is_err());
        }
        assert_eq!(
            failed,
            if at < record::SEGMENT_HEADER_LEN {
                3
            } else {
                1
            },
            "byte {at}"
        );
    }
}

#[tokio::test]
async fn a_cut_off_file_is_an_error_for_what_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, places, bytes) = small_segment(folder.path()).await;
    fs::write(&files(folder.path())[0], &bytes[..bytes.len() - 1]).unwrap();
    let segments = Segments::open(folder.path()).await.unwrap();
    assert!(segments.read(&keys, places[1]).await.is_ok());
    assert!(matches!(
        segments.read(&keys, places[2]).await,
        Err(Error::Corrupt(_))
    ));
}

#[tokio::test]
async fn a_scan_finds_what_is_whole_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, places, bytes) = small_segment(folder.path()).await;
    let path = &files(folder.path())[0];
    let found = async |bytes: &[u8]| {
        fs::write(path, bytes).unwrap();
        let segments = Segments::open(folder.path()).await.unwrap();
        let scan = segments.scan(&keys, places[0].segment).await.unwrap();
        (
            scan.records
                .iter()
                .map(|found| found.place)
                .collect::<Vec<_>>(),
            scan.damaged,
        )
    };
    assert_eq!(found(&bytes).await, (places.clone(), 0));
    // Cut off anywhere: the records before the cut.
    for end in record::SEGMENT_HEADER_LEN..bytes.len() {
        let whole = places
            .iter()
            .filter(|p| p.offset + u64::from(p.stored) <= end as u64);
        let whole: Vec<_> = whole.copied().collect();
        assert_eq!(found(&bytes[..end]).await.0, whole, "cut at {end}");
    }
    // A byte changed anywhere: all the others.
    for at in record::SEGMENT_HEADER_LEN..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        let hit = |p: &&Place| !(p.offset..p.offset + u64::from(p.stored)).contains(&(at as u64));
        let others: Vec<_> = places.iter().filter(hit).copied().collect();
        assert_eq!(others.len(), 2);
        assert_eq!(found(&changed).await.0, others, "byte {at}");
    }
    assert_eq!(
        found(&bytes[..record::SEGMENT_HEADER_LEN]).await,
        (vec![], 0)
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_read_does_not_end_the_listing() {
    let folder = tempfile::tempdir().unwrap();
    let (_, places, bytes) = small_segment(folder.path()).await;
    let group = folder.path().join("seg/ab");
    fs::create_dir_all(&group).unwrap();
    let at = |digit: &str| group.join(format!("ab{}.seg", digit.repeat(30)));
    fs::create_dir(at("1")).unwrap();
    // One that was taken away meanwhile is as good as never listed.
    std::os::unix::fs::symlink(group.join("nothing"), at("2")).unwrap();

    let found = Segments::at(folder.path()).files().await.unwrap();

    let (readable, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|file| file.segment == places[0].segment);
    assert_eq!(readable.len(), 1);
    assert_eq!(readable[0].space, Some(SpaceId(1)));
    assert_eq!(readable[0].len, bytes.len() as u64);
    let spaces: Vec<_> = others.iter().map(|file| file.space).collect();
    assert_eq!(spaces, [None]);
}

#[tokio::test]
async fn those_who_wait_together_share_one_sync() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, segments) = (keys(1), Segments::open(folder.path()).await.unwrap());
    let mut places = Vec::new();
    for nth in 0..32 {
        places.push(
            segments
                .append(&keys, vec![piece(&keys, vec![nth; 50])])
                .await
                .unwrap(),
        );
    }
    let waits = places.iter().map(|place| segments.sync(place));
    futures_util::future::try_join_all(waits).await.unwrap();
    assert_eq!(segments.syncs(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_at_the_same_time_do_not_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let segments = Arc::new(Segments::open(folder.path()).await.unwrap());
    let keys = [keys(1), keys(2)];
    let tasks = (0..40_u8).map(|nth| {
        let (segments, keys) = (
            Arc::clone(&segments),
            Arc::clone(&keys[usize::from(nth % 2)]),
        );
        tokio::spawn(async move {
            let pieces = (0..5).map(|_| piece(&keys, vec![nth; 5000])).collect();
            let places = segments.append(&keys, pieces).await.unwrap();
            segments.sync(&places).await.unwrap();
            for place in places {
                assert_eq!(
                    segments.read(&keys, place).await.unwrap().1,
                    vec![nth; 5000]
                );
            }
        })
    });
    futures_util::future::try_join_all(tasks).await.unwrap();
    assert_eq!(files(folder.path()).len(), 2, "one segment for each space");
}

#[tokio::test]
async fn a_new_process_never_appends_to_an_old_segment() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, _, before) = small_segment(folder.path()).await;
    let old = files(folder.path());
    let segments = Segments::open(folder.path()).await.unwrap();
    let places = segments
        .append(&keys, vec![piece(&keys, vec![1; 10])])
        .await
        .unwrap();
    segments.sync(&places).await.unwrap();
    assert_eq!(files(folder.path()).len(), 2);
    assert_eq!(fs::read(&old[0]).unwrap(), before);
}

#[tokio::test]
async fn a_full_segment_is_followed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, segments) = (keys(1), Segments::open(folder.path()).await.unwrap());
    let chunk = piece(&keys, noise(2 << 20));
    let mut places = Vec::new();
    for _ in 0..9 {
        let four = (0..4)
            .map(|_| Piece {
                id: chunk.id,
                plain: chunk.plain.clone(),
            })
            .collect();
        places.extend(segments.append(&keys, four).await.unwrap());
    }
    segments.sync(&places).await.unwrap();
    assert_eq!(files(folder.path()).len(), 2);
    for place in [places[0], places[35]] {
        assert_eq!(segments.read(&keys, place).await.unwrap().1, chunk.plain);
    }
}

#[tokio::test]
async fn more_spaces_than_open_segments_still_write() {
    let folder = tempfile::tempdir().unwrap();
    let segments = Segments::open(folder.path()).await.unwrap();
    let mut written = Vec::new();
    for space in 1..=40 {
        let keys = keys(space);
        let places = segments
            .append(&keys, vec![piece(&keys, vec![1; 10])])
            .await
            .unwrap();
        written.push((keys, places));
    }
    for (keys, places) in &written {
        segments.sync(places).await.unwrap();
        assert_eq!(segments.read(keys, places[0]).await.unwrap().1, vec![1; 10]);
    }
    // The first space's segment was closed, so it begins another.
    let (keys, places) = &written[0];
    let again = segments
        .append(keys, vec![piece(keys, vec![2; 10])])
        .await
        .unwrap();
    assert_ne!(again[0].segment, places[0].segment);
}

#[tokio::test]
async fn a_segment_that_cannot_be_created_is_an_error_and_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, segments) = (keys(1), Segments::open(folder.path()).await.unwrap());
    fs::remove_dir(folder.path().join("seg")).unwrap();
    fs::write(folder.path().join("seg"), "a file in the way").unwrap();
    assert!(
        segments
            .append(&keys, vec![piece(&keys, vec![1; 10])])
            .await
            .is_err()
    );
}

#[test]
fn a_segment_that_fills_while_others_sync_it_stops_nobody() {
    // given: hardly any threads for the disk, and more writers than those
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime
        .worker_threads(2)
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let work = async {
        let (keys, segments) = (
            keys(1),
            Arc::new(Segments::open(folder.path()).await.unwrap()),
        );
        let write = |_| {
            let (keys, segments) = (Arc::clone(&keys), Arc::clone(&segments));
            let plain = noise(1024 * 1024);
            tokio::spawn(async move {
                for _ in 0..20 {
                    let pieces = vec![piece(&keys, plain.clone())];
                    let places = segments.append(&keys, pieces).await.unwrap();
                    segments.sync(&places).await.unwrap();
                }
            })
        };
        // when: they fill two segments
        futures_util::future::join_all((0..8).map(write)).await
    };
    // then
    let done = runtime.block_on(async { tokio::time::timeout(Duration::from_mins(1), work).await });
    assert!(done.unwrap().into_iter().all(|writer| writer.is_ok()));
    assert!(files(folder.path()).len() >= 3);
}
