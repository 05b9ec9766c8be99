//! Names: the database. One file per table group; every statement is a constant beside its function.
//!
//! SQLite and PostgreSQL take the same texts (`$1`, `ON CONFLICT … RETURNING`, 64-bit integers); what
//! a statement and its values are is in `sql`. Functions take a [`Conn`]: a pooled reader or one that
//! writes. All writes go through [`Meta::write`], which is the only way to a transaction.
//!
//! SQLite has one writer. On PostgreSQL many write at once, each sees what was committed when its
//! statement began, and an error of a statement ends the transaction. So a work that relies on what it
//! reads takes its turn in the space or is [`Conn::alone`] first, and ends at the first error.

pub mod accounts;
pub mod audit;
pub mod changes;
pub mod chunks;
pub mod collect;
pub mod conflicts;
mod conn;
pub mod contents;
pub mod damage;
mod database;
pub mod feed;
pub mod jobs;
pub mod locks;
pub mod mend;
pub mod nodes;
#[cfg(test)]
pub mod peek;
mod postgres;
#[cfg(test)]
mod prepared;
pub mod process;
pub mod props;
mod rows;
pub mod segments;
pub mod settings;
mod shrink;
pub mod spaces;
mod sql;
mod sqlite;
pub mod subtree;
pub mod synclog;
#[cfg(test)]
pub mod testing;
pub mod tokens;
pub mod totals;
pub mod trash;
pub mod uploads;
pub mod versions;
pub mod watch;
mod writer;

use futures_util::future::BoxFuture;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

pub use self::conn::{Alone, Conn, Reading};
pub use self::database::Database;
use self::writer::{Each, Group};
use super::{Error, Result};

/// The opened database.
pub struct Meta(Opened);

enum Opened {
    Lite { readers: SqlitePool, writer: Group },
    Post { readers: PgPool, writers: Each },
}

impl Meta {
    /// Opens the database (a file is made when missing) and brings its schema up to date.
    pub async fn open(database: &Database) -> Result<Self> {
        Ok(Self(match database {
            Database::File(path) => {
                let (readers, writer) = sqlite::open(path).await?;
                Opened::Lite { readers, writer }
            }
            Database::Postgres(address) => {
                let (readers, writers) = Box::pin(postgres::open(address)).await?;
                Opened::Post { readers, writers }
            }
        }))
    }

    /// Whether other processes may write at any time.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Opened::Post { .. })
    }

    /// A connection to read with. It sees every write that was answered before.
    pub async fn read(&self) -> Result<Reading> {
        Ok(Reading(match &self.0 {
            Opened::Lite { readers, .. } => Conn::lite(readers.acquire().await?),
            // In a box: connecting is in this future, and it would be in that of each caller.
            Opened::Post { readers, .. } => Conn::post(Box::pin(readers.acquire()).await?),
        }))
    }

    /// Runs `work` in a transaction and returns once it is durable.
    ///
    /// A failing work undoes only itself. `work` must not wait for anything but the connection, and
    /// goes on to its end when the caller goes away.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.0 {
            Opened::Lite { writer, .. } => writer.run(work).await,
            Opened::Post { writers, .. } => writers.run(work).await,
        }
    }

    /// Lets queued writes finish, then closes all connections.
    pub async fn close(&self) {
        // The last one writes SQLite's log into the file, which readers cannot.
        match &self.0 {
            Opened::Lite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Opened::Post { readers, writers } => {
                readers.close().await;
                writers.close().await;
            }
        }
    }
}
