//! The synced tree.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::entry::{columns, entry, kind_number, stamp};
use super::{Entry, Error, Journal};
use crate::client::item::ItemId;
use crate::client::local::Stamp;

const CHILDREN: &str = concat!(
    "SELECT ",
    columns!(),
    ", inode, seen_size, seen_mtime, seen_ctime FROM item WHERE parent = $1"
);
const ITEM: &str = concat!(
    "SELECT ",
    columns!(),
    ", inode, seen_size, seen_mtime, seen_ctime FROM item WHERE id = $1"
);
const ITEMS: &str = concat!(
    "SELECT ",
    columns!(),
    ", inode, seen_size, seen_mtime, seen_ctime FROM item
     WHERE id IN (SELECT value FROM json_each($1))"
);
const CHILD: &str = concat!(
    "SELECT ",
    columns!(),
    ", inode, seen_size, seen_mtime, seen_ctime FROM item WHERE parent = $1 AND name = $2"
);
const BY_ETAG: &str = concat!(
    "SELECT ",
    columns!(),
    ", inode, seen_size, seen_mtime, seen_ctime FROM item
     WHERE kind = 1 AND etag = $1 AND inode IS NOT NULL LIMIT 1"
);
const PUT: &str = "INSERT OR REPLACE INTO item (id, space, parent, name, kind, etag, executable, mount, size, mtime,
        inode, seen_size, seen_mtime, seen_ctime)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
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
/// What was heard meanwhile and is otherwise stays to be done.
const SETTLED_IF_SAME: &str = "DELETE FROM pending WHERE id = $1 AND gone = 0 AND EXISTS (SELECT 1 FROM item
    WHERE item.id = pending.id AND item.parent = pending.parent AND item.name = pending.name
    AND item.kind = pending.kind AND item.executable = pending.executable AND item.mount = pending.mount
    AND (item.kind = 0 OR item.etag = pending.etag))";
const SETTLED_IF_GONE: &str = "DELETE FROM pending WHERE id = $1 AND gone = 1";
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
    /// Both sides do not have it, or it is not kept in step any more.
    Remove(ItemId),
}

impl Journal {
    /// What lies in a collection, with the stamps.
    pub async fn children(&self, parent: ItemId) -> Result<Vec<(Entry, Option<Stamp>)>, Error> {
        self.rows(CHILDREN, parent).await
    }

    /// An item.
    pub async fn item(&self, id: ItemId) -> Result<Option<(Entry, Option<Stamp>)>, Error> {
        Ok(self.rows(ITEM, id).await?.pop())
    }

    /// What has a name in a collection.
    pub async fn child(
        &self,
        parent: ItemId,
        name: &str,
    ) -> Result<Option<(Entry, Option<Stamp>)>, Error> {
        let query = sqlx::query(CHILD).bind(parent.0).bind(name);
        let row = query.fetch_optional(&mut *self.conn().await).await?;
        row.map(|row| Ok((entry(&row)?, stamp(&row, 10)?)))
            .transpose()
    }

    /// Those of some items that are known.
    pub async fn items(&self, ids: &[ItemId]) -> Result<Vec<(Entry, Option<Stamp>)>, Error> {
        let ids: Vec<_> = ids.iter().map(|id| id.0.to_string()).collect();
        let query = sqlx::query(ITEMS).bind(format!("[{}]", ids.join(",")));
        let rows = query.fetch_all(&mut *self.conn().await).await?;
        rows.iter()
            .map(|row| Ok((entry(row)?, stamp(row, 10)?)))
            .collect()
    }

    /// A file that has this version here.
    pub async fn with_etag(&self, etag: &str) -> Result<Option<(Entry, Option<Stamp>)>, Error> {
        let row = sqlx::query(BY_ETAG)
            .bind(etag)
            .fetch_optional(&mut *self.conn().await)
            .await?;
        row.map(|row| Ok((entry(&row)?, stamp(&row, 10)?)))
            .transpose()
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
        let mut conn = self.conn().await;
        let mut tx = conn.begin().await?;
        for write in writes {
            apply(&mut tx, write).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn rows(
        &self,
        sql: &'static str,
        id: ItemId,
    ) -> Result<Vec<(Entry, Option<Stamp>)>, Error> {
        let rows = sqlx::query(sql)
            .bind(id.0)
            .fetch_all(&mut *self.conn().await)
            .await?;
        let row = |row| Ok((entry(row)?, stamp(row, 10)?));
        rows.iter().map(row).collect()
    }
}

async fn apply(conn: &mut SqliteConnection, write: &Write) -> Result<(), Error> {
    match write {
        Write::Put(entry, stamp) => {
            put(conn, entry, *stamp).await?;
            one(conn, SETTLED_IF_SAME, entry.id).await
        }
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

async fn put(
    conn: &mut SqliteConnection,
    entry: &Entry,
    stamp: Option<Stamp>,
) -> Result<(), Error> {
    let (inode, size, mtime, ctime) = parts(stamp);
    let query = sqlx::query(PUT)
        .bind(entry.id.0)
        .bind(entry.space)
        .bind(entry.parent.0)
        .bind(&*entry.name)
        .bind(kind_number(entry.kind))
        .bind(&*entry.etag)
        .bind(entry.executable)
        .bind(entry.mount)
        .bind(entry.size.cast_signed())
        .bind(entry.mtime)
        .bind(inode)
        .bind(size)
        .bind(mtime)
        .bind(ctime);
    query.execute(conn).await?;
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
