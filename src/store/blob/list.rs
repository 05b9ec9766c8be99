//! The list of a content's chunks, as it lies beside them. Nothing names it; it is there for the day on
//! which the database is lost.
//!
//! ```text
//! version 1 | class 1 | time 8 | root 16 | size 8 | part 4 | parts 4 | length of the name 2 | name | stand-ins 16 each …
//! ```
//! All numbers are big endian.

use crate::chunk::Class;
use crate::crypto::Blinded;
use crate::types::Millis;

/// First byte of the form.
const VERSION: u8 = 1;
/// Bytes before the name.
const HEAD_LEN: usize = 44;
/// Chunks of one part: 1 MiB, half of what a record may hold.
pub const PART: usize = 64 * 1024;

/// One part of the list of a content's chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// How the content is cut.
    pub class: Class,
    /// When it was complete.
    pub at: Millis,
    /// Stand-in for the content.
    pub root: Blinded,
    /// Bytes of the content.
    pub size: u64,
    /// Which part, from 0.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// What the file was to be called; empty when nobody said.
    pub name: String,
    /// The chunks of this part in order.
    pub chunks: Vec<Blinded>,
}

impl List {
    /// The byte form.
    pub fn encode(&self) -> Vec<u8> {
        let name = &self.name.as_bytes()[..self.name.len().min(usize::from(u16::MAX))];
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        let class = match self.class {
            Class::Small => 0,
            Class::Large => 1,
        };
        let mut bytes = vec![VERSION, class];
        bytes.extend(self.at.0.to_be_bytes());
        bytes.extend(self.root.0);
        bytes.extend(self.size.to_be_bytes());
        bytes.extend(self.part.to_be_bytes());
        bytes.extend(self.parts.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(name);
        bytes.extend(self.chunks.iter().flat_map(|chunk| chunk.0));
        bytes
    }

    /// Reads [`Self::encode`]; `None` when malformed.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>()?;
        let (&[VERSION, class], mut head) = head.split_first_chunk()? else {
            return None;
        };
        let at = i64::from_be_bytes(take(&mut head)?);
        let root = Blinded(take(&mut head)?);
        let size = u64::from_be_bytes(take(&mut head)?);
        let part = u32::from_be_bytes(take(&mut head)?);
        let parts = u32::from_be_bytes(take(&mut head)?);
        let length = u16::from_be_bytes(take(&mut head)?);
        let (name, chunks) = rest.split_at_checked(usize::from(length))?;
        let (chunks, behind) = chunks.as_chunks::<16>();
        if part >= parts || !behind.is_empty() {
            return None;
        }
        let class = match class {
            0 => Class::Small,
            1 => Class::Large,
            _ => return None,
        };
        Some(Self {
            class,
            at: Millis(at),
            root,
            size,
            part,
            parts,
            name: std::str::from_utf8(name).ok()?.to_owned(),
            chunks: chunks.iter().map(|chunk| Blinded(*chunk)).collect(),
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_version_one_never_changes() {
        let list = List {
            class: Class::Large,
            at: Millis(0x0102),
            root: Blinded([7; 16]),
            size: 5,
            part: 1,
            parts: 2,
            name: "a.b".to_owned(),
            chunks: vec![Blinded([8; 16]), Blinded([9; 16])],
        };
        let bytes = list.encode();
        let expected: &[&[u8]] = &[
            &[1, 1, 0, 0, 0, 0, 0, 0, 1, 2],
            &[7; 16],
            &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 3],
            b"a.b",
            &[8; 16],
            &[9; 16],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(List::decode(&bytes), Some(list));
        for cut in 0..bytes.len() {
            // A list that ends behind a chunk is one of fewer chunks; its root says otherwise.
            let whole = (cut.checked_sub(HEAD_LEN + 3)).is_some_and(|rest| rest % 16 == 0);
            assert_eq!(List::decode(&bytes[..cut]).is_some(), whole, "cut at {cut}");
        }
        for (at, value) in [(0, 2), (1, 2), (37, 2), (44, 0xff)] {
            let mut wrong = bytes.clone();
            wrong[at] = value;
            assert_eq!(List::decode(&wrong), None, "byte {at}");
        }
    }
}
