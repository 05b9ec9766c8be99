//! Which part of a file a request asks for (RFC 9110 §14).

use std::ops::RangeInclusive;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, one that is malformed, or several.
    Whole,
    /// These bytes.
    Part(RangeInclusive<u64>),
    /// Nothing: the range lies outside.
    Outside,
}

/// Reads the value of a `Range` header for a file of `size` bytes.
pub(super) fn wanted(header: &str, size: u64) -> Wanted {
    let Some(range) = header.trim().strip_prefix("bytes=") else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), Some(last)) => part(first, last, size),
        (Some(first), None) if last.is_empty() => part(first, u64::MAX, size),
        // The last so many bytes; more than there are means all of them.
        (None, Some(0)) if first.is_empty() => Wanted::Outside,
        (None, Some(count)) if first.is_empty() => part(size.saturating_sub(count), u64::MAX, size),
        (Some(_) | None, Some(_) | None) => Wanted::Whole,
    }
}

fn part(first: u64, last: u64, size: u64) -> Wanted {
    if first >= size {
        return Wanted::Outside;
    }
    Wanted::Part(first..=last.min(size - 1))
}

/// Digits only; what is larger than any file counts as that.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(any(test, fuzzing))]
/// A part that is sent lies within the file.
pub(in crate::server::api) fn fuzz(header: &str, size: u64) {
    if let Wanted::Part(range) = wanted(header, size) {
        assert!(range.start() <= range.end() && *range.end() < size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_rfc_says() {
        use Wanted::{Outside, Part, Whole};
        for (header, size, expected) in [
            ("bytes=0-0", 6, Part(0..=0)),
            ("bytes=2-", 6, Part(2..=5)),
            ("bytes=2-99", 6, Part(2..=5)),
            ("bytes=-2", 6, Part(4..=5)),
            ("bytes=-100", 6, Part(0..=5)),
            (" bytes=1-2 ", 6, Part(1..=2)),
            ("bytes=6-", 6, Outside),
            ("bytes=100-200", 6, Outside),
            ("bytes=-0", 6, Outside),
            ("bytes=0-", 0, Outside),
            ("bytes=-5", 0, Outside),
            ("bytes=99999999999999999999-", 6, Outside),
            ("bytes=3-2", 6, Whole),
            ("bytes=0-1,3-4", 6, Whole),
            ("bytes=x", 6, Whole),
            ("bytes=-", 6, Whole),
            ("bytes=+1-2", 6, Whole),
            ("lines=1-2", 6, Whole),
            ("", 6, Whole),
        ] {
            assert_eq!(wanted(header, size), expected, "{header} of {size}");
        }
    }
}
