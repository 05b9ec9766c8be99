use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;

use super::world::World;
use crate::chunk::{Class, Cutter};
use crate::client::local::cutting::Cutting;
use crate::client::local::read::{self, ReadError, cut};
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
    let keys = Arc::new(keys());
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
    }
}

#[test]
fn a_content_is_cut_alike_however_its_bytes_come_and_whatever_size_was_said() {
    let world = World::new();
    let (keys, bytes) = (Arc::new(keys()), noise(9_000_000));
    fs::write(world.at("a"), &bytes).unwrap();
    let opened = read::open(&world.folder, "a", &world.stamp("a")).unwrap();
    for class in [Class::Small, Class::Large] {
        let whole = cut(&opened, class, &keys).unwrap();
        for (said, piece) in [(0, 70_000), (10_000, 3_000_000), (9_000_000, 1 << 20)] {
            let mut cutting = Cutting::new(class, said, &keys);
            cutting.read_to(&opened, 1_234_567).unwrap();
            for piece in bytes[1_234_567..7_000_000].chunks(piece) {
                cutting.push(piece);
            }
            assert_eq!(cutting.at(), 7_000_000);
            cutting.read_to(&opened, 9_000_000).unwrap();
            assert_eq!(cutting.end(), whole);
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_told() {
    let world = World::new();
    let keys = Arc::new(keys());
    for append in [true, false] {
        fs::write(world.at("a"), noise(5_000_000)).unwrap();
        let opened = read::open(&world.folder, "a", &world.stamp("a")).unwrap();
        let mut writer = File::options()
            .write(true)
            .append(append)
            .open(world.at("a"))
            .unwrap();
        writer.write_all(b"edited").unwrap();
        let result = cut(&opened, Class::Small, &keys);
        assert!(matches!(result, Err(ReadError::Changed)));
    }
    let opened = read::open(&world.folder, "a", &world.stamp("a")).unwrap();
    let mut cutting = Cutting::new(Class::Small, opened.size(), &keys);
    cutting.read_to(&opened, 2_000_000).unwrap();
    File::options()
        .write(true)
        .open(world.at("a"))
        .unwrap()
        .set_len(3_000_000)
        .unwrap();
    assert!(matches!(
        cutting.read_to(&opened, opened.size()),
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
