//! Answers as a phone passes them on to a watch.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::error::Error;

/// Exactly this: with a `charset` some phones do not take it for JSON.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Nothing between us and the phone may keep an answer or send it in another form: a compressed
/// one has no length, and without a length nothing arrives on the watch.
const AS_IS: HeaderValue = HeaderValue::from_static("no-store, no-transform");

/// What a handler gives.
pub(super) type Answer = Result<Response<Body>, Error>;

/// 200 with a JSON object.
pub(super) fn json(object: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_vec(object).expect("our objects have text keys and finite numbers");
    with(StatusCode::OK, JSON, text.into())
}

/// A JSON text with a status.
pub(super) fn json_text(status: StatusCode, text: String) -> Response<Body> {
    with(status, JSON, text.into())
}

/// 200 with bytes of a media type.
pub(super) fn bytes(media: &'static str, bytes: Bytes) -> Response<Body> {
    with(StatusCode::OK, HeaderValue::from_static(media), bytes)
}

fn with(status: StatusCode, media: HeaderValue, bytes: Bytes) -> Response<Body> {
    let length = bytes.len();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media);
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, AS_IS);
    response
}

/// A count or size as a watch can hold it: its numbers have 31 bits and a sign.
pub(super) fn number(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A time in seconds since 1970 as a watch can hold it; the last one is in 2038.
pub(super) fn seconds(time: crate::types::Millis) -> i32 {
    number(u64::try_from(time.secs()).unwrap_or(0))
}

/// A CRC-32 (IEEE) as a watch has it: the same 32 bits, with a sign.
pub(super) fn crc(bytes: &[u8]) -> i32 {
    crc32fast::hash(bytes).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Millis;

    #[test]
    fn numbers_fit_into_a_watch() {
        assert_eq!(number(5_000_000_000), i32::MAX);
        assert_eq!(seconds(Millis(1_795_391_150_999)), 1_795_391_150);
        assert_eq!(seconds(Millis(-1)), 0);
        assert_eq!(seconds(Millis::MAX), i32::MAX);
        // The check value of the CRC catalogue, cbf43926, is negative with a sign.
        assert_eq!(crc(b"123456789"), -873_187_034);
    }
}
