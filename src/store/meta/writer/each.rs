//! Each work in a transaction of its own; PostgreSQL shares the waits for the disk by itself.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::postgres::PgPool;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::store::fault::{self, Step};
use crate::store::meta::{Conn, sql};
use crate::store::{Error, Result};

/// How long a work waits until earlier ones are done. The pool itself waits a few seconds only, for a
/// server that does not answer.
const TURN_MAX: Duration = Duration::from_secs(30);

/// The handle on the connections that write.
pub(in crate::store::meta) struct Each {
    pool: PgPool,
    /// As many as there are connections.
    turns: Arc<Semaphore>,
    works: TaskTracker,
}

impl Each {
    pub(in crate::store::meta) fn start(pool: PgPool) -> Self {
        let connections = pool.options().get_max_connections();
        Self {
            pool,
            turns: Arc::new(Semaphore::new(connections as usize)),
            works: TaskTracker::new(),
        }
    }

    pub(in crate::store::meta) async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        if self.works.is_closed() {
            return Err(Error::Closing.into());
        }
        // A task of its own: a caller that goes away must not stop a write half way.
        let (pool, turns) = (self.pool.clone(), Arc::clone(&self.turns));
        let done = self.works.spawn(async move {
            match timeout(TURN_MAX, turns.acquire()).await {
                Ok(Ok(_turn)) => transact(&pool, work).await,
                Ok(Err(_closed)) => Err(Error::Closing.into()),
                Err(_elapsed) => Err(Error::Busy.into()),
            }
        });
        done.await
            .unwrap_or_else(|_stopped| Err(Error::Closing.into()))
    }

    /// Stops taking works, waits for those that run and closes the connections.
    pub(in crate::store::meta) async fn close(&self) {
        self.works.close();
        self.works.wait().await;
        self.pool.close().await;
    }
}

async fn transact<T, E, F>(pool: &PgPool, work: F) -> Result<T, E>
where
    F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T, E>> + Send,
    E: From<Error>,
{
    let mut conn = begin(pool).await?;
    match AssertUnwindSafe(work(&mut conn)).catch_unwind().await {
        Ok(Ok(value)) => {
            commit(&mut conn).await?;
            Ok(value)
        }
        Ok(Err(error)) => {
            undo(&mut conn).await;
            Err(error)
        }
        // A panic in one work must not take others down.
        Err(_panic) => {
            conn.discard();
            Err(failed("the work stopped half way").into())
        }
    }
}

/// Connections that broke while nobody used them are found out here, before anything was done; there
/// are at most as many as the pool has.
async fn begin(pool: &PgPool) -> Result<Conn> {
    fault::at(Step::Begin).map_err(sqlx::Error::from)?;
    let mut left = pool.options().get_max_connections();
    loop {
        let mut conn = Conn::post(Box::pin(pool.acquire()).await?);
        let Err(error) = sql::query("BEGIN").execute(&mut conn).await else {
            return Ok(conn);
        };
        conn.discard();
        if left == 0 || conn.is_silent() {
            return Err(error.into());
        }
        left -= 1;
    }
}

/// After an error the outcome is not known; clients repeat, and what they repeat does no harm twice.
async fn commit(conn: &mut Conn) -> Result<()> {
    if conn.failed {
        undo(conn).await;
        return Err(failed("a work went on after a statement that failed"));
    }
    if let Err(error) = commit_now(conn).await {
        tracing::error!("commit failed: {error}");
        conn.discard();
        return Err(error.into());
    }
    Ok(())
}

async fn commit_now(conn: &mut Conn) -> Result<(), sqlx::Error> {
    fault::at(Step::Commit)?;
    sql::query("COMMIT").execute(conn).await?;
    fault::at(Step::Answer)?;
    Ok(())
}

async fn undo(conn: &mut Conn) {
    if conn.is_silent() || sql::query("ROLLBACK").execute(conn).await.is_err() {
        conn.discard();
    }
}

fn failed(reason: &str) -> Error {
    Error::Database(sqlx::Error::Protocol(reason.to_owned()))
}
