//! Files that arrive in slices. What is there of them lies in memory, for a while and bounded: an
//! upload takes minutes, and a watch that learns that its slices are gone sends them again.
//!
//! Slices may come in any order and more than once. A slice that contradicts what is there begins
//! the file anew, so that no two contents are ever mixed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::error::Error;
use crate::types::{DeviceId, ETag, Millis, NodeId};

/// Files that one watch may have begun.
const OF_WATCH_MAX: usize = 3;
/// Files of all watches.
const FILES_MAX: usize = 512;
/// Bytes of all watches: eighty of the largest files.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a file is kept without another slice.
const IDLE: Duration = Duration::from_mins(10);
/// How long a finished file is remembered, because its last answer may be lost on the way.
const AGAIN: Duration = Duration::from_mins(1);
/// Most gaps in a file; a watch leaves two or three.
const GAPS_MAX: usize = 64;

/// A slice as it came.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    /// What makes names of files equal.
    pub(super) name: String,
    /// Bytes of the whole file, at least 1.
    pub(super) total: usize,
    /// Where the slice starts; it ends within the file.
    pub(super) offset: usize,
    /// Its bytes, at least one.
    pub(super) bytes: Bytes,
    /// CRC-32 of the whole file, if the watch says it.
    pub(super) whole: Option<u32>,
}

/// The file as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its id.
    pub(super) id: NodeId,
    /// Number of its version.
    pub(super) version: i64,
    /// Its tag, which tells whether it is still the same.
    pub(super) etag: ETag,
}

/// How far a file has come with a slice.
#[derive(Debug, PartialEq)]
pub(super) enum Progress {
    /// Something is missing.
    Part {
        /// Bytes that are there from the beginning without a gap.
        held: usize,
        /// Whether this slice has begun the file although it is not its beginning: slices sent
        /// before are gone.
        again: bool,
    },
    /// All of it is there.
    Whole(Bytes),
    /// It was there before, and this is the slice that finished it.
    Done(Kept),
}

/// The files that have begun.
#[derive(Default)]
pub(super) struct Slices(Mutex<HashMap<(DeviceId, String), File>>);

struct File {
    total: usize,
    whole: Option<u32>,
    touched: Millis,
    state: State,
}

enum State {
    /// Its bytes, and which of them have come: in order, apart from each other.
    Open {
        bytes: Vec<u8>,
        held: Vec<Range<usize>>,
    },
    /// The slice that finished it, and what became of it.
    Done {
        offset: usize,
        bytes: Bytes,
        kept: Kept,
    },
}

impl Slices {
    /// Takes a slice.
    pub(super) fn put(
        &self,
        device: DeviceId,
        slice: &Slice,
        now: Millis,
    ) -> Result<Progress, Error> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|_, file| !file.is_over(now));
        let key = (device, slice.name.clone());
        if let Some(kept) = files.get(&key).and_then(|file| file.finished_by(slice)) {
            return Ok(Progress::Done(kept));
        }
        let known = files.get(&key).is_some_and(|file| file.agrees_with(slice));
        if !known {
            files.remove(&key);
            make_room(&mut files, device, slice.total);
            files.insert(key.clone(), File::begin(slice, now));
        }
        let file = files.get_mut(&key).expect("it was there or was put there");
        let held = file.add(slice, now);
        if held < slice.total {
            let again = !known && slice.offset > 0;
            return Ok(Progress::Part { held, again });
        }
        let bytes = file.bytes();
        if slice
            .whole
            .is_some_and(|whole| whole != crc32fast::hash(&bytes))
        {
            files.remove(&key);
            return Err(Error::Crc);
        }
        Ok(Progress::Whole(bytes))
    }

    /// Notes that the file which a slice has finished is stored.
    pub(super) fn done(&self, device: DeviceId, slice: &Slice, kept: Kept, now: Millis) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (offset, bytes) = (slice.offset, slice.bytes.clone());
        let file = File {
            total: slice.total,
            whole: slice.whole,
            touched: now,
            state: State::Done {
                offset,
                bytes,
                kept,
            },
        };
        files.insert((device, slice.name.clone()), file);
    }

    /// Forgets a file: it was changed by others after it was stored.
    pub(super) fn forget(&self, device: DeviceId, slice: &Slice) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.remove(&(device, slice.name.clone()));
    }
}

/// Drops the files that had no slice for the longest time until there is room for one more.
fn make_room(files: &mut HashMap<(DeviceId, String), File>, device: DeviceId, bytes: usize) {
    while files.keys().filter(|(of, _)| *of == device).count() >= OF_WATCH_MAX {
        drop_oldest(files, |of| of == device);
    }
    while files.len() >= FILES_MAX
        || files.values().map(File::weight).sum::<usize>() + bytes > BYTES_MAX
    {
        drop_oldest(files, |_| true);
    }
}

fn drop_oldest(files: &mut HashMap<(DeviceId, String), File>, of: impl Fn(DeviceId) -> bool) {
    let candidates = files.iter().filter(|((device, _), _)| of(*device));
    let oldest = candidates.min_by_key(|(_, file)| file.touched);
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        files.remove(&key);
    }
}

impl File {
    fn begin(slice: &Slice, now: Millis) -> Self {
        Self {
            total: slice.total,
            whole: slice.whole,
            touched: now,
            state: State::Open {
                bytes: vec![0; slice.total],
                held: Vec::new(),
            },
        }
    }

    fn is_over(&self, now: Millis) -> bool {
        let life = match self.state {
            State::Open { .. } => IDLE,
            State::Done { .. } => AGAIN,
        };
        now >= self.touched.plus(life)
    }

    fn weight(&self) -> usize {
        match &self.state {
            State::Open { bytes, .. } => bytes.len(),
            State::Done { bytes, .. } => bytes.len(),
        }
    }

    /// What became of the file, when it is stored and `slice` is the one that finished it.
    fn finished_by(&self, slice: &Slice) -> Option<Kept> {
        let State::Done {
            offset,
            bytes,
            kept,
        } = &self.state
        else {
            return None;
        };
        let same = self.is_same_file(slice) && *offset == slice.offset && *bytes == slice.bytes;
        same.then(|| kept.clone())
    }

    fn is_same_file(&self, slice: &Slice) -> bool {
        self.total == slice.total && self.whole == slice.whole
    }

    /// Whether a slice can be of the same content as what is there.
    fn agrees_with(&self, slice: &Slice) -> bool {
        let State::Open { bytes, held } = &self.state else {
            return false;
        };
        let range = slice.range();
        let mut common = held.iter().filter_map(|held| overlap(held, &range));
        self.is_same_file(slice)
            && held.len() < GAPS_MAX
            && common.all(|at| {
                bytes[at.clone()] == slice.bytes[at.start - range.start..at.end - range.start]
            })
    }

    /// Puts a slice where it belongs; how many bytes are there now without a gap.
    fn add(&mut self, slice: &Slice, now: Millis) -> usize {
        self.touched = now;
        let State::Open { bytes, held } = &mut self.state else {
            return 0;
        };
        let mut range = slice.range();
        bytes[range.clone()].copy_from_slice(&slice.bytes);
        held.retain(|other| {
            let touches = other.start <= range.end && range.start <= other.end;
            if touches {
                range = other.start.min(range.start)..other.end.max(range.end);
            }
            !touches
        });
        let place = held.partition_point(|other| other.start < range.start);
        held.insert(place, range);
        held.first()
            .filter(|first| first.start == 0)
            .map_or(0, |first| first.end)
    }

    fn bytes(&self) -> Bytes {
        match &self.state {
            State::Open { bytes, .. } => Bytes::copy_from_slice(bytes),
            State::Done { bytes, .. } => bytes.clone(),
        }
    }
}

impl Slice {
    fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.bytes.len()
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> Option<Range<usize>> {
    let common = a.start.max(b.start)..a.end.min(b.end);
    (!common.is_empty()).then_some(common)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = Millis(1_000_000);
    const WATCH: DeviceId = DeviceId(1);

    fn slice(content: &[u8], range: Range<usize>) -> Slice {
        Slice {
            name: "a.gpx".to_owned(),
            total: content.len(),
            offset: range.start,
            bytes: Bytes::copy_from_slice(&content[range]),
            whole: None,
        }
    }

    fn put(slices: &Slices, slice: &Slice) -> Progress {
        slices.put(WATCH, slice, NOW).unwrap()
    }

    fn part(held: usize, again: bool) -> Progress {
        Progress::Part { held, again }
    }

    fn kept() -> Kept {
        Kept {
            id: NodeId(1),
            version: 1,
            etag: ETag::file(crate::types::ContentId(1)),
        }
    }

    #[test]
    fn slices_in_any_order_and_twice_make_the_file() {
        let (slices, content) = (Slices::default(), b"0123456789");
        assert_eq!(put(&slices, &slice(content, 4..8)), part(0, true));
        assert_eq!(put(&slices, &slice(content, 0..4)), part(8, false));
        assert_eq!(put(&slices, &slice(content, 0..4)), part(8, false));
        assert_eq!(put(&slices, &slice(content, 4..8)), part(8, false));
        let whole = put(&slices, &slice(content, 8..10));
        assert_eq!(whole, Progress::Whole(Bytes::from_static(content)));
    }

    #[test]
    fn the_slice_that_finished_a_file_is_answered_again_for_a_minute_and_others_begin_anew() {
        let (slices, content) = (Slices::default(), b"0123456789");
        put(&slices, &slice(content, 0..5));
        let last = slice(content, 5..10);
        assert!(matches!(put(&slices, &last), Progress::Whole(_)));
        // Not stored yet: the same again asks for it again.
        assert!(matches!(put(&slices, &last), Progress::Whole(_)));
        slices.done(WATCH, &last, kept(), NOW);
        assert_eq!(put(&slices, &last), Progress::Done(kept()));
        let later = NOW.plus(AGAIN);
        let after = slices.put(WATCH, &last, later).unwrap();
        assert_eq!(after, part(0, true));

        slices.done(WATCH, &last, kept(), later);
        let first = slices.put(WATCH, &slice(content, 0..5), later).unwrap();
        assert_eq!(first, part(5, false));
        slices.forget(WATCH, &last);
        assert_eq!(slices.put(WATCH, &last, later).unwrap(), part(0, true));
    }

    #[test]
    fn contents_are_never_mixed() {
        let slices = Slices::default();
        put(&slices, &slice(b"aaaaaaaaaa", 0..4));
        put(&slices, &slice(b"aaaaaaaaaa", 6..10));
        // Another content of the same size, then one of another size, then one with a CRC.
        assert_eq!(put(&slices, &slice(b"bbbbbbbbbb", 2..6)), part(0, true));
        assert_eq!(put(&slices, &slice(b"bbbbbbbbbb", 6..10)), part(0, false));
        assert_eq!(put(&slices, &slice(b"bbbbbbbbb", 0..3)), part(3, false));
        let mut other = slice(b"bbbbbbbbb", 3..6);
        other.whole = Some(1);
        assert_eq!(put(&slices, &other), part(0, true));
        let mut rest = slice(b"bbbbbbbbb", 6..9);
        rest.whole = Some(1);
        put(&slices, &rest);
        rest.offset = 0;
        assert_eq!(slices.put(WATCH, &rest, NOW), Err(Error::Crc));
        assert_eq!(put(&slices, &slice(b"bbbbbbbbb", 3..6)), part(0, true));
    }

    #[test]
    fn watches_do_not_see_the_slices_of_others() {
        let slices = Slices::default();
        put(&slices, &slice(b"aaaa", 0..2));
        let other = slices.put(DeviceId(2), &slice(b"aaaa", 2..4), NOW);
        assert_eq!(other.unwrap(), part(0, true));
    }

    #[test]
    fn what_lies_too_long_or_takes_too_much_room_is_dropped() {
        let slices = Slices::default();
        let named = |name: &str| Slice {
            name: name.to_owned(),
            ..slice(b"aaaa", 0..2)
        };
        let rest = |name: &str| Slice {
            name: name.to_owned(),
            ..slice(b"aaaa", 2..4)
        };
        for (at, name) in ["a", "b", "c", "d"].iter().enumerate() {
            let now = Millis(NOW.0 + i64::try_from(at).unwrap());
            slices.put(WATCH, &named(name), now).unwrap();
        }
        let whole = |name: &str, now| {
            let put = slices.put(WATCH, &rest(name), now).unwrap();
            matches!(put, Progress::Whole(_))
        };
        assert!(whole("b", NOW) && whole("d", NOW) && !whole("a", NOW));
        assert!(!whole("d", NOW.plus(IDLE).plus(Duration::from_secs(1))));

        let large = vec![0; 100 * 1024];
        for device in 10..200 {
            let begun = slices.put(DeviceId(device), &slice(&large, 0..1), NOW);
            assert_eq!(begun.unwrap(), part(1, false));
        }
        let files = slices.0.lock().unwrap();
        let bytes: usize = files.values().map(File::weight).sum();
        assert!((BYTES_MAX / 2..=BYTES_MAX).contains(&bytes), "{bytes}");
    }

    proptest! {
        #[test]
        fn whatever_slices_come_the_file_is_whole_exactly_when_all_bytes_have_come(
            content in proptest::collection::vec(any::<u8>(), 1..60),
            cuts in proptest::collection::vec((0..60_usize, 1..20_usize), 1..40),
        ) {
            let slices = Slices::default();
            let mut seen = vec![false; content.len()];
            for (start, length) in cuts {
                let start = start % content.len();
                let end = (start + length).min(content.len());
                seen[start..end].fill(true);
                let gapless = seen.iter().take_while(|seen| **seen).count();
                match put(&slices, &slice(&content, start..end)) {
                    Progress::Whole(bytes) => {
                        prop_assert_eq!(&bytes[..], &content[..]);
                        prop_assert_eq!(gapless, content.len());
                    }
                    Progress::Part { held, .. } => prop_assert_eq!(held, gapless),
                    Progress::Done(_) => prop_assert!(false),
                }
            }
        }
    }
}
