//! Many rows by one statement: a first sync writes several for each of its files.

use std::sync::Arc;

use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};

use super::changes::{INSERT_PENDING, SETTLED_IF_SAME};
use super::entry::{json_of, push};
use super::items::INSERT_ITEM;
use super::lists::{INSERT_LIST, pack};
use super::troubles::CLEAR;
use super::{Entry, Error, Write};
use crate::chunk::Class;
use crate::client::item::ItemId;
use crate::client::local::Stamp;
use crate::client::local::read::List;

/// Rows of one statement: more make it no faster.
const ROWS: usize = 64;

/// Changes that may be written in any order, for each is of rows of its own kind.
#[derive(Default)]
pub(super) struct Bulk<'a> {
    items: Vec<(&'a Entry, Option<Stamp>)>,
    lists: Vec<(ItemId, i64, &'a Arc<str>, &'a List)>,
    well: Vec<&'a str>,
}

impl<'a> Bulk<'a> {
    /// Takes a change in, if it is one that can wait for others.
    pub(super) fn takes(&mut self, write: &'a Write) -> bool {
        match write {
            Write::Put(entry, stamp) => self.items.push((entry, *stamp)),
            Write::List(item, space, etag, list) => self.lists.push((*item, *space, etag, list)),
            Write::Well(path) => self.well.push(path),
            Write::Seen(..)
            | Write::Executable(..)
            | Write::Place(..)
            | Write::Rekey(..)
            | Write::Remove(_) => return false,
        }
        true
    }

    /// Writes what was taken in.
    pub(super) async fn write(&mut self, conn: &mut SqliteConnection) -> Result<(), Error> {
        insert(conn, INSERT_ITEM, &self.items, |row, (entry, stamp)| {
            push(row, entry);
            row.push_bind(stamp.map(|stamp| stamp.inode.cast_signed()))
                .push_bind(stamp.map(|stamp| stamp.size.cast_signed()))
                .push_bind(stamp.map(|stamp| stamp.mtime_ns))
                .push_bind(stamp.map(|stamp| stamp.ctime_ns));
        })
        .await?;
        settle(conn, self.items.iter().map(|(entry, _)| entry.id)).await?;
        insert(
            conn,
            INSERT_LIST,
            &self.lists,
            |row, (item, space, etag, list)| {
                row.push_bind(item.0)
                    .push_bind(&***etag)
                    .push_bind(space)
                    .push_bind(list.class == Class::Large)
                    .push_bind(&list.root.0[..])
                    .push_bind(pack(&list.chunks));
            },
        )
        .await?;
        if !self.well.is_empty() {
            let paths = serde_json::Value::from(&self.well[..]).to_string();
            sqlx::query(CLEAR).bind(paths).execute(conn).await?;
        }
        *self = Self::default();
        Ok(())
    }
}

/// Writes what the server told of items that are there.
pub(super) async fn take_in(conn: &mut SqliteConnection, told: &[&Entry]) -> Result<(), Error> {
    insert(conn, INSERT_PENDING, told, |row, entry| {
        push(row, entry);
        row.push_bind(0);
    })
    .await?;
    settle(conn, told.iter().map(|entry| entry.id)).await
}

async fn insert<T>(
    conn: &mut SqliteConnection,
    into: &str,
    rows: &[T],
    mut push: impl FnMut(&mut Separated<'_, Sqlite, &'static str>, &T),
) -> Result<(), Error> {
    for rows in rows.chunks(ROWS) {
        let mut query = QueryBuilder::new(into);
        query.push_values(rows, |mut row, values| push(&mut row, values));
        let query = query.build().persistent(rows.len() == ROWS);
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Forgets of some items what the server told, where it is as it is here.
async fn settle(
    conn: &mut SqliteConnection,
    ids: impl Iterator<Item = ItemId>,
) -> Result<(), Error> {
    let ids: Vec<_> = ids.collect();
    if !ids.is_empty() {
        let query = sqlx::query(SETTLED_IF_SAME).bind(json_of(&ids));
        query.execute(conn).await?;
    }
    Ok(())
}
