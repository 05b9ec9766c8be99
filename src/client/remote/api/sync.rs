//! The feed, pushes, deltas, and what contents are named with.

use bytes::Bytes;
use http::Method;

use super::{ANSWER_MAX, LISTING_MAX, route};
use crate::client::remote::answer::Reader;
use crate::client::remote::login::Session;
use crate::client::remote::request::{Request, Source};
use crate::client::remote::{Error, Result};
use crate::protocol::stream::{self, Decoder, Record, StreamError};
use crate::protocol::sync::{
    Changes, FetchItem, FetchRequest, Poll, Pushed, SignatureRequest, SpaceKeys, Status,
};

/// Longest list of chunks, in bytes: 16 TiB in chunks of 64 KiB would be more, and nobody compares that.
const MANIFEST_MAX: usize = 64 * 1024 * 1024;
/// Longest list of signatures, in bytes.
const SIGNATURES_MAX: usize = 64 * 1024 * 1024;
/// Media type of a list of chunks.
const MANIFEST: &str = "application/vnd.sync-server.manifest";
/// Media type of signatures.
const SIGNATURE: &str = "application/vnd.sync-server.signature";

impl Session {
    /// Where the account stands.
    pub async fn status(&self) -> Result<Status> {
        self.ask(Request::get("sync/status").unpacks())
            .await?
            .json(ANSWER_MAX)
            .await
    }

    /// What changed since a cursor, at most `limit` changes (1 to 10,000); without one, all there is.
    pub async fn pull(&self, cursor: Option<&str>, limit: u32) -> Result<Changes> {
        let limit = limit.to_string();
        let route = route("sync/pull", &[("cursor", cursor), ("limit", Some(&limit))]);
        self.ask(Request::get(route).unpacks())
            .await?
            .json(LISTING_MAX)
            .await
    }

    /// What contents of a space are named with.
    pub async fn keys(&self, space: i64) -> Result<SpaceKeys> {
        let space = space.to_string();
        let request = Request::get(route("sync/keys", &[("space", Some(&space))]));
        self.ask(request).await?.json(ANSWER_MAX).await
    }

    /// Sends many files and changes. After a broken connection the items may have been done: the same stream
    /// may be sent again (`docs/PROTOCOL.md` §4).
    pub async fn push(&self, items: Source) -> Result<Pushed> {
        let request = Request::post("sync/push")
            .unpacks()
            .source(items, Some(stream::MEDIA_TYPE));
        self.ask(request).await?.json(LISTING_MAX).await
    }

    /// Many files in one answer, in the order of `items`, of which there are at most
    /// [`crate::protocol::sync::FETCH_MAX`].
    pub async fn fetch(&self, items: Vec<FetchItem>, estimate: u64) -> Result<Records> {
        let request = Request::new(Method::POST, "sync/fetch").json(&FetchRequest { items })?;
        self.records(request.again().expects(estimate)).await
    }

    async fn records(&self, request: Request) -> Result<Records> {
        let answer = self.ask(request.unpacks()).await?;
        answer.is(stream::MEDIA_TYPE)?;
        Ok(Records {
            body: answer.reader(),
            decoder: Decoder::new(),
        })
    }

    /// The chunks of a version, 20 bytes for each; of the current one without an etag.
    pub async fn manifest(&self, id: i64, etag: Option<&str>) -> Result<Vec<u8>> {
        let id = id.to_string();
        let route = route("sync/manifest", &[("id", Some(&id)), ("etag", etag)]);
        let answer = self.ask(Request::get(route).unpacks()).await?;
        answer.is(MANIFEST)?;
        answer.reader().collect(MANIFEST_MAX).await
    }

    /// Signatures of parts of a version, 12 bytes for each block.
    pub async fn signature(&self, asked: &SignatureRequest) -> Result<Vec<u8>> {
        let request = Request::post("sync/signature")
            .json(asked)?
            .again()
            .unpacks();
        let answer = self.ask(request).await?;
        answer.is(SIGNATURE)?;
        answer.reader().collect(SIGNATURES_MAX).await
    }

    /// Waits until something has changed since a cursor, at most `seconds` (0 to 55).
    pub async fn poll(&self, cursor: &str, seconds: u64) -> Result<Poll> {
        let seconds = seconds.to_string();
        let route = route(
            "sync/poll",
            &[("cursor", Some(cursor)), ("timeout", Some(&seconds))],
        );
        self.ask(Request::get(route)).await?.json(ANSWER_MAX).await
    }
}

/// Records of a stream, as they arrive.
pub struct Records {
    body: Reader,
    decoder: Decoder,
}

impl Records {
    /// The next record or piece of a literal; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.decoder.next().map_err(|error| unreadable(&error))? {
                return Ok(Some(record));
            }
            match self.body.next().await? {
                Some(bytes) => self.decoder.feed(bytes),
                None => {
                    return self
                        .decoder
                        .finish()
                        .map(|()| None)
                        .map_err(|error| unreadable(&error));
                }
            }
        }
    }

    /// The next record, which has to be the header of a file; `None` at the end of the stream.
    pub async fn file(&mut self) -> Result<Option<Bytes>> {
        match self.next().await? {
            Some(Record::File(json)) => Ok(Some(json)),
            Some(_) => Err(Error::Protocol(
                "a record where a file should begin".to_owned(),
            )),
            None => Ok(None),
        }
    }
}

/// A stream that ends within a record has lost its end on the way.
fn unreadable(error: &StreamError) -> Error {
    let text = error.to_string();
    if error.problem == stream::Problem::Truncated {
        Error::Broken(text)
    } else {
        Error::Protocol(text)
    }
}
