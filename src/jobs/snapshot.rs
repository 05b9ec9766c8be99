//! Keeping snapshots of the database beside the segments: a base when this process begins, and then
//! what changed. Costs reading sums over all rows, and reading and writing the pages that changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use crate::crypto;
use crate::store::meta::dump::{self, Probe, Traces};
use crate::store::snapshot::{Folder, Head, Kind, Page, Window, Writer};
use crate::store::{Error, Result, Store};
use crate::types::{Clock, Millis};

/// What the metrics and the log call it.
pub const NAME: &str = "snapshot";
/// Bases that stay, each with what follows it.
const KEPT: usize = 2;
/// Bytes of deltas that are worth a new base whatever its size.
const DELTAS_MIN: u64 = 1024 * 1024;
/// Deltas behind one base: files to be opened when the database is lost.
const DELTAS_MAX: u32 = 1000;
/// A base is made anew when it is older, in ms: a week. What lies on a disk for long may rot.
const BASE_MAX: i64 = 7 * 24 * 3600 * 1000;

/// The snapshots that this process writes, if no other does.
pub struct Snapshots {
    folder: Folder,
    clock: Clock,
    lock: Option<File>,
    chain: Option<Chain>,
}

/// What was written, and what the database was like then.
struct Chain {
    last: Head,
    began: Millis,
    base: u64,
    deltas: u64,
    count: u32,
    traces: Traces,
    probes: BTreeMap<Window, Probe>,
}

/// A file that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it holds.
    pub kind: Kind,
    /// Its bytes.
    pub bytes: u64,
}

impl Snapshots {
    /// Those in a data folder.
    pub fn new(data: &Path, clock: Clock) -> Self {
        Self {
            folder: Folder::of(data),
            clock,
            lock: None,
            chain: None,
        }
    }

    /// Whether this process is the one that writes.
    pub fn writes(&self) -> bool {
        self.lock.is_some()
    }

    /// Lets the store keep small contents beside the snapshots, until those have them.
    pub fn keep_small(&self, store: &Store) {
        store.recent.keep(&self.folder);
    }

    /// Writes what changed since the last time; `None` when nothing did, or another process writes.
    pub async fn take(&mut self, store: &Store) -> Result<Option<Taken>> {
        if self.lock.is_none() {
            self.lock = self.folder.lock().await?;
        }
        if self.lock.is_none() {
            return Ok(None);
        }
        let began = SystemTime::now();
        let taken = self.take_locked(store).await?;
        self.folder.drop_taken(began).await?;
        Ok(taken)
    }

    async fn take_locked(&mut self, store: &Store) -> Result<Option<Taken>> {
        let known = self.chain.as_ref().map(|chain| &chain.traces);
        if known.is_some() {
            let traces = dump::traces(&mut *store.meta.read().await?).await?;
            if known == Some(&traces) {
                return Ok(None);
            }
        }
        let written = self.write(store).await;
        if written.is_err() {
            // There may be a file that this process does not know to be there. A base is good anyway.
            self.chain = None;
        }
        let taken = written?;
        if taken.is_some_and(|taken| taken.kind == Kind::Base) {
            self.folder.prune(KEPT).await?;
        }
        Ok(taken)
    }

    /// Writes a base and takes all other snapshots away, because another master key opens them.
    pub async fn renew(&mut self, store: &Store) -> Result<()> {
        self.chain = None;
        if self.take(store).await?.is_none() {
            return Err(Error::Busy);
        }
        self.folder.prune(1).await?;
        self.folder.drop_small().await
    }

    async fn write(&mut self, store: &Store) -> Result<Option<Taken>> {
        let now = self.clock.now();
        let mut view = store.meta.view().await?;
        let traces = dump::traces(&mut view).await?;
        let probes = dump::probes(&mut view).await?;
        let before = self.chain.as_ref().filter(|chain| !chain.is_full(now));
        let changed = changed(before.map(|chain| &chain.probes), &probes);
        if changed.is_empty() {
            view.end().await?;
            if let Some(chain) = &mut self.chain {
                chain.traces = traces;
            }
            return Ok(None);
        }
        let head = self.head(before, now)?;
        let mut writer = Writer::create(&self.folder, &head, store.keys.master()).await?;
        for window in changed {
            let page: Page = dump::page(&mut view, window).await?;
            writer.push(&page).await?;
        }
        view.end().await?;
        let bytes = writer.finish().await?;
        let (base, deltas, count, began) = match before {
            None => (bytes, 0, 0, now),
            Some(chain) => {
                let Chain { base, deltas, .. } = chain;
                (*base, deltas + bytes, chain.count + 1, chain.began)
            }
        };
        self.chain = Some(Chain {
            last: head,
            began,
            base,
            deltas,
            count,
            traces,
            probes,
        });
        let kind = head.kind;
        Ok(Some(Taken { kind, bytes }))
    }

    fn head(&self, before: Option<&Chain>, now: Millis) -> Result<Head> {
        let entries = self.folder.entries();
        let entries = entries.map_err(Error::io("listing the snapshots"))?;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_unavailable| crypto::Error::Random)?;
        Ok(Head {
            kind: before.map_or(Kind::Base, |_| Kind::Delta),
            number: entries.last().map_or(1, |last| last.number + 1),
            id,
            before: before.map_or([0; 16], |chain| chain.last.id),
            taken: now,
        })
    }
}

impl Chain {
    /// Whether it is time for a new one.
    fn is_full(&self, now: Millis) -> bool {
        let aged = now.0.saturating_sub(self.began.0) > BASE_MAX;
        aged || self.count >= DELTAS_MAX || self.deltas > self.base / 2 + DELTAS_MIN
    }
}

/// The pages with other figures, and those that are no more.
fn changed(before: Option<&BTreeMap<Window, Probe>>, now: &BTreeMap<Window, Probe>) -> Vec<Window> {
    let Some(before) = before else {
        return now.keys().copied().collect();
    };
    let other = now
        .iter()
        .filter(|(at, probe)| before.get(at) != Some(probe));
    let gone = before.keys().filter(|at| !now.contains_key(at));
    let mut all: Vec<_> = other.map(|(at, _)| *at).chain(gone.copied()).collect();
    all.sort_unstable();
    all
}
