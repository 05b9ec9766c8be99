//! Putting contents that came from the server in their places.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::task::{JoinError, JoinHandle, block_in_place, spawn_blocking};

use super::fetch::Missed;
use super::gather::Parts;
use super::here::Wanted;
use super::{Engine, Error, Outcome};
use crate::client::journal::{self, Entry, Write};
use crate::client::local::folder::Folder;
use crate::client::local::place::{Batch, Committed, Placed, Refused, Stage, sync};
use crate::client::local::read::List;
use crate::client::local::scan::{Reach, look_again};

/// Files that are put in their places together, at most: the file system is synced twice for them, and each is
/// open until then. As many may be on their way into their places.
const FILES_MAX: u64 = 2048;
/// What came longer ago than this does not wait for more, on a slow line; the journal is told when the next file came.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Bytes of files that are put in their places together.
const BYTES: u64 = 128 * 1024 * 1024;

/// A file on its way into its place.
struct Coming {
    wanted: Wanted,
    path: String,
    entry: Entry,
    list: Option<List>,
}

/// Files that are being put in their places while others come.
struct Placing {
    coming: Vec<Coming>,
    placed: JoinHandle<Committed>,
}

/// What was done before the first of them came, on its way to the disk.
struct Before {
    writes: Vec<Write>,
    synced: JoinHandle<Result<(), Refused>>,
}

/// What is staged and not in its place yet, and all that changes when it is.
pub(super) struct Taking<'p> {
    folder: &'p Arc<Folder>,
    pub(super) parts: &'p mut Parts,
    outcome: &'p mut Outcome,
    /// Steps that failed.
    failed: &'p mut HashSet<usize>,
    batch: Batch,
    coming: Vec<Coming>,
    placing: Option<Placing>,
    before: Option<Before>,
    /// The journal being told of those before.
    writing: Option<JoinHandle<Result<(), journal::Error>>>,
    /// The journal could not be told of something: it is told nothing that came after it, either.
    broken: bool,
    bytes: u64,
    /// When the first of them came.
    since: Option<Instant>,
    /// As many files as may be open for it.
    files: u64,
}

impl<'p> Taking<'p> {
    pub(super) fn new(
        folder: &'p Arc<Folder>,
        parts: &'p mut Parts,
        outcome: &'p mut Outcome,
        failed: &'p mut HashSet<usize>,
    ) -> Self {
        Self {
            folder,
            parts,
            outcome,
            failed,
            batch: Batch::new(folder),
            coming: Vec::new(),
            placing: None,
            before: None,
            writing: None,
            broken: false,
            bytes: 0,
            since: None,
            files: files_at_once(getrlimit(Resource::Nofile).current),
        }
    }

    /// Makes durable what was done, which the journal is told then.
    pub(super) fn begin_with(&mut self, done: Vec<Write>) {
        if !done.is_empty() {
            let folder = Arc::clone(self.folder);
            self.before = Some(Before {
                writes: done,
                synced: spawn_blocking(move || sync(&folder)),
            });
        }
    }

    /// Whether nothing is under way any more, so that the journal can be told without waiting.
    pub(super) fn is_over(&self) -> bool {
        let before = self.before.as_ref();
        let placing = self.placing.as_ref();
        before.is_none_or(|before| before.synced.is_finished())
            && placing.is_none_or(|placing| placing.placed.is_finished())
    }

    /// Takes all that is staged.
    fn take_all(&mut self) -> (Batch, Vec<Coming>) {
        (self.bytes, self.since) = (0, None);
        let batch = std::mem::replace(&mut self.batch, Batch::new(self.folder));
        (batch, std::mem::take(&mut self.coming))
    }

    /// What the server says of a file.
    pub(super) fn head(&self, wanted: &Wanted) -> Option<&Entry> {
        self.parts.heads.get(&wanted.id)
    }

    /// Bytes of a file.
    pub(super) fn size(&self, wanted: &Wanted) -> u64 {
        self.head(wanted).map_or(0, |head| head.size)
    }

    fn path(&self, wanted: &Wanted) -> String {
        Parts::place(&self.parts.local, wanted.parent, &wanted.name).unwrap_or_default()
    }

    /// Takes in a file that is staged.
    pub(super) fn add(&mut self, stage: Stage, list: Option<List>, wanted: Wanted) {
        let Some(entry) = self.head(&wanted).cloned() else {
            return;
        };
        let path = self.path(&wanted);
        let stamp = self.parts.stamps.get(&wanted.id).copied();
        self.batch
            .add(stage, &path, stamp.filter(|_| wanted.replaces));
        self.bytes += entry.size;
        self.since.get_or_insert_with(Instant::now);
        self.coming.push(Coming {
            wanted,
            path,
            entry,
            list,
        });
    }

    /// Whether enough is staged.
    pub(super) fn is_full(&self) -> bool {
        self.coming.len() as u64 >= self.files
            || self.bytes >= BYTES
            || self.since.is_some_and(|since| since.elapsed() >= WAIT_MAX)
    }
}

/// Half of the files that may be open are left to all else, and half of the others to those on their way into their
/// places.
fn files_at_once(open: Option<u64>) -> u64 {
    open.map_or(FILES_MAX, |open| (open / 4).clamp(1, FILES_MAX))
}

impl Engine {
    /// Notes why a file did not come.
    pub(super) async fn missed(
        &self,
        wanted: &Wanted,
        missed: Missed,
        taking: &mut Taking<'_>,
    ) -> Result<(), Error> {
        taking.failed.insert(wanted.step);
        let path = taking.path(wanted);
        match missed {
            Missed::Other | Missed::NoBase => {
                taking.outcome.more = true;
                Ok(())
            }
            Missed::This(why) => self.note(&path, &why, taking.outcome).await,
            Missed::Refused(refused) => self.refused(&path, &refused, taking.outcome).await,
        }
    }

    /// Puts what is staged in place, and tells the journal.
    pub(super) async fn put_in_place(&self, taking: &mut Taking<'_>) -> Result<(), Error> {
        self.place(taking).await?;
        self.settled(taking).await
    }

    /// Begins to put in place what is staged, once what came before is in its place.
    pub(super) async fn place(&self, taking: &mut Taking<'_>) -> Result<(), Error> {
        self.placed(taking).await?;
        let (batch, coming) = taking.take_all();
        if !taking.broken && !coming.is_empty() {
            let placed = spawn_blocking(|| batch.commit());
            taking.placing = Some(Placing { coming, placed });
        }
        Ok(())
    }

    /// Waits for what is on its way into its place, and begins to tell the journal.
    pub(super) async fn placed(&self, taking: &mut Taking<'_>) -> Result<(), Error> {
        let told = self.tell_placed(taking).await;
        taking.broken |= told.is_err();
        told
    }

    /// The same, and waits until the journal knows.
    pub(super) async fn settled(&self, taking: &mut Taking<'_>) -> Result<(), Error> {
        self.placed(taking).await?;
        let written = taking.written().await;
        taking.broken |= written.is_err();
        written
    }

    async fn tell_placed(&self, taking: &mut Taking<'_>) -> Result<(), Error> {
        if let Some(Before { writes, synced }) = taking.before.take() {
            let synced = synced.await.map_err(|error| ended(&error))?;
            synced.map_err(|refused| Error::Unreadable(io::Error::other(refused)))?;
            self.tell(writes, taking);
        }
        let Some(Placing { coming, placed }) = taking.placing.take() else {
            return Ok(());
        };
        let Committed { placed, synced } = placed.await.map_err(|error| ended(&error))?;
        if taking.broken {
            return Ok(());
        }
        let mut writes = Vec::with_capacity(coming.len() * 3);
        for (file, placed) in coming.into_iter().zip(placed) {
            match placed {
                Ok(placed) => taking.placed(file, placed, &mut writes),
                Err(refused) => {
                    self.missed(&file.wanted, Missed::Refused(refused), taking)
                        .await?;
                }
            }
        }
        if !synced {
            // It may have been the bytes of these that did not get to the disk, and nobody else will hear of it.
            let (_gone, coming) = taking.take_all();
            for file in coming {
                self.missed(&file.wanted, Missed::Refused(Errno::IO.into()), taking)
                    .await?;
            }
        }
        taking.written().await?;
        self.tell(writes, taking);
        Ok(())
    }

    /// Begins to tell the journal.
    fn tell(&self, writes: Vec<Write>, taking: &mut Taking<'_>) {
        let journal = Arc::clone(&self.journal);
        let writing = async move { journal.write(&writes).await };
        taking.writing = Some(tokio::spawn(writing));
    }
}

impl Taking<'_> {
    /// Waits until the journal knows what was put in place.
    async fn written(&mut self) -> Result<(), Error> {
        let Some(writing) = self.writing.take() else {
            return Ok(());
        };
        Ok(writing.await.map_err(|error| ended(&error))??)
    }

    fn placed(&mut self, file: Coming, placed: Placed, writes: &mut Vec<Write>) {
        let Placed { stamp, old } = placed;
        let kept = old.and_then(|old| block_in_place(|| old.discard()).ok().flatten());
        if let Some(kept) = kept {
            look_again(&mut self.outcome.again, kept, Reach::Entry);
            self.outcome.more = true;
        }
        self.outcome.done += 1;
        let id = file.wanted.id;
        let parts = &mut *self.parts;
        // What was not here has no place of old, and no other step here is about it.
        let row = parts.rows.get(&id).filter(|_| file.wanted.replaces);
        let entry = Entry {
            parent: row.map_or(file.wanted.parent, |row| row.parent),
            name: row.map_or(file.wanted.name, |row| row.name.clone()),
            ..file.entry
        };
        if file.wanted.replaces {
            parts.local.insert(entry.item());
            parts.stamps.insert(id, stamp);
            parts.racy.remove(&id);
            parts.rows.insert(id, entry.clone());
        }
        if let Some(list) = file.list {
            writes.push(Write::List(id, entry.space, entry.etag.clone(), list));
        }
        writes.push(Write::Put(entry, Some(stamp)));
        writes.push(Write::Well(file.path));
    }
}

fn ended(error: &JoinError) -> Error {
    Error::Ended(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::files_at_once;

    #[test]
    fn no_more_files_come_at_a_time_than_half_of_those_that_may_be_open() {
        assert_eq!(files_at_once(None), 2048);
        assert_eq!(files_at_once(Some(1 << 20)), 2048);
        assert_eq!(files_at_once(Some(1024)), 256);
        assert_eq!(files_at_once(Some(1)), 1);
    }
}
