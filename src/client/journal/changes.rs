//! Taking in what the server tells.

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::entry::{columns, entry, kind_number};
use super::{Entry, Error, Journal, Key};
use crate::client::item::ItemId;

const ITEM: &str = concat!("SELECT ", columns!(), " FROM item WHERE id = $1");
const PUT: &str = "INSERT OR REPLACE INTO pending (id, gone, space, parent, name, kind, etag, executable, mount, size, mtime)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const SETTLED: &str = "DELETE FROM pending WHERE id = $1";
const ALL_GONE: &str = concat!(
    "INSERT OR REPLACE INTO pending (gone, ",
    columns!(),
    ") SELECT 1, ",
    columns!(),
    " FROM item WHERE mount = 0"
);
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
const IN_STEP: &str =
    "DELETE FROM pending WHERE gone = 0 AND EXISTS (SELECT 1 FROM item WHERE item.id = pending.id
    AND item.parent = pending.parent AND item.name = pending.name AND item.kind = pending.kind
    AND item.executable = pending.executable AND item.mount = pending.mount
    AND (item.kind = 0 OR item.etag = pending.etag))";
const PENDING: &str = concat!("SELECT ", columns!(), ", gone FROM pending");
const PENDING_ONE: &str = concat!("SELECT ", columns!(), ", gone FROM pending WHERE id = $1");
const OCCUPANTS: &str = "SELECT item.id FROM pending JOIN item ON item.parent = pending.parent AND item.name = pending.name
    WHERE pending.gone = 0 AND item.id <> pending.id";
const PENDING_IN: &str = "WITH asked (id) AS MATERIALIZED (SELECT value FROM json_each($1))
    SELECT 1 FROM pending WHERE gone = 0 AND (id IN (SELECT id FROM asked) OR parent IN (SELECT id FROM asked)) LIMIT 1";
const IN_WAIT: &str = "SELECT count(*) FROM pending";

/// A change that the server told.
#[derive(Clone, Debug)]
pub enum Intake {
    /// It is so now.
    Is(Entry),
    /// It is not there, or not kept on this device, with all below.
    Gone(ItemId),
}

impl Journal {
    /// Takes in a page of changes together with the cursor behind it.
    pub async fn take(&self, changes: &[Intake], cursor: Option<&str>) -> Result<(), Error> {
        let mut conn = self.conn().await;
        let mut tx = conn.begin().await?;
        for change in changes {
            match change {
                Intake::Is(entry) => is(&mut tx, entry).await?,
                Intake::Gone(id) => gone(&mut tx, *id).await?,
            }
        }
        if let Some(cursor) = cursor {
            set_cursor(&mut tx, cursor).await?;
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
        let hearing = "INSERT OR REPLACE INTO state (key, value) VALUES ($1, '1')";
        let hearing = sqlx::query(hearing).bind(Key::Hearing.name());
        hearing.execute(&mut *tx).await?;
        if lost {
            let sql = "INSERT OR REPLACE INTO state (key, value) VALUES ($1, '1')";
            sqlx::query(sql)
                .bind(Key::Lost.name())
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query("DELETE FROM state WHERE key = $1")
            .bind(Key::Cursor.name())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Ends a pull: what lay below things that are gone is gone as well, unless it was told to be elsewhere.
    pub async fn all_taken(&self) -> Result<(), Error> {
        let mut conn = self.conn().await;
        let mut tx = conn.begin().await?;
        let lost = "DELETE FROM state WHERE key = $1";
        let lost = sqlx::query(lost)
            .bind(Key::Lost.name())
            .execute(&mut *tx)
            .await?;
        if lost.rows_affected() > 0 {
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
        let heard = "DELETE FROM state WHERE key = $1";
        let heard = sqlx::query(heard).bind(Key::Hearing.name());
        heard.execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Forgets what is pending and in step by now.
    pub async fn settle(&self) -> Result<(), Error> {
        let mut conn = self.conn().await;
        sqlx::query(IN_STEP).execute(&mut *conn).await?;
        sqlx::query(NEVER_HERE).execute(&mut *conn).await?;
        Ok(())
    }

    /// All that this side does not have as the server has it: the item there, and whether it is gone.
    pub async fn pending(&self) -> Result<Vec<(Entry, bool)>, Error> {
        use sqlx::Row as _;
        let rows = sqlx::query(PENDING)
            .fetch_all(&mut *self.conn().await)
            .await?;
        rows.iter()
            .map(|row| Ok((entry(row)?, row.try_get(10)?)))
            .collect()
    }

    /// What is pending for an item.
    pub async fn pending_for(&self, id: ItemId) -> Result<Option<(Entry, bool)>, Error> {
        use sqlx::Row as _;
        let row = sqlx::query(PENDING_ONE)
            .bind(id.0)
            .fetch_optional(&mut *self.conn().await)
            .await?;
        row.map(|row| Ok((entry(&row)?, row.try_get(10)?)))
            .transpose()
    }

    /// Number of items whose state at the server is not here yet.
    pub async fn in_wait(&self) -> Result<u64, Error> {
        let count: i64 = sqlx::query_scalar(IN_WAIT)
            .fetch_one(&mut *self.conn().await)
            .await?;
        Ok(count.cast_unsigned())
    }

    /// Whether something is there that is new, or changed, in these collections or is one of these items.
    pub async fn is_pending_in(&self, ids: &[ItemId]) -> Result<bool, Error> {
        let ids: Vec<_> = ids.iter().map(|id| id.0.to_string()).collect();
        let query = sqlx::query(PENDING_IN).bind(format!("[{}]", ids.join(",")));
        Ok(query
            .fetch_optional(&mut *self.conn().await)
            .await?
            .is_some())
    }

    /// Items that were in step, in places that pending ones are to have.
    pub async fn occupants(&self) -> Result<Vec<ItemId>, Error> {
        let ids: Vec<i64> = sqlx::query_scalar(OCCUPANTS)
            .fetch_all(&mut *self.conn().await)
            .await?;
        Ok(ids.into_iter().map(ItemId).collect())
    }
}

async fn is(conn: &mut SqliteConnection, new: &Entry) -> Result<(), Error> {
    let old = sqlx::query(ITEM)
        .bind(new.id.0)
        .fetch_optional(&mut *conn)
        .await?;
    let old = old.map(|row| entry(&row)).transpose()?;
    if old.is_some_and(|old| old.same(new)) {
        return settled(conn, new.id).await;
    }
    put(conn, new, false).await
}

async fn gone(conn: &mut SqliteConnection, id: ItemId) -> Result<(), Error> {
    let pending = sqlx::query(PENDING_ONE)
        .bind(id.0)
        .fetch_optional(&mut *conn)
        .await?;
    let row = match pending {
        Some(row) => Some(row),
        None => {
            sqlx::query(ITEM)
                .bind(id.0)
                .fetch_optional(&mut *conn)
                .await?
        }
    };
    match row {
        Some(row) => put(conn, &entry(&row)?, true).await,
        None => Ok(()),
    }
}

async fn settled(conn: &mut SqliteConnection, id: ItemId) -> Result<(), Error> {
    sqlx::query(SETTLED).bind(id.0).execute(conn).await?;
    Ok(())
}

async fn put(conn: &mut SqliteConnection, entry: &Entry, gone: bool) -> Result<(), Error> {
    let query = sqlx::query(PUT)
        .bind(entry.id.0)
        .bind(gone)
        .bind(entry.space)
        .bind(entry.parent.0)
        .bind(&*entry.name)
        .bind(kind_number(entry.kind))
        .bind(&*entry.etag)
        .bind(entry.executable)
        .bind(entry.mount)
        .bind(entry.size.cast_signed())
        .bind(entry.mtime);
    query.execute(conn).await?;
    Ok(())
}

async fn set_cursor(conn: &mut SqliteConnection, cursor: &str) -> Result<(), Error> {
    let sql = "INSERT OR REPLACE INTO state (key, value) VALUES ($1, $2)";
    sqlx::query(sql)
        .bind(Key::Cursor.name())
        .bind(cursor)
        .execute(conn)
        .await?;
    Ok(())
}
