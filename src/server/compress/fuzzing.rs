//! Compressed bodies and what clients say about them.

use std::cell::RefCell;
use std::sync::Arc;

use async_compression::tokio::bufread::GzipDecoder;
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, header};
use tokio::runtime::{Builder, Runtime};

use super::{accept, reader, stream, unpack};
use crate::fuzzing::choice;

/// Bytes after which the reader has enough, as every handler has at some time.
const ENOUGH: usize = 256 * 1024;

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_time().build().expect("a runtime"));
}

/// What comes out does not depend on the pieces a body comes in, and is what others make of it.
pub(crate) fn compressed(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let headers = HeaderMap::from_iter([
            (header::ACCEPT_ENCODING, value.clone()),
            (header::CONTENT_ENCODING, value),
        ]);
        let (_best, _applied) = (accept::best(&headers), accept::applied(&headers));
    }
    let packed = if kind & 2 == 2 {
        zstd::encode_all(bytes, 1).expect("memory")
    } else {
        bytes.to_vec()
    };
    let (gzip, step) = (kind % 2 == 1, usize::from(kind / 4) + 1);
    let whole = unpacked(&packed, packed.len().max(1), gzip);
    let pieces = unpacked(&packed, step, gzip);
    match (&whole, &pieces) {
        (Some(whole), Some(pieces)) => assert_eq!(whole, pieces),
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => panic!("it depends on the pieces"),
    }
    if kind % 4 == 2 && bytes.len() < ENOUGH {
        assert_eq!(whole.as_deref(), Some(bytes));
    }
}

/// The plain bytes, at most some; `None` when they cannot be had.
fn unpacked(packed: &[u8], step: usize, gzip: bool) -> Option<Vec<u8>> {
    let pieces: Vec<_> = packed
        .chunks(step)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let body = if gzip {
        let mut decoder = GzipDecoder::new(reader(body));
        decoder.multiple_members(true);
        stream(decoder)
    } else {
        unpack::zstd(
            body,
            Arc::new(unpack::Decoding::new(unpack::DECODING)),
            unpack::Sender::default(),
        )
    };
    let read = async {
        let (mut body, mut out) = (body.into_data_stream(), Vec::new());
        while let Some(piece) = body.next().await {
            out.extend_from_slice(&piece.ok()?);
            if out.len() >= ENOUGH {
                out.truncate(ENOUGH);
                break;
            }
        }
        Some(out)
    };
    RUNTIME.with_borrow(|runtime| runtime.block_on(read))
}
