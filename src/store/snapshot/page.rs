//! The byte form of rows. Pure.
//!
//! ```text
//! page:  unit 1 | window 8 | length of what follows 4 | tables …
//! table: rows 4 | columns 1 | values …
//! value: 0 | 1 number 8 | 2 length 4 UTF-8 | 3 length 4 bytes
//! ```
//! All numbers are big endian, those of values two's complement.

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// None.
    Null,
    /// A number; 0 and 1 for what is true or not.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// The values of a row, in the order of the table's columns.
pub type Row = Vec<Cell>;

/// Which rows: those of a unit of tables within a window of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The unit.
    pub unit: u8,
    /// The window's number.
    pub at: i64,
}

/// All rows of a window, by table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Which.
    pub window: Window,
    /// The tables of the unit.
    pub tables: Vec<Vec<Row>>,
}

impl Page {
    /// Appends the page.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.window.unit);
        out.extend(self.window.at.to_be_bytes());
        let at = out.len();
        out.extend([0; 4]);
        for rows in &self.tables {
            out.extend(length(rows.len()));
            // Tables have a few columns.
            let columns = rows.first().map_or(0, Vec::len);
            out.push(u8::try_from(columns).unwrap_or(u8::MAX));
            for cell in rows.iter().flatten() {
                encode(cell, out);
            }
        }
        let written = length(out.len() - at - 4);
        out[at..at + 4].copy_from_slice(&written);
    }

    /// Takes a page off the front; `None` when it is malformed.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (window, mut body) = Self::skip(bytes)?;
        let mut tables = Vec::new();
        while !body.is_empty() {
            tables.push(table(&mut body)?);
        }
        Some(Self { window, tables })
    }

    /// Takes a page off the front without reading its rows; what these are encoded as.
    pub fn skip<'b>(bytes: &mut &'b [u8]) -> Option<(Window, &'b [u8])> {
        let unit = take::<1>(bytes)?[0];
        let at = i64::from_be_bytes(take(bytes)?);
        let len = u32::from_be_bytes(take(bytes)?) as usize;
        let (body, rest) = bytes.split_at_checked(len)?;
        *bytes = rest;
        Some((Window { unit, at }, body))
    }
}

fn encode(cell: &Cell, out: &mut Vec<u8>) {
    let (kind, bytes) = match cell {
        Cell::Null => return out.push(0),
        Cell::Int(number) => {
            out.push(1);
            return out.extend(number.to_be_bytes());
        }
        Cell::Text(text) => (2, text.as_bytes()),
        Cell::Bytes(bytes) => (3, bytes.as_slice()),
    };
    out.push(kind);
    out.extend(length(bytes.len()));
    out.extend(bytes);
}

fn table(bytes: &mut &[u8]) -> Option<Vec<Row>> {
    let rows = u32::from_be_bytes(take(bytes)?) as usize;
    let columns = usize::from(take::<1>(bytes)?[0]);
    // A byte for each value at least, so a lie cannot make us reserve much.
    if rows.checked_mul(columns)? > bytes.len() || (rows > 0) != (columns > 0) {
        return None;
    }
    let row = |_| (0..columns).map(|_| cell(bytes)).collect();
    (0..rows).map(row).collect()
}

fn cell(bytes: &mut &[u8]) -> Option<Cell> {
    let kind = take::<1>(bytes)?[0];
    if kind == 1 {
        return Some(Cell::Int(i64::from_be_bytes(take(bytes)?)));
    }
    if kind == 0 {
        return Some(Cell::Null);
    }
    let len = u32::from_be_bytes(take(bytes)?) as usize;
    let (value, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    match kind {
        2 => Some(Cell::Text(std::str::from_utf8(value).ok()?.to_owned())),
        3 => Some(Cell::Bytes(value.to_vec())),
        _ => None,
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes)
        .expect("values and pages are far below 4 GiB")
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells() -> impl Strategy<Value = Cell> {
        prop_oneof![
            Just(Cell::Null),
            any::<i64>().prop_map(Cell::Int),
            any::<String>().prop_map(Cell::Text),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Cell::Bytes),
        ]
    }

    fn tables() -> impl Strategy<Value = Vec<Vec<Row>>> {
        let table = (1_usize..5).prop_flat_map(|columns| {
            prop::collection::vec(prop::collection::vec(cells(), columns), 0..6)
        });
        prop::collection::vec(table, 0..4)
    }

    proptest! {
        #[test]
        fn pages_come_back_one_after_the_other(unit: u8, at: i64, one in tables(), two in tables()) {
            let page = |tables| Page { window: Window { unit, at }, tables };
            let (one, two) = (page(one), page(two));
            let mut bytes = Vec::new();
            one.encode(&mut bytes);
            two.encode(&mut bytes);
            let mut rest = &bytes[..];
            prop_assert_eq!(Page::decode(&mut rest), Some(one));
            prop_assert_eq!(Page::decode(&mut rest), Some(two));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut rest = &bytes[..];
            if let Some(page) = Page::decode(&mut rest) {
                let mut again = Vec::new();
                page.encode(&mut again);
                prop_assert_eq!(&bytes[..bytes.len() - rest.len()], &again[..]);
            }
        }
    }

    #[test]
    fn the_form_of_version_one_never_changes() {
        let row = vec![
            Cell::Null,
            Cell::Int(-2),
            Cell::Text("ä".to_owned()),
            Cell::Bytes(vec![9]),
        ];
        let page = Page {
            window: Window { unit: 3, at: 258 },
            tables: vec![vec![row], vec![]],
        };
        let mut bytes = Vec::new();
        page.encode(&mut bytes);
        let expected: &[&[u8]] = &[
            &[3, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 33],
            &[0, 0, 0, 1, 4, 0],
            &[1, 255, 255, 255, 255, 255, 255, 255, 254],
            &[2, 0, 0, 0, 2, 0xc3, 0xa4, 3, 0, 0, 0, 1, 9],
            &[0, 0, 0, 0, 0],
        ];
        assert_eq!(bytes, expected.concat());
        for cut in 0..bytes.len() {
            assert_eq!(Page::decode(&mut &bytes[..cut]), None, "cut at {cut}");
        }
    }
}
