//! A base and what follows it make the database that there was, whatever happened in between, and on
//! either database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fixture::{Opened, Site, load_into, noise, path, rows};
use crate::accounts::{Accounts, DeviceKind, NewAccount};
use crate::jobs::collect::{Collect, round};
use crate::jobs::snapshot::Snapshots;
use crate::store::Result;
use crate::store::meta::{Database, testing};
use crate::store::snapshot::Kind;
use crate::tree::{
    self, Base, DEFAULT_FOLDERS, NewSpace, Overwrite, Property, PropertyChange, Reach, Times,
    Write, create_space,
};
use crate::types::Clock;

/// Numbers that look random and are the same in every run with the same seed.
struct Dice(AtomicU64);

impl Dice {
    fn roll(&self, below: u64) -> u64 {
        let mut at = self.0.load(Ordering::Relaxed);
        at ^= at << 13;
        at ^= at >> 7;
        at ^= at << 17;
        self.0.store(at, Ordering::Relaxed);
        (at >> 11) % below
    }
}

/// Steps between two snapshots.
const STEPS: u64 = 6;

#[tokio::test]
async fn base_and_deltas_make_the_database_that_there_was() {
    let rounds = if std::env::var_os("SYNC_TEST_LONG").is_some() {
        200
    } else {
        20
    };
    for seed in 1..=2 {
        let mut site = Site::new().await;
        account(&site.opened).await;
        let dice = Dice(AtomicU64::new((seed * 0x9e37_79b9_7f4a_7c15) | 1));
        let mut deltas = 0;
        for nth in 0..rounds {
            for _ in 0..STEPS {
                step(&site.opened, &dice).await;
            }
            mark(&site.opened, (3, i64::try_from(dice.roll(3)).unwrap())).await;
            let taken = site.take().await;
            deltas += u32::from(taken.is_some_and(|taken| taken.kind == Kind::Delta));
            if nth % 5 == 4 {
                same(&site, &format!("{seed}-{nth}")).await;
            }
            // What has a mark is named by none of the steps.
            mark(&site.opened, (1, -1)).await;
        }
        site.take().await;
        assert!(deltas > 0, "there was a base only");
        assert_eq!(site.take().await, None, "nothing has changed");
    }
}

/// Marks the chunks and contents whose numbers leave a rest, and no others.
async fn mark(opened: &Opened, (divisor, rest): (i64, i64)) {
    const TEXTS: [&str; 2] = [
        "UPDATE chunk SET damaged = CASE WHEN id % $1 = $2 THEN $1 END",
        "UPDATE content SET damaged = CASE WHEN id % $1 = $2 THEN $1 END",
    ];
    for text in TEXTS {
        let done: Result<u64> = opened
            .store
            .meta
            .write(move |conn| {
                Box::pin(async move { testing::execute(conn, text, &[divisor, rest]).await })
            })
            .await;
        done.unwrap();
    }
}

async fn same(site: &Site, name: &str) {
    let folder = site.folder.path();
    let loaded = load_into(folder, &folder.join("data"), &site.database(name)).await;
    assert_eq!(
        rows(&site.opened.store).await,
        rows(&loaded).await,
        "{name}"
    );
    loaded.meta.close().await;
}

/// Not all of them come to something; which did is in the database.
async fn step(opened: &Opened, dice: &Dice) {
    let tree = &opened.tree;
    let top = ["", "/d", "/shared"][usize::try_from(dice.roll(3)).unwrap()];
    let at = |dice: &Dice| format!("{top}/f{}", dice.roll(6));
    let (one, two) = (at(dice), at(dice));
    let nth = usize::try_from(dice.roll(5)).unwrap();
    let len = [0, 10, 9_000, 70_000, 400_000][nth];
    let done: tree::Result<()> = match dice.roll(14) {
        0..=3 => {
            let bytes = noise(dice.roll(30), len);
            opened
                .put_as(&one, &bytes, Write::default())
                .await
                .map(drop)
        }
        4 => tree.mkdir(&path("/d"), None).await.map(drop),
        5 => tree
            .rename(&path(&one), &path(&two), Overwrite::Yes)
            .await
            .map(drop),
        6 => tree
            .copy(&path(&one), &path(&two), Overwrite::Yes, Reach::Deep)
            .await
            .map(drop),
        7 => tree.remove(&path(&one)).await,
        8 => tree.remove(&path("/d")).await,
        9 => trash(opened, dice).await,
        10 => {
            let property = Property {
                namespace: "urn:x".to_owned(),
                name: format!("p{}", dice.roll(2)),
                xml: noise(dice.roll(100), 20),
            };
            let changes = vec![PropertyChange::Set(property)];
            let times = Times {
                executable: Some(dice.roll(2) == 0),
                ..Times::default()
            };
            tree.patch_properties(&path(&one), changes, times)
                .await
                .map(drop)
        }
        11 => {
            let how = Write {
                base: Base::Nothing,
                ..Write::default()
            };
            opened.put_as(&one, &noise(99, len), how).await.map(drop)
        }
        12 => conflicts(opened).await,
        _ => {
            collect(opened).await;
            Ok(())
        }
    };
    match done {
        Ok(()) => {}
        Err(tree::Error::Store(error)) => panic!("{error}"),
        Err(_refused) => {}
    }
}

async fn trash(opened: &Opened, dice: &Dice) -> tree::Result<()> {
    let trashed = opened.tree.trash(&path("/"), None).await?;
    let Some(trashed) = trashed.first() else {
        return Ok(());
    };
    let id = trashed.node.id;
    if dice.roll(2) == 0 {
        opened.tree.restore(id).await.map(drop)
    } else {
        opened.tree.purge(id).await
    }
}

async fn conflicts(opened: &Opened) -> tree::Result<()> {
    let open = opened.tree.conflicts(0, 10).await?;
    match open.first() {
        Some(conflict) => {
            let keep = tree::Keep::Node;
            opened.tree.resolve_conflict(conflict.id, keep).await
        }
        None => Ok(()),
    }
}

/// Moves chunks out of segments, and takes rows away.
async fn collect(opened: &Opened) {
    opened.close_segments().await;
    let how = Collect {
        grace: Duration::ZERO,
        rate: None,
        clock: Clock::system(),
    };
    for _ in 0..3 {
        let stop = CancellationToken::new();
        round(&opened.store, &how, &stop).await.unwrap();
    }
}

/// Rows in the tables of log-ins.
async fn account(opened: &Opened) {
    let accounts = Accounts::open(opened.store.clone(), Clock::system());
    let new = NewAccount {
        name: "anna".to_owned(),
        password: "a password of hers".to_owned(),
        admin: true,
        quota: Some(1 << 40),
    };
    let store = opened.store.clone();
    let made = accounts.add(new, move |conn| {
        Box::pin(async move {
            let new = NewSpace {
                name: "user:anna",
                everyone: false,
                quota: Some(1 << 40),
                folders: DEFAULT_FOLDERS,
            };
            create_space(conn, &store.keys, new, Clock::system().now()).await
        })
    });
    let account = made.await.unwrap();
    let kind = DeviceKind::Webdav;
    accounts.device_add(account, "phone", kind).await.unwrap();
}

/// Whatever the database under test is, its rows go through SQLite and back.
#[tokio::test]
async fn a_snapshot_of_one_database_makes_the_other() {
    let mut site = Site::new().await;
    account(&site.opened).await;
    let dice = Dice(AtomicU64::new(7));
    for _ in 0..60 {
        step(&site.opened, &dice).await;
    }
    site.take().await.unwrap();
    let folder = site.folder.path();
    let expected = rows(&site.opened.store).await;

    let file = Database::File(folder.join("between.db"));
    let between = load_into(folder, &folder.join("data"), &file).await;
    assert_eq!(rows(&between).await, expected);

    let elsewhere = folder.join("elsewhere");
    let mut snapshots = Snapshots::new(&elsewhere, Clock::system());
    snapshots.take(&between).await.unwrap().unwrap();
    let back = load_into(folder, &elsewhere, &site.database("back")).await;
    assert_eq!(rows(&back).await, expected);
}
