//! Taking the bytes of an unfinished upload, so that all that arrived counts whatever breaks.
//!
//! A task of its own stores them. A request that ends early only closes the way to it; the task then
//! saves what it has and lets go of the upload.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::claim::Claim;
use super::{Result, UploadError, UploadSession, session};
use crate::chunk::Manifest;
use crate::store;
use crate::store::content::Upload;
use crate::store::meta::uploads::{self, Held, UploadRow};
use crate::tree::write::signed;
use crate::tree::{Error, Tree, row};
use crate::types::{ChunkRow, SpaceId, UploadId};

/// Bytes after which what arrived is made durable and noted, when they took [`CHECKPOINT_TIME`]; as much
/// again may be on its way. Only a server that is killed loses them.
const CHECKPOINT: u64 = 8 * 1024 * 1024;
/// How long a client may have to send again what a killed server had taken.
const CHECKPOINT_TIME: Duration = Duration::from_secs(1);
/// How long an upload is kept for one who sends nothing: above the time a body may pause
/// (`http.body_timeout`), so that only a forgotten one is meant.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// Pieces of a body on their way to the task that stores them.
const PIECES: usize = 2;

/// Takes the next bytes of one upload. While it lives nobody else can.
///
/// Dropping it keeps what arrived, in the background; [`Self::pause`] says when that is done.
pub struct UploadAppender {
    size: u64,
    /// Bytes that are there with all that was pushed.
    at: u64,
    pieces: mpsc::Sender<Bytes>,
    worker: Option<JoinHandle<Result<UploadSession>>>,
}

impl Tree {
    /// Goes on with an upload at a byte, which must be the one behind those that are there.
    ///
    /// Waits a second for another request that is about to let go of it, then it is `Busy`.
    pub async fn upload_append(&self, id: UploadId, offset: u64) -> Result<UploadAppender> {
        let (row, claim) = self.upload_taken(id).await?;
        let (received, size) = (row::bytes(row.received), row::bytes(row.size));
        if row.made.is_some() {
            return Err(UploadError::Finished);
        }
        if offset != received {
            return Err(UploadError::Offset { received });
        }
        let upload = self.upload_resumed(&row).await?;
        let worker = Worker {
            rows: upload.settled().map_or(0, |(manifest, _)| manifest.rows()),
            upload,
            tree: self.clone(),
            row,
            sent: (received, Instant::now()),
            saved: received,
        };
        let (pieces, queue) = mpsc::channel(PIECES);
        Ok(UploadAppender {
            size,
            at: received,
            pieces,
            worker: Some(tokio::spawn(worker.run(queue, claim))),
        })
    }
}

impl UploadAppender {
    /// Takes bytes; waits while earlier ones are being stored. They are not durable yet.
    pub async fn push(&mut self, bytes: Bytes) -> Result<()> {
        let at = self.at.saturating_add(bytes.len() as u64);
        if at > self.size {
            return Err(UploadError::TooLong { size: self.size });
        }
        if self.pieces.send(bytes).await.is_err() {
            // It ended by itself and knows why.
            return Err(self.end().await.err().unwrap_or(UploadError::Paused));
        }
        self.at = at;
        Ok(())
    }

    /// Makes durable what arrived and lets others in.
    pub async fn pause(self) -> Result<UploadSession> {
        let Self { pieces, worker, .. } = self;
        drop(pieces);
        ended(worker).await
    }

    async fn end(&mut self) -> Result<UploadSession> {
        ended(self.worker.take()).await
    }
}

async fn ended(worker: Option<JoinHandle<Result<UploadSession>>>) -> Result<UploadSession> {
    let Some(worker) = worker else {
        return Err(UploadError::Paused);
    };
    match worker.await {
        Ok(result) => result,
        Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
        Err(_shutting_down) => Err(store::Error::Closing.into()),
    }
}

struct Worker {
    tree: Tree,
    row: UploadRow,
    upload: Upload,
    /// Bytes of the content that were sent on their way to the disk, and when.
    sent: (u64, Instant),
    /// Bytes that the row holds.
    saved: u64,
    /// Chunks that the row holds.
    rows: u64,
}

impl Worker {
    /// After an error of the store the row stays as it was saved last.
    async fn run(
        mut self,
        mut pieces: mpsc::Receiver<Bytes>,
        claim: Claim,
    ) -> Result<UploadSession> {
        let idle = loop {
            match timeout(IDLE_MAX, pieces.recv()).await {
                Ok(Some(bytes)) => self.take(bytes).await?,
                Ok(None) => break false,
                Err(_elapsed) => break true,
            }
        };
        pieces.close();
        // What was pushed in the moment before is not lost.
        while let Ok(bytes) = pieces.try_recv() {
            self.take(bytes).await?;
        }
        let session = self.park().await?;
        drop(claim);
        if idle {
            return Err(UploadError::Paused);
        }
        Ok(session)
    }

    async fn take(&mut self, bytes: Bytes) -> Result<()> {
        self.upload.push(bytes).await?;
        let (sent, at) = self.sent;
        if self.upload.written() - sent >= CHECKPOINT && at.elapsed() >= CHECKPOINT_TIME {
            self.upload.send().await?;
            self.sent = (self.upload.written(), Instant::now());
        }
        // Grows by whole groups, so this is not often.
        let settled = self.upload.settled();
        let Some((manifest, covered)) = settled.filter(|(_, covered)| *covered > self.saved) else {
            return Ok(());
        };
        let (held, chunks) = (held(covered, manifest, None), fresh(manifest, self.rows));
        self.save(held, chunks).await
    }

    /// Saves everything, so that the upload can go on from here.
    async fn park(mut self) -> Result<UploadSession> {
        let written = self.upload.written();
        if written > self.saved {
            let (store, space) = (&self.tree.store, SpaceId(self.row.space));
            let keys = store.keys.of(&store.meta, space).await?;
            // What takes the place of the upload is never asked.
            let empty = Upload::start(store, space, None, None).await?;
            let _pin = self.upload.pin();
            let parked = std::mem::replace(&mut self.upload, empty).park().await?;
            let tail = parked.seal_tail(&keys, UploadId(self.row.id)).await?;
            let chunks = fresh(&parked.manifest, self.rows);
            let held = held(written, &parked.manifest, tail);
            self.save(held, chunks).await?;
        }
        session(&self.row)
    }

    async fn save(&mut self, held: Held, chunks: Fresh) -> Result<()> {
        let (now, received, rows) = (self.tree.clock.now(), held.received, chunks.rows);
        let (id, store) = (UploadId(self.row.id), &self.tree.store);
        let (at, meta) = ((SpaceId(self.row.space), id, store.number), &store.meta);
        let saved: store::Result<bool> = meta
            .write(move |conn| {
                Box::pin(async move { uploads::save(conn, at, &held, &chunks.runs, now).await })
            })
            .await;
        if !saved? {
            // Somebody has ended it, or another server took it, when this one had no word with the
            // database for too long.
            let row = self.tree.upload_row(id).await?;
            let other = row.made.is_none();
            return Err(if other {
                UploadError::Busy
            } else {
                Error::NotFound.into()
            });
        }
        (self.row.received, self.row.used_at) = (received, now.0);
        (self.saved, self.rows) = (row::bytes(received), rows);
        Ok(())
    }
}

/// The chunks of an upload that its row does not hold yet.
struct Fresh {
    runs: Vec<(ChunkRow, u32)>,
    /// Chunks in all.
    rows: u64,
}

fn fresh(manifest: &Manifest, saved: u64) -> Fresh {
    Fresh {
        runs: manifest.behind(saved),
        rows: manifest.rows(),
    }
}

fn held(received: u64, manifest: &Manifest, tail: Option<Vec<u8>>) -> Held {
    Held {
        received: signed(received),
        manifest: manifest.encode(),
        tail,
    }
}
