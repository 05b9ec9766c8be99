//! Writing. Here for SQLite by group commit: one task owns the writing connection and commits for all
//! who queue; for PostgreSQL in `each`.

mod doubt;
mod each;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

pub(super) use self::doubt::{LOG_KEPT, Trust, Written};
pub(super) use self::each::Each;
use super::super::fault::{self, Step};
use super::super::{Error, Result};
use super::{Conn, sql};

/// Most works in one transaction: bounds what one commit makes others wait for.
const BATCH_MAX: usize = 64;
/// Works that may queue before `run` waits; each is a few hundred bytes.
const QUEUE_MAX: usize = 256;

/// A queued work whose result type is hidden.
trait Job: Send {
    /// Runs the work; `true` keeps what it wrote, `false` undoes it.
    fn run<'t>(&'t mut self, conn: &'t mut Conn) -> BoxFuture<'t, bool>;
    /// Answers the caller after the commit, or with the reason why there was none.
    fn answer(self: Box<Self>, committed: Result<(), &Reason>);
}

/// Why there was no commit.
enum Reason {
    /// The disk is full.
    Full,
    /// It was tried.
    Failed(String),
    /// The database is in doubt.
    Suspect,
}

struct Queued<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Queued<F, T, E>
where
    F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run<'t>(&'t mut self, conn: &'t mut Conn) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else {
                return false;
            };
            let result = work(conn).await;
            let keep = result.is_ok();
            self.result = Some(result);
            keep
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), &Reason>) {
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(Reason::Suspect)) => Err(Error::Suspect.into()),
            (_, Err(Reason::Full)) => Err(Error::DiskFull.into()),
            (_, Err(Reason::Failed(reason))) => Err(failed(reason).into()),
            (None, Ok(())) => Err(failed("the work stopped half way").into()),
        };
        // A caller that went away needs no answer.
        drop(self.reply.send(result));
    }
}

fn failed(reason: &str) -> Error {
    Error::Database(sqlx::Error::Protocol(reason.to_owned()))
}

/// The handle on the writing task. Works queued at the same time share one commit; each has its own
/// savepoint, so a failing one undoes only itself.
pub(super) struct Group {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    sender: mpsc::WeakSender<Box<dyn Job>>,
    task: Mutex<Option<JoinHandle<()>>>,
    trust: Arc<Trust>,
}

impl Group {
    pub(super) fn start(file: Written) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let weak = sender.downgrade();
        let trust = file.trust();
        let task = tokio::spawn(serve(file, receiver));
        Self {
            queue: Mutex::new(Some(sender)),
            sender: weak,
            task: Mutex::new(Some(task)),
            trust,
        }
    }

    /// How far the file can be relied on.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(super) async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let sender = self.sender.upgrade().ok_or(Error::Closing)?;
        let job = Box::new(Queued {
            work: Some(work),
            result: None,
            reply,
        });
        sender.send(job).await.map_err(|_closed| Error::Closing)?;
        drop(sender);
        answer.await.map_err(|_dropped| Error::Closing)?
    }

    /// Stops taking works, waits for the queued ones and closes the connection.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().await.take());
        if let Some(task) = self.task.lock().await.take() {
            // The task never panics: works are caught, the rest returns errors.
            drop(task.await);
        }
    }
}

async fn serve(mut file: Written, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        let queued = tokio::select! {
            queued = queue.recv_many(&mut batch, BATCH_MAX) => queued,
            () = file.is_due() => {
                file.prove().await;
                continue;
            }
        };
        if queued == 0 {
            break;
        }
        let committed = match file.conn() {
            Some(conn) => commit_all(conn, &mut batch).await,
            None => Err(Reason::Suspect),
        };
        for job in batch.drain(..) {
            job.answer(committed.as_ref().map(|&()| ()));
        }
        file.look_after().await;
    }
    file.close().await;
}

async fn commit_all(conn: &mut Conn, batch: &mut [Box<dyn Job>]) -> Result<(), Reason> {
    let committed = commit_batch(conn, batch).await;
    committed.map_err(|error| {
        tracing::error!(db.batch = batch.len(), "commit failed: {error}");
        let said = error.to_string();
        if matches!(Error::from(error), Error::DiskFull) {
            return Reason::Full;
        }
        Reason::Failed(said)
    })
}

/// Runs a batch inside one transaction. On an error nothing of the batch is kept.
///
/// The statements are plain ones: `sqlx` counts transactions itself and goes on counting one that
/// SQLite has already undone (a full disk does that), so that none could ever begin again.
async fn commit_batch(conn: &mut Conn, batch: &mut [Box<dyn Job>]) -> Result<(), sqlx::Error> {
    begin(conn).await?;
    let done = match run_batch(conn, batch).await {
        Ok(()) => commit(&mut *conn).await,
        Err(error) => Err(error),
    };
    if done.is_err() {
        // Fails when SQLite has undone everything itself; then there is nothing left to do.
        let _undone = sql::query("ROLLBACK").execute(conn).await;
    }
    done
}

async fn commit(conn: &mut Conn) -> Result<(), sqlx::Error> {
    fault::at(Step::Commit)?;
    sql::query("COMMIT").execute(conn).await?;
    fault::at(Step::Answer)?;
    Ok(())
}

async fn begin(conn: &mut Conn) -> Result<(), sqlx::Error> {
    fault::at(Step::Begin)?;
    let begun = sql::query("BEGIN IMMEDIATE").execute(&mut *conn).await;
    if begun.is_err() {
        // A transaction that could not be undone before is undone now.
        let _undone = sql::query("ROLLBACK").execute(&mut *conn).await;
        sql::query("BEGIN IMMEDIATE").execute(conn).await?;
    }
    Ok(())
}

async fn run_batch(conn: &mut Conn, batch: &mut [Box<dyn Job>]) -> Result<(), sqlx::Error> {
    for job in batch {
        sql::query("SAVEPOINT work").execute(&mut *conn).await?;
        if !run_caught(job, &mut *conn).await {
            sql::query("ROLLBACK TO work").execute(&mut *conn).await?;
        }
        sql::query("RELEASE work").execute(&mut *conn).await?;
    }
    Ok(())
}

/// A panic in one work must not take the writer, and with it everybody, down.
async fn run_caught(job: &mut Box<dyn Job>, conn: &mut Conn) -> bool {
    AssertUnwindSafe(job.run(conn))
        .catch_unwind()
        .await
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use crate::store::meta::{Alone, Meta, settings, spaces, sql, testing};
    use crate::store::{Error, Result};
    use crate::types::SpaceId;

    async fn limit_pages(meta: &Meta, pages: &'static str) {
        let done: Result<()> = meta
            .write(move |conn| {
                Box::pin(async move {
                    sql::query(pages).execute(conn).await?;
                    Ok(())
                })
            })
            .await;
        done.unwrap();
    }

    async fn put(meta: &Meta, key: &'static str, bytes: usize) -> Result<String> {
        let value = "x".repeat(bytes);
        meta.write(move |conn| {
            Box::pin(async move { settings::get_or_put(conn, key, &value).await })
        })
        .await
    }

    async fn opened(folder: &Path) -> Meta {
        Meta::open(&testing::database(folder)).await.unwrap()
    }

    #[tokio::test]
    async fn a_full_disk_fails_what_does_not_fit_and_nothing_after() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("db").into()).await.unwrap();
        limit_pages(&meta, "PRAGMA max_page_count = 100").await;

        let all = (0..4).map(|_| put(&meta, "big", 10_000_000));
        for refused in futures_util::future::join_all(all).await {
            assert!(matches!(refused, Err(Error::DiskFull)), "{refused:?}");
        }

        put(&meta, "small", 10).await.unwrap();
        limit_pages(&meta, "PRAGMA max_page_count = 100000").await;
        put(&meta, "big", 10_000_000).await.unwrap();
    }

    #[tokio::test]
    async fn a_work_that_panics_is_undone_alone() {
        let folder = tempfile::tempdir().unwrap();
        let meta = opened(folder.path()).await;
        let panics = meta.write::<(), Error, _>(|conn| {
            Box::pin(async move {
                settings::get_or_put(conn, "a", "panicked").await?;
                panic!("a bug");
            })
        });
        let (panicked, fine) = tokio::join!(panics, put(&meta, "b", 1));
        assert!(panicked.is_err());
        fine.unwrap();
        assert_eq!(put(&meta, "a", 1).await.unwrap(), "x");
    }

    #[tokio::test]
    async fn those_who_write_to_a_space_take_turns_and_lose_none() {
        const WRITERS: usize = 8;
        const EACH: i64 = 50;
        let folder = tempfile::tempdir().unwrap();
        let meta = Arc::new(opened(folder.path()).await);
        let made =
            meta.write(|tx| Box::pin(async move { spaces::create(tx, "s", false, None).await }));
        let space: SpaceId = made.await.unwrap();
        let writers = (0..WRITERS).map(|_| {
            let meta = Arc::clone(&meta);
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for _ in 0..EACH {
                    let turn = meta
                        .write(move |tx| Box::pin(async move { spaces::turn(tx, space, 3).await }));
                    let turn: Result<spaces::Turn> = turn.await;
                    seen.push(turn.unwrap().seq.0);
                }
                assert!(seen.is_sorted());
                seen
            })
        });
        let mut all: Vec<i64> = Vec::new();
        for writer in futures_util::future::join_all(writers).await {
            all.extend(writer.unwrap());
        }
        all.sort_unstable();
        let turns = EACH * i64::try_from(WRITERS).unwrap();
        assert_eq!(all, (1..=turns).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_is_read_alone_still_holds_when_it_is_acted_on() {
        let folder = tempfile::tempdir().unwrap();
        let meta = opened(folder.path()).await;
        let count = || {
            meta.write::<_, Error, _>(|tx| {
                Box::pin(async move {
                    tx.alone(Alone::Accounts).await?;
                    let known = settings::get(tx, "count").await?.unwrap_or_default();
                    testing::execute(tx, "DELETE FROM setting WHERE key = 'count'", &[]).await?;
                    let next = known + "x";
                    settings::get_or_put(tx, "count", &next).await
                })
            })
        };
        let all = futures_util::future::join_all((0..40).map(|_| count())).await;
        let longest = all.into_iter().map(|text| text.unwrap().len()).max();
        assert_eq!(longest, Some(40));
    }

    #[tokio::test]
    async fn a_work_that_goes_on_after_an_error_keeps_nothing_on_postgresql() {
        let folder = tempfile::tempdir().unwrap();
        let meta = opened(folder.path()).await;
        if !meta.is_shared() {
            // There an error undoes its statement and nothing else.
            return;
        }
        let goes_on = meta.write::<_, Error, _>(|tx| {
            Box::pin(async move {
                settings::get_or_put(tx, "a", "x").await?;
                let failed = testing::execute(tx, "SELECT 1 / 0", &[]).await;
                assert!(failed.is_err());
                Ok(())
            })
        });
        goes_on.await.unwrap_err();
        let kept = settings::get(&mut meta.read().await.unwrap(), "a").await;
        assert_eq!(kept.unwrap(), None);
        put(&meta, "a", 1).await.unwrap();
    }
}
