//! The journal by itself.

use super::*;
use crate::client::item::{ItemId, Kind};
use crate::client::local::Stamp;

const ROOT: ItemId = ItemId(1);

fn entry(id: i64, parent: i64, name: &str, etag: &str) -> Entry {
    let kind = if etag.starts_with('f') {
        Kind::File
    } else {
        Kind::Collection
    };
    Entry {
        id: ItemId(id),
        space: 1,
        parent: ItemId(parent),
        name: name.to_owned(),
        kind,
        etag: etag.into(),
        executable: false,
        mount: false,
        size: 0,
        mtime: 0,
    }
}

async fn journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(&dir.path().join("journal.db")).await.unwrap();
    let rows = [
        entry(2, 1, "docs", "d1"),
        entry(3, 2, "a.txt", "f1"),
        entry(4, 2, "sub", "d1"),
        entry(5, 4, "b.txt", "f2"),
    ];
    let writes: Vec<_> = rows.into_iter().map(|row| Write::Put(row, None)).collect();
    journal.write(&writes).await.unwrap();
    (dir, journal)
}

async fn pending_for(journal: &Journal, id: i64) -> Option<(Entry, bool)> {
    let pending = journal.pending(usize::MAX, &[]).await.unwrap();
    pending.list.into_iter().find(|(entry, _)| entry.id.0 == id)
}

/// Takes in what is told, to its end.
async fn hear(journal: &Journal, told: &[Intake], cursor: Option<&str>) {
    journal.take(told, cursor).await.unwrap();
    journal.all_taken().await.unwrap();
}

async fn path(journal: &Journal, id: i64, side: Side) -> String {
    let path = journal.path(ItemId(id), side, ROOT).await;
    path.unwrap().unwrap()
}

async fn gone(journal: &Journal) -> Vec<i64> {
    let mut gone: Vec<_> = journal
        .pending(usize::MAX, &[])
        .await
        .unwrap()
        .list
        .into_iter()
        .filter(|(_, gone)| *gone)
        .map(|(e, _)| e.id.0)
        .collect();
    gone.sort_unstable();
    gone
}

#[tokio::test]
async fn what_lies_below_a_collection_that_is_gone_is_gone_too() {
    let (_dir, journal) = journal().await;
    hear(&journal, &[Intake::Gone(ItemId(2))], Some("c1")).await;
    assert_eq!(gone(&journal).await, [2, 3, 4, 5]);
    assert_eq!(
        journal.get(Key::Cursor).await.unwrap().as_deref(),
        Some("c1")
    );
}

#[tokio::test]
async fn what_moved_out_of_a_collection_before_it_went_stays() {
    let (_dir, journal) = journal().await;
    let moved = Intake::Is(entry(4, 1, "sub", "d1"));
    hear(&journal, &[moved, Intake::Gone(ItemId(2))], None).await;
    assert_eq!(gone(&journal).await, [2, 3]);
    assert_eq!(path(&journal, 5, Side::Remote).await, "sub/b.txt");
    assert_eq!(path(&journal, 5, Side::Synced).await, "docs/sub/b.txt");
}

#[tokio::test]
async fn what_was_to_come_into_a_collection_that_went_does_not_come() {
    let (_dir, journal) = journal().await;
    hear(&journal, &[Intake::Is(entry(6, 4, "new", "f3"))], None).await;
    hear(&journal, &[Intake::Gone(ItemId(2))], None).await;
    assert_eq!(gone(&journal).await, [2, 3, 4, 5]);
    assert!(pending_for(&journal, 6).await.is_none());
}

#[tokio::test]
async fn the_echo_of_what_is_in_step_is_nothing() {
    let (_dir, journal) = journal().await;
    journal
        .take(&[Intake::Is(entry(3, 2, "a.txt", "f1"))], None)
        .await
        .unwrap();
    assert_eq!(journal.in_wait().await.unwrap(), 0);
    journal
        .take(&[Intake::Is(entry(3, 2, "a.txt", "f9"))], None)
        .await
        .unwrap();
    assert_eq!(journal.in_wait().await.unwrap(), 1);
    journal
        .take(&[Intake::Is(entry(3, 2, "a.txt", "f1"))], None)
        .await
        .unwrap();
    assert_eq!(journal.in_wait().await.unwrap(), 0);
}

#[tokio::test]
async fn beginning_anew_leaves_only_what_is_told() {
    let (_dir, journal) = journal().await;
    journal.take(&[], Some("c1")).await.unwrap();
    journal.take_anew(false).await.unwrap();
    assert_eq!(journal.get(Key::Cursor).await.unwrap(), None);
    let told = [entry(2, 1, "docs", "d1"), entry(3, 2, "a.txt", "f1")].map(Intake::Is);
    hear(&journal, &told, Some("c2")).await;
    assert_eq!(gone(&journal).await, [4, 5]);
}

#[tokio::test]
async fn troubles_count_how_often_they_were_met_until_all_is_well() {
    let (_dir, journal) = journal().await;
    for _ in 0..3 {
        journal.note("a", "denied", 1000).await.unwrap();
    }
    let trouble = journal.troubles(10).await.unwrap().remove(0);
    assert_eq!((trouble.tries, trouble.since), (3, 1000));
    journal.write(&[Write::Well("a".to_owned())]).await.unwrap();
    assert!(journal.troubles(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_server_does_not_know_any_more_is_not_deleted_but_forgotten() {
    let (_dir, journal) = journal().await;
    journal.take_anew(true).await.unwrap();
    let told = [entry(2, 1, "docs", "d1"), entry(3, 2, "a.txt", "f0")].map(Intake::Is);
    hear(&journal, &told, Some("c2")).await;
    assert_eq!(gone(&journal).await, [0; 0]);
    let known = |id| journal.item(ItemId(id));
    assert!(known(5).await.unwrap().is_none());
    assert!(
        known(3).await.unwrap().is_none(),
        "another version is no base"
    );
    assert!(known(2).await.unwrap().is_some());
}

#[tokio::test]
async fn another_id_takes_over_what_lies_in_a_collection() {
    let (_dir, journal) = journal().await;
    journal
        .write(&[
            Write::Rekey(ItemId(2), ItemId(9)),
            Write::Put(entry(9, 1, "docs", "d2"), None),
        ])
        .await
        .unwrap();
    assert_eq!(path(&journal, 5, Side::Synced).await, "docs/sub/b.txt");
    assert!(journal.item(ItemId(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn what_has_moved_out_of_a_collection_there_is_not_known_here_once_the_collection_went() {
    let (_dir, journal) = journal().await;
    let elsewhere = Intake::Is(entry(5, 1, "b.txt", "f2"));
    journal.take(&[elsewhere], None).await.unwrap();
    journal
        .write(&[Write::Remove(ItemId(3)), Write::Remove(ItemId(2))])
        .await
        .unwrap();
    for id in 2..6 {
        assert!(journal.item(ItemId(id)).await.unwrap().is_none(), "{id}");
    }
    let (pending, gone) = pending_for(&journal, 5).await.unwrap();
    assert_eq!((pending.parent, gone), (ROOT, false));
}

#[tokio::test]
async fn rows_that_have_no_place_are_dropped_with_all_below_and_no_others() {
    let (_dir, journal) = journal().await;
    let strays = [
        entry(7, 99, "lost", "d1"),
        entry(8, 7, "a.txt", "f3"),
        entry(9, 10, "round", "d1"),
        entry(10, 9, "and round", "d1"),
    ];
    let writes: Vec<_> = strays.map(|row| Write::Put(row, None)).into();
    journal.write(&writes).await.unwrap();
    journal.drop_strays(ROOT).await.unwrap();
    let ids = [2, 3, 4, 5, 7, 8, 9, 10].map(ItemId);
    let left: Vec<_> = journal.items(&ids).await.unwrap();
    let left: Vec<_> = left.iter().map(|(row, _)| row.id.0).collect();
    assert_eq!(left, [2, 3, 4, 5]);
}

#[tokio::test]
async fn hearing_anew_keeps_the_cursor_from_before_until_all_is_told() {
    let (_dir, journal) = journal().await;
    hear(&journal, &[], Some("c1")).await;
    journal.take_anew(false).await.unwrap();
    // Once more, before anything was heard
    journal.take_anew(false).await.unwrap();
    assert_eq!(journal.get(Key::Cursor).await.unwrap(), None);
    assert_eq!(
        journal.get(Key::Before).await.unwrap().as_deref(),
        Some("c1")
    );
    hear(&journal, &[], Some("c2")).await;
    assert_eq!(journal.get(Key::Before).await.unwrap(), None);
    // From a server that does not know what it told there is nothing to ask with
    journal.take_anew(true).await.unwrap();
    assert_eq!(journal.get(Key::Before).await.unwrap(), None);
}

/// What of this is pending in a portion, and whether there is more.
async fn portion(journal: &Journal, most: usize, whole: &[i64]) -> (Vec<i64>, bool) {
    let whole: Vec<_> = whole.iter().map(|id| ItemId(*id)).collect();
    let pending = journal.pending(most, &whole).await.unwrap();
    let ids = pending.list.iter().map(|(entry, _)| entry.id.0);
    (ids.collect(), pending.rest)
}

#[tokio::test]
async fn files_that_are_new_there_come_in_portions_and_all_else_at_once() {
    let (_dir, journal) = journal().await;
    let mut told = vec![
        Intake::Gone(ItemId(4)),
        Intake::Is(entry(3, 1, "moved.txt", "f1")),
        Intake::Is(entry(20, 2, "new", "d1")),
        Intake::Is(entry(21, 20, "below", "d1")),
    ];
    let new = [(30, 2), (31, 2), (32, 20), (33, 21), (34, 2)];
    told.extend(new.map(|(id, parent)| Intake::Is(entry(id, parent, &format!("{id}"), "f9"))));
    hear(&journal, &told, Some("c1")).await;
    let known = [3, 4, 5, 20, 21];
    assert_eq!(portion(&journal, 0, &[]).await, (known.into(), true));
    let first = [3, 4, 5, 20, 21, 30, 31];
    assert_eq!(portion(&journal, 2, &[]).await, (first.into(), true));
    let (all, rest) = portion(&journal, 5, &[]).await;
    assert_eq!((all.len(), rest), (10, false));
    // Where something happened here, all that is new there counts
    let whole = [3, 4, 5, 20, 21, 32, 30];
    assert_eq!(portion(&journal, 1, &[20]).await, (whole.into(), true));
    let mut below = journal.new_below(&[ItemId(2)]).await.unwrap();
    below.sort_unstable();
    assert_eq!(below, [2, 20, 21].map(ItemId));
    assert!(
        journal
            .new_below(&[ItemId(4), ItemId(1)])
            .await
            .unwrap()
            .is_empty()
    );
    for (id, is) in [
        (1, true),
        (2, true),
        (3, true),
        (4, true),
        (20, true),
        (6, false),
    ] {
        assert_eq!(
            journal.is_pending_at(&[ItemId(id)]).await.unwrap(),
            is,
            "{id}"
        );
    }
}

#[tokio::test]
async fn what_lies_below_a_collection_that_moved_there_is_pending_too() {
    let (_dir, journal) = journal().await;
    assert!(!journal.is_pending_at(&[ItemId(4)]).await.unwrap());
    hear(&journal, &[Intake::Is(entry(2, 1, "papers", "d1"))], None).await;
    assert!(journal.is_pending_at(&[ItemId(4)]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_begin_it_at_once() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("journal.db");
        let open = || {
            tokio::spawn(Box::pin({
                let file = file.clone();
                async move { Journal::open(&file).await }
            }))
        };
        let (one, other) = tokio::join!(open(), open());
        one.unwrap().unwrap();
        other.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_another_process_is_making_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    // Then SQLite refuses to begin the log at once, however long it is told to wait.
    let making = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let opening = tokio::spawn(Box::pin(async move { Journal::open(&file).await }));
    sleep(Duration::from_millis(200)).await;
    assert!(!opening.is_finished());
    making.rollback().await.unwrap();
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_journal_of_the_first_layout_is_taken_over_but_for_its_unfinished_uploads() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal.db");
    let journal = Journal::open(&file).await.unwrap();
    let row = entry(2, 1, "docs", "d1");
    journal
        .write(&[Write::Put(row.clone(), None)])
        .await
        .unwrap();
    sqlx::raw_sql(
        "DROP TABLE upload;
         CREATE TABLE upload (path TEXT PRIMARY KEY, upload INTEGER NOT NULL, base TEXT NOT NULL,
             root BLOB NOT NULL, size INTEGER NOT NULL) STRICT;
         INSERT INTO upload VALUES ('a', 1, 'none', x'00', 5);
         PRAGMA user_version = 1",
    )
    .execute(&mut *journal.conn().await)
    .await
    .unwrap();
    journal.close().await.unwrap();

    let journal = Journal::open(&file).await.unwrap();

    assert_eq!(journal.item(ItemId(2)).await.unwrap().unwrap().0, row);
    assert!(journal.begun("a").await.unwrap().is_none());
    let begun = Begun {
        upload: 3,
        base: "none".to_owned(),
        stamp: Stamp {
            inode: u64::MAX,
            size: 5,
            mtime_ns: -1,
            ctime_ns: 7,
        },
    };
    journal.begin("a", &begun).await.unwrap();
    assert_eq!(journal.begun("a").await.unwrap(), Some(begun));
    sqlx::raw_sql("PRAGMA user_version = 3")
        .execute(&mut *journal.conn().await)
        .await
        .unwrap();
    journal.close().await.unwrap();
    assert!(matches!(Journal::open(&file).await, Err(Error::Layout(3))));
}

#[tokio::test]
async fn all_that_have_a_name_are_told() {
    let (_dir, journal) = journal().await;
    let other = entry(6, 2, "a.txt", "f6");
    journal.write(&[Write::Put(other, None)]).await.unwrap();
    let known = journal.child(ItemId(2), "a.txt").await.unwrap();
    let mut ids: Vec<_> = known.iter().map(|(row, _)| row.id.0).collect();
    ids.sort_unstable();
    assert_eq!(ids, [3, 6]);
}
