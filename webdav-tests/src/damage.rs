//! Damage to what a server keeps on the disk.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::TestServer;

/// The files with contents, by name.
pub fn segments(server: &TestServer) -> Vec<PathBuf> {
    let folders = fs::read_dir(server.dir().join("data/seg")).expect("a folder");
    let mut files: Vec<_> = folders
        .flat_map(|folder| fs::read_dir(folder.expect("an entry").path()).expect("a folder"))
        .map(|file| file.expect("an entry").path())
        .collect();
    files.sort();
    files
}

/// Flips one bit of the only segment: of the byte at the place that its length gives.
#[track_caller]
pub fn flip(server: &TestServer, place: impl Fn(u64) -> u64) {
    let all = segments(server);
    let [segment] = all.as_slice() else {
        panic!("{all:?}")
    };
    let file = fs::File::options().read(true).write(true).open(segment);
    let file = file.expect("a segment");
    let at = place(file.metadata().expect("a file").len());
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    byte[0] ^= 4;
    file.write_all_at(&byte, at).expect("room");
}
