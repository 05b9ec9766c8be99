//! Everything at once, in orders that nobody chose: two processes write, read, copy, throw away and
//! collect. Whatever was acknowledged is there, byte for byte, and in the end nothing else is.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::fixture::{Dice, Fixture, Side, noise, path, put, read};
use crate::store::Error;
use crate::store::content::{Reader, Upload};
use crate::tree::{self, NewUpload, Overwrite, Reach, Tree, Write};
use crate::types::UploadId;

/// Names in each place; few, so that things meet.
const NAMES: u64 = 5;
/// Contents there are; few, so that they are stored again while they go.
const KINDS: u64 = 5;

/// What is under way.
enum Open {
    Upload {
        at: String,
        bytes: Vec<u8>,
        sent: usize,
        upload: Box<Upload>,
    },
    Session {
        at: String,
        bytes: Vec<u8>,
        id: UploadId,
    },
    Download {
        bytes: Vec<u8>,
        got: Vec<u8>,
        reader: Box<Reader>,
    },
}

struct World {
    sides: [Side; 2],
    dice: Dice,
    files: BTreeMap<String, Vec<u8>>,
    open: Vec<(usize, Open)>,
    refused: usize,
}

/// Contents share beginnings and ends, so that their chunks meet.
fn kind(nth: u64) -> Vec<u8> {
    let (head, tail) = (noise(nth % 3, 90_000), noise(10 + nth % 2, 60_000));
    [head, noise(100 + nth, 40_000), tail].concat()
}

impl World {
    fn roll(&self, below: u64) -> u64 {
        self.dice.roll(below)
    }

    fn tree(&self, side: usize) -> Tree {
        self.sides[side].tree.clone()
    }

    fn some_name(&self) -> String {
        let folder = ["", "/shared"][usize::try_from(self.roll(2)).unwrap()];
        format!("{folder}/f{}", self.roll(NAMES))
    }

    async fn step(&mut self) {
        let side = usize::try_from(self.roll(2)).unwrap();
        match self.roll(16) {
            0 | 1 => self.put(side).await,
            2 => self.begin_upload(side).await,
            3 | 4 => self.go_on().await,
            5 => self.begin_session(side).await,
            6 => self.begin_download(side).await,
            7 | 8 => self.throw_away(side).await,
            9 => self.copy(side).await,
            10 => self.close(side).await,
            11 => self.sides[side].beat().await,
            _ => {
                self.sides[side].round().await;
            }
        }
    }

    async fn put(&mut self, side: usize) {
        let (at, bytes) = (self.some_name(), kind(self.roll(KINDS)));
        put(&self.tree(side), &at, &bytes).await.unwrap();
        self.files.insert(at, bytes);
    }

    async fn begin_upload(&mut self, side: usize) {
        let (at, bytes) = (self.some_name(), kind(self.roll(KINDS)));
        let upload = self
            .tree(side)
            .upload(&path(&at), None, None)
            .await
            .unwrap();
        let upload = Box::new(upload);
        self.open.push((
            side,
            Open::Upload {
                at,
                bytes,
                sent: 0,
                upload,
            },
        ));
    }

    async fn begin_session(&mut self, side: usize) {
        // Two processes do not share who works on an upload, so one keeps it.
        let (at, bytes) = (self.some_name(), kind(self.roll(KINDS)));
        let new = NewUpload {
            size: bytes.len() as u64,
            base: tree::Base::Unstated,
            modified: None,
            created: None,
            checksum: None,
        };
        let session = self.tree(side).upload_open(&path(&at), new).await.unwrap();
        let id = session.id;
        self.open.push((side, Open::Session { at, bytes, id }));
    }

    async fn begin_download(&mut self, side: usize) {
        let nth = self.roll(self.files.len().max(1) as u64);
        let Some((at, bytes)) = self.files.iter().nth(usize::try_from(nth).unwrap()) else {
            return;
        };
        let tree = self.tree(side);
        let node = tree.lookup(&path(at)).await.unwrap();
        let reader = Box::new(tree.read(&node).await.unwrap());
        let (bytes, got) = (bytes.clone(), Vec::new());
        self.open
            .push((side, Open::Download { bytes, got, reader }));
    }

    /// One step of something that is under way.
    async fn go_on(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let nth = usize::try_from(self.roll(self.open.len() as u64)).unwrap();
        let (side, open) = self.open.swap_remove(nth);
        let tree = self.tree(side);
        match open {
            Open::Upload {
                at,
                bytes,
                sent,
                upload,
            } => {
                self.go_on_uploading(side, (at, bytes, sent), upload).await;
            }
            Open::Session { at, bytes, id } => {
                let there = tree.upload_get(id).await.unwrap().received;
                let from = usize::try_from(there).unwrap();
                if from == bytes.len() {
                    tree.upload_finish(id, None).await.unwrap();
                    self.files.insert(at, bytes);
                    return;
                }
                if self.roll(8) == 0 {
                    tree.upload_abort(id).await.unwrap();
                    return;
                }
                let to = (from + 80_000).min(bytes.len());
                let mut appender = tree.upload_append(id, there).await.unwrap();
                appender
                    .push(bytes[from..to].to_vec().into())
                    .await
                    .unwrap();
                appender.pause().await.unwrap();
                self.open.push((side, Open::Session { at, bytes, id }));
            }
            Open::Download {
                bytes,
                mut got,
                mut reader,
            } => {
                let part = reader.read(70_000).await.unwrap();
                got.extend_from_slice(&part);
                if part.is_empty() {
                    assert!(got == bytes, "a download gave other bytes");
                } else {
                    self.open
                        .push((side, Open::Download { bytes, got, reader }));
                }
            }
        }
    }

    async fn go_on_uploading(
        &mut self,
        side: usize,
        (at, bytes, sent): (String, Vec<u8>, usize),
        mut upload: Box<Upload>,
    ) {
        if sent < bytes.len() {
            let to = (sent + 80_000).min(bytes.len());
            upload
                .push(Bytes::copy_from_slice(&bytes[sent..to]))
                .await
                .unwrap();
            if self.roll(2) == 0 {
                upload.send().await.unwrap();
            }
            self.open.push((
                side,
                Open::Upload {
                    at,
                    bytes,
                    sent: to,
                    upload,
                },
            ));
        } else if self.roll(5) > 0 {
            let (tree, to) = (self.tree(side), path(&at));
            tree.commit(&to, *upload, Write::default()).await.unwrap();
            self.files.insert(at, bytes);
        }
    }

    async fn throw_away(&mut self, side: usize) {
        let at = self.some_name();
        if self.files.remove(&at).is_none() {
            return;
        }
        let tree = self.tree(side);
        let node = tree.lookup(&path(&at)).await.unwrap();
        tree.remove(&path(&at)).await.unwrap();
        match self.roll(4) {
            0 => {
                tree.restore(node.id).await.unwrap();
                let back = read(&tree, &at).await.unwrap();
                self.files.insert(at, back);
            }
            1 => {}
            _ => tree.purge(node.id).await.unwrap(),
        }
    }

    /// Within a space, or into the other one, where all is sealed anew.
    async fn copy(&mut self, side: usize) {
        let (from, to) = (self.some_name(), self.some_name());
        let Some(bytes) = self.files.get(&from).cloned().filter(|_| from != to) else {
            return;
        };
        let (from, target) = (path(&from), path(&to));
        let tree = self.tree(side);
        let how = (Overwrite::Yes, Reach::Deep);
        tree.copy(&from, &target, how.0, how.1).await.unwrap();
        self.files.insert(to, bytes);
    }

    /// The segments of a process, or the process itself, as the others see it.
    async fn close(&mut self, side: usize) {
        if self.roll(3) > 0 {
            self.sides[side].store.segments.close_all().await.unwrap();
        }
    }

    async fn check(&self) {
        for (at, bytes) in &self.files {
            for side in &self.sides {
                let found = read(&side.tree, at).await;
                let found = found.unwrap_or_else(|error| panic!("{at}: {error}"));
                assert!(found == *bytes, "{at} has other bytes");
            }
        }
    }
}

async fn world(f: &Fixture, seed: u64) -> World {
    World {
        sides: [f.another().await, f.another().await],
        dice: Dice::new(seed),
        files: BTreeMap::new(),
        open: Vec::new(),
        refused: 0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_reachable_is_ever_lost_and_nothing_under_way_refused() {
    let seeds = if std::env::var_os("SYNC_TEST_LONG").is_some() {
        400
    } else {
        12
    };
    for seed in 0..seeds {
        let f = Fixture::new().await;
        let mut world = world(&f, seed).await;
        for _ in 0..120 {
            world.step().await;
        }
        world.check().await;
        while !world.open.is_empty() {
            world.go_on().await;
        }
        world.check().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pins_writes_are_refused_at_worst() {
    let seeds = if std::env::var_os("SYNC_TEST_LONG").is_some() {
        200
    } else {
        8
    };
    let mut refused = 0;
    for seed in 1000..1000 + seeds {
        let f = Fixture::new().await;
        let mut world = world(&f, seed).await;
        for _ in 0..120 {
            world.step_believed_dead().await;
        }
        world.check().await;
        refused += world.refused;
    }
    assert!(
        refused > 0,
        "nothing was ever believed dead in the wrong moment"
    );
}

impl World {
    /// Uploads only, whose processes are believed dead again and again.
    async fn step_believed_dead(&mut self) {
        let side = usize::try_from(self.roll(2)).unwrap();
        match self.roll(10) {
            0 | 1 => self.begin_upload(side).await,
            2..=5 => self.go_on_or_be_refused().await,
            6 => self.throw_away(side).await,
            7 => self.sides[side].believe_dead().await,
            8 => self.sides[side].beat().await,
            _ => match self.sides[side].try_round().await {
                Ok(_) | Err(Error::Stale) => {}
                Err(error) => panic!("{error}"),
            },
        }
    }

    async fn go_on_or_be_refused(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let nth = usize::try_from(self.roll(self.open.len() as u64)).unwrap();
        let (
            side,
            Open::Upload {
                at,
                bytes,
                sent,
                mut upload,
            },
        ) = self.open.swap_remove(nth)
        else {
            return;
        };
        if sent < bytes.len() {
            let to = (sent + 80_000).min(bytes.len());
            let part = Bytes::copy_from_slice(&bytes[sent..to]);
            match upload.push(part).await {
                Ok(()) => self.open.push((
                    side,
                    Open::Upload {
                        at,
                        bytes,
                        sent: to,
                        upload,
                    },
                )),
                Err(Error::Stale) => self.refused += 1,
                Err(error) => panic!("{error}"),
            }
            return;
        }
        match self
            .tree(side)
            .commit(&path(&at), *upload, Write::default())
            .await
        {
            Ok(_) => {
                self.files.insert(at, bytes);
            }
            Err(tree::Error::Store(Error::Stale)) => self.refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
}
