//! What is damaged is never served as something else: every byte of a segment, its length, and each
//! column of the rows that lead to bytes.

use std::fs;
use std::ops::Range;

use super::fixture::{Bench, ID, flip, noise};
use crate::crypto::SegmentId;

/// Files of one record each, which are short because these bytes compress well.
const FILES: [(&str, u64, usize); 3] =
    [("/one", 1, 8_200), ("/two", 2, 8_300), ("/three", 3, 8_400)];

/// The same, all of one length.
const ALIKE: [(&str, u64, usize); 3] =
    [("/one", 1, 9_000), ("/two", 2, 9_000), ("/three", 3, 9_000)];

/// Whether each file is read as it was stored. Other bytes end the test.
async fn readable(bench: &Bench) -> Vec<bool> {
    readable_of(bench, FILES).await
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    noise(seed, 16).into_iter().cycle().take(len).collect()
}

async fn readable_of(bench: &Bench, files: [(&str, u64, usize); 3]) -> Vec<bool> {
    let mut all = Vec::new();
    for (at, seed, len) in files {
        let read = bench.read(at).await;
        if let Ok(read) = &read {
            assert!(*read == bytes(seed, len), "{at} gives other bytes");
        }
        all.push(read.is_ok());
    }
    all
}

async fn three() -> (Bench, std::path::PathBuf, Vec<u8>) {
    let bench = Bench::empty().await;
    for (at, seed, len) in FILES {
        bench.put(at, &bytes(seed, len)).await;
    }
    let segment = bench.segments().remove(0);
    let whole = fs::read(&segment).unwrap();
    (bench, segment, whole)
}

/// Where the record of each file lies. Behind each is one that only a lost database needs.
fn records(segment: &[u8]) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut at = 32;
    while at < segment.len() {
        let stored = segment[at + 12..at + 16].try_into().unwrap();
        let end = at + u32::from_be_bytes(stored) as usize;
        all.push(at..end);
        at = end;
    }
    assert_eq!((at, all.len()), (segment.len(), 2 * FILES.len()));
    all.into_iter().step_by(2).collect()
}

async fn reopen(bench: &Bench) {
    // A file that is kept open is not looked at again.
    for segment in bench.segments() {
        let name = SegmentId::parse(segment.file_stem().unwrap().to_str().unwrap());
        drop(bench.store.segments.inspect(ID, name.unwrap()).await);
    }
}

async fn run(bench: &Bench, text: String) {
    bench.plant(text.leak(), &[]).await;
}

/// Keeps a column, to be put back.
async fn keep(bench: &Bench, table: &str, column: &str) {
    let text = format!("CREATE TABLE kept AS SELECT id, {column} AS v FROM {table}");
    bench.do_not_count(text.leak()).await;
}

async fn put_back(bench: &Bench, table: &str, column: &str) {
    let kept = format!("(SELECT kept.v FROM kept WHERE kept.id = {table}.id)");
    run(bench, format!("UPDATE {table} SET {column} = {kept}")).await;
    bench.do_not_count("DROP TABLE kept").await;
}

/// Gives each row what the next one has.
async fn rotate(bench: &Bench, table: &str, column: &str) {
    // Elsewhere meanwhile, because some are unique in their space.
    run(bench, format!("UPDATE {table} SET space = -id")).await;
    let next = format!(
        "(SELECT k.v FROM kept k WHERE k.id = COALESCE(
            (SELECT MIN(n.id) FROM kept n WHERE n.id > {table}.id), (SELECT MIN(f.id) FROM kept f)))"
    );
    run(bench, format!("UPDATE {table} SET {column} = {next}")).await;
    run(bench, format!("UPDATE {table} SET space = 1")).await;
}

#[tokio::test]
async fn each_byte_of_a_segment_fails_exactly_the_files_that_need_it() {
    let (bench, segment, whole) = three().await;
    let records = records(&whole);
    for at in 0..whole.len() {
        flip(&segment, at as u64);
        reopen(&bench).await;
        let expected: Vec<_> = records
            .iter()
            .map(|record| at >= 32 && !record.contains(&at))
            .collect();
        assert_eq!(readable(&bench).await, expected, "byte {at}");
        flip(&segment, at as u64);
    }
    reopen(&bench).await;
    assert_eq!(readable(&bench).await, [true; 3]);
}

#[tokio::test]
async fn a_segment_that_is_cut_short_fails_exactly_what_was_cut_off() {
    let (bench, segment, whole) = three().await;
    let records = records(&whole);
    let bounds = records.iter().flat_map(|record| [record.start, record.end]);
    for bound in bounds {
        for len in [bound - 1, bound, bound + 1] {
            if len > whole.len() {
                continue;
            }
            fs::write(&segment, &whole[..len]).unwrap();
            reopen(&bench).await;
            let expected: Vec<_> = records.iter().map(|record| len >= record.end).collect();
            assert_eq!(readable(&bench).await, expected, "{len} bytes are left");
        }
    }
}

#[tokio::test]
async fn segments_that_changed_places_or_lost_their_bytes_serve_nothing() {
    let bench = Bench::empty().await;
    for (at, seed, len) in FILES {
        bench.put(at, &bytes(seed, len)).await;
        bench.store.segments.close_all().await.unwrap();
    }
    let files = bench.segments();
    let [one, two, _] = files.as_slice() else {
        panic!("{files:?}")
    };
    let (first, second) = (fs::read(one).unwrap(), fs::read(two).unwrap());
    let count = |readable: Vec<bool>| readable.into_iter().filter(|read| *read).count();
    // Swapped.
    fs::write(one, &second).unwrap();
    fs::write(two, &first).unwrap();
    reopen(&bench).await;
    assert_eq!(count(readable(&bench).await), 1);
    // One with the name of the other in its header.
    fs::write(one, [&first[..32], &second[32..]].concat()).unwrap();
    fs::write(two, &second).unwrap();
    reopen(&bench).await;
    assert_eq!(count(readable(&bench).await), 2);
    // Zeros, as a file system leaves them after a power cut.
    fs::write(one, vec![0; first.len()]).unwrap();
    reopen(&bench).await;
    assert_eq!(count(readable(&bench).await), 2);
    fs::write(one, &first).unwrap();
    reopen(&bench).await;
    assert_eq!(count(readable(&bench).await), 3);
}

#[tokio::test]
async fn no_number_that_leads_to_bytes_leads_to_others() {
    let bench = Bench::empty().await;
    for (at, seed, len) in FILES {
        bench.put(at, &bytes(seed, len)).await;
    }
    let columns = [
        ("chunk", "start"),
        ("chunk", "stored"),
        ("chunk", "raw"),
        ("chunk", "space"),
        ("segment", "space"),
        ("content", "size"),
        ("content", "space"),
        ("node", "size"),
        ("node", "content"),
    ];
    for (table, column) in columns {
        for value in ["0", "-1", "9223372036854775807", "{c} + 1", "{c} - 1"] {
            keep(&bench, table, column).await;
            let value = value.replace("{c}", column);
            run(&bench, format!("UPDATE {table} SET {column} = {value}")).await;
            reopen(&bench).await;
            // Whole or not at all: it looks.
            readable(&bench).await;
            put_back(&bench, table, column).await;
        }
    }
    bench.fsck(true, true).await;
    assert_eq!(readable(&bench).await, [true; 3]);
    assert_eq!(bench.kinds().await, []);
}

#[tokio::test]
async fn rows_that_say_what_their_neighbours_should_lead_to_nothing() {
    let bench = Bench::empty().await;
    for (at, seed, len) in ALIKE {
        bench.put(at, &bytes(seed, len)).await;
    }
    let columns = [
        ("chunk", "blinded"),
        ("chunk", "start"),
        ("content", "root"),
        ("content", "manifest"),
    ];
    for (table, column) in columns {
        keep(&bench, table, column).await;
        rotate(&bench, table, column).await;
        let read = readable_of(&bench, ALIKE).await;
        assert_eq!(read, [false; 3], "{table}.{column}");
        let (found, _) = bench.fsck(true, false).await;
        assert!(found.len() >= 3, "{table}.{column}: {found:#?}");
        run(&bench, format!("UPDATE {table} SET space = -id")).await;
        put_back(&bench, table, column).await;
        run(&bench, format!("UPDATE {table} SET space = 1")).await;
    }
    bench.fsck(true, true).await;
    assert_eq!(readable_of(&bench, ALIKE).await, [true; 3]);
    assert_eq!(bench.kinds().await, []);
}
