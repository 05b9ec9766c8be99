//! Many readers at once.

use super::*;
use crate::chunk::Class;

#[tokio::test]
async fn more_readers_than_there_is_room_for_read_on() {
    let f = fixture().await;
    // Nothing to cut at, so all chunks have the greatest length.
    let bytes = vec![7; 4 * MIB + 5];
    let staged = f.stage_as(&bytes, Class::Large).await;
    let content = f.name(staged).await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(Reader::open(&f.store, content).await.unwrap());
    }
    let mut left = bytes.len();
    while left > 0 {
        let part = left.min(MIB - 1);
        for reader in &mut readers {
            let mut read = 0;
            while read < part {
                read += reader.read(part - read).await.unwrap().len();
            }
        }
        left -= part;
    }
    for reader in &mut readers {
        assert!(reader.read(1).await.unwrap().is_empty());
        reader.seek(0);
        assert!(read_all(reader).await == bytes);
    }
}
