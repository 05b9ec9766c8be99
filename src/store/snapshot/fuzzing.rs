//! Snapshots, their pages and small files beside them from bytes that anybody may have written.

use std::io::{Seek as _, SeekFrom};
use std::sync::LazyLock;

use super::file::{Head, Kind, Reader, seal};
use super::page::{Cell, Page, Window};
use super::recent::{Small, fuzzed, parse};
use crate::crypto::MasterKey;
use crate::fuzzing::{choice, damage};
use crate::store::Result;
use crate::store::blob::fuzzing::on_disk;
use crate::types::{Millis, SpaceId};

struct Known {
    master: MasterKey,
    /// The frames of a snapshot, and the file of them.
    frames: Vec<Vec<u8>>,
    snapshot: Vec<u8>,
    /// Small contents, and the file of them.
    small: Vec<Small>,
    recent: Vec<u8>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let master = MasterKey::generate().expect("random bytes");
    let head = Head {
        kind: Kind::Base,
        number: 1,
        id: [3; 16],
        before: [0; 16],
        taken: Millis(5),
    };
    let header = head.encode(&master);
    let key = master.snapshot_key(&head.id, &header);
    let (mut snapshot, mut frames) = (header.to_vec(), Vec::new());
    for (number, last) in [(0, false), (1, false), (2, true)] {
        let row = vec![Cell::Null, Cell::Int(-1), Cell::Text("a".repeat(90))];
        let window = Window { unit: 3, at: 1 };
        let tables = vec![vec![row; 3], Vec::new()];
        let mut text = Vec::new();
        Page { window, tables }.encode(&mut text);
        snapshot.extend(seal(&key, number, last, text.clone()).expect("it seals"));
        frames.push(text);
    }
    let small: Vec<_> = (1..4).map(small).collect();
    Known {
        recent: fuzzed(&master, &small),
        master,
        frames,
        snapshot,
        small,
    }
});

fn small(nth: u8) -> Small {
    Small {
        space: SpaceId(i64::from(nth)),
        at: Millis(7),
        name: "a name".to_owned(),
        bytes: vec![nth; 30],
    }
}

/// What opens is what was sealed, up to where it was changed; and there is one form for each page and
/// each small file.
pub(crate) fn snapshot(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    match kind % 4 {
        0 => page(bytes),
        1 => one_small(bytes),
        2 => whole(kind, bytes),
        _ => beside(kind, bytes),
    }
}

fn page(bytes: &[u8]) {
    let (mut read, mut skipped) = (bytes, bytes);
    let Some(page) = Page::decode(&mut read) else {
        return;
    };
    let (window, _) = Page::skip(&mut skipped).expect("it was read");
    assert_eq!((window, skipped), (page.window, read));
    let mut again = Vec::new();
    page.encode(&mut again);
    assert_eq!(again, bytes[..bytes.len() - read.len()]);
}

fn one_small(bytes: &[u8]) {
    if let Some(small) = Small::decode(bytes) {
        let mut again = Vec::new();
        small.encode(&mut again);
        assert_eq!(again, bytes);
    }
}

/// The file with some bytes changed or its end cut off.
fn changed(whole: &[u8], cut: u8, instructions: &[u8]) -> Vec<u8> {
    let kept = whole.len().saturating_sub(usize::from(cut));
    let mut changed = whole[..kept].to_vec();
    damage(&mut changed, instructions);
    changed
}

fn whole(kind: u8, instructions: &[u8]) {
    let known = &*KNOWN;
    let changed = changed(&known.snapshot, kind / 4, instructions);
    let frames: Result<Vec<_>> = on_disk(&changed, |mut file| {
        file.seek(SeekFrom::Start(0)).expect("it is a file");
        let file = file.try_clone().expect("it is open");
        let mut reader = Reader::over(file, &known.master)?;
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame()? {
            assert_eq!(Some(&frame), known.frames.get(frames.len()));
            frames.push(frame);
        }
        Ok(frames)
    });
    assert_eq!(frames.is_ok(), changed == known.snapshot);
}

fn beside(kind: u8, instructions: &[u8]) {
    let known = &*KNOWN;
    let changed = changed(&known.recent, kind / 4, instructions);
    let found = parse(&changed, &known.master).unwrap_or_default();
    assert_eq!(found, known.small[..found.len()]);
    assert_eq!(found.len() == 3, changed == known.recent);
}
