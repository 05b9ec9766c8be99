//! From cut chunks to rows: what is new is sealed and appended while the next chunks are cut, and every
//! few MiB it is made durable and gets its rows, while further ones already come.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;

use crate::chunk::{Manifest, RUNS_MAX};
use crate::crypto::{Blinded, ChunkId, SpaceKeys};
use crate::store::blob::list::List;
use crate::store::blob::{Piece, Place};
use crate::store::meta::chunks::{self, Located, NewChunk};
use crate::store::meta::segments;
use crate::store::{Error, Pin, Result, Store};
use crate::types::ChunkRow;

/// Bytes of new chunks that make a group: enough to make the wait for the disk worth it. They are in the
/// system's cache, not in memory of this process.
const GROUP_BYTES: u64 = 16 * 1024 * 1024;
/// Chunks, new or known, that make a group: bounds what is remembered of it, about 100 bytes each.
const GROUP_CHUNKS: usize = 512;

/// A chunk as it was cut.
pub(super) struct Cut {
    pub(super) id: ChunkId,
    pub(super) blinded: Blinded,
    pub(super) plain: Bytes,
}

impl Cut {
    /// Bytes.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.plain.len()).expect("chunks are at most 2 MiB")
    }
}

/// Collects the rows of one content's chunks in their order.
pub(super) struct Settler {
    store: Arc<Store>,
    keys: Arc<SpaceKeys>,
    /// Keeps the rows that were found and the records that wait for theirs.
    pin: Arc<Pin>,
    /// What is durable and has rows.
    manifest: Manifest,
    /// Bytes of the content that the manifest covers.
    covered: u64,
    group: Group,
    /// What is being appended; it belongs to the group.
    appending: Option<Appending>,
    settling: Option<Settling>,
    /// The new rows of the last group that has settled.
    settled: Rows,
    /// Whether anything was not stored yet.
    appended: bool,
}

type Rows = HashMap<Blinded, ChunkRow>;

#[derive(Default)]
struct Group {
    order: Vec<Slot>,
    new: Vec<NewChunk>,
    /// Lists that are to be durable with the group.
    lists: Vec<Place>,
    index: HashSet<Blinded>,
    /// Bytes of the new records.
    stored: u64,
    /// Bytes of the content.
    raw: u64,
}

/// One chunk of the content.
#[derive(Clone, Copy)]
enum Slot {
    /// It has a row.
    Row(ChunkRow),
    /// It will get one with its group or got one with the group before.
    Awaited(Blinded),
}

/// Chunks on their way into a segment.
struct Appending {
    /// Stand-in and bytes of each.
    chunks: Vec<(Blinded, u32)>,
    places: AbortOnDropHandle<Result<Vec<Place>>>,
}

/// A group on its way to the disk.
struct Settling {
    order: Vec<Slot>,
    index: HashSet<Blinded>,
    raw: u64,
    rows: AbortOnDropHandle<Result<Rows>>,
}

impl Settler {
    pub(super) fn new(store: &Arc<Store>, keys: &Arc<SpaceKeys>, pin: Arc<Pin>) -> Self {
        Self {
            store: Arc::clone(store),
            keys: Arc::clone(keys),
            pin,
            manifest: Manifest::default(),
            covered: 0,
            group: Group::default(),
            appending: None,
            settling: None,
            settled: Rows::default(),
            appended: false,
        }
    }

    /// Goes on behind chunks that have their rows, with the number of bytes these are. To be called
    /// before any chunk is taken.
    pub(super) fn resume(&mut self, (manifest, covered): (Manifest, u64)) {
        (self.manifest, self.covered) = (manifest, covered);
    }

    /// Takes the next chunks of the content and begins to append those that are not stored yet, once
    /// those before are appended.
    pub(super) async fn add(&mut self, cuts: Vec<Cut>) -> Result<()> {
        let unknown: Vec<_> = cuts
            .iter()
            .map(|cut| cut.blinded)
            .filter(|blinded| !self.knows(blinded))
            .collect();
        let found = if unknown.is_empty() {
            HashMap::new()
        } else {
            chunks::find(
                &mut *self.store.meta.read().await?,
                self.keys.space,
                &unknown,
            )
            .await?
        };
        let (mut pieces, mut new) = (Vec::new(), Vec::new());
        for cut in cuts {
            let (blinded, raw) = (cut.blinded, cut.len());
            let slot = match (self.settled.get(&blinded), found.get(&blinded)) {
                (Some(row), _) | (None, Some((row, _))) => Slot::Row(*row),
                (None, None) => Slot::Awaited(blinded),
            };
            self.group.order.push(slot);
            self.group.raw += u64::from(raw);
            if matches!(slot, Slot::Awaited(_)) && !self.knows(&blinded) {
                self.group.index.insert(blinded);
                pieces.push(Piece {
                    id: cut.id,
                    plain: cut.plain,
                });
                new.push((blinded, raw));
            }
        }
        if !pieces.is_empty() {
            self.append(pieces, new).await?;
        }
        self.send_full().await
    }

    async fn append(&mut self, pieces: Vec<Piece>, chunks: Vec<(Blinded, u32)>) -> Result<()> {
        self.appended_all().await?;
        self.appended = true;
        let (store, keys) = (Arc::clone(&self.store), Arc::clone(&self.keys));
        let places = async move { store.segments.append(&keys, pieces).await };
        self.appending = Some(Appending {
            chunks,
            places: AbortOnDropHandle::new(tokio::spawn(places)),
        });
        Ok(())
    }

    /// Waits for what is being appended.
    async fn appended_all(&mut self) -> Result<()> {
        let Some(Appending { chunks, places }) = self.appending.take() else {
            return Ok(());
        };
        let places = places.await.map_err(|_stopped| Error::Closing)??;
        for ((blinded, raw), place) in chunks.into_iter().zip(places) {
            self.group.stored += u64::from(place.stored);
            self.group.new.push(NewChunk {
                blinded,
                place,
                raw,
            });
        }
        Ok(())
    }

    /// Takes the next chunk of the content, one that is stored already.
    pub(super) async fn add_known(&mut self, chunk: &Located) -> Result<()> {
        self.group.order.push(Slot::Row(chunk.row));
        self.group.raw += u64::from(chunk.raw);
        self.send_full().await
    }

    /// Whether any chunk was not stored yet.
    pub(super) fn has_appended(&self) -> bool {
        self.appended
    }

    /// Appends the list of the content's chunks, to become durable with the last of them.
    pub(super) async fn add_list(&mut self, list: &List) -> Result<()> {
        // Behind the chunks that it names.
        self.appended_all().await?;
        let place = self.store.segments.append_list(&self.keys, list).await?;
        self.group.lists.push(place);
        Ok(())
    }

    /// Sends what was taken on its way to the disk, however little it is.
    pub(super) async fn send(&mut self) -> Result<()> {
        if self.group.order.is_empty() && self.group.lists.is_empty() {
            return Ok(());
        }
        self.next_group().await
    }

    /// What is durable and has rows, and how many bytes of the content that is.
    pub(super) fn settled(&self) -> (&Manifest, u64) {
        (&self.manifest, self.covered)
    }

    /// Returns once all chunks are durable and have rows.
    pub(super) async fn finish(mut self) -> Result<(Manifest, u64)> {
        self.send().await?;
        self.wait().await?;
        Ok((self.manifest, self.covered))
    }

    async fn send_full(&mut self) -> Result<()> {
        if self.group.stored >= GROUP_BYTES || self.group.order.len() >= GROUP_CHUNKS {
            self.next_group().await?;
        }
        Ok(())
    }

    fn knows(&self, blinded: &Blinded) -> bool {
        self.group.index.contains(blinded)
            || self.settled.contains_key(blinded)
            || self
                .settling
                .as_ref()
                .is_some_and(|settling| settling.index.contains(blinded))
    }

    /// Sends the group on its way, once the one before has arrived.
    async fn next_group(&mut self) -> Result<()> {
        self.appended_all().await?;
        self.wait().await?;
        let Group {
            order,
            new,
            lists,
            index,
            raw,
            stored: _,
        } = std::mem::take(&mut self.group);
        let (store, keys) = (Arc::clone(&self.store), Arc::clone(&self.keys));
        let rows = settle(store, keys, Arc::clone(&self.pin), (new, lists));
        let rows = AbortOnDropHandle::new(tokio::spawn(rows));
        self.settling = Some(Settling {
            order,
            index,
            raw,
            rows,
        });
        Ok(())
    }

    async fn wait(&mut self) -> Result<()> {
        let Some(Settling {
            order,
            raw,
            rows,
            index: _,
        }) = self.settling.take()
        else {
            return Ok(());
        };
        let rows = rows.await.map_err(|_stopped| Error::Closing)??;
        let row = |slot| match slot {
            Slot::Row(row) => Some(row),
            Slot::Awaited(blinded) => rows.get(&blinded).or(self.settled.get(&blinded)).copied(),
        };
        let order: Option<Vec<_>> = order.into_iter().map(row).collect();
        for row in order.ok_or(Error::Corrupt("a chunk got no row"))? {
            self.manifest.push(row);
        }
        self.settled = rows;
        self.covered += raw;
        if self.manifest.runs().len() > RUNS_MAX {
            let reason = std::io::ErrorKind::FileTooLarge.into();
            return Err(Error::io("storing an upload of too many scattered chunks")(
                reason,
            ));
        }
        Ok(())
    }
}

/// Bytes first, rows second. The pin stays until the rows are made, also when nobody waits any more.
async fn settle(
    store: Arc<Store>,
    keys: Arc<SpaceKeys>,
    pin: Arc<Pin>,
    (new, lists): (Vec<NewChunk>, Vec<Place>),
) -> Result<Rows> {
    if new.is_empty() && lists.is_empty() {
        return Ok(Rows::new());
    }
    let places: Vec<_> = new.iter().map(|chunk| chunk.place).collect();
    store.segments.sync(&[&places[..], &lists].concat()).await?;
    // A segment without a row would stay for ever.
    let begun = |list: &&Place| !places.iter().any(|place| place.segment == list.segment);
    let begun: Vec<_> = lists.iter().filter(begun).copied().collect();
    let space = keys.space;
    store
        .meta
        .write(move |tx| {
            Box::pin(async move {
                if !begun.is_empty() {
                    segments::name(tx, pin.process(), space, begun).await?;
                }
                chunks::insert(tx, pin.process(), space, &new).await
            })
        })
        .await
}
