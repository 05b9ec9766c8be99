//! Many readers at once.

use super::*;
use crate::chunk::Class;

/// Chunks of these contents have 128 KiB at least (but the last), so that one chunk for each reader is
/// more than the 24 MiB of the shelf.
const READERS: usize = 200;
/// Bytes each reads in its turn.
const PART: usize = 300_001;

#[tokio::test]
async fn more_readers_than_there_is_room_for_read_on() {
    let f = fixture().await;
    // Neighbours read other bytes, so that a chunk of another reader is noticed.
    let all: Vec<_> = (0..4).map(|_| noise(2 * MIB + 5)).collect();
    let mut contents = Vec::new();
    for bytes in &all {
        let staged = f.stage_as(bytes, Class::Large).await;
        contents.push(f.name(staged).await);
    }
    let mut readers = Vec::new();
    for (bytes, content) in all.iter().zip(contents).cycle().take(READERS) {
        readers.push((bytes, Reader::open(&f.store, content).await.unwrap()));
    }
    let size = all[0].len();
    for at in (0..size).step_by(PART) {
        let end = size.min(at + PART);
        for (bytes, reader) in &mut readers {
            let mut at = at;
            while at < end {
                let part = reader.read(end - at).await.unwrap();
                assert!(!part.is_empty(), "it ends at {at}");
                assert!(bytes[at..].starts_with(&part), "other bytes from {at} on");
                at += part.len();
            }
        }
        assert!(f.store.shelf.is_crowded() || end == size, "room at {end}");
    }
    for (bytes, reader) in &mut readers {
        assert!(reader.read(1).await.unwrap().is_empty());
        reader.seek(0);
        assert!(read_all(reader).await == **bytes);
    }
}
