//! Whether the rows of a content lead to its bytes and to no others.

use std::collections::HashMap;

use super::StagedBody;
use crate::chunk::Manifest;
use crate::crypto::{Blinded, RootHasher, SpaceKeys};
use crate::store::meta::Conn;
use crate::store::meta::chunks::{self, Known};
use crate::store::meta::contents::Content;
use crate::store::meta::damage::Sealed;
use crate::store::proofs::Proof;
use crate::store::{Error, Result, Store};
use crate::types::{ChunkRow, SpaceId};

/// Chunk rows looked at in one read.
const BATCH: u32 = 1024;
/// Rows that nobody asked for and that are read nevertheless, for the sake of one statement less.
const GAP: i64 = 64;
/// Chunks whose rows a reader holds against the root before it gives a byte: some 2 ms. Those of
/// longer contents are looked at by `fsck`, because readers come for a few bytes of them.
const PROVEN_MAX: u64 = 1024;

/// What the rows of a content's chunks say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Whether all are there.
    pub complete: bool,
    /// Whether one was found damaged.
    pub damaged: bool,
    /// Bytes of all.
    pub bytes: u64,
    /// Whether the root was made of them. Unknown for contents stored before roots were made of rows.
    pub proven: Option<bool>,
}

impl Rows {
    /// Whether a content of `size` bytes can be read, as far as rows can tell.
    pub fn are_sound(&self, size: u64) -> bool {
        self.complete && !self.damaged && self.bytes == size && self.proven != Some(false)
    }
}

/// Adds up what the rows of a content's chunks say.
struct Tally {
    found: Rows,
    root: RootHasher,
}

impl Tally {
    /// Of no chunk yet.
    fn new(keys: &SpaceKeys) -> Self {
        let found = Rows {
            complete: true,
            damaged: false,
            bytes: 0,
            proven: None,
        };
        let root = keys.root_hasher();
        Self { found, root }
    }

    /// Takes the next chunk; `None` when it has no row.
    fn add(&mut self, chunk: Option<&Known>) {
        match chunk {
            None => self.found.complete = false,
            Some(chunk) => {
                self.found.damaged |= chunk.damaged;
                self.found.bytes = self.found.bytes.saturating_add(u64::from(chunk.raw));
                self.root.push(&chunk.blinded, chunk.raw);
            }
        }
    }

    /// The sum, for a content with this root.
    fn finish(self, root: Blinded, class_known: bool) -> Rows {
        Rows {
            proven: class_known.then(|| self.root.finish() == root),
            ..self.found
        }
    }
}

/// Looks at the rows of all chunks of a manifest.
pub async fn rows(
    conn: &mut Conn,
    keys: &SpaceKeys,
    (root, class_known): (Blinded, bool),
    manifest: &Manifest,
) -> Result<Rows> {
    let mut tally = Tally::new(keys);
    for (first, count) in manifest.runs() {
        let mut at = 0;
        while at < *count {
            let take = BATCH.min(count - at);
            let from = ChunkRow(first.0.saturating_add(i64::from(at)));
            let known = chunks::known(conn, keys.space, from, take).await?;
            if known.len() < take as usize {
                tally.add(None);
            }
            for chunk in &known {
                tally.add(Some(chunk));
            }
            at += take;
        }
    }
    Ok(tally.finish(root, class_known))
}

/// Rows of chunks, read in as few statements as possible.
pub struct Loaded(HashMap<i64, Known>);

impl Loaded {
    /// Those of some runs; for not too many of them.
    pub async fn of(conn: &mut Conn, space: SpaceId, runs: Vec<(ChunkRow, u32)>) -> Result<Self> {
        let mut rows = HashMap::new();
        for (first, end) in joined(runs) {
            let count = u32::try_from(end - first).unwrap_or(u32::MAX);
            // A row that says what cannot be is as good as none; the records tell it.
            let known = match chunks::known(conn, space, ChunkRow(first), count).await {
                Err(error) if error.is_damage() => Vec::new(),
                known => known?,
            };
            rows.extend(known.into_iter().map(|known| (known.row.0, known)));
        }
        Ok(Self(rows))
    }

    /// What they say together of a manifest's chunks.
    pub fn tally(
        &self,
        keys: &SpaceKeys,
        (root, class_known): (Blinded, bool),
        manifest: &Manifest,
    ) -> Rows {
        let mut tally = Tally::new(keys);
        for (first, count) in manifest.runs() {
            for row in first.0..first.0.saturating_add(i64::from(*count)) {
                tally.add(self.0.get(&row));
            }
        }
        tally.finish(root, class_known)
    }
}

/// First row and the one behind the last of runs that lie close together, in order.
fn joined(runs: Vec<(ChunkRow, u32)>) -> Vec<(i64, i64)> {
    let ends =
        |(first, count): (ChunkRow, u32)| (first.0, first.0.saturating_add(i64::from(count)));
    let mut runs: Vec<(i64, i64)> = runs.into_iter().map(ends).collect();
    runs.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (first, end) in runs {
        match joined.last_mut() {
            Some(last) if first.saturating_sub(last.1) <= GAP => last.1 = last.1.max(end),
            Some(_) | None => joined.push((first, end)),
        }
    }
    joined
}

/// Refuses a content whose chunks cannot be those that its root was made of. What was proven a moment
/// ago is not looked at again.
pub(super) async fn prove(store: &Store, keys: &SpaceKeys, of: &Content) -> Result<()> {
    let StagedBody::Chunks(manifest) = &of.body else {
        // Its seal holds the root.
        return Ok(());
    };
    if !of.class_known || manifest.rows() > PROVEN_MAX {
        return Ok(());
    }
    let proof = Proof::of(of, manifest);
    if store.proofs.holds(proof) {
        return Ok(());
    }
    let loaded = {
        let mut conn = store.meta.read().await?;
        Loaded::of(&mut conn, keys.space, manifest.runs().to_vec()).await?
    };
    let rows = loaded.tally(keys, (of.root, true), manifest);
    if !rows.complete {
        return Err(Error::Corrupt("a chunk row is missing"));
    }
    if rows.bytes != of.size || rows.proven == Some(false) {
        return Err(Error::Corrupt("a content names other chunks than its own"));
    }
    store.proofs.add(proof);
    Ok(())
}

/// What is wrong with a content that lies in its row; `None` when it opens.
pub fn inline_damage(keys: &SpaceKeys, row: &Sealed) -> Result<Option<String>> {
    let Ok(root) = row.root.as_slice().try_into().map(Blinded) else {
        return Ok(Some("has a root that cannot be".to_owned()));
    };
    match keys.open_inline(root, &row.sealed) {
        Ok(bytes) if i64::try_from(bytes.len()) == Ok(row.size) => Ok(None),
        Ok(_) => Ok(Some("has another size than its row says".to_owned())),
        Err(error) => {
            let error = Error::from(error);
            if error.is_damage() {
                return Ok(Some(error.to_string()));
            }
            Err(error)
        }
    }
}
