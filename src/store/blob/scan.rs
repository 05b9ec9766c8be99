//! Finding the records of a segment without the database.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Place;
use super::list::List;
use super::record::{self, HEADER_LEN, Header, MAGIC, OVERHEAD, SEGMENT_HEADER_LEN};
use crate::crypto::{ChunkId, RecordKey, SegmentId};
use crate::store::{Error, Result};

/// Bytes looked through at once for the next record behind damage.
const WINDOW: usize = 64 * 1024;
/// Bytes that are left out where the disk gives none: what the system reads at least.
const PAGE: u64 = 4096;

/// Reads bytes at an offset: how many, fewer than there is room for when others cannot be read.
type ReadAt<'f> = &'f dyn Fn(&mut [u8], u64) -> io::Result<usize>;

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

/// Looks at every record; behind one that is damaged or cannot be read it goes on with the next that opens.
pub(super) fn scan(file: &File, key: &RecordKey, segment: SegmentId) -> Result<Scan> {
    let length = file
        .metadata()
        .map_err(Error::io("reading a segment"))?
        .len();
    let held = Held {
        read: &|bytes, at| file.read_at(bytes, at),
        length,
        key,
        segment,
    };
    Ok(held.scan())
}

/// A segment to be looked through.
struct Held<'f> {
    read: ReadAt<'f>,
    length: u64,
    key: &'f RecordKey,
    segment: SegmentId,
}

impl Held<'_> {
    fn scan(&self) -> Scan {
        let (mut scan, mut unread) = (Scan::default(), Unread::default());
        let mut at = SEGMENT_HEADER_LEN as u64;
        while at + OVERHEAD as u64 <= self.length {
            if let Some((id, header, list)) = self.whole_record(at, &mut unread) {
                scan.lists.extend(list);
                if !header.is_list() {
                    let place = Place {
                        segment: self.segment,
                        offset: at,
                        stored: header.stored,
                    };
                    scan.records.push(Scanned {
                        id,
                        place,
                        raw_len: header.raw_len,
                    });
                }
                at += u64::from(header.stored);
                continue;
            }
            let next = self.next_magic(at + 1, &mut unread).unwrap_or(self.length);
            scan.damaged += next - at;
            at = next;
        }
        scan.damaged += self.length.saturating_sub(at);
        if let Some(error) = unread.first {
            let (segment, places) = (self.segment, unread.places);
            tracing::error!(%segment, places, "places of a segment cannot be read: {error}");
        }
        scan
    }

    fn whole_record(
        &self,
        offset: u64,
        unread: &mut Unread,
    ) -> Option<(ChunkId, Header, Option<List>)> {
        let mut head = [0; HEADER_LEN];
        self.fill(&mut head, offset, unread)?;
        let header = Header::parse(&head)?;
        if offset + u64::from(header.stored) > self.length {
            return None;
        }
        let mut bytes = vec![0; header.stored as usize];
        self.fill(&mut bytes, offset, unread)?;
        let (id, plain) = record::open(self.key, offset, header, bytes).ok()?;
        // One that we do not understand is of a later program.
        let list = header.is_list().then(|| List::decode(&plain)).flatten();
        Some((id, header, list))
    }

    /// Reads all bytes there is room for; `None` when some cannot be read.
    fn fill(&self, bytes: &mut [u8], offset: u64, unread: &mut Unread) -> Option<()> {
        let mut done = 0;
        while done < bytes.len() {
            let read = self.read(&mut bytes[done..], offset + done as u64, unread)?;
            if read == 0 {
                return None;
            }
            done += read;
        }
        Some(())
    }

    /// Where the next thing that may be a record begins.
    fn next_magic(&self, from: u64, unread: &mut Unread) -> Option<u64> {
        let mut window = vec![0; WINDOW];
        let mut at = from;
        while at + OVERHEAD as u64 <= self.length {
            let Some(read) = self.read(&mut window, at, unread) else {
                at = (at / PAGE + 1) * PAGE;
                continue;
            };
            if read == 0 {
                return None;
            }
            let found = window[..read]
                .windows(MAGIC.len())
                .position(|bytes| bytes == MAGIC);
            if let Some(found) = found {
                return Some(at + found as u64);
            }
            // The last bytes may be the beginning of one.
            at += read.saturating_sub(MAGIC.len() - 1).max(1) as u64;
        }
        None
    }

    fn read(&self, bytes: &mut [u8], at: u64, unread: &mut Unread) -> Option<usize> {
        loop {
            match (self.read)(bytes, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    unread.places += 1;
                    unread.first.get_or_insert(error);
                    return None;
                }
                Ok(read) => return Some(read),
            }
        }
    }
}

/// What the disk did not give.
#[derive(Default)]
struct Unread {
    places: u64,
    first: Option<io::Error>,
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use bytes::Bytes;

    use super::*;
    use crate::crypto::{SpaceKey, SpaceKeys};
    use crate::store::blob::Piece;
    use crate::types::SpaceId;

    const SEGMENT: SegmentId = SegmentId([7; 16]);

    /// A segment of records of noise, and where each lies.
    fn segment(keys: &SpaceKeys, lengths: &[usize]) -> (Vec<u8>, Vec<Range<u64>>) {
        let mut bytes = record::segment_header(keys.space, SEGMENT).to_vec();
        let mut places = Vec::new();
        for length in lengths {
            let mut plain = vec![0; *length];
            getrandom::fill(&mut plain).unwrap();
            let (plain, at) = (Bytes::from(plain), bytes.len() as u64);
            let id = keys.chunk_id(&plain);
            let prepared = record::prepare(Piece { id, plain }).unwrap();
            record::seal(&keys.record_key(SEGMENT), at, &prepared, &mut bytes).unwrap();
            places.push(at..bytes.len() as u64);
        }
        (bytes, places)
    }

    /// Reads as a disk with bad pages does: up to the first of them, and an error in it.
    fn read_around(bytes: &[u8], bad: &[u64], into: &mut [u8], at: u64) -> io::Result<usize> {
        let is_bad = |at: u64| bad.contains(&(at / PAGE));
        if is_bad(at) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let end = (at + into.len() as u64).min(bytes.len() as u64);
        let end = (at..end).find(|at| is_bad(*at)).unwrap_or(end);
        let (from, to) = (usize::try_from(at).unwrap(), usize::try_from(end).unwrap());
        let found = bytes.get(from..to).unwrap_or_default();
        into[..found.len()].copy_from_slice(found);
        Ok(found.len())
    }

    #[test]
    fn what_lies_around_places_that_cannot_be_read_is_found() {
        let keys = SpaceKeys::derive(SpaceId(1), &SpaceKey::generate().unwrap());
        let lengths = [100, 9000, 3000, 50, 20_000, 200, 5000, 7000, 10];
        let (bytes, places) = segment(&keys, &lengths);
        let pages = bytes.len() as u64 / PAGE;
        let pairs = (0..pages).flat_map(|one| (one..=pages).map(move |two| [one, two]));
        for bad in pairs {
            let held = Held {
                read: &|into, at| read_around(&bytes, &bad, into, at),
                length: bytes.len() as u64,
                key: &keys.record_key(SEGMENT),
                segment: SEGMENT,
            };

            let scan = held.scan();

            let is_readable = |place: &&Range<u64>| {
                let pages = place.start / PAGE..=(place.end - 1) / PAGE;
                bad.iter().all(|page| !pages.contains(page))
            };
            let readable: Vec<_> = places.iter().filter(is_readable).collect();
            let found = scan.records.iter().map(|found| found.place.offset);
            let expected: Vec<_> = readable.iter().map(|place| place.start).collect();
            assert_eq!(found.collect::<Vec<_>>(), expected, "without {bad:?}");
            let sound: u64 = readable.iter().map(|place| place.end - place.start).sum();
            let header = SEGMENT_HEADER_LEN as u64;
            assert_eq!(scan.damaged, bytes.len() as u64 - header - sound);
        }
    }

    /// The disk gives an error, not the test: nothing is mapped at the beginning of a process.
    #[test]
    fn a_file_that_cannot_be_read_at_all_holds_nothing() {
        let keys = SpaceKeys::derive(SpaceId(1), &SpaceKey::generate().unwrap());
        let file = File::open("/proc/self/mem").unwrap();
        let length = 16 * PAGE + 5;
        let held = Held {
            read: &|bytes, at| file.read_at(bytes, at),
            length,
            key: &keys.record_key(SEGMENT),
            segment: SEGMENT,
        };

        let scan = held.scan();

        assert_eq!((scan.records, scan.lists), (Vec::new(), Vec::new()));
        assert_eq!(scan.damaged, length - SEGMENT_HEADER_LEN as u64);
    }
}
