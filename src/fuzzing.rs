//! What `fuzz/` throws bytes at: every parser of bytes from outside, with what must hold for all of them.
//! A target panics when something does not; `docs/TESTING.md` says how they are run.

use bytes::Bytes;

use crate::chunk::Manifest;
use crate::chunk::patch;
use crate::chunk::signature::{ENTRY_LEN, Match, Signature};
use crate::crypto::decompress;
use crate::protocol::stream::{self, Decoder, Record, StreamError};
use crate::store::content::Checksum;
use crate::tree::{Cursor, FeedCursor, TrashMark};
use crate::types::{ETag, Epoch, NodePath};

/// Takes any bytes; panics when the program is wrong.
pub type Target = fn(&[u8]);

/// All targets by name: the names of the folders below `fuzz/corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("node_path", node_path),
    ("cursors", cursors),
    ("checksum", checksum),
    ("manifest", manifest),
    ("patch", patch),
    ("signature", signature),
    ("stream", records_of),
    ("record", crate::store::fuzz_record),
    ("segment", crate::store::fuzz_segment),
    ("snapshot", crate::store::fuzz_snapshot),
    ("sealed", crate::crypto::fuzzing::sealed),
    ("key_file", crate::crypto::fuzzing::key_file),
    ("credentials", crate::accounts::fuzzing::credentials),
    ("basic", crate::server::fuzzing::basic),
    ("config", crate::server::fuzzing::config),
    ("compressed", crate::server::fuzzing::compressed),
    ("dav_request", crate::server::fuzzing::dav_request),
    ("dav_xml", crate::server::fuzzing::dav_xml),
    ("dav_dates", crate::server::fuzzing::dav_dates),
    ("api_body", crate::server::fuzzing::api_body),
    ("api_query", crate::server::fuzzing::api_query),
    ("garmin", crate::server::fuzzing::garmin),
];

/// Takes the first byte as a choice; 0 without any.
pub(crate) fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes
        .split_first()
        .map_or((0, bytes), |(&first, rest)| (first, rest))
}

/// Changes single bytes: each three are a place and what is added there.
pub(crate) fn damage(whole: &mut [u8], instructions: &[u8]) -> Vec<usize> {
    let length = whole.len();
    let steps = instructions.as_chunks::<3>().0.iter();
    let mut changed = Vec::new();
    for [high, low, bits] in steps.filter(|_| length > 0) {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % length;
        whole[at] ^= bits;
        if *bits != 0 {
            changed.push(at);
        }
    }
    changed
}

fn node_path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for path in [NodePath::parse(text), NodePath::from_url(text)]
        .into_iter()
        .flatten()
    {
        let written = path.to_string();
        assert_eq!(NodePath::parse(&written).as_ref(), Ok(&path));
        for name in path.names() {
            assert!(
                !matches!(name.as_str(), "" | "." | "..") && !name.as_str().contains(['/', '\0'])
            );
            assert_eq!(
                crate::types::NodeName::parse(&name.key()).map(|name| name.key()),
                Ok(name.key())
            );
        }
    }
}

/// A cursor of this server that was read and written is read as the same again. Those without an epoch
/// are of old servers, and refused later.
fn cursors(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let ours = Epoch::split(text).0.is_some();
    if let Some(cursor) = Cursor::parse(text).filter(|_| ours) {
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
    }
    if let Some(cursor) = FeedCursor::parse(text).filter(|_| ours) {
        let written = cursor.to_string();
        let again = FeedCursor::parse(&written).map(|cursor| cursor.to_string());
        assert_eq!(again, Some(written));
    }
    if let Some(mark) = TrashMark::parse(text) {
        assert_eq!(TrashMark::parse(&mark.to_string()), Some(mark));
    }
    if let Some(epoch) = Epoch::parse(text) {
        assert_eq!(epoch.to_string(), text);
    }
    let tag = ETag::parse(text);
    if let Some(content) = tag.content() {
        assert_eq!(ETag::file(content), tag);
    }
}

fn checksum(bytes: &[u8]) {
    let known = std::str::from_utf8(bytes).ok().and_then(Checksum::parse);
    if let Some(known) = known {
        assert_eq!(Checksum::parse(known.as_str()).as_ref(), Some(&known));
    }
}

/// There is one form for each manifest.
fn manifest(bytes: &[u8]) {
    let Some(manifest) = Manifest::decode(bytes) else {
        return;
    };
    assert_eq!(manifest.encode(), bytes);
    for skipped in [0, 1, manifest.rows() / 2, manifest.rows()] {
        let behind = manifest.behind(skipped);
        let rows: u64 = behind.iter().map(|(_, rows)| u64::from(*rows)).sum();
        assert_eq!(rows, manifest.rows() - skipped.min(manifest.rows()));
    }
}

/// What is unpacked is as long as it was said to be, whatever was packed.
fn patch(bytes: &[u8]) {
    let Some((&[kind, cut, high, low], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let (prefix, rest) = rest.split_at(usize::from(cut).min(rest.len()));
    let length = usize::from(u16::from_be_bytes([high, low]));
    if let Ok(raw) = patch::decode(prefix, rest, length) {
        assert_eq!(raw.len(), length);
    }
    if let Some(raw) = decompress(rest, length) {
        assert!(raw.len() <= length);
    }
    if kind == 1 {
        let packed = patch::encode(prefix, rest).expect("there is memory");
        assert_eq!(
            patch::decode(prefix, &packed, rest.len()).as_deref(),
            Ok(rest)
        );
    }
}

/// What is found covers the new bytes once, in their order, and copies only what the ranges hold.
fn signature(bytes: &[u8]) {
    let Some((&[block, entries, short, gap], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let block = usize::from(block);
    let cut = (usize::from(entries) * ENTRY_LEN).min(rest.len());
    let (listed, new) = rest.split_at(cut);
    let length = (u64::from(entries) * block as u64).saturating_sub(u64::from(short));
    let start = u64::from(gap);
    let range = start..start + length;
    let Some(signature) = Signature::parse(std::slice::from_ref(&range), block, listed) else {
        return;
    };
    let mut at = 0;
    for part in signature.match_blocks(new) {
        match part {
            Match::Copy { base, len } => {
                assert!(range.start <= base && base + len <= range.end);
                at += usize::try_from(len).expect("it is a part");
            }
            Match::Literal(place) => {
                assert_eq!(place.start, at);
                at = place.end;
            }
        }
    }
    assert_eq!(at, new.len());
}

/// However a stream is cut, it says the same, and what can be read has one form.
fn records_of(bytes: &[u8]) {
    let (step, bytes) = choice(bytes);
    let whole = records(bytes, bytes.len().max(1));
    assert_eq!(whole, records(bytes, usize::from(step).max(1)));
    if let (records, Ok(())) = whole {
        assert_eq!(written(&records), bytes);
    }
}

type Read = (Vec<Record>, Result<(), StreamError>);

fn records(bytes: &[u8], step: usize) -> Read {
    let (mut decoder, mut records) = (Decoder::new(), Vec::new());
    for piece in bytes.chunks(step) {
        decoder.feed(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some(record)) => add(&mut records, record),
                Ok(None) => break,
                Err(error) => return (records, Err(error)),
            }
        }
    }
    (records, decoder.finish())
}

/// Parts of one literal become one, so that it does not matter how they came.
fn add(records: &mut Vec<Record>, record: Record) {
    if let (Some(Record::LitPart(first)), Record::LitPart(next)) = (records.last_mut(), &record) {
        *first = [&first[..], next].concat().into();
    } else {
        records.push(record);
    }
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    stream::magic(&mut out);
    for record in records {
        match record {
            Record::File(json) => stream::file(&mut out, json),
            Record::Copy { offset, len } => stream::copy(&mut out, *offset, *len),
            Record::Ref(blinded) => stream::reference(&mut out, blinded),
            Record::Lit { len } => stream::lit_head(&mut out, *len),
            Record::LitPart(part) => out.extend_from_slice(part),
            Record::Patch {
                base_offset,
                base_len,
                raw_len,
                packed,
            } => {
                stream::patch(&mut out, *base_offset, *base_len, *raw_len, packed);
            }
            Record::Same => stream::same(&mut out),
            Record::End => stream::end(&mut out),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn entries(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn what_was_collected_and_what_was_found_once_holds_today() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let mut bytes = 0;
        for (name, target) in TARGETS {
            let corpus = entries(&fuzz.join("corpus").join(name));
            assert!(!corpus.is_empty(), "there is nothing for {name}");
            for file in corpus
                .iter()
                .chain(&entries(&fuzz.join("regressions").join(name)))
            {
                let input = fs::read(file).unwrap();
                bytes += input.len();
                // Shown when it fails.
                println!("{}", file.display());
                target(&input);
            }
        }
        assert!(bytes <= 1 << 20, "{bytes} bytes are too many to keep");
    }

    #[test]
    fn every_folder_is_that_of_a_target() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let known: BTreeSet<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        for folder in ["corpus", "regressions"] {
            for entry in entries(&fuzz.join(folder)) {
                let name = entry.file_name().unwrap().to_str().unwrap();
                assert!(known.contains(name), "{}", entry.display());
            }
        }
    }
}
