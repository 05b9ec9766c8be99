//! Writing beside the chunks of a content which they are, so that it can be put together without the
//! database.

use std::sync::Arc;
use std::time::SystemTime;

use crate::chunk::{Class, Manifest};
use crate::crypto::{Blinded, SpaceKeys};
use crate::store::blob::list::{List, PART};
use crate::store::meta::{chunks, rescue};
use crate::store::{Result, Store};
use crate::types::ChunkRow;

/// Chunk rows read at once.
const ROWS: u32 = 1024;

/// What a list says besides its chunks.
pub(super) struct Subject {
    pub(super) class: Class,
    pub(super) root: Blinded,
    pub(super) size: u64,
    pub(super) name: String,
}

impl Subject {
    /// A part of the list.
    pub(super) fn part(&self, part: u32, parts: u32, chunks: Vec<Blinded>) -> List {
        List {
            class: self.class,
            at: SystemTime::now().into(),
            root: self.root,
            size: self.size,
            part,
            parts,
            name: self.name.clone(),
            chunks,
        }
    }

    /// Whether a list of the content is there, or the snapshot has it, and has a name for it: equal bytes
    /// were stored before, and a file or version has them. Of others the list may be too old to count.
    pub(super) async fn is_listed(&self, store: &Store, keys: &SpaceKeys) -> Result<bool> {
        let mut conn = store.meta.read().await?;
        rescue::has_root(&mut conn, keys.space, self.root).await
    }
}

/// The chunks of an upload as they come, as long as they fit one part.
pub(super) struct Coming(Option<Vec<Blinded>>);

impl Coming {
    /// Of an upload that begins now.
    pub(super) fn new() -> Self {
        Self(Some(Vec::new()))
    }

    /// Of one that goes on: the rows of its chunks say which they are.
    pub(super) fn unknown() -> Self {
        Self(None)
    }

    pub(super) fn push(&mut self, chunk: Blinded) {
        match &mut self.0 {
            Some(chunks) if chunks.len() < PART => chunks.push(chunk),
            Some(_) | None => self.0 = None,
        }
    }

    /// All of them, unless they are too many or were not seen.
    pub(super) fn take(self) -> Option<Vec<Blinded>> {
        self.0
    }
}

/// Appends and syncs the list of a content whose chunks have rows.
pub(super) async fn write(
    store: &Store,
    keys: &Arc<SpaceKeys>,
    subject: &Subject,
    manifest: &Manifest,
) -> Result<()> {
    let parts = manifest.rows().div_ceil(PART as u64);
    let parts = u32::try_from(parts).unwrap_or(u32::MAX);
    let (mut places, mut part, mut chunks) = (Vec::new(), 0, Vec::new());
    for &(first, count) in manifest.runs() {
        for at in (0..count).step_by(ROWS as usize) {
            let first = ChunkRow(first.0 + i64::from(at));
            let rows = {
                let mut conn = store.meta.read().await?;
                chunks::listed(&mut conn, keys.space, first, ROWS.min(count - at)).await?
            };
            for (chunk, _) in rows {
                chunks.push(chunk);
                if chunks.len() == PART {
                    let list = subject.part(part, parts, std::mem::take(&mut chunks));
                    places.push(store.segments.append_list(keys, &list).await?);
                    part += 1;
                }
            }
        }
    }
    if !chunks.is_empty() {
        let list = subject.part(part, parts, chunks);
        places.push(store.segments.append_list(keys, &list).await?);
    }
    store.segments.sync(&places).await
}
