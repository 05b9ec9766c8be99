//! Finding the records of a segment without the database.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::list::List;
use super::record::{self, HEADER_LEN, Header, MAGIC, OVERHEAD, SEGMENT_HEADER_LEN};
use super::{Place, read_exact};
use crate::crypto::{ChunkId, RecordKey, SegmentId};
use crate::store::{Error, Result};

/// Bytes looked through at once for the next record behind damage.
const WINDOW: usize = 64 * 1024;

/// One record that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The chunk's id.
    pub id: ChunkId,
    /// Where it lies.
    pub place: Place,
    /// Bytes of the chunk before compression.
    pub raw_len: u32,
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The whole records, in the order they lie.
    pub records: Vec<Scanned>,
    /// The lists of contents.
    pub lists: Vec<List>,
    /// Bytes that belong to no whole record: damage, or the end of a write that a crash cut short.
    pub damaged: u64,
    /// Whether another key than the newest of the space has sealed it.
    pub by_older: bool,
}

/// Looks at every record; behind a damaged one it goes on with the next that opens.
pub(super) fn scan(file: &File, key: &RecordKey, segment: SegmentId) -> Result<Scan> {
    let length = file
        .metadata()
        .map_err(Error::io("reading a segment"))?
        .len();
    let mut scan = Scan::default();
    let mut at = SEGMENT_HEADER_LEN as u64;
    while at + OVERHEAD as u64 <= length {
        if let Some((id, header, list)) = whole_record(file, key, at, length)? {
            scan.lists.extend(list);
            if header.is_list() {
                at += u64::from(header.stored);
                continue;
            }
            let place = Place {
                segment,
                offset: at,
                stored: header.stored,
            };
            scan.records.push(Scanned {
                id,
                place,
                raw_len: header.raw_len,
            });
            at += u64::from(header.stored);
            continue;
        }
        let next = next_magic(file, at + 1, length)?.unwrap_or(length);
        scan.damaged += next - at;
        at = next;
    }
    scan.damaged += length.saturating_sub(at);
    Ok(scan)
}

fn whole_record(
    file: &File,
    key: &RecordKey,
    offset: u64,
    length: u64,
) -> Result<Option<(ChunkId, Header, Option<List>)>> {
    let mut head = [0; HEADER_LEN];
    read_exact(file, &mut head, offset)?;
    let Some(header) = Header::parse(&head) else {
        return Ok(None);
    };
    if offset + u64::from(header.stored) > length {
        return Ok(None);
    }
    let mut bytes = vec![0; header.stored as usize];
    read_exact(file, &mut bytes, offset)?;
    let Ok((id, plain)) = record::open(key, offset, header, bytes) else {
        return Ok(None);
    };
    // One that we do not understand is of a later program.
    let list = header.is_list().then(|| List::decode(&plain)).flatten();
    Ok(Some((id, header, list)))
}

/// Where the next thing that may be a record begins.
fn next_magic(file: &File, from: u64, length: u64) -> Result<Option<u64>> {
    let mut window = vec![0; WINDOW];
    let mut at = from;
    while at + OVERHEAD as u64 <= length {
        let read = file
            .read_at(&mut window, at)
            .map_err(Error::io("reading a segment"))?;
        if read < MAGIC.len() {
            return Ok(None);
        }
        let found = window[..read]
            .windows(MAGIC.len())
            .position(|bytes| bytes == MAGIC);
        if let Some(found) = found {
            return Ok(Some(at + found as u64));
        }
        // The last bytes may be the beginning of one.
        at += (read - MAGIC.len() + 1) as u64;
    }
    Ok(None)
}
