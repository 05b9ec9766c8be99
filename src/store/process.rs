//! What this process holds of the store, told to those who collect.
//!
//! A [`Pin`] keeps whatever was there when it was taken: rows found by uploads, rows read by readers,
//! records that have no row yet. The process has a row in the database while it holds pins or appends
//! to segments; the row says how far back the oldest pin goes. One whose row is gone was believed
//! dead: what it began then gets no rows any more, and it starts anew with segments of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::meta::{Meta, process};
use super::{Error, Result, Store};
use crate::crypto::SegmentId;
use crate::types::{Millis, ProcessId};

/// How often a process looks what is asked of it.
const BEAT: Duration = Duration::from_secs(2);
/// How long a process that says nothing is believed to be alive.
const LIFETIME: Duration = Duration::from_mins(1);
/// What may be left of that before it says something.
const RENEW: Duration = Duration::from_secs(30);
/// A segment that nobody appended to for so long is closed, so that it can be collected, too.
const IDLE: Duration = Duration::from_mins(10);
/// How long the row stays when nothing is held: making it is a write, and who reads now and then should
/// not wait for one each time.
const STAY: Duration = Duration::from_mins(10);

/// This process among those that use the database.
#[derive(Default)]
pub struct Process {
    state: Mutex<State>,
    /// Held by whoever makes, renews or deletes the row.
    row: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    row: Option<Row>,
    /// The last epoch heard of; never decreases.
    epoch: i64,
    /// Pins ever taken.
    taken: u64,
    /// When the last pin was taken.
    pinned: Option<Instant>,
    /// Those that are held: when they were taken, as a number and as an epoch. Both rise together.
    pins: BTreeMap<u64, i64>,
    /// Closed segments: nothing that was pinned after so many pins waits for rows in them.
    closed: Vec<(u64, SegmentId)>,
}

/// The row of this process, as it was written last.
#[derive(Clone, Copy)]
struct Row {
    id: ProcessId,
    floor: i64,
    until: Millis,
}

/// Holds back the collection of whatever was alive when it was taken.
pub struct Pin {
    of: Arc<Process>,
    process: ProcessId,
    nth: u64,
}

impl Pin {
    /// The process as it was then. Records that were appended under the pin get rows in its name.
    pub fn process(&self) -> ProcessId {
        self.process
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.of.state().pins.remove(&self.nth);
    }
}

/// What a beat has to write.
struct Notice {
    floor: i64,
    released: Vec<SegmentId>,
    /// Nothing is held any more.
    leaves: bool,
}

impl Process {
    /// Takes a pin. The first one makes a row.
    pub async fn pin(self: &Arc<Self>, meta: &Meta) -> Result<Arc<Pin>> {
        loop {
            if let Some(pin) = self.pinned() {
                return Ok(Arc::new(pin));
            }
            let _row = self.row.lock().await;
            if self.state().row.is_none() {
                self.enter(meta).await?;
            }
        }
    }

    fn pinned(self: &Arc<Self>) -> Option<Pin> {
        let mut state = self.state();
        let process = state.row?.id;
        let nth = state.taken;
        state.taken += 1;
        let epoch = state.epoch;
        state.pinned = Some(Instant::now());
        state.pins.insert(nth, epoch);
        Some(Pin {
            of: Arc::clone(self),
            process,
            nth,
        })
    }

    async fn enter(&self, meta: &Meta) -> Result<()> {
        let until = now().plus(LIFETIME);
        let entered: Result<_> = meta
            .write(move |conn| Box::pin(async move { process::enter(conn, until).await }))
            .await;
        let (id, floor) = entered?;
        let mut state = self.state();
        state.epoch = state.epoch.max(floor);
        state.row = Some(Row { id, floor, until });
        Ok(())
    }

    /// Learns the epoch, closes what is asked for, and says what is held. Writes only when that
    /// changed or the row would soon be taken for that of a dead process.
    pub async fn beat(&self, store: &Store) -> Result<()> {
        self.beat_and_stay(store, STAY).await
    }

    /// A beat that lets the row go when nothing was held for so long.
    pub(crate) async fn beat_and_stay(&self, store: &Store, stay: Duration) -> Result<()> {
        let _row = self.row.lock().await;
        let Some(row) = self.state().row else {
            store.segments.drop_unlinked().await?;
            return Ok(());
        };
        let (epoch, closing) = {
            let mut conn = store.meta.read().await?;
            let epoch = process::epoch(&mut conn).await?;
            (epoch, process::closing(&mut conn, row.id).await?)
        };
        store.segments.drop_unlinked().await?;
        store.segments.close(closing, IDLE).await?;
        let notice = self.notice(store, epoch, stay);
        if notice.leaves {
            store.segments.forget(notice.released).await?;
            return forget(store, row.id).await;
        }
        self.write(store, row, notice).await
    }

    /// Takes note of the epoch first: a pin taken from now on has it, or a later one.
    fn notice(&self, store: &Store, epoch: i64, stay: Duration) -> Notice {
        let mut state = self.state();
        state.epoch = state.epoch.max(epoch);
        // Whoever was pinned before may hold records in them that have no rows yet.
        let taken = state.taken;
        let closed = store.segments.take_closed();
        state
            .closed
            .extend(closed.into_iter().map(|segment| (taken, segment)));
        let oldest = state.pins.first_key_value();
        let oldest = oldest.map(|(nth, epoch)| (*nth, *epoch));
        let floor = oldest.map_or(state.epoch, |(_, epoch)| epoch);
        let free = |nth: u64| oldest.is_none_or(|(oldest, _)| oldest >= nth);
        let released = state.closed.iter().filter(|(nth, _)| free(*nth));
        let released = released.map(|(_, segment)| *segment).collect();
        let quiet = state.pinned.is_none_or(|pinned| pinned.elapsed() >= stay);
        // Nobody appends without a pin.
        let leaves = quiet && oldest.is_none() && store.segments.all_closed();
        if leaves {
            state.row = None;
            state.closed.clear();
        }
        Notice {
            floor,
            released,
            leaves,
        }
    }

    async fn write(&self, store: &Store, row: Row, notice: Notice) -> Result<()> {
        let (id, floor, released) = (row.id, notice.floor, notice.released.clone());
        let renew = row.until < now().plus(RENEW);
        if row.floor == floor && released.is_empty() && !renew {
            return Ok(());
        }
        let until = now().plus(LIFETIME);
        let stayed: Result<bool> = store
            .meta
            .write(move |conn| {
                Box::pin(async move {
                    for segment in released {
                        process::release(conn, id, segment).await?;
                    }
                    process::stay(conn, id, until, floor).await
                })
            })
            .await;
        if !stayed? {
            tracing::warn!("this process was believed dead; running uploads have to be sent again");
            return self.start_anew(store).await;
        }
        let released = notice.released;
        {
            let mut state = self.state();
            state.row = Some(Row { id, floor, until });
            state
                .closed
                .retain(|(_, segment)| !released.contains(segment));
        }
        store.segments.forget(released).await
    }

    /// Others may have taken away what was begun. Segments first: the next pin is of another process.
    async fn start_anew(&self, store: &Store) -> Result<()> {
        store.segments.close_all().await?;
        let closed = {
            let mut state = self.state();
            state.row = None;
            std::mem::take(&mut state.closed)
        };
        // Who waits for records in them gets no rows any more.
        let closed = closed.into_iter().map(|(_, segment)| segment).collect();
        store.segments.forget(closed).await
    }

    /// Shuts out those who were killed, so that nobody waits for them. Only for one who knows that no
    /// other process uses the store, and before it holds anything itself.
    pub async fn bury_others(&self, meta: &Meta) -> Result<()> {
        let buried = meta.write(|conn| Box::pin(async move { process::clear(conn).await }));
        buried.await
    }

    /// Beats until told to stop.
    pub async fn run(&self, store: &Store, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(BEAT) => {}
            }
            if let Err(error) = self.beat(store).await {
                tracing::warn!(%error, "this process could not say that it is alive");
            }
        }
    }

    /// Gives everything back; nothing may be appended any more.
    pub(super) async fn leave(&self, store: &Store) -> Result<()> {
        let _row = self.row.lock().await;
        store.segments.close_all().await?;
        let row = self.state().row.take();
        match row {
            Some(row) => forget(store, row.id).await,
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn forget(store: &Store, id: ProcessId) -> Result<()> {
    let left = store
        .meta
        .write(move |conn| Box::pin(async move { process::leave(conn, id).await }));
    left.await
}

fn now() -> Millis {
    SystemTime::now().into()
}

impl Store {
    /// Keeps whatever is there now from being collected, until the pin is dropped.
    pub async fn pin(&self) -> Result<Arc<Pin>, Error> {
        self.process.pin(&self.meta).await
    }

    /// The same for a reader. When the disk is full or fails, or nothing may be written, there is none, and
    /// reading goes on: at worst what nobody names any more ends in an error.
    pub async fn pin_to_read(&self) -> Result<Option<Arc<Pin>>, Error> {
        if self.meta.is_read_only() {
            return Ok(None);
        }
        match self.pin().await {
            Ok(pin) => Ok(Some(pin)),
            Err(Error::DiskFull | Error::Suspect | Error::Database(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
