//! Answers with many nodes: their memory is bounded for all clients together, however slowly they read.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::Serialize;

use super::Api;
use super::extract::Caller;
use super::problem::{self, Problem, Result};
use crate::server::pieces;
use crate::store::Held;

/// Memory, in KiB, of all answers in the making or on their way: three of the longest pulls.
pub(super) const ANSWERING: usize = 32 * 1024;
/// What an entry of an answer takes, in KiB: a node, its path, and its JSON.
const ENTRY: u32 = 1;

/// Room for an answer; given back when it was sent.
pub(super) struct Room {
    _held: Held,
}

impl Room {
    /// Waits until there is room for so many entries; busy when that takes too long.
    pub(super) async fn take(api: &Api, caller: &Caller, entries: u32) -> Result<Self> {
        let account = caller.session.account;
        let shares = entries.saturating_mul(ENTRY);
        Ok(Self {
            _held: api.answering.take(account, shares).await?,
        })
    }

    /// The answer.
    pub(super) fn json(self, value: &impl Serialize) -> Result<Response> {
        let json = serde_json::to_vec(value);
        let json =
            json.map_err(|_never| Problem::new(problem::INTERNAL, "the answer is no JSON"))?;
        let length = json.len();
        let mut response = self.body(json.into()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        );
        headers.insert(CONTENT_LENGTH, length.into());
        Ok(response)
    }

    fn body(self, bytes: Bytes) -> Body {
        if bytes.len() <= pieces::PIECE {
            return Body::from(bytes);
        }
        let left = (bytes, self);
        let parts = futures_util::stream::unfold(left, async |(mut bytes, room)| {
            let piece = pieces::next(&mut bytes);
            (!piece.is_empty()).then_some((Ok::<_, std::convert::Infallible>(piece), (bytes, room)))
        });
        Body::from_stream(parts)
    }
}
