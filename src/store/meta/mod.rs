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
pub mod dump;
pub mod export;
pub mod feed;
pub mod jobs;
pub mod live;
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
pub mod rescue;
mod rows;
pub mod seals;
pub mod segments;
pub mod sequences;
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

pub use self::conn::{Alone, Conn, Reading, View};
pub use self::database::Database;
use self::writer::{Each, Group};
use super::{Error, Result};

/// The opened database.
pub struct Meta(Opened);

enum Opened {
    // Without a writer it was opened to be read only.
    Lite {
        readers: SqlitePool,
        writer: Option<Group>,
    },
    Post {
        readers: PgPool,
        writers: Option<Each>,
    },
}

impl Meta {
    /// Opens the database (a file is made when missing) and brings its schema up to date.
    pub async fn open(database: &Database) -> Result<Self> {
        Ok(Self(match database {
            Database::File(path) => {
                let (readers, writer) = sqlite::open(path).await?;
                let writer = Some(writer);
                Opened::Lite { readers, writer }
            }
            Database::Postgres(address) => {
                let (readers, writers) = Box::pin(postgres::open(address)).await?;
                let writers = Some(writers);
                Opened::Post { readers, writers }
            }
        }))
    }

    /// Opens a database that is there, without writing to it; its schema must be that of this program.
    pub async fn open_to_read(database: &Database) -> Result<Self> {
        let (opened, expected) = match database {
            Database::File(path) => {
                let (readers, writer) = (sqlite::readers(sqlite::options(path)).await?, None);
                (Opened::Lite { readers, writer }, sqlite::MIGRATIONS.iter())
            }
            Database::Postgres(address) => {
                let options = postgres::options(address)?;
                let (readers, writers) = (Box::pin(postgres::readers(options)).await?, None);
                (
                    Opened::Post { readers, writers },
                    postgres::MIGRATIONS.iter(),
                )
            }
        };
        let expected = expected.map(|migration| migration.version).max();
        let meta = Self(opened);
        if settings::schema(&mut *meta.read().await?).await? != expected {
            return Err(Error::Unfit(
                "it is of another version; start this server on it first",
            ));
        }
        Ok(meta)
    }

    /// Whether it was opened to be read only.
    pub fn is_read_only(&self) -> bool {
        match &self.0 {
            Opened::Lite { writer, .. } => writer.is_none(),
            Opened::Post { writers, .. } => writers.is_none(),
        }
    }

    /// Whether other processes may write at any time.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Opened::Post { .. })
    }

    /// A connection to read with. It sees every write that was answered before.
    pub async fn read(&self) -> Result<Reading> {
        Ok(Reading(match &self.0 {
            Opened::Lite { readers, writer } => {
                let _pass = match writer {
                    Some(writer) => Some(writer.trust().to_read().await?),
                    None => None,
                };
                Conn::lite(readers.acquire().await?)
            }
            // In a box: connecting is in this future, and it would be in that of each caller.
            Opened::Post { readers, .. } => Conn::post(Box::pin(readers.acquire()).await?),
        }))
    }

    /// The database as it is now, however long one looks at it. Meanwhile SQLite's log can only grow.
    pub async fn view(&self) -> Result<View> {
        View::begin(self.read().await?).await
    }

    /// Whether nothing is written because the database met an I/O error and is not proved sound yet.
    pub fn is_suspect(&self) -> bool {
        match &self.0 {
            Opened::Lite { writer, .. } => writer
                .as_ref()
                .is_some_and(|writer| !writer.trust().is_whole()),
            Opened::Post { .. } => false,
        }
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
            Opened::Lite {
                writer: Some(writer),
                ..
            } => writer.run(work).await,
            Opened::Post {
                writers: Some(writers),
                ..
            } => writers.run(work).await,
            Opened::Lite { writer: None, .. } | Opened::Post { writers: None, .. } => {
                Err(Error::Unfit("it was opened to be read").into())
            }
        }
    }

    /// Lets queued writes finish, then closes all connections.
    pub async fn close(&self) {
        // The last one writes SQLite's log into the file, which readers cannot.
        match &self.0 {
            Opened::Lite { readers, writer } => {
                readers.close().await;
                if let Some(writer) = writer {
                    writer.close().await;
                }
            }
            Opened::Post { readers, writers } => {
                readers.close().await;
                if let Some(writers) = writers {
                    writers.close().await;
                }
            }
        }
    }
}
