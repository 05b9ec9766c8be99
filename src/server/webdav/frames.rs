//! Turns a source of text into a response body of larger frames, pulled as the client reads.

use std::future::Future;
use std::io;

use axum::body::Body;
use bytes::Bytes;

use super::errors;
use crate::tree;

/// Bytes in one frame: large enough to compress well, small enough to hold for slow clients.
pub(crate) const FRAME_BYTES: usize = 32 * 1024;

/// What writes more of a text.
pub(crate) trait Source: Send + 'static {
    /// Appends about [`FRAME_BYTES`]; `false` when that was the end.
    fn write(&mut self, out: &mut String) -> impl Future<Output = tree::Result<bool>> + Send;
}

/// A body that asks `source` for each frame. When it fails the body breaks off, so that no client
/// takes half a listing for a whole one.
pub(crate) fn body(head: String, source: impl Source) -> Body {
    let state = Some((head, source));
    Body::from_stream(futures_util::stream::try_unfold(
        state,
        |state| async move {
            let Some((mut out, mut source)) = state else {
                return Ok(None);
            };
            out.reserve(FRAME_BYTES + FRAME_BYTES / 8);
            match source.write(&mut out).await {
                Ok(true) => Ok(Some((Bytes::from(out), Some((String::new(), source))))),
                Ok(false) => Ok(Some((Bytes::from(out), None))),
                Err(error) => {
                    let refusal = errors::refusal(&error, "/");
                    tracing::warn!(status = %refusal.status, "a listing broke off");
                    Err(io::Error::other("the listing broke off"))
                }
            }
        },
    ))
}
