//! Sealed objects, wrapped keys and key files from bytes that anybody may have written.

use std::path::PathBuf;
use std::sync::LazyLock;

use super::{Blinded, MasterKey, SpaceKey, SpaceKeys, Wrapped};
use crate::fuzzing::{choice, damage};
use crate::types::SpaceId;

const SPACE: SpaceId = SpaceId(7);
const ROOT: Blinded = Blinded([5; 16]);
const PLAIN: &[u8] = b"a few bytes, and a few bytes, and a few bytes";

struct Known {
    master: MasterKey,
    keys: SpaceKeys,
    wrapped: Vec<u8>,
    sealed: Vec<u8>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let (master, key) = (
        MasterKey::generate().expect("random bytes"),
        SpaceKey::from_bytes([9; 32]),
    );
    let keys = SpaceKeys::derive(SPACE, &key);
    Known {
        wrapped: master.wrap(Wrapped::Space, SPACE, &key).expect("it seals"),
        sealed: keys.seal_inline(ROOT, PLAIN).expect("it seals"),
        master,
        keys,
    }
});

/// A wrapped key and an inline object open as they were made, and not with any difference.
pub(crate) fn sealed(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    let (known, cut) = (&*KNOWN, usize::from(kind / 4));
    let whole = if kind % 2 == 0 {
        &known.wrapped
    } else {
        &known.sealed
    };
    let mut changed = whole[..whole.len() - cut.min(whole.len())].to_vec();
    damage(&mut changed, bytes);
    if kind & 2 == 2 {
        changed = bytes.to_vec();
    }
    let opens = if kind % 2 == 0 {
        known.master.unwrap(Wrapped::Space, SPACE, &changed).is_ok()
    } else {
        let opened = known.keys.open_inline(ROOT, &changed);
        assert!(opened.is_err() || opened.as_deref().ok() == Some(PLAIN));
        opened.is_ok()
    };
    assert_eq!(opens, changed == *whole);
}

/// A key file is read or refused; the same key is read again from what it was written as.
pub(crate) fn key_file(bytes: &[u8]) {
    let path = temporary();
    std::fs::write(&path, bytes).expect("there is room");
    let read = MasterKey::load_or_create(&path);
    std::fs::remove_file(&path).expect("it was just made");
    if let Ok((key, _)) = read {
        let line = std::str::from_utf8(bytes)
            .expect("a key is text")
            .trim_ascii_end();
        std::fs::write(&path, line).expect("there is room");
        let (again, _) = MasterKey::load_or_create(&path).expect("it was read before");
        std::fs::remove_file(&path).expect("it was just made");
        assert_eq!(again.fingerprint(), key.fingerprint());
        assert_eq!(line.len(), 62);
    }
}

fn temporary() -> PathBuf {
    thread_local! {
        static NAME: String = format!("sync-fuzz-{:016x}", getrandom::u64().expect("random bytes"));
    }
    NAME.with(|name| std::env::temp_dir().join(name))
}
