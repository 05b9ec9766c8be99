//! What a server still has of all that was ever written.

use std::collections::{BTreeMap, BTreeSet};

use sync_server::protocol::files::{Kind, Node, Versions};
use webdav_tests::Api;
use webdav_tests::content::sha1_hex;
use webdav_tests::device::parse;

/// Everything that a server has of an account.
#[derive(Default)]
pub(crate) struct Kept {
    /// Of every content.
    pub(crate) hashes: BTreeSet<String>,
    /// Files.
    pub(crate) files: usize,
    /// What came back from trash.
    pub(crate) restored: usize,
}

impl Kept {
    /// Heads, versions, conflict copies, and the same of all that is in trash.
    #[track_caller]
    pub(crate) fn find(api: &Api) -> Self {
        let mut kept = Self::default();
        loop {
            let trash = api.all("trash?limit=1000");
            if trash.is_empty() {
                break;
            }
            for trashed in trash {
                let id = webdav_tests::api::id(&trashed);
                api.post_nothing(&format!("trash/{id}/restore"))
                    .expect(&[200]);
                kept.restored += 1;
            }
        }
        let mut seen = BTreeSet::new();
        for node in list(api) {
            kept.files += 1;
            let id = node.id;
            let versions: Versions = parse(&api.get(&format!("files/{id}/versions")), 200);
            assert_eq!(versions.items[0].etag, node.etag, "{node:?}");
            for version in versions.items {
                if seen.insert(version.etag) {
                    let number = version.number;
                    let bytes = api.get(&format!("files/download?id={id}&version={number}"));
                    kept.hashes.insert(sha1_hex(&bytes.expect(&[200]).body));
                }
            }
        }
        kept
    }
}

/// All files of an account. `/shared` is asked for by itself: it is mounted, and no part of `/`.
#[track_caller]
fn list(api: &Api) -> Vec<Node> {
    let mut files = BTreeMap::new();
    for top in ["/", "/shared"] {
        let route = format!("files/list?path={top}&recursive=true&limit=1000");
        for node in api.all(&route) {
            let node: Node = serde_json::from_value(node).expect("a node");
            if node.kind == Kind::File {
                files.insert(node.id, node);
            }
        }
    }
    files.into_values().collect()
}
