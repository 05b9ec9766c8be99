//! A content's ordered chunk rows as runs, and their form in the database.
//!
//! ```text
//! format 1 | number of runs | per run: first row (zigzag distance from the end of the run before) | rows
//! ```
//! All but the format byte are LEB128 varints in their shortest form.

use crate::types::ChunkRow;

/// First byte of the form.
const FORMAT: u8 = 1;
/// Most runs of one content: 64 MiB in memory. A fresh content has few; each edit of a copy adds two.
pub const RUNS_MAX: usize = 4 << 20;

/// The ordered chunks of one content, as runs of consecutive chunk rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    runs: Vec<(ChunkRow, u32)>,
}

impl Manifest {
    /// Appends a chunk.
    pub fn push(&mut self, row: ChunkRow) {
        match self.runs.last_mut() {
            Some((first, count)) if *count < u32::MAX && first.0 + i64::from(*count) == row.0 => {
                *count += 1;
            }
            Some(_) | None => self.runs.push((row, 1)),
        }
    }

    /// The runs: first row and number of rows.
    pub fn runs(&self) -> &[(ChunkRow, u32)] {
        &self.runs
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.runs.iter().map(|(_, rows)| u64::from(*rows)).sum()
    }

    /// The runs behind the first `rows` rows.
    pub fn behind(&self, mut rows: u64) -> Vec<(ChunkRow, u32)> {
        let left = |(first, count): &(ChunkRow, u32)| {
            let skipped = u64::from(*count).min(rows);
            rows -= skipped;
            // Both fit: the count does.
            let skipped = u32::try_from(skipped).unwrap_or(*count);
            let first = ChunkRow(first.0 + i64::from(skipped));
            (skipped < *count).then(|| (first, count - skipped))
        };
        self.runs.iter().filter_map(left).collect()
    }

    /// Varint form for the database.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        put(&mut bytes, self.runs.len() as u64);
        let mut expected = 0;
        for (first, count) in &self.runs {
            put(&mut bytes, zigzag(first.0 - expected));
            put(&mut bytes, u64::from(*count));
            expected = first.0 + i64::from(*count);
        }
        bytes
    }

    /// Reads [`Self::encode`]; `None` when malformed.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&FORMAT, mut rest) = bytes.split_first()? else {
            return None;
        };
        let number = usize::try_from(take(&mut rest)?).ok()?;
        // Two bytes a run at least, so a lie about the number cannot make us reserve much.
        if number > RUNS_MAX || number > rest.len() / 2 {
            return None;
        }
        let mut runs = Vec::with_capacity(number);
        let mut expected = 0_i64;
        for nth in 0..number {
            let distance = unzigzag(take(&mut rest)?);
            let first = expected.checked_add(distance)?;
            let count = u32::try_from(take(&mut rest)?).ok()?;
            // Runs that follow each other seamlessly would have been one.
            if first < 1 || count == 0 || (distance == 0 && nth > 0 && count < u32::MAX) {
                return None;
            }
            expected = first.checked_add(i64::from(count))?;
            runs.push((ChunkRow(first), count));
        }
        rest.is_empty().then_some(Self { runs })
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Appends a number, seven bits a byte, lowest first; the top bit says that more follow.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Takes a number off the front; `None` when cut off, too large, or longer than need be.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return (byte != 0 || shift == 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(rows: impl IntoIterator<Item = i64>) -> Manifest {
        let mut manifest = Manifest::default();
        rows.into_iter()
            .for_each(|row| manifest.push(ChunkRow(row)));
        manifest
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(
            runs in prop::collection::vec((1_i64..1 << 53, 1_i64..40), 0..50),
        ) {
            let manifest = of(runs.into_iter().flat_map(|(first, count)| first..first + count));
            let encoded = manifest.encode();
            prop_assert_eq!(Manifest::decode(&encoded), Some(manifest));
        }

        #[test]
        fn whatever_decodes_was_encoded_by_us(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let bytes = [&[FORMAT][..], &bytes].concat();
            if let Some(manifest) = Manifest::decode(&bytes) {
                prop_assert_eq!(manifest.encode(), bytes);
            }
        }
    }

    #[test]
    fn consecutive_rows_are_one_run() {
        let manifest = of([5, 6, 7, 2, 3, 9]);
        assert_eq!(
            manifest.runs(),
            [(ChunkRow(5), 3), (ChunkRow(2), 2), (ChunkRow(9), 1)]
        );
        assert_eq!(of(1..100_000).encode().len(), 6);
    }

    #[test]
    fn what_lies_behind_some_rows_begins_within_a_run_or_at_one() {
        let manifest = of([5, 6, 7, 2, 3, 9]);
        assert_eq!(manifest.rows(), 6);
        let behind = |rows| manifest.behind(rows);
        assert_eq!(behind(0), manifest.runs());
        assert_eq!(
            behind(2),
            [(ChunkRow(7), 1), (ChunkRow(2), 2), (ChunkRow(9), 1)]
        );
        assert_eq!(behind(3), [(ChunkRow(2), 2), (ChunkRow(9), 1)]);
        assert_eq!(behind(5), [(ChunkRow(9), 1)]);
        assert_eq!(behind(6), []);
        assert_eq!(behind(7), []);
    }

    #[test]
    fn the_form_of_version_one_never_changes() {
        assert_eq!(
            of([5, 6, 7, 2, 300]).encode(),
            [1, 3, 10, 3, 11, 1, 0xd2, 4, 1]
        );
        assert_eq!(of([]).encode(), [1, 0]);
    }

    #[test]
    fn malformed_forms_are_refused() {
        let huge = [
            1, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 1,
        ];
        let wide = [1, 1, 2, 0x80, 0x80, 0x80, 0x80, 0x10];
        let last = [
            1, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1,
        ];
        for bad in [
            &[][..],
            &[1],
            &[2, 0],
            &[1, 0, 0],
            &[1, 1, 2],
            &[1, 1, 2, 0],
            &[1, 1, 0, 1],
            &[1, 1, 1, 1],
            &[1, 2, 2, 1, 0, 1],
            &[1, 0x80, 0],
            &[1, 0xff, 0xff, 0xff, 0x7f, 2, 1],
            &huge,
            &wide,
            &last,
        ] {
            assert_eq!(Manifest::decode(bad), None, "{bad:?}");
        }
    }
}
