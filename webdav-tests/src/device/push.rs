//! A push stream in the making.

use std::convert::Infallible;
use std::ops::Range;

use bytes::Bytes;
use sync_server::chunk::delta::{Operation, diff};
use sync_server::chunk::plan::plan;
use sync_server::protocol::stream;
use sync_server::protocol::sync::{OnConflict, PushItem, PushPut};

use super::space::{Cut, Space};

/// How the bytes of a file are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// All of them (LIT).
    Whole,
    /// As what differs from the base (COPY, PATCH, LIT); whole when there is none.
    Delta,
    /// Chunks that the device has seen in the space by their stand-ins (REF), the others whole.
    Chunks,
    /// By the root alone (SAME).
    Same,
}

/// The bytes of a push stream.
#[derive(Clone, Debug)]
pub struct Push(Vec<u8>);

/// The header of a file, with nothing stated but path and size.
pub fn put(path: &str, size: usize) -> PushPut {
    PushPut {
        path: path.to_owned(),
        size: size as u64,
        base: None,
        root: None,
        checksum: None,
        mtime: None,
        created: None,
        class: None,
        source: None,
        from: None,
        conflict: OnConflict::Keep,
        executable: None,
        link: false,
    }
}

impl Default for Push {
    fn default() -> Self {
        Self::new()
    }
}

impl Push {
    /// A stream without items.
    pub fn new() -> Self {
        let mut bytes = Vec::new();
        stream::magic(&mut bytes);
        Self(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// For records that nobody writes by mistake.
    pub fn raw(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Appends an item without content, or the header of a file.
    pub fn item(&mut self, item: &PushItem) -> &mut Self {
        let json = serde_json::to_vec(item).expect("plain JSON");
        stream::file(&mut self.0, &json);
        self
    }

    /// Appends the header of a file; its operations and END must follow.
    pub fn begin(&mut self, put: &PushPut) -> &mut Self {
        self.item(&PushItem::Put(put.clone()))
    }

    /// Appends COPY.
    pub fn copy(&mut self, offset: u64, len: u64) -> &mut Self {
        stream::copy(&mut self.0, offset, len);
        self
    }

    /// Appends REF.
    pub fn reference(&mut self, stand_in: &[u8; 16]) -> &mut Self {
        stream::reference(&mut self.0, stand_in);
        self
    }

    /// Appends LIT.
    pub fn lit(&mut self, bytes: &[u8]) -> &mut Self {
        stream::lit(&mut self.0, bytes);
        self
    }

    /// Appends PATCH: `raw` packed against `base[prefix]`.
    pub fn patch(&mut self, base: &[u8], prefix: Range<usize>, raw: &[u8]) -> &mut Self {
        let packed = sync_server::chunk::patch::encode(&base[prefix.clone()], raw);
        let packed = packed.expect("zstd has memory");
        let len = |len: usize| u32::try_from(len).expect("a patch is short");
        stream::patch(
            &mut self.0,
            prefix.start as u64,
            len(prefix.len()),
            len(raw.len()),
            &packed,
        );
        self
    }

    /// Appends SAME.
    pub fn same(&mut self) -> &mut Self {
        stream::same(&mut self.0);
        self
    }

    /// Appends END.
    pub fn end(&mut self) -> &mut Self {
        stream::end(&mut self.0);
        self
    }

    /// Appends a file that is sent whole.
    pub fn whole(&mut self, put: &PushPut, bytes: &[u8]) -> &mut Self {
        self.begin(put).lit(bytes).end()
    }

    /// Appends a file as what differs from its base.
    pub fn edit(&mut self, space: &Space, put: &PushPut, base: &[u8], new: &[u8]) -> &mut Self {
        let (old_cut, cut) = (space.cut(base), space.cut(new));
        self.begin(&with_root(put, &cut));
        let part = |of: &[u8], range: &Range<u64>| {
            let place = |at: u64| usize::try_from(at).expect("it is in memory");
            Bytes::copy_from_slice(&of[place(range.start)..place(range.end)])
        };
        let out = &mut self.0;
        let emit = |operation: Operation| {
            stream::operation(out, &operation);
            Ok::<_, Infallible>(())
        };
        let Ok(()) = diff(
            plan(old_cut.chunks, cut.chunks),
            |range| Ok(part(new, &range)),
            |range| Ok(part(base, &range)),
            emit,
        );
        self.end()
    }

    /// Appends a file whose chunks are referred to when `known` says that the space has them.
    pub fn chunks(
        &mut self,
        space: &Space,
        put: &PushPut,
        new: &[u8],
        known: impl Fn(&[u8; 16]) -> bool,
    ) -> &mut Self {
        let cut = space.cut(new);
        self.begin(&with_root(put, &cut));
        let mut rest = new;
        for (stand_in, len) in &cut.chunks {
            let (chunk, others) = rest.split_at(*len as usize);
            rest = others;
            if known(&stand_in.0) {
                self.reference(&stand_in.0);
            } else {
                self.lit(chunk);
            }
        }
        self.end()
    }

    /// Appends a file by its root alone.
    pub fn by_root(&mut self, space: &Space, put: &PushPut, new: &[u8]) -> &mut Self {
        self.begin(&with_root(put, &space.cut(new))).same().end()
    }
}

/// The header with the root of the content.
fn with_root(put: &PushPut, cut: &Cut) -> PushPut {
    PushPut {
        root: Some(cut.root_hex()),
        ..put.clone()
    }
}
