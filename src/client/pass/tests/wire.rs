//! What the server in memory reads and writes.

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::chunk::Class;
use crate::client::local::cutting::Cutting;
use crate::crypto::ClientKeys;
use crate::protocol::files::Node;
use crate::protocol::problem::{Problem, TYPE_PREFIX};
use crate::protocol::stream::{Decoder, Record};
use crate::protocol::sync::{DeltaHead, PushResult, PushStatus};
use crate::types::hex;

/// Each of the keys of the space.
pub(super) const KEY: [u8; 32] = [7; 32];

pub(super) fn given(node: &Node, bytes: &[u8]) -> DeltaHead {
    let list = Cutting::whole(Class::Small, bytes, &keys());
    DeltaHead {
        id: node.id,
        from: None,
        to: node.etag.clone(),
        size: node.size,
        root: hex(&list.root.0),
        class: Class::Small.into(),
    }
}

pub(in crate::client::pass) fn keys() -> Arc<ClientKeys> {
    Arc::new(ClientKeys {
        chunk: KEY,
        blind: KEY,
        root: KEY,
        gear: 7,
    })
}

/// As it was before it was packed for the way.
pub(super) fn unpack(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(body);
    match decoder.and_then(|mut decoder| decoder.read_to_end(&mut plain)) {
        Ok(_) if !plain.is_empty() => plain,
        _ => body.to_vec(),
    }
}

pub(super) fn records(body: &[u8]) -> Vec<Record> {
    let mut decoder = Decoder::new();
    decoder.feed(Bytes::from(unpack(body)));
    let mut records = Vec::new();
    while let Some(record) = decoder.next().unwrap() {
        records.push(record);
    }
    records
}

/// An item that is refused.
pub(super) fn refused(name: &str) -> PushResult {
    PushResult {
        problem: Some(told(name)),
        ..PushResult::bare(PushStatus::Error)
    }
}

pub(super) fn told(name: &str) -> Problem {
    Problem {
        kind: format!("{TYPE_PREFIX}{name}"),
        title: name.to_owned(),
        status: 404,
        detail: name.to_owned(),
        field: None,
    }
}
