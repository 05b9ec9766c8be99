//! Long answers in pieces: what a connection was given it keeps until its client has read it.

use bytes::Bytes;

/// Most bytes given to a connection at once. One whose client stands still holds two or three.
pub(super) const PIECE: usize = 64 * 1024;

/// Takes the next piece off; a copy, so that the rest does not live on with it.
pub(super) fn next(bytes: &mut Bytes) -> Bytes {
    if bytes.len() <= PIECE {
        return std::mem::take(bytes);
    }
    Bytes::copy_from_slice(&bytes.split_to(PIECE))
}

#[cfg(test)]
mod tests {
    use super::*;

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
