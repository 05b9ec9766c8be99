//! A delta as it was received.

use bytes::Bytes;
use sync_server::chunk::patch;
use sync_server::protocol::stream::{Decoder, Record, StreamError};
use sync_server::protocol::sync::DeltaHead;

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

impl Delta {
    /// Reads a whole stream.
    pub fn read(stream: &[u8]) -> Result<Self, BadDelta> {
        let mut decoder = Decoder::new();
        decoder.feed(Bytes::copy_from_slice(stream));
        let mut records = Vec::new();
        while let Some(record) = decoder.next()? {
            records.push(record);
        }
        decoder.finish()?;
        if records.pop() != Some(Record::End) || records.is_empty() {
            return Err(BadDelta::Unfinished);
        }
        let head = match records.remove(0) {
            Record::File(json) => serde_json::from_slice(&json).expect("the header is JSON"),
            other => return Err(BadDelta::Order(other)),
        };
        let belongs = |record: &Record| {
            matches!(
                record,
                Record::Copy { .. }
                    | Record::Lit { .. }
                    | Record::LitPart(_)
                    | Record::Patch { .. }
            )
        };
        match records.iter().find(|record| !belongs(record)) {
            Some(record) => Err(BadDelta::Order(record.clone())),
            None => Ok(Self {
                head,
                operations: records,
            }),
        }
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
