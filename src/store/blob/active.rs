//! Which segment each space appends to, and what became of those that failed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Place;
use super::appender::Appender;
use super::record::Prepared;
use crate::crypto::{SegmentId, SpaceKeys};
use crate::store::{Error, Result};
use crate::types::SpaceId;

/// Segments open for appending: one file handle each, for the spaces that wrote last.
const OPEN_MAX: usize = 32;
/// Segments that failed with somebody still counting on them, 40 bytes each. When there are more
/// nothing is appended until some of those who wait have been told.
const LOST_MAX: usize = 4096;

/// All segments this process writes.
#[derive(Default)]
pub(super) struct Active {
    table: Arc<Mutex<Table>>,
    syncs: Arc<AtomicU64>,
}

#[derive(Default)]
struct Table {
    /// One for each space that ever wrote.
    slots: HashMap<SpaceId, Arc<Slot>>,
    /// Those that take appends. What is in neither map is on the disk as a whole.
    open: HashMap<SegmentId, Arc<Appender>>,
    /// Those that failed, and up to where they can be trusted.
    lost: HashMap<SegmentId, u64>,
    /// Those that take no more appends and nobody was told of yet.
    closed: Vec<SegmentId>,
    tick: u64,
}

/// The place of a space's open segment. Whoever holds the lock may append to it.
#[derive(Default)]
struct Slot {
    current: Mutex<Option<Arc<Appender>>>,
    used: AtomicU64,
    /// When it was last appended to.
    since: Mutex<Option<Instant>>,
}

impl Active {
    /// Appends to the space's segment; all pieces to the same one. May wait for the disk.
    pub(super) fn append(
        &self,
        folder: &Path,
        keys: &SpaceKeys,
        pieces: &[Prepared],
    ) -> Result<Vec<Place>> {
        let bytes = pieces.iter().map(|piece| u64::from(piece.stored())).sum();
        let slot = self.slot(keys.space);
        // The segment is taken out while it is written to: after a panic it is not there any more.
        let mut current = slot.current.lock().unwrap_or_else(PoisonError::into_inner);
        let appender = match current.take() {
            Some(appender) if appender.takes(bytes) => appender,
            Some(full) => {
                self.retire(full);
                self.begin(folder, keys)?
            }
            None => self.begin(folder, keys)?,
        };
        match appender.append(pieces) {
            Ok(places) => {
                *slot.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                *current = Some(appender);
                Ok(places)
            }
            Err(error) => {
                self.abandon(&appender);
                Err(error)
            }
        }
    }

    /// Returns once the places are on the disk.
    pub(super) async fn sync(&self, places: &[Place]) -> Result<()> {
        let mut ends: HashMap<SegmentId, u64> = HashMap::new();
        for place in places {
            let end = ends.entry(place.segment).or_default();
            *end = (*end).max(place.offset + u64::from(place.stored));
        }
        for (segment, end) in ends {
            let open = {
                let table = self.table();
                if table.lost.get(&segment).is_some_and(|&synced| end > synced) {
                    return Err(lost());
                }
                table.open.get(&segment).cloned()
            };
            if let Some(appender) = open {
                appender.sync(end, &self.syncs).await?;
            }
        }
        Ok(())
    }

    /// Closes the segments that are named and those that nobody appended to for so long. One that is
    /// appended to right now stays open until it is asked for again.
    pub(super) fn close(&self, named: &[SegmentId], idle: Duration) {
        let slots: Vec<_> = self.table().slots.values().map(Arc::clone).collect();
        for slot in slots {
            let Ok(mut current) = slot.current.try_lock() else {
                continue;
            };
            let since = *slot.since.lock().unwrap_or_else(PoisonError::into_inner);
            let over = since.is_some_and(|since| since.elapsed() >= idle);
            if let Some(appender) = current.take_if(|open| over || named.contains(&open.id)) {
                self.retire(appender);
            }
        }
    }

    /// Closes all segments; waits for those who append.
    pub(super) fn close_all(&self) {
        let slots: Vec<_> = self.table().slots.values().map(Arc::clone).collect();
        for slot in slots {
            let mut current = slot.current.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(appender) = current.take() {
                self.retire(appender);
            }
        }
    }

    /// Segments that take no more appends since this was asked last.
    pub(super) fn take_closed(&self) -> Vec<SegmentId> {
        std::mem::take(&mut self.table().closed)
    }

    /// Forgets what failed in segments that nobody can be waiting for any more; those of them of which
    /// nothing is on the disk for sure.
    pub(super) fn forget(&self, segments: &[SegmentId]) -> Vec<SegmentId> {
        let mut table = self.table();
        let mut unsynced = segments.to_vec();
        unsynced.retain(|segment| table.lost.remove(segment) == Some(0));
        unsynced
    }

    /// Whether no segment is open, and nobody is to be told of one.
    pub(super) fn all_closed(&self) -> bool {
        let table = self.table();
        table.open.is_empty() && table.closed.is_empty()
    }

    /// How often the disk was waited for.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    fn slot(&self, space: SpaceId) -> Arc<Slot> {
        let mut table = self.table();
        table.tick += 1;
        let tick = table.tick;
        let slot = table.slots.entry(space).or_default();
        slot.used.store(tick, Ordering::Relaxed);
        Arc::clone(slot)
    }

    /// Begins a segment, closing the least recently used one when too many are open.
    fn begin(&self, folder: &Path, keys: &SpaceKeys) -> Result<Arc<Appender>> {
        if self.table().lost.len() >= LOST_MAX {
            return Err(lost());
        }
        let appender = Arc::new(Appender::create(folder, keys)?);
        let crowded = {
            let mut table = self.table();
            table.open.insert(appender.id, Arc::clone(&appender));
            table.open.len() > OPEN_MAX
        };
        if crowded {
            self.close_oldest();
        }
        Ok(appender)
    }

    fn close_oldest(&self) {
        let mut slots: Vec<_> = self.table().slots.values().map(Arc::clone).collect();
        slots.sort_by_cached_key(|slot| slot.used.load(Ordering::Relaxed));
        for slot in slots {
            // One that is locked is in use, so not the least recently used one.
            let Ok(mut current) = slot.current.try_lock() else {
                continue;
            };
            if let Some(appender) = current.take() {
                self.retire(appender);
                return;
            }
        }
    }

    /// Closes a segment for good, once what is in it is on the disk or known to be lost.
    ///
    /// Not on this thread: the one who syncs it right now may need a thread of the same pool, and
    /// all of them could be waiting here.
    fn retire(&self, appender: Arc<Appender>) {
        let (table, syncs) = (Arc::clone(&self.table), Arc::clone(&self.syncs));
        tokio::spawn(async move {
            let synced = appender.sync(appender.written(), &syncs).await;
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.open.remove(&appender.id);
            table.closed.push(appender.id);
            if synced.is_err() && appender.owes() {
                table.lost.insert(appender.id, appender.synced());
            }
        });
    }

    /// Gives a segment up after a failed write.
    fn abandon(&self, appender: &Appender) {
        let mut table = self.table();
        table.open.remove(&appender.id);
        table.closed.push(appender.id);
        if appender.owes() {
            table.lost.insert(appender.id, appender.synced());
        } else if appender.synced() == 0 {
            // Its first write failed: nobody knows of it, and a full disk needs the room.
            appender.remove_file();
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost() -> Error {
    Error::writing("syncing a segment")(std::io::Error::other("the segment failed before"))
}
