//! A node as dav-server's metadata.

use std::time::SystemTime;

use dav_server::fs::{DavMetaData, FsResult};

use crate::tree::Node;
use crate::types::Millis;

/// What dav-server asks about a resource.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    size: u64,
    collection: bool,
    modified: Millis,
    created: Millis,
    etag: String,
}

impl Meta {
    /// The node as it is.
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            size: if node.is_collection() { 0 } else { node.size },
            collection: node.is_collection(),
            modified: node.modified,
            created: node.created,
            etag: node.etag.bare().to_owned(),
        }
    }

    /// The node, passed off as a file: dav-server then moves, copies or replaces it in one call
    /// instead of walking through what lies below.
    pub(crate) fn as_leaf(node: &Node) -> Self {
        Self {
            collection: false,
            ..Self::of(node)
        }
    }
}

/// dav-server formats times with a function that panics before 1970.
fn presentable(time: Millis) -> SystemTime {
    time.max(Millis(0)).into()
}

impl DavMetaData for Meta {
    fn len(&self) -> u64 {
        self.size
    }

    fn modified(&self) -> FsResult<SystemTime> {
        Ok(presentable(self.modified))
    }

    fn created(&self) -> FsResult<SystemTime> {
        Ok(presentable(self.created))
    }

    fn is_dir(&self) -> bool {
        self.collection
    }

    /// Without quotes; dav-server puts them.
    fn etag(&self) -> Option<String> {
        Some(self.etag.clone())
    }
}
