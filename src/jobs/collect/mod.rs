//! Collection: giving back the room of what nothing names any more, while everything goes on.
//!
//! A round flags what nothing names with its epoch, and deletes what an earlier round flagged, once no
//! process reaches back to the time before the flag ([`crate::store::Process`]) and a new look finds it
//! unnamed still. Whoever names bytes checks in his own transaction that they are there and takes the
//! flags off, so a round can be late, repeated or killed anywhere; when a second begins, the first ends.
//! A round keeps nothing in memory that the next one needs.

mod bitmap;
mod contents;
mod mark;
mod segments;
mod sweep;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::bitmap::Bitmap;
use super::pace::Pace;
use crate::store::meta::collect::{self, Traces};
use crate::store::meta::segments::left as segments_left;
use crate::store::meta::{Alone, Conn, process};
use crate::store::{Error, Result, Store};
use crate::types::{Clock, Millis};

/// Rounds that one call of [`settle`] makes at most: contents, chunks and segments need one each, an
/// open segment one more; the rest is for what changes meanwhile.
const ROUNDS_MAX: u32 = 8;
/// How often it looks whether running uploads and readers have let go.
const POLL: Duration = Duration::from_millis(250);
/// Held by whoever collects, inside the data folder.
const LOCK_FILE: &str = ".collect";

/// How a round goes about it.
#[derive(Clone, Debug)]
pub struct Collect {
    /// How long a content stays after it was found unnamed, and a file after its segment was dropped:
    /// a copy of the database that was made before still needs them.
    pub grace: Duration,
    /// Most bytes read and written a second while moving chunks; `None` is no limit.
    pub rate: Option<u64>,
    /// What tells the time.
    pub clock: Clock,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Contents that went.
    pub contents: u64,
    /// Chunks that went.
    pub chunks: u64,
    /// Bytes of chunks moved out of segments that were mostly dead.
    pub moved: u64,
    /// Bytes of segment files that went.
    pub freed: u64,
    /// Contents, chunks and segments that only wait for another round.
    pub waiting: u64,
    /// Contents that nothing names, and files of dropped segments, whose time has not come yet.
    pub later: u64,
    /// Segments that cannot be emptied, because a chunk in them does not open.
    pub damaged: u64,
}

impl Round {
    /// Adds up what was done; what waits is that of the last.
    fn add(&mut self, later: Self) {
        self.contents += later.contents;
        self.chunks += later.chunks;
        self.moved += later.moved;
        self.freed += later.freed;
        self.waiting = later.waiting;
        self.later = later.later;
        self.damaged = later.damaged;
    }
}

/// What the steps of a round share.
struct Going<'r> {
    store: &'r Arc<Store>,
    how: &'r Collect,
    stop: &'r CancellationToken,
    pace: Pace,
    /// What was flagged before this epoch may go.
    floor: i64,
    /// The epoch of this round.
    epoch: i64,
}

impl Going<'_> {
    fn now(&self) -> Millis {
        self.how.clock.now()
    }

    /// What was found unnamed or dropped until then may go.
    fn until(&self) -> Millis {
        self.now().minus(self.how.grace)
    }

    /// An error once the round is to stop. Nothing is half done then that could not stay so.
    fn go_on(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::Closing);
        }
        Ok(())
    }
}

/// Asked in each transaction that flags or deletes: two rounds know too little of each other's flags.
async fn only_round(conn: &mut Conn, epoch: i64) -> Result<()> {
    conn.alone(Alone::Collecting).await?;
    if process::epoch(conn).await? != epoch {
        tracing::warn!("another collection has begun; this one ends");
        return Err(Error::Busy);
    }
    Ok(())
}

/// One round. One that meets another ends with [`Error::Busy`]; see [`lock`].
pub async fn round(store: &Arc<Store>, how: &Collect, stop: &CancellationToken) -> Result<Round> {
    store.process.beat(store).await?;
    let (floor, epoch) = begin(store, how.clock.now()).await?;
    let going = Going {
        store,
        how,
        stop,
        pace: Pace::new(how.rate),
        floor,
        epoch,
    };
    let mut done = Round {
        contents: contents::collect(&going).await?,
        ..Round::default()
    };
    let last = collect::last_chunk(&mut *store.meta.read().await?).await?;
    let mut swept = sweep::Swept::default();
    for window in Bitmap::windows(last) {
        let marked = mark::mark(&going, window).await?;
        sweep::sweep(&going, &marked, &mut swept).await?;
    }
    done.chunks = swept.deleted;
    // Whoever begins from now on sees all flags of this round.
    next_epoch(store).await?;
    segments::collect(&going, &swept, &mut done).await?;
    let (contents, later) = {
        let mut conn = store.meta.read().await?;
        let (now, later) = collect::waiting_contents(&mut conn, going.until()).await?;
        (now, later + segments_left(&mut conn).await?)
    };
    done.waiting += contents + swept.waiting;
    done.later = later;
    let meta = &store.meta;
    while meta.shrink().await? {
        going.go_on()?;
        going.pace.breathe().await;
    }
    Ok(done)
}

/// Shuts out the dead; how far back the living reach, and the epoch that begins.
async fn begin(store: &Store, now: Millis) -> Result<(i64, i64)> {
    store
        .meta
        .write(move |conn| {
            Box::pin(async move {
                conn.alone(Alone::Collecting).await?;
                process::expire(conn, now).await?;
                let floor = process::floor(conn).await?;
                let epoch = process::next_epoch(conn).await?;
                Ok((floor.unwrap_or(epoch), epoch))
            })
        })
        .await
}

async fn next_epoch(store: &Store) -> Result<i64> {
    let next = store.meta.write(|conn| {
        Box::pin(async move {
            conn.alone(Alone::Collecting).await?;
            process::next_epoch(conn).await
        })
    });
    next.await
}

/// Rounds until nothing is left to collect. Between them waits up to `patience` for uploads and readers
/// that hold something back; what they hold longer waits for the next call.
pub async fn settle(
    store: &Arc<Store>,
    how: &Collect,
    patience: Duration,
    stop: &CancellationToken,
) -> Result<Round> {
    let mut all = Round::default();
    for _ in 0..ROUNDS_MAX {
        all.add(round(store, how, stop).await?);
        if all.waiting == 0 || !caught_up(store, how, patience, stop).await? {
            break;
        }
    }
    Ok(all)
}

/// Whether all processes have come to know the present epoch, hold nothing older and have closed the
/// segments they were asked to close, in time.
async fn caught_up(
    store: &Arc<Store>,
    how: &Collect,
    patience: Duration,
    stop: &CancellationToken,
) -> Result<bool> {
    let began = Instant::now();
    loop {
        store.process.beat(store).await?;
        let now = how.clock.now();
        let behind = store.meta.write(move |conn| {
            Box::pin(async move {
                conn.alone(Alone::Collecting).await?;
                process::expire(conn, now).await?;
                let floor = process::floor(conn).await?;
                let epoch = process::epoch(conn).await?;
                let closing = process::any_closing(conn).await?;
                Ok::<_, Error>(closing || floor.is_some_and(|floor| floor < epoch))
            })
        });
        if !behind.await? {
            return Ok(true);
        }
        if began.elapsed() >= patience {
            return Ok(false);
        }
        tokio::select! {
            () = stop.cancelled() => return Err(Error::Closing),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Whether there may be anything to collect that was not there when these figures were taken.
pub async fn traces(store: &Store) -> Result<Traces> {
    collect::traces(&mut *store.meta.read().await?).await
}

/// Makes this process the only one on this data folder that collects, until the file is dropped;
/// `None` when another does.
pub fn lock(data: &Path) -> Result<Option<File>> {
    let open = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(data.join(LOCK_FILE));
    let file = open.map_err(Error::writing("opening the lock of collection"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::io("locking collection")(error)),
    }
}
