//! Getting contents from the server.

use std::collections::{HashSet, VecDeque};

use tokio::task::block_in_place;

use super::gather::Parts;
use super::here::Wanted;
use super::receive::Receiving;
use super::{Engine, Error, Outcome};
use crate::client::item::{Content, Item, Kind};
use crate::client::journal::{Entry, Side, Write};
use crate::client::local::Stamp;
use crate::client::local::place::{Batch, Placed, Refused, Stage};
use crate::client::local::read::List;
use crate::client::local::read::{self, Opened};
use crate::client::local::scan::{Reach, look_again};
use crate::client::remote;
use crate::client::remote::api::Records;
use crate::protocol::stream::Record;
use crate::protocol::sync::{DeltaHead, FETCH_MAX, FetchHead, FetchItem};
use crate::types::Millis;

/// Bytes of files asked for in one request.
const REQUEST_MAX: u64 = 64 * 1024 * 1024;
/// Files that are put in their places together.
const FILES: usize = 1000;
/// Bytes of files that are put in their places together.
const BYTES: u64 = 256 * 1024 * 1024;
/// Longest target of a link, in bytes.
const LINK_MAX: u64 = 4095;

/// A file on its way into its place.
struct Coming {
    wanted: Wanted,
    path: String,
    entry: Entry,
    list: Option<List>,
}

/// What is staged and not in its place yet.
pub(super) struct Staged<'a> {
    batch: Batch<'a>,
    coming: Vec<Coming>,
    bytes: u64,
}

/// Why one file did not come.
pub(super) enum Missed {
    /// Only this one; the stream goes on behind it.
    This(String),
    /// It is another version by now.
    Other,
    /// What is here is no version that the server keeps.
    NoBase,
    /// Here something is in the way.
    Refused(Refused),
}

impl Engine {
    /// Fetches files and puts them in their places.
    pub(super) async fn fetch(
        &self,
        wanted: Vec<Wanted>,
        parts: &mut Parts,
        outcome: &mut Outcome,
        failed: &mut HashSet<usize>,
    ) -> Result<(), Error> {
        if wanted.is_empty() {
            return Ok(());
        }
        let size = |wanted: &Wanted| parts.heads.get(&wanted.id).map_or(0, |head| head.size);
        self.progress
            .begin("receiving", wanted.iter().map(size).sum());
        let folder = std::sync::Arc::clone(&self.folder);
        let mut staged = Staged {
            batch: Batch::new(&folder),
            coming: Vec::new(),
            bytes: 0,
        };
        let wanted = self.copy_here(wanted, &folder, parts, &mut staged).await?;
        self.put_in_place(&mut staged, &folder, parts, outcome, failed)
            .await?;
        let mut wanted = wanted.into_iter().peekable();
        while let Some(next) = wanted.peek() {
            if self.goes_in_parts(next, parts) {
                if let Some(next) = wanted.next() {
                    self.fetch_one(next, &folder, parts, &mut staged, outcome, failed)
                        .await?;
                    self.put_in_place(&mut staged, &folder, parts, outcome, failed)
                        .await?;
                }
                continue;
            }
            let (mut group, mut bytes) = (VecDeque::new(), 0);
            while let Some(next) = wanted.peek() {
                let size = parts.heads.get(&next.id).map_or(0, |head| head.size);
                let full = group.len() >= FETCH_MAX || bytes > 0 && bytes + size > REQUEST_MAX;
                if full || self.goes_in_parts(next, parts) {
                    break;
                }
                bytes += size;
                group.extend(wanted.next());
            }
            let whole = self
                .fetch_group(group, bytes, &folder, parts, &mut staged, outcome, failed)
                .await?;
            self.fetch_group(whole, bytes, &folder, parts, &mut staged, outcome, failed)
                .await?;
        }
        self.put_in_place(&mut staged, &folder, parts, outcome, failed)
            .await
    }

    /// Takes contents that are here under another name.
    async fn copy_here<'a>(
        &self,
        wanted: Vec<Wanted>,
        folder: &'a crate::client::local::folder::Folder,
        parts: &Parts,
        staged: &mut Staged<'a>,
    ) -> Result<Vec<Wanted>, Error> {
        let mut rest = Vec::with_capacity(wanted.len());
        let any = self.journal.count().await?.1 > 0;
        for wanted in wanted {
            let head = parts
                .heads
                .get(&wanted.id)
                .filter(|head| any && head.kind == Kind::File && head.size > 0);
            let Some(head) = head.filter(|_| !wanted.replaces) else {
                rest.push(wanted);
                continue;
            };
            let source = self.journal.with_etag(&head.etag).await?;
            let Some((row, Some(stamp))) = source else {
                rest.push(wanted);
                continue;
            };
            let from = self.journal.path(row.id, Side::Synced, self.root).await?;
            let copied = from.and_then(|from| {
                block_in_place(|| {
                    let opened = read::open(folder, &from, &stamp).ok()?;
                    let mut stage = Stage::file(folder, wanted.executable).ok()?;
                    stage.copy(opened.file(), 0, head.size).ok()?;
                    stage.set_time(Millis(head.mtime)).ok()?;
                    opened.check().ok()?;
                    Some(stage)
                })
            });
            let list = self.journal.list(row.id, &row.etag).await?;
            match copied.zip(Parts::place(&parts.local, wanted.parent, &wanted.name)) {
                Some((stage, path)) => staged.add(stage, None, path, head.clone(), list, wanted),
                None => rest.push(wanted),
            }
        }
        Ok(rest)
    }

    /// Fetches a group; what has to come whole is given back. When the answer breaks, what came is good, and the file at
    /// which it broke does not stop the others: it may be damaged on the server.
    #[expect(
        clippy::too_many_arguments,
        reason = "a request, and all that comes of it"
    )]
    async fn fetch_group<'a>(
        &self,
        mut group: VecDeque<Wanted>,
        bytes: u64,
        folder: &'a crate::client::local::folder::Folder,
        parts: &mut Parts,
        staged: &mut Staged<'a>,
        outcome: &mut Outcome,
        failed: &mut HashSet<usize>,
    ) -> Result<VecDeque<Wanted>, Error> {
        let mut whole = VecDeque::new();
        while !group.is_empty() {
            let asked = group.len();
            let came = self
                .fetch_some(
                    &mut group, &mut whole, bytes, folder, parts, staged, outcome, failed,
                )
                .await;
            let Err(error) = came else {
                continue;
            };
            self.put_in_place(staged, folder, parts, outcome, failed)
                .await?;
            if !matches!(error, Error::Remote(remote::Error::Broken(_))) {
                return Err(error);
            }
            let first = if group.len() == asked {
                group.pop_front()
            } else {
                None
            };
            if let Some(first) = first {
                failed.insert(first.step);
                let path = Parts::place(&parts.local, first.parent, &first.name);
                self.note(&path.unwrap_or_default(), &error.to_string(), outcome)
                    .await?;
            }
        }
        Ok(whole)
    }

    /// Asks for a group, and takes out of it what came.
    #[expect(
        clippy::too_many_arguments,
        reason = "a request, and all that comes of it"
    )]
    async fn fetch_some<'a>(
        &self,
        group: &mut VecDeque<Wanted>,
        whole: &mut VecDeque<Wanted>,
        bytes: u64,
        folder: &'a crate::client::local::folder::Folder,
        parts: &mut Parts,
        staged: &mut Staged<'a>,
        outcome: &mut Outcome,
        failed: &mut HashSet<usize>,
    ) -> Result<(), Error> {
        let olds: Vec<_> = group
            .iter()
            .map(|wanted| block_in_place(|| self.old(wanted, parts)))
            .collect();
        let item = |(wanted, old): (&Wanted, &Option<(Opened, String)>)| FetchItem {
            id: wanted.id.0,
            from: old.as_ref().map(|(_, etag)| etag.clone()),
            to: parts
                .heads
                .get(&wanted.id)
                .map_or_else(String::new, |head| head.etag.as_ref().to_owned()),
        };
        let items: Vec<_> = group.iter().zip(&olds).map(item).collect();
        let whole_too = items.iter().any(|item| item.from.is_none());
        let estimate = if whole_too { bytes } else { 0 };
        let mut records = self.session.fetch(items, estimate).await?;
        for old in olds {
            let Some(wanted) = group.front().cloned() else {
                break;
            };
            let json = records.file().await?.ok_or_else(broken)?;
            let head: FetchHead = serde_json::from_slice(&json)
                .map_err(|_| Error::Confused("a file without a header"))?;
            let path = Parts::place(&parts.local, wanted.parent, &wanted.name).unwrap_or_default();
            let came = self
                .receive(
                    &wanted,
                    head,
                    old.as_ref().map(|(opened, _)| opened),
                    folder,
                    parts,
                    &mut records,
                )
                .await?;
            group.pop_front();
            match came {
                Ok((stage, list)) => {
                    let expected = parts
                        .stamps
                        .get(&wanted.id)
                        .copied()
                        .filter(|_| wanted.replaces);
                    let Some(head) = parts.heads.get(&wanted.id).cloned() else {
                        continue;
                    };
                    staged.add(stage, expected, path, head, list, wanted);
                }
                Err(Missed::NoBase) => whole.push_back(Wanted {
                    whole: true,
                    ..wanted
                }),
                Err(missed) => {
                    failed.insert(wanted.step);
                    self.missed(&path, missed, outcome).await?;
                }
            }
            if staged.coming.len() >= FILES || staged.bytes >= BYTES {
                self.put_in_place(staged, folder, parts, outcome, failed)
                    .await?;
            }
        }
        match records.next().await? {
            None => Ok(()),
            Some(_) => Err(Error::Confused("an answer with too many files")),
        }
    }

    /// Notes why a file did not come.
    pub(super) async fn missed(
        &self,
        path: &str,
        missed: Missed,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        match missed {
            Missed::Other | Missed::NoBase => {
                outcome.more = true;
                Ok(())
            }
            Missed::This(why) => self.note(path, &why, outcome).await,
            Missed::Refused(refused) => self.refused(path, &refused, outcome).await,
        }
    }

    /// The bytes that are to be replaced, when they are those of a version.
    pub(super) fn old(&self, wanted: &Wanted, parts: &Parts) -> Option<(Opened, String)> {
        let item: &Item = parts
            .local
            .get(wanted.id)
            .filter(|item| wanted.replaces && !wanted.whole && item.kind == Kind::File)?;
        let Content::Version(etag) = &item.content else {
            return None;
        };
        let stamp: &Stamp = parts.stamps.get(&wanted.id)?;
        let opened =
            read::open(&self.folder, &Parts::path(&parts.local, wanted.id)?, stamp).ok()?;
        Some((opened, etag.as_ref().to_owned()))
    }

    /// Takes in one file of the answer, to its end in any case.
    async fn receive<'a>(
        &self,
        wanted: &Wanted,
        head: FetchHead,
        old: Option<&Opened>,
        folder: &'a crate::client::local::folder::Folder,
        parts: &Parts,
        records: &mut Records,
    ) -> Result<Result<(Stage<'a>, Option<List>), Missed>, Error> {
        let given = match head {
            FetchHead::Given(given) => given,
            FetchHead::Refused(refused) => {
                skip(records).await?;
                return Ok(Err(match refused.problem.name() {
                    "not-found" if refused.problem.field.as_deref() == Some("from") => {
                        Missed::NoBase
                    }
                    "not-found" => Missed::Other,
                    _ => Missed::This(refused.problem.detail),
                }));
            }
        };
        let Some(entry) = parts.heads.get(&wanted.id) else {
            skip(records).await?;
            return Ok(Err(Missed::Other));
        };
        let keys = self.keys(entry.space).await?;
        if entry.kind == Kind::Link {
            return self.receive_link(&given, folder, records).await;
        }
        let stage = match block_in_place(|| Stage::file(folder, wanted.executable)) {
            Ok(stage) => stage,
            Err(refused) => {
                skip(records).await?;
                return Ok(Err(Missed::Refused(refused)));
            }
        };
        let mut coming = Receiving::new(stage, old.map(Opened::file), given.size);
        let mut wrong = None;
        loop {
            let record = records.next().await?.ok_or_else(broken)?;
            if record == Record::End {
                break;
            }
            if wrong.is_none() {
                let before = coming.size;
                wrong = block_in_place(|| coming.apply(record)).err();
                self.progress.step(coming.size - before);
            }
        }
        if let Some(missed) = wrong {
            return Ok(Err(missed));
        }
        Ok(block_in_place(|| {
            coming.finish(&given, Millis(entry.mtime), &keys)
        }))
    }

    async fn receive_link<'a>(
        &self,
        given: &DeltaHead,
        folder: &'a crate::client::local::folder::Folder,
        records: &mut Records,
    ) -> Result<Result<(Stage<'a>, Option<List>), Missed>, Error> {
        let mut target = Vec::new();
        loop {
            match records.next().await?.ok_or_else(broken)? {
                Record::End => break,
                Record::LitPart(bytes) if given.size <= LINK_MAX => {
                    target.extend_from_slice(&bytes);
                }
                Record::File(_)
                | Record::Copy { .. }
                | Record::Ref(_)
                | Record::Lit { .. }
                | Record::LitPart(_)
                | Record::Patch { .. }
                | Record::Same => {}
            }
        }
        let Ok(target) = String::from_utf8(target) else {
            return Ok(Err(Missed::This(
                "the target of the link is not UTF-8".to_owned(),
            )));
        };
        let staged = block_in_place(|| Stage::link(folder, &target));
        Ok(staged.map(|stage| (stage, None)).map_err(Missed::Refused))
    }

    /// Puts what is staged in place, and tells the journal.
    async fn put_in_place<'a>(
        &self,
        staged: &mut Staged<'a>,
        folder: &'a crate::client::local::folder::Folder,
        parts: &mut Parts,
        outcome: &mut Outcome,
        failed: &mut HashSet<usize>,
    ) -> Result<(), Error> {
        if staged.coming.is_empty() {
            return Ok(());
        }
        let batch = std::mem::replace(&mut staged.batch, Batch::new(folder));
        let coming = std::mem::take(&mut staged.coming);
        staged.bytes = 0;
        let placed = block_in_place(|| batch.commit());
        let mut writes = Vec::with_capacity(coming.len() * 3);
        for (file, placed) in coming.into_iter().zip(placed) {
            match placed {
                Ok(Placed { stamp, old }) => {
                    if let Some(kept) =
                        old.and_then(|old| block_in_place(|| old.discard()).ok().flatten())
                    {
                        look_again(&mut outcome.again, kept, Reach::Entry);
                        outcome.more = true;
                    }
                    outcome.done += 1;
                    let id = file.wanted.id;
                    // What was not here has no place of old.
                    let row = parts.rows.get(&id).filter(|_| file.wanted.replaces);
                    let entry = Entry {
                        parent: row.map_or(file.wanted.parent, |row| row.parent),
                        name: row.map_or(file.wanted.name, |row| row.name.clone()),
                        ..file.entry
                    };
                    parts.local.insert(entry.item());
                    parts.stamps.insert(id, stamp);
                    parts.racy.remove(&id);
                    if let Some(list) = file.list {
                        writes.push(Write::List(id, entry.space, entry.etag.clone(), list));
                    }
                    parts.rows.insert(id, entry.clone());
                    writes.push(Write::Put(entry, Some(stamp)));
                    writes.push(Write::Well(file.path));
                }
                Err(refused) => {
                    failed.insert(file.wanted.step);
                    self.refused(&file.path, &refused, outcome).await?;
                }
            }
        }
        Ok(self.journal.write(&writes).await?)
    }
}

impl<'a> Staged<'a> {
    pub(super) fn add(
        &mut self,
        stage: Stage<'a>,
        expected: Option<Stamp>,
        path: String,
        entry: Entry,
        list: Option<List>,
        wanted: Wanted,
    ) {
        self.batch.add(stage, &path, expected);
        self.bytes += entry.size;
        self.coming.push(Coming {
            wanted,
            path,
            entry,
            list,
        });
    }
}

fn broken() -> remote::Error {
    remote::Error::Broken("the answer ended within a file".to_owned())
}

/// Reads to the end of a file that is not wanted.
async fn skip(records: &mut Records) -> Result<(), Error> {
    while records.next().await?.ok_or_else(broken)? != Record::End {}
    Ok(())
}
