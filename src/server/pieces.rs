//! Long answers in pieces: what a connection was given it keeps until its client has read it.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

/// Most bytes given to a connection at once. One whose client stands still holds two or three.
pub(super) const PIECE: usize = 64 * 1024;

/// Takes the next piece off; a copy, so that the rest does not live on with it.
pub(super) fn next(bytes: &mut Bytes) -> Bytes {
    if bytes.len() <= PIECE {
        return std::mem::take(bytes);
    }
    Bytes::copy_from_slice(&bytes.split_to(PIECE))
}

/// An answer that comes in pieces. One that breaks off does so a turn later than its last piece came: hyper throws away what
/// it has not sent when a body fails, be it the head, and then nobody could tell a file that is damaged from a line.
pub(super) fn body(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    Body::from_stream(pieces.then(async |piece| {
        if piece.is_err() {
            tokio::task::yield_now().await;
        }
        piece
    }))
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_came_before_a_break_can_be_sent_before_it_is_told() {
        let broken = || io::Error::other("broken");
        let pieces = [Ok(Bytes::from("a")), Ok(Bytes::from("b")), Err(broken())];
        let mut body = body(futures_util::stream::iter(pieces));
        for _ in 0..2 {
            assert!(matches!(
                poll!(body.frame()),
                std::task::Poll::Ready(Some(Ok(_)))
            ));
        }
        let mut last = body.frame();
        assert!(poll!(&mut last).is_pending());
        assert!(last.await.unwrap().is_err());
    }

    #[test]
    fn the_pieces_are_the_whole_and_none_is_too_long() {
        for length in [0, 1, PIECE, PIECE + 1, 5 * PIECE] {
            let whole = Bytes::from(vec![7; length]);
            let (mut left, mut pieces) = (whole.clone(), Vec::new());
            while !left.is_empty() {
                pieces.push(next(&mut left));
            }
            assert!(
                pieces
                    .iter()
                    .all(|piece| (1..=PIECE).contains(&piece.len()))
            );
            assert_eq!(pieces.concat(), whole);
        }
    }
}
