//! Which database a cursor is of.

use std::fmt;

/// Digits of an epoch as text.
const DIGITS: usize = 16;

/// Drawn at random when a database is made, and again when an old one is put back. Its cursors carry it,
/// because turns count from where the old database stood: a cursor of before would skip changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let known = text.len() == DIGITS && text.bytes().all(lower);
        known.then(|| u64::from_str_radix(text, 16).ok().map(Self))?
    }

    /// The epoch that a cursor begins with, and what follows it. Cursors of old servers have none.
    pub fn split(cursor: &str) -> (Option<Self>, &str) {
        let parts = cursor.split_once('_');
        let found = parts.and_then(|(first, rest)| Some((Self::parse(first)?, rest)));
        found.map_or((None, cursor), |(epoch, rest)| (Some(epoch), rest))
    }
}

/// As 16 hexadecimal digits.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_back_and_nothing_else_is_one() {
        for number in [0, 1, u64::MAX] {
            let text = Epoch(number).to_string();
            assert_eq!(Epoch::parse(&text), Some(Epoch(number)));
        }
        for text in [
            "",
            "1",
            "000000000000000A",
            "+00000000000000a",
            "00000000000000000",
        ] {
            assert_eq!(Epoch::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_begin_with_an_epoch_is_left_as_it_is() {
        assert_eq!(
            Epoch::split("000000000000000a_1.2"),
            (Some(Epoch(10)), "1.2")
        );
        for text in ["1.2_1.1", "7_1.2", "000000000000000a", ""] {
            assert_eq!(Epoch::split(text), (None, text));
        }
    }
}
