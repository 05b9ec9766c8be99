//! A row of the trees.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::query::Query;
use sqlx::query_builder::Separated;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};

use super::Error;
use crate::client::item::{Content, Item, ItemId, Kind};
use crate::client::local::Stamp;
use crate::protocol::files;

/// An item as the server has or had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The node.
    pub id: ItemId,
    /// Its space.
    pub space: i64,
    /// The collection it lies in; 0 for the account's root.
    pub parent: ItemId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its etag.
    pub etag: Arc<str>,
    /// Whether a file may be run.
    pub executable: bool,
    /// Whether it is the root of a space.
    pub mount: bool,
    /// Bytes of a file.
    pub size: u64,
    /// Last modification in milliseconds since 1970.
    pub mtime: i64,
}

impl Entry {
    /// A node as the server tells it. `root` is the account's root, in which the roots of other spaces lie.
    pub fn of_node(node: &files::Node, root: ItemId) -> Self {
        let id = ItemId(node.id);
        let above = if id == root { ItemId(0) } else { root };
        Self {
            id,
            space: node.space,
            parent: node.parent.map_or(above, ItemId),
            name: node.name.clone(),
            kind: match node.kind {
                files::Kind::Collection => Kind::Collection,
                files::Kind::File if node.link => Kind::Link,
                files::Kind::File => Kind::File,
            },
            etag: node.etag.as_str().into(),
            executable: node.executable,
            mount: node.parent.is_none(),
            size: node.size,
            mtime: node.mtime,
        }
    }

    /// What the merge looks at.
    pub fn item(&self) -> Item {
        Item {
            id: self.id,
            parent: self.parent,
            name: self.name.clone(),
            kind: self.kind,
            content: match self.kind {
                Kind::Collection => Content::None,
                Kind::File | Kind::Link => Content::Version(Arc::clone(&self.etag)),
            },
            executable: self.executable,
            mount: self.mount,
        }
    }
}

fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Collection => 0,
        Kind::File => 1,
        Kind::Link => 2,
    }
}

fn kind_of(number: i64) -> Result<Kind, Error> {
    match number {
        0 => Ok(Kind::Collection),
        1 => Ok(Kind::File),
        2 => Ok(Kind::Link),
        _ => Err(Error::Row("a kind")),
    }
}

/// Columns of [`entry`], in its order.
macro_rules! columns {
    () => {
        "id, space, parent, name, kind, etag, executable, mount, size, mtime"
    };
}
/// Columns of [`known`], in its order.
macro_rules! known_columns {
    () => {
        concat!(
            $crate::client::journal::entry::columns!(),
            ", inode, seen_size, seen_mtime, seen_ctime"
        )
    };
}
/// Whether what is pending is as it is in step: what a merge would see no difference in.
macro_rules! in_step {
    () => {
        "gone = 0 AND EXISTS (SELECT 1 FROM item WHERE item.id = pending.id
            AND item.parent = pending.parent AND item.name = pending.name AND item.kind = pending.kind
            AND item.executable = pending.executable AND item.mount = pending.mount
            AND (item.kind = 0 OR item.etag = pending.etag))"
    };
}
pub(super) use {columns, in_step, known_columns};

/// Gives the values of [`columns`], in their order.
pub(super) fn push(row: &mut Separated<'_, Sqlite, &'static str>, entry: &Entry) {
    row.push_bind(entry.id.0)
        .push_bind(entry.space)
        .push_bind(entry.parent.0)
        .push_bind(&*entry.name)
        .push_bind(kind_number(entry.kind))
        .push_bind(&*entry.etag)
        .push_bind(entry.executable)
        .push_bind(entry.mount)
        .push_bind(entry.size.cast_signed())
        .push_bind(entry.mtime);
}

pub(super) fn entry(row: &SqliteRow) -> Result<Entry, Error> {
    let etag: &str = row.try_get(5)?;
    let size: i64 = row.try_get(8)?;
    Ok(Entry {
        id: ItemId(row.try_get(0)?),
        space: row.try_get(1)?,
        parent: ItemId(row.try_get(2)?),
        name: row.try_get(3)?,
        kind: kind_of(row.try_get(4)?)?,
        etag: etag.into(),
        executable: row.try_get(6)?,
        mount: row.try_get(7)?,
        size: size.try_into().map_err(|_| Error::Row("a size"))?,
        mtime: row.try_get(9)?,
    })
}

/// An item with its stamp; none when it is not to be relied on.
pub(super) fn known(row: &SqliteRow) -> Result<(Entry, Option<Stamp>), Error> {
    let Some(inode) = row.try_get::<Option<i64>, _>(10)? else {
        return Ok((entry(row)?, None));
    };
    let size: i64 = row.try_get(11)?;
    let stamp = Stamp {
        inode: inode.cast_unsigned(),
        size: size.cast_unsigned(),
        mtime_ns: row.try_get(12)?,
        ctime_ns: row.try_get(13)?,
    };
    Ok((entry(row)?, Some(stamp)))
}

/// All rows of a query, one after the other: a row as the driver has it takes a thousand bytes and more.
pub(super) async fn all<T>(
    query: Query<'_, Sqlite, SqliteArguments>,
    conn: &mut SqliteConnection,
    of: impl Fn(&SqliteRow) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut rows = query.fetch(conn);
    let mut list = Vec::new();
    while let Some(row) = rows.try_next().await? {
        list.push(of(&row)?);
    }
    Ok(list)
}

/// Ids as `json_each` takes them.
pub(super) fn json_of(ids: &[ItemId]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| id.0.to_string()).collect();
    format!("[{}]", ids.join(","))
}
