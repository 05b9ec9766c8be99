//! Request bodies: small ones read whole, uploads counted while they pass.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;

use super::Verb;
use crate::server::webdav::context::Ctx;
use crate::server::webdav::errors::Refusal;
use crate::server::webdav::xml::MAX_XML_BYTES;

/// Reads the body of everything but PUT and PATCH.
pub(crate) async fn read(verb: Verb, mut body: Body) -> Result<Bytes, Refusal> {
    if verb.ignores_body() || body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::bad("the body ended early"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > MAX_XML_BYTES {
            let message = "an XML body may have 64 KiB";
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        bytes.extend_from_slice(&data);
    }
    if !verb.takes_xml() && !bytes.is_empty() {
        let message = "this method takes no body";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    Ok(bytes.freeze())
}

/// An upload that fails when it is longer or shorter than announced. dav-server 0.11 finds that out
/// only after it has told the adapter to commit.
pub(crate) struct Counted {
    body: Body,
    left: Option<u64>,
    ctx: Arc<Ctx>,
}

impl Counted {
    /// Counts `body` against what the request announced.
    pub(crate) fn new(body: Body, ctx: Arc<Ctx>) -> Self {
        Self {
            body,
            left: ctx.facts.expected,
            ctx,
        }
    }

    fn fail(&self, message: &'static str) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.ctx.refuse(Refusal::bad(message));
        Poll::Ready(Some(Err(io::Error::new(
            io::ErrorKind::InvalidData,
            message,
        ))))
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        match frame {
            Some(Ok(frame)) => {
                if let (Some(left), Some(data)) = (this.left, frame.data_ref()) {
                    let Some(rest) = left.checked_sub(data.len() as u64) else {
                        return this.fail("the body is longer than announced");
                    };
                    this.left = Some(rest);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => this.fail("the body broke off"),
            None if this.left.is_some_and(|left| left > 0) => {
                this.fail("the body is shorter than announced")
            }
            None => Poll::Ready(None),
        }
    }
}
