//! The byte form of segments and records. Pure: no files.
//!
//! ```text
//! segment:  "SYNCSEG" 7 | version 1 | space 8 | segment id 16 | records …
//! record:   "SREC" 4 | flags 1 | zero 3 | raw length 4 | stored length 4 | ciphertext | tag 16
//! sealed:   chunk id 32 | plaintext, or its zstd form
//! ```
//! All numbers are big endian. The stored length is that of the whole record.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::Piece;
use crate::chunk::CHUNK_MAX;
use crate::crypto::{
    ChunkId, RECORD_TAG_LEN, RecordContext, RecordKey, SegmentId, compress, decompress,
};
use crate::store::{Error, Result};
use crate::types::SpaceId;

/// Bytes before the first record of a segment.
pub(super) const SEGMENT_HEADER_LEN: usize = 32;
/// Bytes before the ciphertext of a record.
pub(super) const HEADER_LEN: usize = 16;
/// First bytes of a record.
pub(super) const MAGIC: [u8; 4] = *b"SREC";
/// Bytes a record takes besides the chunk's.
pub(super) const OVERHEAD: usize = HEADER_LEN + ID_LEN + RECORD_TAG_LEN;
/// Lengths a whole record can have.
pub(super) const STORED: RangeInclusive<usize> = OVERHEAD..=OVERHEAD + CHUNK_MAX;

const SEGMENT_MAGIC: [u8; 7] = *b"SYNCSEG";
const SEGMENT_VERSION: u8 = 1;
const ID_LEN: usize = 32;
/// Flag: the plaintext is compressed.
const FLAG_ZSTD: u8 = 1;
/// Flag: it is no chunk but the list of a content's chunks; see [`super::list`].
const FLAG_LIST: u8 = 2;

/// What lies in clear before a record's ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) flags: u8,
    pub(super) raw_len: u32,
    pub(super) stored: u32,
}

/// A chunk in the form it will be sealed in.
pub(super) struct Prepared {
    id: ChunkId,
    header: Header,
    body: Bytes,
}

impl Prepared {
    /// Bytes of the whole record.
    pub(super) fn stored(&self) -> u32 {
        self.header.stored
    }
}

impl Header {
    /// `None` for anything that is not the beginning of a record.
    pub(super) fn parse(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let number = |at: usize| u32::from_be_bytes(std::array::from_fn(|nth| bytes[at + nth]));
        let (flags, raw_len, stored) = (bytes[4], number(8), number(12));
        let most = OVERHEAD + raw_len as usize;
        let possible = bytes[..4] == MAGIC
            && flags & !(FLAG_ZSTD | FLAG_LIST) == 0
            && bytes[5..8] == [0; 3]
            && raw_len as usize <= CHUNK_MAX
            && (OVERHEAD..=most).contains(&(stored as usize));
        possible.then_some(Self {
            flags,
            raw_len,
            stored,
        })
    }

    /// Whether the record holds the list of a content's chunks.
    pub(super) fn is_list(self) -> bool {
        self.flags & FLAG_LIST != 0
    }

    pub(super) fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = self.flags;
        bytes[8..12].copy_from_slice(&self.raw_len.to_be_bytes());
        bytes[12..].copy_from_slice(&self.stored.to_be_bytes());
        bytes
    }

    pub(super) fn context(self, offset: u64) -> RecordContext {
        RecordContext {
            offset,
            flags: self.flags,
            raw_len: self.raw_len,
        }
    }
}

/// The first bytes of a segment file.
pub(super) fn segment_header(space: SpaceId, segment: SegmentId) -> [u8; SEGMENT_HEADER_LEN] {
    let mut bytes = [0; SEGMENT_HEADER_LEN];
    bytes[..7].copy_from_slice(&SEGMENT_MAGIC);
    bytes[7] = SEGMENT_VERSION;
    bytes[8..16].copy_from_slice(&space.0.to_be_bytes());
    bytes[16..].copy_from_slice(&segment.0);
    bytes
}

/// The space that the first bytes of a segment name, if they are of this segment.
pub(super) fn space_of(header: &[u8; SEGMENT_HEADER_LEN], segment: SegmentId) -> Option<SpaceId> {
    let space = i64::from_be_bytes(std::array::from_fn(|nth| header[8 + nth]));
    let space = SpaceId(space);
    (*header == segment_header(space, segment)).then_some(space)
}

/// Compresses a chunk if that pays.
pub(super) fn prepare(piece: Piece) -> Result<Prepared> {
    let Piece { id, plain } = piece;
    prepare_as(0, id, plain)
}

/// The same for the list of a content's chunks, which has no id.
pub(super) fn prepare_list(plain: Bytes) -> Result<Prepared> {
    prepare_as(FLAG_LIST, ChunkId([0; ID_LEN]), plain)
}

fn prepare_as(kind: u8, id: ChunkId, plain: Bytes) -> Result<Prepared> {
    if plain.len() > CHUNK_MAX {
        return Err(Error::Corrupt("a chunk is longer than chunks can be"));
    }
    let raw_len = length(plain.len());
    let (flags, body) = match compress(&plain) {
        Some(small) => (kind | FLAG_ZSTD, Bytes::from(small)),
        None => (kind, plain),
    };
    let stored = length(OVERHEAD + body.len());
    Ok(Prepared {
        id,
        header: Header {
            flags,
            raw_len,
            stored,
        },
        body,
    })
}

/// Appends the sealed record to `out`, for the place `offset` of the key's segment.
pub(super) fn seal(
    key: &RecordKey,
    offset: u64,
    prepared: &Prepared,
    out: &mut Vec<u8>,
) -> Result<()> {
    out.extend_from_slice(&prepared.header.encode());
    let text = out.len();
    out.extend_from_slice(&prepared.id.0);
    out.extend_from_slice(&prepared.body);
    let tag = key.seal(prepared.header.context(offset), &mut out[text..])?;
    out.extend_from_slice(&tag);
    Ok(())
}

/// Opens a whole record that was read from `offset`.
pub(super) fn open(
    key: &RecordKey,
    offset: u64,
    header: Header,
    mut record: Vec<u8>,
) -> Result<(ChunkId, Bytes)> {
    const SHORT: Error = Error::Corrupt("a record is too short");
    let sealed = record.get_mut(HEADER_LEN..).ok_or(SHORT)?;
    let (text, tag) = sealed.split_last_chunk_mut().ok_or(SHORT)?;
    key.open(header.context(offset), text, tag)?;
    let (&mut id, body) = text.split_first_chunk_mut::<ID_LEN>().ok_or(SHORT)?;
    let body_len = body.len();
    let plain = if header.flags & FLAG_ZSTD == 0 {
        let start = HEADER_LEN + ID_LEN;
        Bytes::from(record).slice(start..start + body_len)
    } else {
        let plain = decompress(body, header.raw_len as usize);
        Bytes::from(plain.ok_or(Error::Corrupt("a record does not decompress"))?)
    };
    if plain.len() != header.raw_len as usize {
        return Err(Error::Corrupt("a record holds another length than it says"));
    }
    Ok((ChunkId(id), plain))
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("records are at most 2 MiB and a little")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SpaceKey, SpaceKeys};

    #[test]
    fn a_header_reads_back_and_impossible_ones_do_not() {
        let header = Header {
            flags: FLAG_ZSTD,
            raw_len: 100,
            stored: 80,
        };
        let bytes = header.encode();
        assert_eq!(Header::parse(&bytes), Some(header));
        for (at, value) in [
            (0, b'X'),
            (4, 4),
            (5, 1),
            (7, 1),
            (8, 1),
            (12, 1),
            (15, 63),
            (15, 165),
        ] {
            let mut wrong = bytes;
            wrong[at] = value;
            assert_eq!(Header::parse(&wrong), None, "byte {at}");
        }
    }
    /// Changing this breaks every store there is.
    #[test]
    fn records_of_version_one_never_change() {
        let keys = SpaceKeys::derive(SpaceId(1), &SpaceKey::from_bytes([0x42; 32]));
        let (segment, plain) = (SegmentId([7; 16]), Bytes::from_static(b"fixture"));
        let mut bytes = segment_header(SpaceId(1), segment).to_vec();
        let prepared = prepare(Piece {
            id: keys.chunk_id(&plain),
            plain,
        })
        .unwrap();
        seal(&keys.record_key(segment), 32, &prepared, &mut bytes).unwrap();
        let hex = bytes
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let expected = [
            "53594e4353454701000000000000000107070707070707070707070707070707",
            "5352454300000000000000070000004735fec415663ae3655617e0dadecd5e87",
            "5e8b00c5e5cb93993decf358f6a35e3627c1718f7b9bafad170efa588a4cd396",
            "ea2d9c1db1d0aa",
        ];
        assert_eq!(hex, expected.concat());
    }
}
