//! What a member of a space computes of its own bytes: chunks, stand-ins, roots.

use sync_server::chunk::plan::Listed;
use sync_server::chunk::{Class, Cutter};
use sync_server::crypto::{Blinded, ClientKeys};
use sync_server::protocol::sync;

use crate::content::hex;

/// A space with the keys of its members.
pub struct Space {
    keys: ClientKeys,
}

/// A content as it is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its chunks in their order.
    pub chunks: Vec<Listed>,
    /// The stand-in for the whole.
    pub root: Blinded,
}

impl Space {
    /// Reads the answer of `GET sync/keys`.
    #[track_caller]
    pub fn new(given: &sync::SpaceKeys) -> Self {
        let keys = ClientKeys::parse(&given.chunk, &given.blind, &given.root, &given.gear);
        Self {
            keys: keys.expect("the keys are hex digits"),
        }
    }

    /// Cuts a content as the server would.
    pub fn cut(&self, bytes: &[u8]) -> Cut {
        let class = Class::of(Some(bytes.len() as u64));
        let cutter = Cutter::new(class, self.keys.gear);
        let (mut chunks, mut rest) = (Vec::new(), bytes);
        for length in cutter.cut(bytes, true) {
            let (chunk, others) = rest.split_at(length);
            chunks.push(self.keys.listed(chunk));
            rest = others;
        }
        let root = self.keys.root(&chunks);
        Cut { chunks, root }
    }

    /// The root of a content as it goes over the wire.
    pub fn root(&self, bytes: &[u8]) -> String {
        self.cut(bytes).root_hex()
    }
}

impl Cut {
    /// The root as it goes over the wire.
    pub fn root_hex(&self) -> String {
        hex(&self.root.0)
    }

    /// The list as `GET sync/manifest` answers it.
    pub fn manifest(&self) -> Vec<u8> {
        let entry = |(stand_in, len): &Listed| [&stand_in.0[..], &len.to_be_bytes()].concat();
        self.chunks.iter().flat_map(entry).collect()
    }
}
