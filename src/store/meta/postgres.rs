//! Opening a database of PostgreSQL, which other servers may use at the same time.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::timeout;

use super::writer::Each;
use super::{Conn, sql};
use crate::store::{Error, Result};
use crate::types::Clock;

/// Connections that read; PostgreSQL allows 100 in all unless told otherwise.
const READERS: u32 = 8;
/// Connections that write, each with a transaction of its own.
const WRITERS: u32 = 8;
/// How long to wait for a connection before the database counts as away.
const ACQUIRE_MAX: Duration = Duration::from_secs(5);
/// A connection unused for longer is asked whether it still lives before it is used.
const FRESH: Duration = Duration::from_millis(100);
/// Prepared statements kept by each connection; above the number of statements there are.
const STATEMENTS: usize = 300;
/// Clocks that differ by more are reported, in ms: locks end by the clock of whoever looks.
const CLOCK_MAX: i64 = 2000;

/// What all connections are told. Compiling a statement takes longer than most of ours run.
const SETTINGS: [(&str, &str); 6] = [
    ("jit", "off"),
    ("client_min_messages", "warning"),
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "120s"),
    ("idle_in_transaction_session_timeout", "30s"),
];
/// What writers are told: an answered write is on the disk, and nobody waits for others for ever.
const WRITING: [(&str, &str); 2] = [("synchronous_commit", "on"), ("lock_timeout", "20s")];
const READING: [(&str, &str); 1] = [("default_transaction_read_only", "on")];

pub(super) const FACTS: &str =
    "SELECT current_setting('server_encoding'), current_setting('fsync'),
    CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// What brings a schema up to date.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/meta/migrations/postgres");

/// Connects, brings the schema up to date and looks whether the server is fit for us: the readers and
/// the writers.
pub(super) async fn open(address: &str) -> Result<(PgPool, Each)> {
    let options = options(address)?;
    let writers = pool(WRITERS)
        .connect_with(options.clone().options(WRITING))
        .await?;
    let mut first = writers.acquire().await?;
    MIGRATIONS.run(&mut *first).await?;
    look(&mut Conn::post(first)).await?;
    Ok((readers(options).await?, Each::start(writers)))
}

/// How to connect.
pub(super) fn options(address: &str) -> Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(address)?
        .application_name("sync-server")
        .statement_cache_capacity(STATEMENTS)
        .options(SETTINGS)
        .disable_statement_logging())
}

/// Connections that only read.
pub(super) async fn readers(options: PgConnectOptions) -> Result<PgPool> {
    Ok(pool(READERS).connect_with(options.options(READING)).await?)
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_MAX)
        .test_before_acquire(false)
        .before_acquire(|conn, about| {
            Box::pin(async move {
                if about.idle_for > FRESH {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        // The pool asks as well, and waits for ever where the way to the server is cut.
        .after_release(|conn, _about| {
            Box::pin(async move {
                let answered = timeout(ACQUIRE_MAX, conn.ping()).await;
                answered.map_err(|_elapsed| sql::silent())?.map(|()| true)
            })
        })
}

async fn look(conn: &mut Conn) -> Result<()> {
    let (encoding, fsync, clock): (String, String, i64) =
        sql::query_as(FACTS).fetch_one(conn).await?;
    if encoding != "UTF8" {
        return Err(Error::Unfit("its encoding is not UTF8"));
    }
    if fsync != "on" {
        tracing::warn!("PostgreSQL runs with fsync = off: a power cut may destroy the database");
    }
    let apart = (clock - Clock::system().now().0).abs();
    if apart > CLOCK_MAX {
        tracing::warn!("the clock of PostgreSQL differs from ours by {apart} ms");
    }
    Ok(())
}
