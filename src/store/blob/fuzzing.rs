//! Records and segments from bytes that anybody may have written.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::record::{self, HEADER_LEN, Header, SEGMENT_HEADER_LEN};
use super::{Piece, Place, scan};
use crate::crypto::{RecordKey, SegmentId, SpaceKey, SpaceKeys};
use crate::fuzzing::{choice, damage};
use crate::types::SpaceId;

const SPACE: SpaceId = SpaceId(1);
const SEGMENT: SegmentId = SegmentId([7; 16]);
const START: u64 = SEGMENT_HEADER_LEN as u64;
/// Most records of a segment that is made here.
const RECORDS_MAX: usize = 8;

fn keys() -> SpaceKeys {
    SpaceKeys::derive(SPACE, &SpaceKey::from_bytes([0x42; 32]))
}

/// A record opens only when it is the one that was sealed there, and gives as many bytes as it says.
///
/// Every second input is sealed first: then the bytes come from somebody who has the key.
pub(crate) fn record(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    let key = keys().record_key(SEGMENT);
    let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
        return;
    };
    let Some(header) = Header::parse(head) else {
        return;
    };
    assert_eq!(header.encode(), *head);
    let mut whole = bytes.to_vec();
    if kind % 2 == 1 {
        seal(&key, header, &mut whole);
    }
    if let Ok((id, plain)) = record::open(&key, START, header, whole.clone()) {
        assert_eq!(plain.len(), header.raw_len as usize);
        assert_eq!(id.0[..], text(&key, header, &whole)[..32]);
    }
}

/// Takes the bytes behind the head as the plaintext.
fn seal(key: &RecordKey, header: Header, whole: &mut Vec<u8>) {
    let tag = key.seal(header.context(START), &mut whole[HEADER_LEN..]);
    whole.extend(tag.expect("it seals"));
}

/// The plaintext of a record that opens.
fn text(key: &RecordKey, header: Header, whole: &[u8]) -> Vec<u8> {
    let mut whole = whole.to_vec();
    let (text, tag) = whole[HEADER_LEN..]
        .split_last_chunk_mut()
        .expect("it opened");
    key.open(header.context(START), text, tag)
        .expect("it opened");
    text.to_vec()
}

/// Whatever happens to a segment, the records that nothing happened to are found where they are, and
/// nothing else is.
pub(crate) fn segment(bytes: &[u8]) {
    let (count, bytes) = choice(bytes);
    let (lengths, instructions) =
        bytes.split_at(bytes.len().min(usize::from(count) % (RECORDS_MAX + 1)));
    let (keys, mut whole) = (keys(), record::segment_header(SPACE, SEGMENT).to_vec());
    let key = keys.record_key(SEGMENT);
    let mut all = Vec::new();
    for (nth, length) in (0_u8..).zip(lengths) {
        let plain = Bytes::from(vec![nth; usize::from(*length) * 9]);
        let id = keys.chunk_id(&plain);
        let prepared = record::prepare(Piece { id, plain }).expect("it is short");
        let place = Place {
            segment: SEGMENT,
            offset: whole.len() as u64,
            stored: prepared.stored(),
        };
        record::seal(&key, place.offset, &prepared, &mut whole).expect("it seals");
        all.push((id, place));
    }
    let body = &mut whole[SEGMENT_HEADER_LEN..];
    let changed: Vec<u64> = damage(body, instructions)
        .iter()
        .map(|at| *at as u64 + START)
        .collect();
    let found = on_disk(&whole, |file| scan::scan(file, &key, SEGMENT)).expect("it can be read");
    for (id, place) in &all {
        let end = place.offset + u64::from(place.stored);
        let touched = changed.iter().any(|at| (place.offset..end).contains(at));
        let known = found
            .records
            .iter()
            .any(|record| record.id == *id && record.place == *place);
        assert!(
            touched || known,
            "a record at {} was not found",
            place.offset
        );
    }
    for record in &found.records {
        assert!(
            all.contains(&(record.id, record.place)),
            "nothing was at {}",
            record.place.offset
        );
    }
}

/// Gives a file that holds the bytes, and has no name.
pub(in crate::store) fn on_disk<T>(bytes: &[u8], then: impl FnOnce(&File) -> T) -> T {
    thread_local! {
        static FILE: File = nameless();
    }
    FILE.with(|file| {
        file.set_len(0)
            .and_then(|()| file.write_all_at(bytes, 0))
            .expect("there is room");
        then(file)
    })
}

fn nameless() -> File {
    let name = format!("sync-fuzz-{:016x}", getrandom::u64().expect("random bytes"));
    let path = std::env::temp_dir().join(name);
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .expect("a temporary file");
    std::fs::remove_file(&path).expect("it was just made");
    file
}
