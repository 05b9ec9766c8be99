//! Getting contents from the server.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::OptionFuture;
use tokio::task::block_in_place;
use tokio::try_join;

use super::gather::Parts;
use super::group::{Asked, Group};
use super::here::Wanted;
use super::receive::Receiving;
use super::taking::Taking;
use super::{Engine, Error, Outcome};
use crate::client::item::{Content, Item, Kind};
use crate::client::journal::{Side, Write};
use crate::client::local::Stamp;
use crate::client::local::place::{Refused, Stage};
use crate::client::local::read::{self, List, Opened};
use crate::client::remote;
use crate::client::remote::api::Records;
use crate::protocol::stream::Record;
use crate::protocol::sync::{DeltaHead, FetchHead};
use crate::types::Millis;

/// When a group came within this time the next one is asked for while it is taken in. Elsewhere its answer would wait
/// for so long that the server might give it up.
const QUICK: Duration = Duration::from_secs(if cfg!(test) { 600 } else { 2 });
/// Longest target of a link, in bytes.
const LINK_MAX: u64 = 4095;

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

/// A file that came, with how it is cut; or why not.
type Came = Result<(Stage, Option<List>), Missed>;

impl Engine {
    /// Fetches files and puts them in their places. What was done before becomes durable meanwhile, and then the journal
    /// is told.
    pub(super) async fn fetch(
        &self,
        wanted: Vec<Wanted>,
        mut done: Vec<Write>,
        parts: &mut Parts,
        outcome: &mut Outcome,
        failed: &mut HashSet<usize>,
    ) -> Result<(), Error> {
        if wanted.is_empty() {
            return self.durable(&mut done).await;
        }
        let size = |wanted: &Wanted| parts.heads.get(&wanted.id).map_or(0, |head| head.size);
        self.progress
            .begin("receiving", wanted.iter().map(size).sum());
        let mut taking = Taking::new(&self.folder, parts, outcome, failed);
        taking.begin_with(done);
        let fetched = self.fetch_all(wanted, &mut taking).await;
        // Whatever else failed, what came is good.
        let placed = self.put_in_place(&mut taking).await;
        fetched.and(placed)
    }

    async fn fetch_all(&self, wanted: Vec<Wanted>, taking: &mut Taking<'_>) -> Result<(), Error> {
        let wanted = self.copy_here(wanted, taking).await?;
        let mut wanted = wanted.into_iter().peekable();
        let (mut ahead, mut quick) = (None, false);
        loop {
            let asked = if ahead.is_some() {
                ahead.take()
            } else {
                let group = self.next_group(&mut wanted, taking);
                OptionFuture::from(group.map(|group| self.ask(group))).await
            };
            let Some(asked) = asked else {
                let Some(large) = wanted.next() else {
                    return Ok(());
                };
                self.fetch_large(large, taking).await?;
                continue;
            };
            let next = quick.then(|| self.next_group(&mut wanted, taking));
            let next = OptionFuture::from(next.flatten().map(|group| self.ask(group)));
            let begun = Instant::now();
            let whole;
            (whole, ahead) = try_join!(Box::pin(self.fetch_group(asked, taking)), next.map(Ok))?;
            ahead = ahead.map(Asked::ahead);
            quick = begun.elapsed() < QUICK;
            if !whole.is_empty() {
                let asked = self.ask(self.group(whole, taking)).await;
                self.fetch_group(asked, taking).await?;
            }
        }
    }

    /// Fetches a file in parts. It may take long, and the line may break.
    async fn fetch_large(&self, large: Wanted, taking: &mut Taking<'_>) -> Result<(), Error> {
        self.put_in_place(taking).await?;
        self.fetch_one(large, taking).await?;
        self.put_in_place(taking).await
    }

    /// Takes contents that are here under another name.
    async fn copy_here(
        &self,
        wanted: Vec<Wanted>,
        taking: &mut Taking<'_>,
    ) -> Result<Vec<Wanted>, Error> {
        let mut rest = Vec::with_capacity(wanted.len());
        let any = self.journal.count().await?.1 > 0;
        if any {
            // It has to know where files are by now.
            self.settled(taking).await?;
        }
        for wanted in wanted {
            let head = taking
                .head(&wanted)
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
                    let opened = read::open(&self.folder, &from, &stamp).ok()?;
                    let mut stage = Stage::file(&self.folder, wanted.executable).ok()?;
                    stage.copy(opened.file(), 0, head.size).ok()?;
                    stage.set_time(Millis(head.mtime)).ok()?;
                    opened.check().ok()?;
                    Some(stage)
                })
            });
            let list = self.journal.list(row.id, &row.etag).await?;
            match copied {
                Some(stage) => taking.add(stage, list, wanted),
                None => rest.push(wanted),
            }
            if taking.is_full() {
                self.place(taking).await?;
            }
        }
        Ok(rest)
    }

    /// Takes in a group; what has to come whole is given back. When the answer breaks, what came is good, and the file at
    /// which it broke does not stop the others: it may be damaged on the server.
    async fn fetch_group(
        &self,
        mut asked: Asked,
        taking: &mut Taking<'_>,
    ) -> Result<VecDeque<Wanted>, Error> {
        let mut whole = VecDeque::new();
        loop {
            let Asked {
                mut group,
                answer,
                ahead,
            } = asked;
            let files = group.files.len();
            let records = match answer {
                Ok(records) => records,
                // Its turn has only come now.
                Err(_) if ahead => {
                    asked = self.ask(self.group(group.files, taking)).await;
                    continue;
                }
                // Before anything came it is about the line, or whoever answers in the server's place.
                Err(error) => return Err(error.into()),
            };
            let came = self
                .take_some(&mut group, records, &mut whole, taking)
                .await;
            if let Err(error) = came {
                if !matches!(error, Error::Remote(remote::Error::Broken(_))) {
                    return Err(error);
                }
                // What had to wait for its turn may have been given up for that.
                if !ahead
                    && group.files.len() == files
                    && let Some(first) = group.files.pop_front()
                {
                    self.missed(&first, Missed::This(error.to_string()), taking)
                        .await?;
                }
            }
            if group.files.is_empty() {
                return Ok(whole);
            }
            asked = self.ask(self.group(group.files, taking)).await;
        }
    }

    /// Takes in what comes of a group, and out of the group.
    async fn take_some(
        &self,
        group: &mut Group,
        mut records: Records,
        whole: &mut VecDeque<Wanted>,
        taking: &mut Taking<'_>,
    ) -> Result<(), Error> {
        for from in std::mem::take(&mut group.froms) {
            if taking.is_over() {
                self.placed(taking).await?;
            }
            let json = records.file().await?.ok_or_else(broken)?;
            let head: FetchHead = serde_json::from_slice(&json)
                .map_err(|_| Error::Confused("a file without a header"))?;
            let Some(wanted) = group.files.front() else {
                break;
            };
            // Opened in its turn: else as many would be open as come together.
            let old = from.as_ref().and_then(|_| self.old(wanted, taking.parts));
            let came = if from.is_some() && old.is_none() {
                skip(&mut records).await?;
                Err(Missed::Other)
            } else {
                let old = old.as_ref().map(|(opened, _)| opened);
                self.receive(wanted, head, old, taking, &mut records)
                    .await?
            };
            let Some(wanted) = group.files.pop_front() else {
                break;
            };
            match came {
                Ok((stage, list)) => taking.add(stage, list, wanted),
                Err(Missed::NoBase) => whole.push_back(Wanted {
                    whole: true,
                    ..wanted
                }),
                Err(missed) => self.missed(&wanted, missed, taking).await?,
            }
            if taking.is_full() {
                self.place(taking).await?;
            }
        }
        match records.next().await? {
            None => Ok(()),
            Some(_) => Err(Error::Confused("an answer with too many files")),
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
        let path = Parts::path(&parts.local, wanted.id)?;
        let opened = block_in_place(|| read::open(&self.folder, &path, stamp)).ok()?;
        Some((opened, etag.as_ref().to_owned()))
    }

    /// Takes in one file of the answer, to its end in any case.
    async fn receive(
        &self,
        wanted: &Wanted,
        head: FetchHead,
        old: Option<&Opened>,
        taking: &Taking<'_>,
        records: &mut Records,
    ) -> Result<Came, Error> {
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
        let Some(entry) = taking.head(wanted) else {
            skip(records).await?;
            return Ok(Err(Missed::Other));
        };
        let keys = self.keys(entry.space).await?;
        if entry.kind == Kind::Link {
            return self.receive_link(&given, records).await;
        }
        let stage = match block_in_place(|| Stage::file(&self.folder, wanted.executable)) {
            Ok(stage) => stage,
            Err(refused) => {
                skip(records).await?;
                return Ok(Err(Missed::Refused(refused)));
            }
        };
        let mut coming = Receiving::new(stage, old.map(Opened::file), &given, keys);
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
            coming.finish(&given, Millis(entry.mtime))
        }))
    }

    async fn receive_link(&self, given: &DeltaHead, records: &mut Records) -> Result<Came, Error> {
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
        let staged = block_in_place(|| Stage::link(&self.folder, &target));
        Ok(staged.map(|stage| (stage, None)).map_err(Missed::Refused))
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
