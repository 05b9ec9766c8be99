//! Tests of what is kept of small contents.

use super::*;

fn small(nth: u8) -> Small {
    Small {
        space: SpaceId(7),
        at: Millis(i64::from(nth)),
        name: format!("{nth}.txt"),
        bytes: vec![nth; usize::from(nth) * 30],
    }
}

fn written(count: u8) -> (tempfile::TempDir, MasterKey, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (recent, master) = (Recent::default(), MasterKey::generate().unwrap());
    recent.keep(&Folder::of(folder.path()));
    for nth in 0..count {
        recent.add(&master, &[small(nth)]).unwrap();
    }
    let mut all = Folder::of(folder.path()).recent_files().unwrap();
    assert_eq!(all.len(), 1);
    (folder, master, all.remove(0))
}

#[test]
fn what_was_kept_is_found_up_to_where_the_file_ends() {
    let (_folder, master, path) = written(5);
    let all: Vec<_> = (0..5).map(small).collect();
    assert_eq!(read(&path, &master).unwrap().unwrap(), all);
    let bytes = fs::read(&path).unwrap();
    let mut before = 0;
    for end in HEADER_LEN..=bytes.len() {
        let found = parse(&bytes[..end], &master).unwrap();
        assert_eq!(found, all[..found.len()], "cut at {end}");
        assert!(found.len() == before || found.len() == before + 1);
        before = found.len();
    }
    assert_eq!(before, 5);
}

#[test]
fn a_flipped_byte_ends_it_and_another_key_opens_nothing() {
    let (_folder, master, path) = written(3);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        let found = parse(&wrong, &master).unwrap_or_default();
        assert!(found.len() < 3, "byte {at}");
        assert_eq!(found, (0..3).map(small).collect::<Vec<_>>()[..found.len()]);
    }
    assert_eq!(parse(&bytes, &MasterKey::generate().unwrap()), None);
}

#[test]
fn a_file_that_cannot_be_added_to_is_left_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (recent, master) = (Recent::default(), MasterKey::generate().unwrap());
    let at = Folder::of(folder.path());
    recent.keep(&at);
    recent.add(&master, &[small(1)]).unwrap();
    // Read only: writing fails.
    let files = at.recent_files().unwrap();
    recent.open.lock().unwrap().as_mut().unwrap().file = File::open(&files[0]).unwrap();

    assert!(recent.add(&master, &[small(2)]).is_err());
    // One that holds nothing yet is not left at all.
    let mut empty = Open::begin(&at, &master).unwrap();
    empty.file = File::open(&empty.path).unwrap();
    assert!(empty.add(&[small(2)]).is_err());
    assert_eq!(at.recent_files().unwrap().len(), 1);
    recent.add(&master, &[small(3)]).unwrap();

    let found = at.recent_files().unwrap();
    let found = found
        .iter()
        .map(|path| read(path, &master).unwrap().unwrap());
    let mut found: Vec<_> = found.flatten().collect();
    found.sort_by_key(|small| small.at);
    assert_eq!(found, [small(1), small(3)]);
}

#[test]
fn there_are_never_more_files_than_the_limit_and_the_newest_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (recent, master) = (Recent::default(), MasterKey::generate().unwrap());
    let at = Folder::of(folder.path());
    recent.keep(&at);
    let mut last = PathBuf::new();
    for nth in 0..FILES_MAX + 5 {
        recent.add(&master, &[small(1)]).unwrap();
        let open = recent.open.lock().unwrap().take().unwrap();
        // So that they have an order.
        let time = SystemTime::now() - Duration::from_secs(100 - nth as u64);
        open.file.set_modified(time).unwrap();
        last = at.recent_files().unwrap().pop().unwrap();
    }
    let found = at.recent_files().unwrap();
    assert_eq!(found.len(), FILES_MAX);
    assert_eq!(found.last(), Some(&last));
}

#[tokio::test]
async fn what_a_snapshot_has_goes_and_what_may_have_come_too_late_stays() {
    let (folder, _master, path) = written(1);
    let at = Folder::of(folder.path());
    at.drop_taken(SystemTime::now() + UNNAMED / 2)
        .await
        .unwrap();
    assert!(path.exists());
    at.drop_taken(SystemTime::now() + UNNAMED * 2)
        .await
        .unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn what_many_note_at_once_is_written_in_its_order_once_it_has_settled() {
    let folder = tempfile::tempdir().unwrap();
    let (recent, master) = (Arc::new(Recent::default()), MasterKey::generate().unwrap());
    let (at, master) = (Folder::of(folder.path()), Arc::new(master));
    recent.keep(&at);
    recent.settle().await;
    let long = |nth: u16| Small {
        at: Millis(i64::from(nth)),
        bytes: vec![7; 16 * 1024],
        ..small(0)
    };
    for nth in 0..600 {
        let (idle, full) = recent.push(long(nth));
        if idle {
            let (recent, master) = (Arc::clone(&recent), Arc::clone(&master));
            tokio::task::spawn_blocking(move || recent.write(&master));
        }
        if full {
            recent.settle().await;
        }
    }
    recent.settle().await;
    let files = at.recent_files().unwrap();
    assert!(files.len() > 1, "one file is 4 MiB");
    let mut found = Vec::new();
    for path in &files {
        let times = read(path, &master).unwrap().unwrap().into_iter();
        let times: Vec<_> = times.map(|small| small.at.0).collect();
        assert!(times.is_sorted(), "{times:?}");
        found.extend(times);
    }
    // Files of one moment have no order.
    found.sort_unstable();
    assert_eq!(found, (0..600).collect::<Vec<_>>());
}

#[test]
fn whoever_adds_to_much_that_waits_is_told_to_wait() {
    let recent = Recent::default();
    let long = || Small {
        bytes: vec![7; COMING_MAX / 2 - 1000],
        ..small(1)
    };
    assert_eq!(recent.push(long()), (true, false));
    assert_eq!(recent.push(long()), (false, false));
    assert_eq!(recent.push(small(100)), (false, true));
}

#[tokio::test]
async fn nobody_waits_for_what_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let recent = Recent::default();
    recent.keep(&Folder::of(file.path()));
    recent.push(small(1));
    recent.write(&MasterKey::generate().unwrap());
    recent.settle().await;
    assert!(recent.failed.load(Ordering::Relaxed));
}

#[test]
fn what_is_written_at_once_is_all_of_it_in_order_and_never_much() {
    let all: Vec<_> = (0..200).map(small).collect();
    let mut found = Vec::new();
    for step in steps(&all) {
        let (_, before) = step.split_last().unwrap();
        let before: usize = before.iter().map(|small| small.bytes.len()).sum();
        assert!(before < STEP);
        found.extend_from_slice(step);
    }
    assert_eq!(found, all);
    let count = steps(&all).count();
    assert!((5..15).contains(&count), "{count}");
}
