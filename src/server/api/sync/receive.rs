//! A push on its way in: items one by one, files gathered and named in batches.

mod file;
mod item;
mod naming;

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use self::file::{Home, Incoming};
use self::naming::{Naming, Waiting};
use super::super::errors::broken_body;
use super::super::problem::{self, Problem, Result};
use crate::protocol::stream::{Decoder, Record};
use crate::protocol::sync::{Need, PushItem, PushPut, PushResult, PushStatus};
use crate::tree::{self, BATCH_MAX, BatchItem, Room, Tree};

/// Most items in one push: their results are held in memory, a few hundred bytes each.
const ITEMS_MAX: usize = 10_000;
/// Bytes of small files that wait to be named; as many may be on their way.
const HELD_MAX: usize = 4 * 1024 * 1024;
/// As many may be held without asking, on their way or waiting.
const HELD_FREE: usize = 64 * 1024;
/// Bytes of a turn to hold more.
const TURN: usize = 1024 * 1024;
/// Turns of all pushes together: when none is left, files are named at once, behind those on their way.
const TURNS: usize = 32;
/// How long files wait for others when the next do not come at once: nobody notices a quarter of a second,
/// and a sender that keeps sending fills a batch whatever time that takes.
const WAIT_MAX: Duration = Duration::from_millis(250);
/// Records up to this many bytes are collected without asking for memory.
const COLLECT_FREE: usize = 64 * 1024;

static HOLDING: Semaphore = Semaphore::const_new(TURNS);

/// Unknown chunks named in all results together, about 40 bytes each.
const NAMES_MAX: usize = 16 * 1024;

/// Reads a push and does what it says.
pub(super) struct Receiver {
    tree: Tree,
    body: BodyDataStream,
    decoder: Decoder,
    results: Vec<Option<PushResult>>,
    /// Files whose bytes are durable and which have no name yet.
    waiting: Vec<Waiting>,
    held: usize,
    /// Turns to hold them.
    turns: Vec<SemaphorePermit<'static>>,
    /// Those before, on their way.
    naming: Option<Naming>,
    /// Until when they wait.
    due: Option<Instant>,
    /// Memory of the record that is being collected, or was.
    room: Option<Room>,
    /// Unknown chunks that may still be named.
    names_left: usize,
    /// Where the file before went.
    home: Option<Home>,
}

impl Receiver {
    /// A receiver of `body` for an account's tree.
    pub(super) fn new(tree: Tree, body: Body) -> Self {
        Self {
            tree,
            body: body.into_data_stream(),
            decoder: Decoder::new(),
            results: Vec::new(),
            waiting: Vec::new(),
            held: 0,
            turns: Vec::new(),
            naming: None,
            due: None,
            room: None,
            names_left: NAMES_MAX,
            home: None,
        }
    }

    /// Does everything and returns one result for each item.
    pub(super) async fn run(&mut self) -> Result<Vec<PushResult>> {
        let read = self.read_items().await;
        // What has arrived whole counts, also when the rest does not come.
        self.name_all().await?;
        read?;
        let results = std::mem::take(&mut self.results).into_iter();
        let lost = || Problem::new(problem::INTERNAL, "an item got no result");
        results.map(|result| result.ok_or_else(lost)).collect()
    }

    async fn read_items(&mut self) -> Result<()> {
        while let Some(record) = self.next_record().await? {
            let Record::File(json) = record else {
                return Err(bad_order(&record));
            };
            if self.results.len() == ITEMS_MAX {
                let text = "a push has 10,000 items at most; send the rest in another";
                return Err(Problem::new(problem::TOO_LARGE, text));
            }
            let nth = self.results.len();
            self.results.push(None);
            match serde_json::from_slice(&json) {
                Ok(PushItem::Put(put)) => self.take_file(nth, put).await?,
                Ok(item) => {
                    self.name_all().await?;
                    self.home = None;
                    self.results[nth] = Some(item::run(&self.tree, item).await);
                }
                Err(error) => {
                    let text = format!("item {nth}: {error}");
                    return Err(Problem::new(problem::BAD_STREAM, text).at("FILE"));
                }
            }
        }
        Ok(())
    }

    /// Reads the operations of a file up to its end.
    async fn take_file(&mut self, nth: usize, put: PushPut) -> Result<()> {
        let mut file = match Incoming::start(&self.tree, put, self.names_left, &mut self.home).await
        {
            Ok(file) => Ok(file),
            Err(problem) => Err(refused(&problem)),
        };
        loop {
            let record = self.next_record().await?;
            let record = record.ok_or_else(|| {
                Problem::new(problem::BAD_STREAM, "the stream ends within a file")
            })?;
            match record {
                Record::End => break,
                Record::File(_) => return Err(bad_order(&record)),
                // Of a file that is refused the rest is read and dropped.
                Record::Copy { .. }
                | Record::Ref(_)
                | Record::Lit { .. }
                | Record::LitPart(_)
                | Record::Patch { .. }
                | Record::Same => {
                    if let Ok(incoming) = &mut file
                        && let Err(result) = incoming.take(&self.tree, record).await
                    {
                        file = Err(result);
                    }
                }
            }
        }
        let finished = match file {
            Ok(incoming) => incoming.finish(&self.tree).await,
            Err(result) => Err(result),
        };
        match finished {
            Ok(item) => self.wait(nth, item).await,
            Err(result) => {
                if let Some(Need::Chunks(named)) = &result.need {
                    self.names_left = self.names_left.saturating_sub(named.len());
                }
                self.results[nth] = Some(result);
                Ok(())
            }
        }
    }

    async fn wait(&mut self, nth: usize, item: BatchItem) -> Result<()> {
        self.held += tree::held(&item.staged);
        self.waiting.push(Waiting { nth, item });
        self.due.get_or_insert_with(|| Instant::now() + WAIT_MAX);
        if self.waiting.len() >= BATCH_MAX || self.held >= HELD_MAX || !self.may_hold() {
            self.name_waiting().await?;
        }
        Ok(())
    }

    /// Takes turns for what is held.
    fn may_hold(&mut self) -> bool {
        // Those on their way had theirs.
        let none_before = self.naming.as_ref().is_none_or(Naming::is_over);
        let free = if none_before { HELD_FREE } else { 0 };
        let needed = self.held.saturating_sub(free).div_ceil(TURN);
        while self.turns.len() < needed {
            let Ok(turn) = HOLDING.try_acquire() else {
                return false;
            };
            self.turns.push(turn);
        }
        true
    }

    /// Sends the files that wait to be named, once those before are.
    async fn name_waiting(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        (self.held, self.due) = (0, None);
        let (waiting, turns) = (
            std::mem::take(&mut self.waiting),
            std::mem::take(&mut self.turns),
        );
        // When those before cannot be named, nor are these.
        self.named().await?;
        self.naming = Some(Naming::begin(&self.tree, waiting, turns));
        Ok(())
    }

    /// Returns once all files so far are named.
    async fn name_all(&mut self) -> Result<()> {
        self.name_waiting().await?;
        self.named().await
    }

    /// Waits for the files that are being named.
    async fn named(&mut self) -> Result<()> {
        let Some(naming) = self.naming.take() else {
            return Ok(());
        };
        for (nth, result) in naming.end().await? {
            self.results[nth] = Some(result);
        }
        Ok(())
    }

    /// The next record; `None` at the end of the stream.
    async fn next_record(&mut self) -> Result<Option<Record>> {
        if self.decoder.collecting().is_none() {
            // What was collected has been taken.
            self.room = None;
        }
        loop {
            if let Some(record) = self.decoder.next()? {
                return Ok(Some(record));
            }
            self.make_room().await?;
            let piece = match self.due {
                Some(due) => timeout_at(due, self.body.next()).await,
                None => Ok(self.body.next().await),
            };
            match piece {
                Ok(Some(Ok(bytes))) => self.decoder.feed(bytes),
                Ok(Some(Err(error))) => return Err(broken_body(&error)),
                Ok(None) => {
                    self.decoder.finish()?;
                    return Ok(None);
                }
                Err(_elapsed) => self.name_waiting().await?,
            }
        }
    }

    /// Waits for the memory of a record that is long. The sender may take its time to send it.
    async fn make_room(&mut self) -> Result<()> {
        let long = self.decoder.collecting();
        let Some(bytes) = long.filter(|bytes| self.room.is_none() && *bytes > COLLECT_FREE) else {
            return Ok(());
        };
        let tree = self.tree.clone();
        let mut room = pin!(tree.room_for_patch(bytes));
        if let Some(due) = self.due {
            match timeout_at(due, room.as_mut()).await {
                Ok(room) => {
                    self.room = Some(room?);
                    return Ok(());
                }
                Err(_elapsed) => self.name_waiting().await?,
            }
        }
        self.room = Some(room.await?);
        Ok(())
    }
}

fn bad_order(record: &Record) -> Problem {
    let name = match record {
        Record::File(_) => "FILE",
        Record::Copy { .. } => "COPY",
        Record::Ref(_) => "REF",
        Record::Lit { .. } | Record::LitPart(_) => "LIT",
        Record::Patch { .. } => "PATCH",
        Record::Same => "SAME",
        Record::End => "END",
    };
    Problem::new(problem::BAD_STREAM, format!("{name} does not belong here")).at(name)
}

fn refused(problem: &Problem) -> PushResult {
    PushResult {
        problem: Some(problem.body()),
        ..PushResult::bare(PushStatus::Error)
    }
}

#[cfg(test)]
mod tests;
