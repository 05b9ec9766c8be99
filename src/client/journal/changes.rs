//! Taking in what the server tells.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use super::bulk;
use super::entry::{all, columns, entry, in_step, json_of};
use super::state::put;
use super::{Entry, Error, Journal, Key};
use crate::client::item::ItemId;

pub(super) const INSERT_PENDING: &str =
    concat!("INSERT OR REPLACE INTO pending (", columns!(), ", gone) ");
/// What was heard meanwhile and is otherwise stays to be done.
pub(super) const SETTLED_IF_SAME: &str = concat!(
    "DELETE FROM pending WHERE id IN (SELECT value FROM json_each($1)) AND ",
    in_step!()
);
const GONE: &str = concat!(
    "INSERT OR REPLACE INTO pending (",
    columns!(),
    ", gone)
    SELECT ",
    columns!(),
    ", 1 FROM pending WHERE id = $1
    UNION ALL SELECT ",
    columns!(),
    ", 1 FROM item WHERE id = $1 LIMIT 1"
);
const ALL_GONE: &str = concat!(
    "INSERT OR REPLACE INTO pending (gone, ",
    columns!(),
    ") SELECT 1, ",
    columns!(),
    " FROM item"
);
const KEEP_CURSOR: &str = "INSERT OR REPLACE INTO state (key, value)
    SELECT $1, value FROM state WHERE key = $2";
const FORGET_NEW: &str = "DELETE FROM pending";
/// What is not there was never there, as far as anybody can tell.
const UNKNOWN: &str = "WITH RECURSIVE lost (nid) AS (
        SELECT id FROM pending WHERE gone = 1
        UNION SELECT item.id FROM item JOIN lost ON item.parent = lost.nid)
    DELETE FROM item WHERE id IN (SELECT nid FROM lost)";
/// A version that is another one may be older than what is here: both are kept.
const OTHER: &str = "DELETE FROM item WHERE kind <> 0 AND EXISTS (SELECT 1 FROM pending
    WHERE pending.id = item.id AND pending.gone = 0 AND pending.etag <> item.etag)";
/// What lies in a collection that is gone is gone, too: what was in step before ...
const BELOW_GONE: &str = concat!(
    "INSERT INTO pending (gone, ", columns!(), ") SELECT 1, ", columns!(), " FROM item
     WHERE parent IN (SELECT id FROM pending WHERE gone = 1) AND id NOT IN (SELECT id FROM pending)"
);
/// ... and what was to come.
const PENDING_BELOW_GONE: &str = "UPDATE pending SET gone = 1
    WHERE gone = 0 AND parent IN (SELECT id FROM pending WHERE gone = 1)";
/// What is gone and was never here needs nothing. Only at the end: what lies below it had to be found.
const NEVER_HERE: &str = "DELETE FROM pending WHERE gone = 1 AND id NOT IN (SELECT id FROM item)";
/// What is here as the server has it needs nothing.
const IN_STEP: &str = concat!("DELETE FROM pending WHERE ", in_step!());
const FORGET_ALL: [&str; 5] = [
    "DELETE FROM item",
    "DELETE FROM pending",
    "DELETE FROM list",
    "DELETE FROM upload",
    "DELETE FROM state",
];
/// A file that is new here.
macro_rules! new_file {
    () => {
        "(gone = 0 AND kind <> 0 AND id NOT IN (SELECT id FROM item))"
    };
}
const PENDING: &str = concat!(
    "SELECT ",
    columns!(),
    ", gone FROM pending
     WHERE NOT ",
    new_file!(),
    " OR parent IN (SELECT value FROM json_each($1))"
);
const NEW_FILES: &str = concat!(
    "SELECT ",
    columns!(),
    ", gone FROM pending
     WHERE ",
    new_file!(),
    " AND parent NOT IN (SELECT value FROM json_each($1)) ORDER BY id LIMIT $2"
);
/// From the collections of new files up to the first one that is not new itself.
const NEW_BELOW: &str = concat!(
    "WITH RECURSIVE up (start, above) AS (
        SELECT parent, parent FROM pending WHERE ",
    new_file!(),
    "
        UNION SELECT up.start, pending.parent FROM up JOIN pending ON pending.id = up.above
            WHERE pending.gone = 0 AND up.above NOT IN (SELECT id FROM item))
     SELECT DISTINCT start FROM up WHERE above IN (SELECT value FROM json_each($1))"
);
/// Something in one of these collections, or one of those above them, which decides where they lie.
const PENDING_AT: &str = "WITH RECURSIVE up (id) AS (
        SELECT value FROM json_each($1) UNION SELECT item.parent FROM up JOIN item ON item.id = up.id)
    SELECT 1 FROM pending WHERE id IN (SELECT id FROM up) OR parent IN (SELECT value FROM json_each($1)) LIMIT 1";
const OCCUPANTS: &str = "SELECT item.id FROM pending JOIN item ON item.parent = pending.parent AND item.name = pending.name
    WHERE pending.gone = 0 AND item.id <> pending.id";
const PENDING_IN: &str = "WITH asked (id) AS MATERIALIZED (SELECT value FROM json_each($1))
    SELECT 1 FROM pending WHERE gone = 0 AND (id IN (SELECT id FROM asked) OR parent IN (SELECT id FROM asked)) LIMIT 1";
const UNKNOWN_OF: &str = "SELECT value FROM json_each($1)
    WHERE value NOT IN (SELECT id FROM item) AND value NOT IN (SELECT id FROM pending)";
const AWAITED: &str = "SELECT id, etag FROM pending
    WHERE gone = 0 AND id IN (SELECT value FROM json_each($1))";
const IN_WAIT: &str = "SELECT count(*) FROM pending";

/// A change that the server told.
#[derive(Clone, Debug)]
pub enum Intake {
    /// It is so now.
    Is(Entry),
    /// It is not there, or not kept on this device, with all below.
    Gone(ItemId),
}

/// What this side does not have as the server has it.
#[derive(Debug)]
pub struct Pending {
    /// The items there, each with whether it is gone.
    pub list: Vec<(Entry, bool)>,
    /// Whether there is more.
    pub rest: bool,
}

impl Journal {
    /// Takes in a page of changes together with the cursor behind it.
    pub async fn take(&self, changes: &[Intake], cursor: Option<&str>) -> Result<(), Error> {
        let mut conn = self.conn().await;
        let mut tx = conn.begin().await?;
        take_in(&mut tx, changes).await?;
        if cursor.is_some() {
            put(&mut tx, Key::Cursor.name(), cursor).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Begins anew: nothing counts as being there until it is told. Ends with [`Journal::all_taken`]. What is not told is
    /// deleted; or, when the server does not know any more what it told before, only not known: then what is here goes up.
    pub async fn take_anew(&self, lost: bool) -> Result<(), Error> {
        let mut conn = self.conn().await;
        let mut tx = conn.begin().await?;
        sqlx::query(FORGET_NEW).execute(&mut *tx).await?;
        sqlx::query(ALL_GONE).execute(&mut *tx).await?;
        put(&mut tx, Key::Hearing.name(), Some("1")).await?;
        if lost {
            put(&mut tx, Key::Lost.name(), Some("1")).await?;
            put(&mut tx, Key::Before.name(), None).await?;
        } else {
            let query = sqlx::query(KEEP_CURSOR);
            let query = query.bind(Key::Before.name()).bind(Key::Cursor.name());
            query.execute(&mut *tx).await?;
        }
        put(&mut tx, Key::Cursor.name(), None).await?;
        Ok(tx.commit().await?)
    }

    /// Ends a pull: what lay below things that are gone is gone as well, unless it was told to be elsewhere. Whether
    /// instead things are not known any more, because the server has no memory of what it told.
    pub async fn all_taken(&self) -> Result<bool, Error> {
        let mut conn = self.conn().await;
        let mut tx = conn.begin().await?;
        let lost = put(&mut tx, Key::Lost.name(), None).await?;
        if lost {
            for sql in [UNKNOWN, OTHER] {
                sqlx::query(sql).execute(&mut *tx).await?;
            }
        }
        loop {
            let more = sqlx::query(BELOW_GONE)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            let told = sqlx::query(PENDING_BELOW_GONE)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if more + told == 0 {
                break;
            }
        }
        sqlx::query(NEVER_HERE).execute(&mut *tx).await?;
        put(&mut tx, Key::Hearing.name(), None).await?;
        put(&mut tx, Key::Before.name(), None).await?;
        tx.commit().await?;
        Ok(lost)
    }

    /// Knows nothing any more: neither what was in step, nor of which server.
    pub async fn forget_all(&self) -> Result<(), Error> {
        let mut conn = self.conn().await;
        let mut tx = conn.begin().await?;
        for sql in FORGET_ALL {
            sqlx::query(sql).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Forgets what is pending and in step by now.
    pub async fn settle(&self) -> Result<(), Error> {
        let mut conn = self.conn().await;
        sqlx::query(IN_STEP).execute(&mut *conn).await?;
        sqlx::query(NEVER_HERE).execute(&mut *conn).await?;
        Ok(())
    }

    /// What this side does not have as the server has it. Of files that are new here only so many, and besides all
    /// that lie in some collections.
    pub async fn pending(&self, most: usize, whole: &[ItemId]) -> Result<Pending, Error> {
        let of = |row: &SqliteRow| Ok((entry(row)?, row.try_get(10)?));
        let whole = json_of(whole);
        let query = sqlx::query(PENDING).bind(whole.as_str());
        let mut list = all(query, &mut *self.conn().await, of).await?;
        let one_more = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let query = sqlx::query(NEW_FILES).bind(whole.as_str()).bind(one_more);
        let mut new = all(query, &mut *self.conn().await, of).await?;
        let rest = new.len() > most;
        new.truncate(most);
        list.append(&mut new);
        Ok(Pending { list, rest })
    }

    /// The collections with files that are new here, and that lie below one of these with nothing but new ones
    /// between.
    pub async fn new_below(&self, ids: &[ItemId]) -> Result<Vec<ItemId>, Error> {
        let query = sqlx::query_scalar(NEW_BELOW).bind(json_of(ids));
        let ids: Vec<i64> = query.fetch_all(&mut *self.conn().await).await?;
        Ok(ids.into_iter().map(ItemId).collect())
    }

    /// Whether the server has one of these collections, one above them, or something in one, otherwise than this side.
    pub async fn is_pending_at(&self, ids: &[ItemId]) -> Result<bool, Error> {
        let query = sqlx::query(PENDING_AT).bind(json_of(ids));
        let found = query.fetch_optional(&mut *self.conn().await).await?;
        Ok(found.is_some())
    }

    /// Number of items whose state at the server is not here yet.
    pub async fn in_wait(&self) -> Result<u64, Error> {
        let count: i64 = sqlx::query_scalar(IN_WAIT)
            .fetch_one(&mut *self.conn().await)
            .await?;
        Ok(count.cast_unsigned())
    }

    /// Versions of some items that are to come.
    pub async fn awaited(&self, ids: &[ItemId]) -> Result<HashMap<ItemId, String>, Error> {
        let query = sqlx::query_as(AWAITED).bind(json_of(ids));
        let rows: Vec<(i64, String)> = query.fetch_all(&mut *self.conn().await).await?;
        Ok(rows
            .into_iter()
            .map(|(id, etag)| (ItemId(id), etag))
            .collect())
    }

    /// Those of some items of which nothing was ever told.
    pub async fn unknown(&self, ids: &[ItemId]) -> Result<HashSet<ItemId>, Error> {
        let query = sqlx::query_scalar(UNKNOWN_OF).bind(json_of(ids));
        let ids: Vec<i64> = query.fetch_all(&mut *self.conn().await).await?;
        Ok(ids.into_iter().map(ItemId).collect())
    }

    /// Whether something is there that is new, or changed, in these collections or is one of these items.
    pub async fn is_pending_in(&self, ids: &[ItemId]) -> Result<bool, Error> {
        let query = sqlx::query(PENDING_IN).bind(json_of(ids));
        let found = query.fetch_optional(&mut *self.conn().await).await?;
        Ok(found.is_some())
    }

    /// Items that were in step, in places that pending ones are to have.
    pub async fn occupants(&self) -> Result<Vec<ItemId>, Error> {
        let ids: Vec<i64> = sqlx::query_scalar(OCCUPANTS)
            .fetch_all(&mut *self.conn().await)
            .await?;
        Ok(ids.into_iter().map(ItemId).collect())
    }
}

pub(super) async fn take_in(conn: &mut SqliteConnection, told: &[Intake]) -> Result<(), Error> {
    let mut there = Vec::new();
    for change in told {
        match change {
            Intake::Is(entry) => there.push(entry),
            Intake::Gone(id) => {
                bulk::take_in(conn, &std::mem::take(&mut there)).await?;
                sqlx::query(GONE).bind(id.0).execute(&mut *conn).await?;
            }
        }
    }
    bulk::take_in(conn, &there).await
}
