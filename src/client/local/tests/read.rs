use std::fs::{self, File};
use std::io::Write;

use super::world::World;
use crate::chunk::{Class, Cutter};
use crate::client::local::read::{self, ReadError, cut, each_chunk};
use crate::client::local::stamp::Stamp;
use crate::crypto::ClientKeys;

fn keys() -> ClientKeys {
    let key = "0123456789abcdef".repeat(4);
    ClientKeys::parse(
        &key,
        &key.replace('0', "1"),
        &key.replace('0', "2"),
        "0df24f9c52c0e798",
    )
    .unwrap()
}

/// Bytes that do not repeat.
fn noise(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn a_file_is_cut_as_its_bytes_are_in_one_piece() {
    let world = World::new();
    let keys = keys();
    let mib = 1 << 20;
    for size in [
        0,
        1,
        16 * 1024,
        300_000,
        mib - 1,
        mib,
        mib + 1,
        2 * mib,
        7 * mib + 12345,
    ] {
        let bytes = noise(size);
        fs::write(world.at("a"), &bytes).unwrap();
        let opened = read::open(&world.folder, "a", &world.stamp("a")).unwrap();
        let mut rest = bytes.as_slice();
        let lengths = Cutter::new(Class::Small, keys.gear).cut(&bytes, true);
        let chunks: Vec<_> = lengths
            .iter()
            .map(|length| {
                let (chunk, others) = rest.split_at(*length);
                rest = others;
                keys.listed(chunk)
            })
            .collect();
        let cut = cut(&opened, Class::Small, &keys).unwrap();
        assert_eq!(cut.root, keys.root(&chunks), "{size}");
        assert_eq!((cut.chunks, cut.class), (chunks, Class::Small));
        let mut whole = Vec::new();
        let cutter = Cutter::new(Class::Large, keys.gear);
        each_chunk(&opened, &cutter, &mut |at, chunk| {
            assert_eq!(at, whole.len() as u64);
            whole.extend_from_slice(chunk);
        })
        .unwrap();
        assert!(whole == bytes);
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_told() {
    let world = World::new();
    let cutter = Cutter::new(Class::Small, 1);
    for append in [true, false] {
        fs::write(world.at("a"), noise(5_000_000)).unwrap();
        let opened = read::open(&world.folder, "a", &world.stamp("a")).unwrap();
        let mut writer = File::options()
            .write(true)
            .append(append)
            .open(world.at("a"))
            .unwrap();
        let mut once = true;
        let result = each_chunk(&opened, &cutter, &mut |_, _| {
            if std::mem::take(&mut once) {
                writer.write_all(b"edited").unwrap();
            }
        });
        assert!(matches!(result, Err(ReadError::Changed)));
    }
    let opened = read::open(&world.folder, "a", &world.stamp("a")).unwrap();
    File::options()
        .write(true)
        .open(world.at("a"))
        .unwrap()
        .set_len(1000)
        .unwrap();
    assert!(matches!(
        each_chunk(&opened, &cutter, &mut |_, _| {}),
        Err(ReadError::Changed)
    ));
}

#[test]
fn only_the_file_that_was_seen_is_opened() {
    let world = World::new();
    world.write("a", "a");
    let stamp = world.stamp("a");
    let opened = read::open(&world.folder, "a", &stamp).unwrap();
    assert_eq!((opened.stamp(), opened.size()), (stamp, 1));
    let mut bytes = [0; 4];
    assert_eq!(opened.read_at(&mut bytes, 0).unwrap(), 1);
    assert!(
        opened.check().unwrap().1,
        "it may be written again in the same tick"
    );
    world.write("a", "other");
    assert!(matches!(opened.check(), Err(ReadError::Changed)));
    assert!(matches!(
        read::open(&world.folder, "a", &stamp),
        Err(ReadError::Changed)
    ));
    world.remove("a");
    assert!(matches!(
        read::open(&world.folder, "a", &stamp),
        Err(ReadError::Gone)
    ));
    for kind in [rustix::fs::FileType::Fifo, rustix::fs::FileType::Socket] {
        rustix::fs::mknodat(rustix::fs::CWD, world.at("a"), kind, 0o600.into(), 0).unwrap();
        let seen = Stamp { ..world.stamp("a") };
        assert!(matches!(
            read::open(&world.folder, "a", &seen),
            Err(ReadError::Changed)
        ));
        world.remove("a");
    }
    world.link("a", "b");
    assert!(matches!(
        read::open(&world.folder, "a", &world.stamp("a")),
        Err(ReadError::Changed)
    ));
}
