//! A delta as it was received.

use bytes::Bytes;
use sync_server::chunk::patch;
use sync_server::protocol::stream::{Decoder, Record, StreamError};
use sync_server::protocol::sync::{DeltaHead, FetchHead, FetchRefusal};

/// A delta, read and not yet applied.
#[derive(Debug)]
pub struct Delta {
    /// What it is the way to.
    pub head: DeltaHead,
    operations: Vec<Record>,
}

/// Why a stream is no delta.
#[derive(Debug)]
pub enum BadDelta {
    /// It cannot be read.
    Stream(StreamError),
    /// A record where none of its kind belongs.
    Order(Record),
    /// It has no header or no END.
    Unfinished,
}

impl From<StreamError> for BadDelta {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// Headers, and the operations behind each.
type Items = Vec<(Bytes, Vec<Record>)>;

/// Reads a whole stream of files.
fn items(stream: &[u8]) -> Result<Items, BadDelta> {
    let mut decoder = Decoder::new();
    decoder.feed(Bytes::copy_from_slice(stream));
    let (mut items, mut open) = (Items::new(), None);
    while let Some(record) = decoder.next()? {
        match (record, &mut open) {
            (Record::File(json), None) => open = Some((json, Vec::new())),
            (Record::End, Some(_)) => items.extend(open.take()),
            (
                record @ (Record::Copy { .. }
                | Record::Lit { .. }
                | Record::LitPart(_)
                | Record::Patch { .. }),
                Some((_, operations)),
            ) => operations.push(record),
            (record, _) => return Err(BadDelta::Order(record)),
        }
    }
    decoder.finish()?;
    if open.is_some() {
        return Err(BadDelta::Unfinished);
    }
    Ok(items)
}

/// Reads the answer of `sync/fetch`: what makes each file, or why it is not given.
pub fn fetched(stream: &[u8]) -> Result<Vec<Result<Delta, Box<FetchRefusal>>>, BadDelta> {
    let read = |(json, operations): (Bytes, Vec<Record>)| {
        let head = serde_json::from_slice(&json).expect("the header is JSON");
        match head {
            FetchHead::Given(head) => Ok(Delta { head, operations }),
            FetchHead::Refused(refusal) => {
                assert!(operations.is_empty(), "{refusal:?}: {operations:?}");
                Err(Box::new(refusal))
            }
        }
    };
    Ok(items(stream)?.into_iter().map(read).collect())
}

impl Delta {
    /// Reads a whole stream.
    pub fn read(stream: &[u8]) -> Result<Self, BadDelta> {
        let mut items = items(stream)?;
        let (json, operations) = items.pop().ok_or(BadDelta::Unfinished)?;
        if let Some((json, _)) = items.pop() {
            return Err(BadDelta::Order(Record::File(json)));
        }
        let head = serde_json::from_slice(&json).expect("the header is JSON");
        Ok(Self { head, operations })
    }

    /// The bytes it makes of a base.
    #[track_caller]
    pub fn apply(&self, base: &[u8]) -> Vec<u8> {
        let place = |at: u64| usize::try_from(at).expect("it is in memory");
        let mut new = Vec::new();
        for operation in &self.operations {
            match operation {
                Record::Copy { offset, len } => {
                    new.extend_from_slice(&base[place(*offset)..place(offset + len)]);
                }
                Record::LitPart(bytes) => new.extend_from_slice(bytes),
                Record::Patch {
                    base_offset,
                    base_len,
                    raw_len,
                    packed,
                } => {
                    let start = place(*base_offset);
                    let prefix = &base[start..start + *base_len as usize];
                    let raw = patch::decode(prefix, packed, *raw_len as usize);
                    new.extend_from_slice(&raw.expect("a patch of the server opens"));
                }
                Record::Lit { .. }
                | Record::File(_)
                | Record::Ref(_)
                | Record::Same
                | Record::End => {}
            }
        }
        new
    }

    /// Names of its operations, in their order.
    pub fn kinds(&self) -> Vec<&'static str> {
        let name = |record: &Record| match record {
            Record::Copy { .. } => Some("COPY"),
            Record::Lit { .. } => Some("LIT"),
            Record::Patch { .. } => Some("PATCH"),
            Record::LitPart(_) | Record::File(_) | Record::Ref(_) | Record::Same | Record::End => {
                None
            }
        };
        self.operations.iter().filter_map(name).collect()
    }
}
