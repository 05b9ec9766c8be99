//! The synced tree.

use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::bulk::Bulk;
use super::entry::{all, json_of, known, known_columns};
use super::{Entry, Error, Intake, Journal, changes};
use crate::client::item::ItemId;
use crate::client::local::Stamp;
use crate::client::local::read::List;

const CHILDREN: &str = concat!("SELECT ", known_columns!(), " FROM item WHERE parent = $1");
const ITEMS: &str = concat!(
    "SELECT ",
    known_columns!(),
    " FROM item WHERE id IN (SELECT value FROM json_each($1))"
);
const CHILD: &str = concat!(
    "SELECT ",
    known_columns!(),
    " FROM item WHERE parent = $1 AND name = $2"
);
const BY_ETAG: &str = concat!(
    "SELECT ",
    known_columns!(),
    " FROM item WHERE kind = 1 AND etag = $1 AND inode IS NOT NULL LIMIT 1"
);
pub(super) const INSERT_ITEM: &str =
    concat!("INSERT OR REPLACE INTO item (", known_columns!(), ") ");
const SEEN: &str =
    "UPDATE item SET inode = $2, seen_size = $3, seen_mtime = $4, seen_ctime = $5 WHERE id = $1";
const PLACE: &str = "UPDATE item SET parent = $2, name = $3 WHERE id = $1";
const EXECUTABLE: &str = "UPDATE item SET executable = $2 WHERE id = $1";
const RENAME: &str = "UPDATE OR REPLACE item SET id = $2 WHERE id = $1";
const RENAME_LIST: &str = "UPDATE OR REPLACE list SET item = $2 WHERE item = $1";
const REPARENT: &str = "UPDATE item SET parent = $2 WHERE parent = $1";
/// With what still lies in it, of which only the server may have a place for by now: that is pending.
const REMOVE: &str = "WITH RECURSIVE lost (nid) AS (
        SELECT $1 UNION ALL SELECT item.id FROM item JOIN lost ON item.parent = lost.nid)
    DELETE FROM item WHERE id IN (SELECT nid FROM lost)";
const REMOVE_LIST: &str = "DELETE FROM list WHERE item = $1";
const SETTLED: &str = "DELETE FROM pending WHERE id = $1";
const SETTLED_IF_GONE: &str = "DELETE FROM pending WHERE id = $1 AND gone = 1";
/// What no way leads to from the root: nothing writes such rows, and with one there is no plan.
const STRAYS: &str = "WITH RECURSIVE led (nid) AS (
        SELECT $1 UNION SELECT item.id FROM item JOIN led ON item.parent = led.nid)
    DELETE FROM item WHERE id NOT IN (SELECT nid FROM led)";
const COUNT: &str = "SELECT count(*), count(*) FILTER (WHERE kind <> 0) FROM item WHERE mount = 0";

/// A change of the synced tree.
#[derive(Clone, Debug)]
pub enum Write {
    /// Both sides have it so. What the server said of it is settled when it is the same.
    Put(Entry, Option<Stamp>),
    /// It was seen here with this stamp.
    Seen(ItemId, Option<Stamp>),
    /// Whether it may be run, on both sides.
    Executable(ItemId, bool),
    /// It lies elsewhere on this side now; what the server says of it stays to be looked at.
    Place(ItemId, ItemId, String),
    /// Another id has taken the place of this one, also for what lies in it.
    Rekey(ItemId, ItemId),
    /// How a version of it is cut.
    List(ItemId, i64, Arc<str>, List),
    /// Nothing is wrong at this path any more.
    Well(String),
    /// Both sides do not have it, or it is not kept in step any more.
    Remove(ItemId),
}

impl Journal {
    /// What lies in a collection, with the stamps.
    pub async fn children(&self, parent: ItemId) -> Result<Vec<(Entry, Option<Stamp>)>, Error> {
        let query = sqlx::query(CHILDREN).bind(parent.0);
        all(query, &mut *self.conn().await, known).await
    }

    /// An item.
    pub async fn item(&self, id: ItemId) -> Result<Option<(Entry, Option<Stamp>)>, Error> {
        Ok(self.items(&[id]).await?.pop())
    }

    /// What has a name in a collection: several for a moment, when one that let others pass did not come to its place.
    pub async fn child(
        &self,
        parent: ItemId,
        name: &str,
    ) -> Result<Vec<(Entry, Option<Stamp>)>, Error> {
        let query = sqlx::query(CHILD).bind(parent.0).bind(name);
        let rows = query.fetch_all(&mut *self.conn().await).await?;
        rows.iter().map(known).collect()
    }

    /// Those of some items that are known.
    pub async fn items(&self, ids: &[ItemId]) -> Result<Vec<(Entry, Option<Stamp>)>, Error> {
        let query = sqlx::query(ITEMS).bind(json_of(ids));
        all(query, &mut *self.conn().await, known).await
    }

    /// A file that has this version here.
    pub async fn with_etag(&self, etag: &str) -> Result<Option<(Entry, Option<Stamp>)>, Error> {
        let query = sqlx::query(BY_ETAG).bind(etag);
        let row = query.fetch_optional(&mut *self.conn().await).await?;
        row.as_ref().map(known).transpose()
    }

    /// Forgets items that have no place below the root.
    pub async fn drop_strays(&self, root: ItemId) -> Result<(), Error> {
        one(&mut *self.conn().await, STRAYS, root).await
    }

    /// Number of items and of files among them.
    pub async fn count(&self) -> Result<(u64, u64), Error> {
        let row = sqlx::query(COUNT)
            .fetch_one(&mut *self.conn().await)
            .await?;
        let number = |column| Ok::<_, Error>(row.try_get::<i64, _>(column)?.cast_unsigned());
        Ok((number(0)?, number(1)?))
    }

    /// Writes many changes in one transaction.
    pub async fn write(&self, writes: &[Write]) -> Result<(), Error> {
        self.land(writes, &[]).await
    }

    /// Writes changes together with what the server told of them.
    pub async fn land(&self, writes: &[Write], intake: &[Intake]) -> Result<(), Error> {
        let mut conn = self.conn().await;
        let mut tx = conn.begin().await?;
        let mut bulk = Bulk::default();
        for write in writes {
            apply(&mut bulk, &mut tx, write).await?;
        }
        bulk.write(&mut tx).await?;
        changes::take_in(&mut tx, intake).await?;
        Ok(tx.commit().await?)
    }
}

async fn apply<'a>(
    bulk: &mut Bulk<'a>,
    conn: &mut SqliteConnection,
    write: &'a Write,
) -> Result<(), Error> {
    if !bulk.takes(write) {
        // What came before it comes first.
        bulk.write(conn).await?;
    }
    match write {
        Write::Put(..) | Write::List(..) | Write::Well(_) => Ok(()),
        Write::Seen(id, stamp) => {
            let (inode, size, mtime, ctime) = parts(*stamp);
            let query = sqlx::query(SEEN)
                .bind(id.0)
                .bind(inode)
                .bind(size)
                .bind(mtime)
                .bind(ctime);
            query.execute(conn).await?;
            Ok(())
        }
        Write::Executable(id, executable) => {
            sqlx::query(EXECUTABLE)
                .bind(id.0)
                .bind(executable)
                .execute(conn)
                .await?;
            Ok(())
        }
        Write::Place(id, parent, name) => {
            sqlx::query(PLACE)
                .bind(id.0)
                .bind(parent.0)
                .bind(name)
                .execute(conn)
                .await?;
            Ok(())
        }
        Write::Rekey(from, to) => {
            for sql in [REPARENT, RENAME, RENAME_LIST] {
                let query = sqlx::query(sql).bind(from.0).bind(to.0);
                query.execute(&mut *conn).await?;
            }
            one(conn, SETTLED, *from).await
        }
        Write::Remove(id) => forget(conn, *id).await,
    }
}

async fn forget(conn: &mut SqliteConnection, id: ItemId) -> Result<(), Error> {
    one(conn, REMOVE, id).await?;
    one(conn, REMOVE_LIST, id).await?;
    one(conn, SETTLED_IF_GONE, id).await
}

async fn one(conn: &mut SqliteConnection, sql: &'static str, id: ItemId) -> Result<(), Error> {
    sqlx::query(sql).bind(id.0).execute(conn).await?;
    Ok(())
}

type Parts = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);

fn parts(stamp: Option<Stamp>) -> Parts {
    let Some(stamp) = stamp else {
        return (None, None, None, None);
    };
    (
        Some(stamp.inode.cast_signed()),
        Some(stamp.size.cast_signed()),
        Some(stamp.mtime_ns),
        Some(stamp.ctime_ns),
    )
}
