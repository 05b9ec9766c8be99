//! Which chunk rows some manifest has: a bit each.

/// Rows of a window: 8 MiB of bits, those of 4 TB in chunks of 64 KiB.
const ROWS: i64 = 64 * 1024 * 1024;

/// A stretch of chunk rows, all unmarked at first.
#[derive(Debug)]
pub(super) struct Bitmap {
    /// The first row.
    first: i64,
    /// The last row.
    last: i64,
    words: Vec<u64>,
}

impl Bitmap {
    /// Stretches that together have all rows up to `last`.
    pub(super) fn windows(last: i64) -> impl Iterator<Item = Self> {
        let firsts = (0..).map(|nth| 1 + nth * ROWS);
        firsts
            .take_while(move |first| *first <= last)
            .map(move |first| Self::new(first, last.min(first + ROWS - 1)))
    }

    fn new(first: i64, last: i64) -> Self {
        let rows = usize::try_from(last - first + 1).unwrap_or_default();
        Self {
            first,
            last,
            words: vec![0; rows.div_ceil(64)],
        }
    }

    /// The first row of the stretch.
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// The last row of the stretch.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// Marks those of `count` rows that are in the stretch.
    pub(super) fn mark(&mut self, first: i64, count: u32) {
        let end = first.saturating_add(i64::from(count)).min(self.last + 1);
        let mut at = first.max(self.first);
        while at < end {
            let (word, bit) = self.place(at);
            let bits = (64 - bit).min(u32::try_from(end - at).unwrap_or(64));
            let ones = u64::MAX >> (64 - bits);
            self.words[word] |= ones << bit;
            at += i64::from(bits);
        }
    }

    /// Whether a row of the stretch is marked.
    pub(super) fn has(&self, row: i64) -> bool {
        let (word, bit) = self.place(row);
        self.words[word] >> bit & 1 == 1
    }

    fn place(&self, row: i64) -> (usize, u32) {
        let nth = (row - self.first).unsigned_abs();
        let word = usize::try_from(nth / 64).expect("the stretch is in memory");
        let bit = u32::try_from(nth % 64).expect("below 64");
        (word, bit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_have_every_row_once() {
        let bounds = |last| {
            Bitmap::windows(last)
                .map(|window| (window.first(), window.last()))
                .collect::<Vec<_>>()
        };
        assert_eq!(bounds(0), []);
        assert_eq!(bounds(1), [(1, 1)]);
        assert_eq!(bounds(ROWS), [(1, ROWS)]);
        assert_eq!(bounds(ROWS + 1), [(1, ROWS), (ROWS + 1, ROWS + 1)]);
    }

    proptest! {
        #[test]
        fn exactly_the_rows_of_the_runs_are_marked(
            runs in prop::collection::vec((1_i64..500, 0_u32..200), 0..8),
            first in 1_i64..300,
            rows in 1_i64..300,
        ) {
            let mut bitmap = Bitmap::new(first, first + rows - 1);
            for (first, count) in &runs {
                bitmap.mark(*first, *count);
            }
            for row in first..first + rows {
                let of = |(first, count): &(i64, u32)| {
                    (*first..*first + i64::from(*count)).contains(&row)
                };
                prop_assert_eq!(bitmap.has(row), runs.iter().any(of), "row {}", row);
            }
        }
    }
}
