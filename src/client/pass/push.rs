//! Sending many changes in one stream.

use std::io;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::content::Out;
use super::put::{Put, file};
use super::{Engine, Error};
use crate::client::remote::{self, Session, Source};
use crate::protocol::stream as records;
use crate::protocol::sync::{PushItem, PushResult, Pushed};

/// Bytes that a delta takes, usually at most.
const DELTA: u64 = 64 * 1024;
/// Pieces of a body that wait for the connection.
const QUEUE: usize = 4;

/// The body of a push on its way.
pub(super) struct Body {
    bytes: Vec<u8>,
}

/// A push that has been sent off.
pub(super) type Sent = JoinHandle<remote::Result<Pushed>>;

impl Body {
    pub(super) fn new() -> Self {
        let mut bytes = Vec::new();
        records::magic(&mut bytes);
        Self { bytes }
    }

    /// Adds a change without content.
    pub(super) fn item(&mut self, item: &PushItem) {
        file(&mut self.bytes, item);
    }

    /// Adds a file that is short enough to be in memory.
    pub(super) fn put(&mut self, put: Put) -> io::Result<()> {
        let before = self.bytes.len();
        let mut out = Out {
            buffer: std::mem::take(&mut self.bytes),
            hand: None,
        };
        let done = put.records(&mut out);
        self.bytes = out.buffer;
        if done.is_err() {
            // Half a file must not be in the stream.
            self.bytes.truncate(before);
        }
        done
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Sends it off.
    pub(super) fn send(self, session: &Session) -> Sent {
        let estimate = self.bytes.len() as u64;
        let bytes = stream::iter([Ok(Bytes::from(self.bytes))]);
        let session = session.clone();
        tokio::spawn(async move { session.push(Source::new(bytes, estimate).packed()).await })
    }
}

impl Engine {
    /// Sends one file that is read while it is sent.
    pub(super) async fn send_one(&self, put: Put) -> Result<PushResult, Error> {
        // What is made of patches is short, whatever it makes.
        let estimate = if put.is_delta() {
            DELTA
        } else {
            put.estimate()
        };
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(QUEUE);
        let progress = std::sync::Arc::clone(&self.progress);
        let reading = tokio::task::spawn_blocking(move || {
            let mut hand = |bytes: Vec<u8>| {
                progress.step(bytes.len() as u64);
                let handed = sender.blocking_send(Ok(bytes.into()));
                handed.map_err(|_| io::ErrorKind::BrokenPipe.into())
            };
            let mut buffer = Vec::new();
            records::magic(&mut buffer);
            let mut out = Out {
                buffer,
                hand: Some(&mut hand),
            };
            let done = put.records(&mut out);
            let rest = std::mem::take(&mut out.buffer);
            drop(out);
            let last = match done {
                Ok(()) => Ok(rest.into()),
                Err(error) => Err(error),
            };
            // Nobody waits for it when the connection has ended.
            drop(sender.blocking_send(last));
        });
        let body = ReceiverStream::new(receiver).boxed();
        let pushed = self
            .session
            .push(Source::new(body, estimate).packed())
            .await;
        reading
            .await
            .map_err(|error| Error::Ended(error.to_string()))?;
        let result = pushed?.results.into_iter().next();
        result.ok_or(Error::Confused("a push without a result"))
    }
}
