//! One statement for many rows, in a few fixed sizes: each is prepared once and kept.

use super::sql::Text;

/// Rows of one statement, largest first. Most works need a few of the first and a rest.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// An `INSERT` of many rows, a text for each size.
///
/// For SQLite its places have no numbers: its driver asks for the name of each one, and SQLite finds that by
/// going through those before, which made up a third of a push of small files.
pub(super) struct Insert([Written; SIZES.len()]);

struct Written {
    lite: String,
    post: String,
}

impl Insert {
    /// `head VALUES ($1, …), ($k, …), … tail`, with `columns` places in each row.
    pub(super) fn new(head: &str, columns: usize, tail: &str) -> Self {
        Self(SIZES.map(|rows| {
            let numbered = |nth: usize| format!("({})", places(nth * columns + 1, columns));
            let nameless = format!("({})", vec!["?"; columns].join(", "));
            let text = |rows: Vec<String>| format!("{head} VALUES {} {tail}", rows.join(", "));
            Written {
                lite: text(vec![nameless; rows]),
                post: text((0..rows).map(numbered).collect()),
            }
        }))
    }

    /// The texts of all sizes, with numbers, which both databases take.
    #[cfg(test)]
    pub(super) fn texts(&'static self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|written| written.post.as_str())
    }

    /// The items cut into batches, each with the statement for as many.
    pub(super) fn batches<'t, T>(
        &'static self,
        mut items: &'t [T],
    ) -> impl Iterator<Item = (Text, &'t [T])> {
        std::iter::from_fn(move || {
            let size = SIZES.iter().position(|size| *size <= items.len())?;
            let (batch, rest) = items.split_at(SIZES[size]);
            items = rest;
            let Written { lite, post } = &self.0[size];
            Some((Text { lite, post }, batch))
        })
    }
}

/// A look-up of many keys, a text for each size.
pub(super) struct Among([String; SIZES.len()]);

impl Among {
    /// `head IN ($2, …) tail`; `$1` is for the head to use.
    pub(super) fn new(head: &str, tail: &str) -> Self {
        Self(SIZES.map(|rows| format!("{head} IN ({}) {tail}", places(2, rows))))
    }

    /// The texts of all sizes.
    #[cfg(test)]
    pub(super) fn texts(&'static self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(String::as_str)
    }

    /// `head IN ($1, …)`, for statements that need nothing else.
    pub(super) fn only(head: &str) -> Self {
        Self::within(head, "")
    }

    /// `head IN ($1, …) tail`.
    pub(super) fn within(head: &str, tail: &str) -> Self {
        Self(SIZES.map(|rows| format!("{head} IN ({}) {tail}", places(1, rows))))
    }

    /// The keys cut into batches, each with a statement that has a place for each of them. Places
    /// that are left over ask for the last one again.
    pub(super) fn batches<'t, T>(
        &'static self,
        keys: &'t [T],
    ) -> impl Iterator<Item = (&'static str, impl Iterator<Item = &'t T>)> {
        keys.chunks(SIZES[0]).map(|batch| {
            let fits = |size: &usize| *size >= batch.len();
            let size = SIZES.iter().rposition(fits).unwrap_or_default();
            let padding = batch.last().into_iter().cycle();
            (
                self.0[size].as_str(),
                batch.iter().chain(padding).take(SIZES[size]),
            )
        })
    }
}

fn places(first: usize, count: usize) -> String {
    let places: Vec<_> = (first..first + count)
        .map(|nth| format!("${nth}"))
        .collect();
    places.join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    #[test]
    fn every_row_is_in_one_batch_that_fits_its_statement() {
        static ROWS: LazyLock<Insert> =
            LazyLock::new(|| Insert::new("INSERT INTO t (a, b)", 2, ""));
        let items: Vec<_> = (0..150).collect();
        let batches: Vec<_> = ROWS.batches(&items).collect();
        let sizes: Vec<_> = batches.iter().map(|(_, batch)| batch.len()).collect();
        assert_eq!(sizes, [64, 64, 16, 4, 1, 1]);
        assert!(batches.iter().flat_map(|(_, batch)| *batch).eq(&items));
        for (sql, batch) in batches {
            assert_eq!(sql.post.matches('$').count(), batch.len() * 2);
            assert_eq!(sql.lite.matches('?').count(), batch.len() * 2);
        }
        assert_eq!(ROWS.0[3].post, "INSERT INTO t (a, b) VALUES ($1, $2) ");
        assert_eq!(ROWS.0[3].lite, "INSERT INTO t (a, b) VALUES (?, ?) ");
        assert_eq!(ROWS.batches::<u8>(&[]).count(), 0);
    }

    #[test]
    fn every_key_is_asked_for_and_no_place_stays_empty() {
        static KEYS: LazyLock<Among> = LazyLock::new(|| Among::new("a = $1 AND b", ""));
        assert_eq!(KEYS.0[2], "a = $1 AND b IN ($2, $3, $4, $5) ");
        let keys: Vec<_> = (0..67).collect();
        let mut asked = Vec::new();
        for (sql, batch) in KEYS.batches(&keys) {
            let batch: Vec<_> = batch.copied().collect();
            assert_eq!(sql.matches('$').count(), batch.len() + 1);
            asked.extend(batch);
        }
        assert_eq!(asked.len(), 64 + 4);
        asked.dedup();
        assert_eq!(asked, keys);
        assert_eq!(KEYS.batches::<u8>(&[]).count(), 0);
    }
}
