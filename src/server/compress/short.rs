//! Short JSON, packed at one go: half the bytes of a request that tells of one file are those of its answer.

use axum::body::{Body, to_bytes};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use zstd::bulk;

use super::accept::Coding;
use super::{BYTES_MIN, length, weaken_etag};

/// Bytes below which nothing is gained.
const SHORT_MIN: u64 = 160;
/// Bytes that packing has to save: it costs a line in the head.
const GAIN: usize = 24;
/// Some microseconds for what is this short, and a tenth smaller than at the lowest level.
const LEVEL: i32 = 3;

/// Whether a response is one of those.
pub(super) fn is_short(response: &Response) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    length(response).is_some_and(|bytes| (SHORT_MIN..BYTES_MIN).contains(&bytes))
        && content_type.is_some_and(|text| text == "application/json")
}

/// Packs it, unless that gains nothing.
pub(super) async fn pack(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let limit = usize::try_from(BYTES_MIN).unwrap_or(usize::MAX);
    let bytes = match to_bytes(body, limit).await {
        Ok(bytes) => bytes,
        // As broken as it was.
        Err(error) => {
            let broken = stream::iter([Err::<Bytes, _>(error)]);
            return Response::from_parts(head, Body::from_stream(broken));
        }
    };
    match bulk::compress(&bytes, LEVEL) {
        Ok(packed) if packed.len() + GAIN <= bytes.len() => {
            let coding = HeaderValue::from_static(Coding::Zstd.name());
            head.headers.insert(header::CONTENT_ENCODING, coding);
            head.headers.remove(header::CONTENT_LENGTH);
            head.headers.remove(header::ACCEPT_RANGES);
            weaken_etag(&mut head.headers);
            Response::from_parts(head, packed.into())
        }
        Ok(_) | Err(_) => Response::from_parts(head, bytes.into()),
    }
}
