//! The rows of the database as pages, for snapshots, and back.
//!
//! Whether a page may have changed is told by a few sums over its rows, which the database forms
//! without giving the rows. Every write to a node raises one of its numbers, all other tables of
//! windows only gain and lose rows or move them, or get a mark of damage or lose it.

mod cells;
mod tables;

use std::collections::BTreeMap;
use std::iter;

use self::cells::Cells;
use self::tables::{Kind, TEXTS, Texts, UNITS, Unit};
use super::{Conn, seals, sequences, sql};
use crate::store::snapshot::{Cell, Page, Row, Window};
use crate::store::{Error, Result};

/// The unit of contents.
const CONTENTS: u8 = 4;
/// The unit of the keys that seal.
const SEALS: u8 = 9;
/// The unit of the numbers that were given last.
const SEQUENCES: u8 = 8;
/// The units that others refer to.
const FIRST: [u8; 2] = [1, 2];
/// Most tables of a unit that has windows, times the figures of each.
const FIGURES: usize = 12;

/// Where the figures of marks lie among those of a page; units with marks have one table.
const MARKS: usize = 4;
/// Of contents: how many ids of the page are not sealed anew yet; behind the figures of marks.
const NOT_RESEALED: usize = 8;

/// Figures that differ when a page does.
pub type Probe = [i64; FIGURES];

const TRACES: &str = "SELECT
    (SELECT CAST(COALESCE(SUM(seq), 0) AS BIGINT) FROM space),
    (SELECT COALESCE(MAX(id), 0) FROM content),
    (SELECT COALESCE(MAX(id), 0) FROM chunk),
    (SELECT COALESCE(MAX(id), 0) FROM sync_log),
    (SELECT COALESCE(MAX(id), 0) FROM conflict),
    (SELECT count(*) FROM conflict WHERE resolved_at IS NULL),
    (SELECT COALESCE(MAX(CAST(value AS BIGINT)), 0) FROM setting WHERE key = 'collect_epoch'),
    (SELECT count(*) FROM chunk WHERE damaged IS NOT NULL),
    (SELECT CAST(COALESCE(SUM(id), 0) AS BIGINT) FROM chunk WHERE damaged IS NOT NULL),
    (SELECT count(*) FROM content WHERE damaged IS NOT NULL),
    (SELECT CAST(COALESCE(SUM(id), 0) AS BIGINT) FROM content WHERE damaged IS NOT NULL)";

/// Figures that change with everything worth a new snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    figures: Row,
    owners: Probe,
    seals: Probe,
}

/// The present figures. Small tables are read, nothing else.
pub async fn traces(conn: &mut Conn) -> Result<Traces> {
    let Cells(figures) = sql::query_as(TRACES).fetch_one(&mut *conn).await?;
    let owners = Window { unit: 1, at: 0 };
    let owners = digest(&page(conn, owners).await?);
    let seals = Window { unit: SEALS, at: 0 };
    let seals = digest(&page(conn, seals).await?);
    Ok(Traces {
        figures,
        owners,
        seals,
    })
}

/// Every page there is, with its figures.
pub async fn probes(conn: &mut Conn) -> Result<BTreeMap<Window, Probe>> {
    let left = seals::left(conn).await?;
    let mut all = BTreeMap::new();
    for (unit, texts) in UNITS.iter().zip(TEXTS.iter()) {
        if unit.span.is_none() {
            digested(conn, unit.code, &mut all).await?;
            continue;
        }
        let mut probes: Vec<(usize, &'static str)> = Vec::new();
        for (nth, texts) in texts.iter().enumerate() {
            probes.extend(texts.probe.as_deref().map(|text| (nth * 4, text)));
            probes.extend(texts.marks.as_deref().map(|text| (MARKS, text)));
        }
        for (from, text) in probes {
            let rows: Vec<(i64, i64, i64, i64, i64)> =
                sql::query_as(text).fetch_all(&mut *conn).await?;
            for (at, rows, one, two, three) in rows {
                let window = Window {
                    unit: unit.code,
                    at,
                };
                let probe: &mut Probe = all.entry(window).or_default();
                probe[from..][..4].copy_from_slice(&[rows, one, two, three]);
                if let (CONTENTS, Some(span), Some(left)) = (unit.code, unit.span, left) {
                    // Those that are sealed anew have other bytes, and nothing else of them changes.
                    probe[NOT_RESEALED] = left.among(at * span, span);
                }
            }
        }
    }
    digested(conn, SEQUENCES, &mut all).await?;
    Ok(all)
}

async fn digested(conn: &mut Conn, unit: u8, all: &mut BTreeMap<Window, Probe>) -> Result<()> {
    let window = Window { unit, at: 0 };
    all.insert(window, digest(&page(conn, window).await?));
    Ok(())
}

/// The figures of a page that has to be read for them.
fn digest(page: &Page) -> Probe {
    let mut bytes = Vec::new();
    page.encode(&mut bytes);
    let hash = blake3::hash(&bytes);
    let (words, _) = hash.as_bytes().as_chunks::<8>();
    let mut probe = [0; FIGURES];
    for (figure, word) in probe.iter_mut().zip(words) {
        *figure = i64::from_be_bytes(*word);
    }
    probe
}

/// A page as it is now; one without rows when there are none (any more).
pub async fn page(conn: &mut Conn, window: Window) -> Result<Page> {
    let mut tables = Vec::new();
    if window.unit == SEQUENCES {
        let last = sequences::last(conn).await?.into_iter();
        let rows = last.map(|(name, last)| vec![Cell::Text(name), Cell::Int(last)]);
        tables.push(rows.collect());
        return Ok(Page { window, tables });
    }
    let (unit, texts) = unit(window.unit)?;
    for texts in texts {
        let mut query = sql::query_as(texts.read.as_str());
        if let Some(span) = unit.span {
            query = query.bind(window.at * span).bind((window.at + 1) * span);
        }
        let rows: Vec<Cells> = query.fetch_all(&mut *conn).await?;
        tables.push(rows.into_iter().map(|cells| cells.0).collect());
    }
    Ok(Page { window, tables })
}

/// Whether a page has to be put back before those that refer to its rows.
pub fn comes_first(window: Window) -> bool {
    FIRST.contains(&window.unit)
}

/// Puts a page back into a database that has none of its rows.
pub async fn put(conn: &mut Conn, page: &Page) -> Result<()> {
    if page.window.unit == SEQUENCES {
        return put_sequences(conn, page).await;
    }
    let (_, texts) = unit(page.window.unit)?;
    if texts.len() != page.tables.len() {
        return Err(OTHER);
    }
    for (texts, rows) in texts.iter().zip(&page.tables) {
        let columns = texts.least..=texts.kinds.len();
        if rows.iter().any(|row| !columns.contains(&row.len())) {
            return Err(OTHER);
        }
        put_rows(conn, texts, rows).await?;
    }
    Ok(())
}

/// Our own pages open and have what the program that wrote them knew.
const OTHER: Error = Error::Corrupt("a snapshot has other tables than this version of the program");

async fn put_rows(conn: &mut Conn, texts: &'static Texts, rows: &[Row]) -> Result<()> {
    for (text, batch) in texts.insert.batches(rows) {
        let mut query = sql::query(text);
        // What an older snapshot does not have is empty.
        let missing = || iter::repeat(&Cell::Null);
        for (cell, kind) in batch
            .iter()
            .flat_map(|row| row.iter().chain(missing()).zip(&texts.kinds))
        {
            query = match (kind, cell) {
                (Kind::Int, Cell::Int(number)) => query.bind(*number),
                (Kind::Int, Cell::Null) => query.bind(None::<i64>),
                (Kind::Bool, Cell::Int(number)) => query.bind(*number != 0),
                (Kind::Text, Cell::Text(text)) => query.bind(text),
                (Kind::Text, Cell::Null) => query.bind(None::<&str>),
                (Kind::Bytes, Cell::Bytes(bytes)) => query.bind(bytes),
                (Kind::Bytes, Cell::Null) => query.bind(None::<&[u8]>),
                _ => return Err(OTHER),
            };
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

async fn put_sequences(conn: &mut Conn, page: &Page) -> Result<()> {
    for row in page.tables.iter().flatten() {
        let [Cell::Text(table), Cell::Int(last)] = row.as_slice() else {
            return Err(OTHER);
        };
        sequences::set(conn, table, *last).await?;
    }
    Ok(())
}

/// Deletes every row that [`put`] puts.
pub async fn clear(conn: &mut Conn) -> Result<()> {
    for texts in TEXTS.iter().rev().flat_map(|texts| texts.iter().rev()) {
        sql::query(texts.clear.as_str()).execute(&mut *conn).await?;
    }
    Ok(())
}

fn unit(code: u8) -> Result<(&'static Unit, &'static [Texts])> {
    let found = UNITS.iter().zip(TEXTS.iter());
    let mut found = found.filter(|(unit, _)| unit.code == code);
    let (unit, texts) = found.next().ok_or(OTHER)?;
    Ok((unit, texts))
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let mut all = vec![TRACES];
    all.extend(tables::statements());
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::meta::{Meta, testing};

    /// A column that nobody thought of would be lost with the database.
    #[tokio::test]
    async fn every_column_is_kept_or_left_out_on_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&testing::database(folder.path())).await.unwrap();
        let mut conn = meta.read().await.unwrap();
        let there = testing::columns(&mut conn).await.unwrap();
        let kept: BTreeSet<_> = tables::columns().collect();
        let left_out = |table: &str, column: &str| {
            let out = tables::LEFT_OUT.iter();
            let mut out =
                out.filter(|(of, what)| *of == table && (what.is_empty() || *what == column));
            out.next().is_some()
        };
        assert!(there.len() > 60, "{there:?}");
        for (table, column) in &there {
            let kept = kept.contains(&(table.as_str(), column.as_str()));
            assert!(
                kept != left_out(table, column),
                "is {table}.{column} part of a snapshot or not?"
            );
        }
    }
}
