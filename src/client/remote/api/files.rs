//! Files and collections.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::{ANSWER_MAX, LISTING_MAX, route};
use crate::client::remote::answer::Reader;
use crate::client::remote::login::Session;
use crate::client::remote::request::Request;
use crate::client::remote::{Error, Result};
use crate::protocol::files::{Node, Nodes, Versions};

/// A file on its way here.
pub struct Download {
    /// The version that comes: it is another one than that of `from` when the file has changed meanwhile.
    pub etag: String,
    /// The first byte that comes. It is 0 when the file has changed.
    pub from: u64,
    body: Reader,
}

impl Download {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.body.next().await
    }
}

impl Session {
    /// A node as it is now.
    pub async fn info(&self, id: i64) -> Result<Node> {
        self.ask(Request::get(format!("files/{id}/info")))
            .await?
            .json(ANSWER_MAX)
            .await
    }

    /// A page of what lies in a collection; with `recursive` of all below, each collection before what it
    /// holds. `limit` is 1 to 1000.
    pub async fn list(
        &self,
        id: i64,
        recursive: bool,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Nodes> {
        let (id, limit) = (id.to_string(), limit.to_string());
        let recursive = recursive.then_some("true");
        let query = [
            ("id", Some(&*id)),
            ("recursive", recursive),
            ("limit", Some(&*limit)),
            ("cursor", cursor),
        ];
        let request = Request::get(route("files/list", &query)).unpacks();
        self.ask(request).await?.json(LISTING_MAX).await
    }

    /// The versions of a file, newest first.
    pub async fn versions(&self, id: i64) -> Result<Versions> {
        self.ask(Request::get(format!("files/{id}/versions")).unpacks())
            .await?
            .json(ANSWER_MAX)
            .await
    }

    /// The current bytes of a file. With `resume`, which is an etag and what is there of it already, those
    /// behind it, or all when the file has changed. `size` is that of the whole file, as far as known.
    pub async fn download(
        &self,
        id: i64,
        resume: Option<(&str, u64)>,
        size: u64,
    ) -> Result<Download> {
        let id = id.to_string();
        let request = Request::get(route("files/download", &[("id", Some(&id))])).expects(size);
        let (request, from) = match resume {
            Some((etag, from)) if from > 0 => (part(request, etag, from)?, from),
            _ => (request.unpacks(), 0),
        };
        let answer = self.ask(request).await?;
        let etag = answer
            .header(header::ETAG.as_str())
            .map(plain)
            .unwrap_or_default()
            .to_owned();
        let from = match answer.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if begins(answer.header("content-range"), from) => from,
            status => {
                let what = answer.header("content-range").unwrap_or("no range");
                return Err(Error::Protocol(format!(
                    "{status} with {what} for the bytes from {from} on"
                )));
            }
        };
        if etag.is_empty() {
            return Err(Error::Protocol("a file without an etag".to_owned()));
        }
        Ok(Download {
            etag,
            from,
            body: answer.reader(),
        })
    }
}

fn part(request: Request, etag: &str, from: u64) -> Result<Request> {
    let etag = HeaderValue::from_str(&format!("\"{etag}\""));
    let etag = etag.map_err(|error| Error::Protocol(format!("an etag that cannot be: {error}")))?;
    let range = HeaderValue::from_str(&format!("bytes={from}-"));
    let range = range.map_err(|error| Error::Protocol(error.to_string()))?;
    Ok(request
        .with(header::RANGE, range)
        .with(header::IF_RANGE, etag))
}

/// Without quotes, and without the mark of an etag that was weakened by packing.
fn plain(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

fn begins(range: Option<&str>, from: u64) -> bool {
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
    first.is_some_and(|(first, _)| first.parse() == Ok(from))
}
