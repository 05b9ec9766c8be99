//! What the owner of a device does to its folder, and how that gets to the server.

use std::sync::Arc;
use std::time::Duration;

use sync_server::protocol::files::{Kind, Node};
use sync_server::protocol::stream::MEDIA_TYPE;
use sync_server::protocol::sync::{Need, OnConflict, PushItem, PushPut, PushResult, PushStatus};

use super::{Bytes, Device, Push, Style, put, zstd_of};
use crate::raw::Raw;

/// How often what came back is sent in another way.
const TRIES: usize = 6;
/// Longest wait for the server to notice that a connection was cut.
const PATIENCE: Duration = Duration::from_mins(1);

/// An edit that the server has not answered yet.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A file has these bytes now.
    Write(Write),
    /// A collection was made.
    MakeFolder {
        /// Where.
        path: String,
    },
    /// Something has another path now.
    Move {
        /// The path it had.
        from: String,
        /// The path it has.
        to: String,
    },
    /// Something was copied.
    Copy {
        /// What.
        from: String,
        /// Where to.
        to: String,
    },
    /// Something was deleted.
    Remove {
        /// What.
        path: String,
        /// Its version when it was a file: others stay.
        base: Option<String>,
    },
}

/// A file that was written.
#[derive(Clone, Debug)]
pub struct Write {
    /// Where.
    pub path: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// The file as it was before, if it was there.
    base: Option<Base>,
    /// Its modification time, ms.
    mtime: i64,
    /// How the bytes are sent.
    pub style: Style,
    /// What the server shall do when it has another version by now.
    pub conflict: OnConflict,
}

/// The version of a file that an edit began with.
#[derive(Clone, Debug)]
pub struct Base {
    space: i64,
    etag: String,
    bytes: Bytes,
}

/// What became of an edit.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The edit as it was done.
    pub edit: Edit,
    /// What the server said; `done`.
    pub result: PushResult,
}

/// Edits. They touch only what is there and what no other edit before has touched: else `false`.
impl Device {
    /// Writes a file, new or not.
    pub fn write(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
        mtime: i64,
        style: Style,
        conflict: OnConflict,
    ) -> bool {
        let there = self.mirror.at(path).cloned();
        let is_folder = |node: &Node| node.kind == Kind::Collection;
        if there.as_ref().is_some_and(is_folder) || self.is_touched(path) || !self.has_parent(path)
        {
            return false;
        }
        let base = there.map(|node| Base {
            space: node.space,
            bytes: Arc::clone(&self.contents[&node.etag]),
            etag: node.etag,
        });
        self.edits.push(Edit::Write(Write {
            path: path.to_owned(),
            bytes: Arc::new(bytes),
            base,
            mtime,
            style,
            conflict,
        }));
        true
    }

    /// Makes a collection.
    pub fn make_folder(&mut self, path: &str) -> bool {
        if self.mirror.at(path).is_some() || self.is_touched(path) || !self.has_parent(path) {
            return false;
        }
        let path = path.to_owned();
        self.edits.push(Edit::MakeFolder { path });
        true
    }

    /// Moves something to a free place.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        if !self.may_place(from, to) {
            return false;
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        self.edits.push(Edit::Move { from, to });
        true
    }

    /// Copies something to a free place.
    pub fn copy(&mut self, from: &str, to: &str) -> bool {
        if !self.may_place(from, to) {
            return false;
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        self.edits.push(Edit::Copy { from, to });
        true
    }

    /// Deletes something.
    pub fn remove(&mut self, path: &str) -> bool {
        let node = self.mirror.at(path).filter(|node| node.parent.is_some());
        let Some(node) = node.filter(|_| !self.is_touched(path)) else {
            return false;
        };
        let base = (node.kind == Kind::File).then(|| node.etag.clone());
        let path = path.to_owned();
        self.edits.push(Edit::Remove { path, base });
        true
    }

    /// Forgets what was not sent, as a crash would.
    pub fn crash(&mut self) {
        self.edits.clear();
    }

    /// What was not answered yet.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    fn may_place(&self, from: &str, to: &str) -> bool {
        let node = self.mirror.at(from);
        node.is_some_and(|node| node.parent.is_some())
            && self.mirror.at(to).is_none()
            && self.has_parent(to)
            && !self.is_touched(from)
            && !self.is_touched(to)
            && !below(to, from)
    }

    fn has_parent(&self, path: &str) -> bool {
        let above = above(path);
        let parent = self.mirror.at(above);
        parent.is_some_and(|node| node.kind == Kind::Collection)
    }

    /// Whether an edit has to do with a path, with what it lies in or with what lies below.
    fn is_touched(&self, path: &str) -> bool {
        let near = |other: &String| path == other || below(path, other) || below(other, path);
        self.edits.iter().any(|edit| match edit {
            Edit::Write(Write { path, .. })
            | Edit::MakeFolder { path }
            | Edit::Remove { path, .. } => near(path),
            Edit::Move { from, to } | Edit::Copy { from, to } => near(from) || near(to),
        })
    }
}

/// Sending.
impl Device {
    /// Sends all edits until the server has done them or they make no sense any more.
    #[track_caller]
    pub fn push(&mut self) -> Vec<Outcome> {
        self.stay_logged_in();
        let mut done = Vec::new();
        for _ in 0..TRIES {
            if self.edits.is_empty() {
                return done;
            }
            let stream = self.encode();
            let results = if self.zstd {
                self.results_of_zstd(&stream)
            } else {
                self.results(&stream)
            };
            let edits = std::mem::take(&mut self.edits);
            assert_eq!(results.len(), edits.len(), "one result for each item");
            for (edit, result) in edits.into_iter().zip(results) {
                if result.status == PushStatus::Done {
                    self.learn(&edit, &result);
                    done.push(Outcome { edit, result });
                } else {
                    self.edits.extend(again(edit, &result));
                }
            }
        }
        panic!("the server never has enough: {:?}", self.edits);
    }

    /// Sends all edits and crashes before the answer comes.
    #[track_caller]
    pub fn push_unheard(&mut self) {
        self.stay_logged_in();
        if !self.edits.is_empty() {
            let stream = self.encode();
            self.send(&stream).expect(&[200]);
        }
    }

    /// Sends the first bytes of a push, then the connection is cut. Waits until the server has noticed,
    /// so that what comes next does not depend on chance.
    #[track_caller]
    pub fn push_cut(&mut self, part: impl Fn(usize) -> usize) {
        self.stay_logged_in();
        let body = self.encode().bytes().to_vec();
        let body = if self.zstd { zstd_of(&body) } else { body };
        let length = body.len();
        let announced = length.to_string();
        let mut headers = vec![("Content-Type", MEDIA_TYPE), ("Content-Length", &announced)];
        headers.extend(self.zstd.then_some(("Content-Encoding", "zstd")));
        let mut raw = Raw::connect(self.api.http().address());
        raw.send(self.api.head("POST", "sync/push", &headers) + "\r\n");
        raw.send(&body[..part(length).min(length - 1)]);
        raw.finish_sending();
        assert!(raw.is_closed_within(PATIENCE), "the server waits for more");
    }

    /// The stream of all edits.
    #[track_caller]
    fn encode(&mut self) -> Push {
        let mut push = Push::new();
        for edit in self.edits.clone() {
            match edit {
                Edit::Write(write) => self.encode_write(&mut push, &write),
                Edit::MakeFolder { path } => {
                    push.item(&PushItem::Mkdir { path, mtime: None });
                }
                Edit::Move { from, to } => {
                    let overwrite = false;
                    push.item(&PushItem::Move {
                        from,
                        to,
                        overwrite,
                    });
                }
                Edit::Copy { from, to } => {
                    let overwrite = false;
                    push.item(&PushItem::Copy {
                        from,
                        to,
                        overwrite,
                    });
                }
                Edit::Remove { path, base } => {
                    push.item(&PushItem::Delete {
                        path,
                        id: None,
                        parent: None,
                        base,
                    });
                }
            }
        }
        push
    }

    #[track_caller]
    fn encode_write(&mut self, push: &mut Push, write: &Write) {
        let Write { path, bytes, .. } = write;
        let base = write.base.as_ref();
        let header = PushPut {
            base: Some(base.map_or("none", |base| &base.etag).to_owned()),
            mtime: Some(write.mtime),
            conflict: write.conflict,
            ..put(path, bytes.len())
        };
        let id = base.map_or_else(|| self.space_at(path), |base| base.space);
        let space = self.space(id);
        match (write.style, base) {
            (Style::Delta, Some(base)) => push.edit(&space, &header, &base.bytes, bytes),
            (Style::Chunks, _) => {
                let known = |stand_in: &[u8; 16]| self.seen.contains(&(id, *stand_in));
                push.chunks(&space, &header, bytes, known)
            }
            (Style::Same, _) => push.by_root(&space, &header, bytes),
            (Style::Whole, _) | (Style::Delta, None) => {
                let root = Some(space.root(bytes));
                push.whole(&PushPut { root, ..header }, bytes)
            }
        };
    }

    /// The space in which a path lies, from what is known of what it lies in.
    #[track_caller]
    fn space_at(&self, path: &str) -> i64 {
        let mut path = above(path);
        loop {
            if let Some(node) = self.mirror.at(path) {
                return node.space;
            }
            assert_ne!(path, "/", "the root is known");
            path = above(path);
        }
    }

    /// Takes over what the server said of a file, so that its bytes need not be fetched.
    fn learn(&mut self, edit: &Edit, result: &PushResult) {
        let (Edit::Write(Write { bytes, .. }), Some(node)) = (edit, &result.node) else {
            return;
        };
        let space = self.space(node.space);
        let cut = space.cut(bytes);
        let chunks = cut
            .chunks
            .iter()
            .map(|(stand_in, _)| (node.space, stand_in.0));
        self.seen.extend(chunks);
        // Not the etag of the node: what is current may be somebody else's.
        let etag = result.etag.as_ref().expect("a file has an etag");
        self.contents.insert(etag.clone(), Arc::clone(bytes));
    }
}

/// The same edit in a way that the server can do; none when it makes no sense any more.
#[track_caller]
fn again(edit: Edit, result: &PushResult) -> Option<Edit> {
    match (result.status, edit) {
        (PushStatus::Need, Edit::Write(write)) => {
            assert!(
                matches!(
                    (&result.need, write.style),
                    (Some(Need::Base), Style::Delta)
                        | (Some(Need::Chunks(_)), Style::Chunks)
                        | (Some(Need::Content), Style::Same)
                ),
                "{:?} {result:?}",
                write.style
            );
            let style = Style::Whole;
            Some(Edit::Write(Write { style, ..write }))
        }
        // The owner looked at both and keeps theirs; or it was deleted, and comes back.
        (PushStatus::Stale, Edit::Write(write)) => Some(anew(write)),
        // It has changed meanwhile, so it stays.
        (PushStatus::Stale, Edit::Remove { .. }) => None,
        (PushStatus::Error, edit) => {
            let problem = result.problem.as_ref().expect("an error has a problem");
            refused(edit, problem.name(), result)
        }
        (_, edit) => panic!("{edit:?} became {result:?}"),
    }
}

/// The same bytes as those of a new file.
fn anew(write: Write) -> Edit {
    Edit::Write(Write {
        base: None,
        style: Style::Whole,
        conflict: OnConflict::Keep,
        ..write
    })
}

#[track_caller]
fn refused(edit: Edit, problem: &str, result: &PushResult) -> Option<Edit> {
    match (edit, problem) {
        // What it lay in has gone or is a file: the bytes are kept where there is room.
        (Edit::Write(write), "no-parent" | "not-a-collection" | "is-a-collection") => {
            let name = write.path.rsplit('/').next().unwrap_or_default();
            let path = format!("/kept {} {name}", write.mtime);
            Some(anew(Write { path, ..write }))
        }
        (Edit::MakeFolder { .. }, "no-parent" | "exists" | "not-a-collection")
        | (
            Edit::Move { .. } | Edit::Copy { .. },
            "not-found"
            | "no-parent"
            | "exists"
            | "forbidden"
            | "not-a-collection"
            | "precondition-failed",
        ) => None,
        (edit, _) => panic!("{edit:?} became {result:?}"),
    }
}

fn above(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
}

fn below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with('/'))
}
