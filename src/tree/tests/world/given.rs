//! What a stage is made of, and short ways to say what verbs do.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::state::MONTH;
use super::verbs::At;
use crate::crypto::MasterKey;
use crate::jobs::Rules;
use crate::store::meta::testing;
use crate::store::meta::versions::Keep;
use crate::store::{self, Store};
use crate::tree::tests::fixture::path;
use crate::tree::{Base, Error, NewUpload, Property, Result, Tree, UploadError, User};
use crate::types::{AccountId, Clock, Millis, SpaceId, UploadId};

/// Files that lie in memory.
const MEMORY: &str = "/dev/shm";
/// Bytes that must be free there.
const ROOM: u64 = 1024 * 1024 * 1024;

/// Where nobody waits for the disk, if there is such a place: what a power cut takes is up to the plan.
pub(super) fn folder() -> TempDir {
    let memory = rustix::fs::statvfs(MEMORY).map_or(0, |data| data.f_bavail * data.f_frsize);
    if memory < ROOM {
        return tempfile::tempdir().unwrap();
    }
    tempfile::tempdir_in(MEMORY).unwrap()
}

pub(super) async fn open(folder: &TempDir) -> store::Result<Arc<Store>> {
    let (key, _) = MasterKey::load_or_create(&folder.path().join("key")).unwrap();
    let (database, data) = (testing::database(folder.path()), folder.path().join("data"));
    Store::open(&database, &data, key, Keep::default()).await
}

pub(super) fn trees(store: &Arc<Store>, spaces: [SpaceId; 3], clock: &Arc<AtomicI64>) -> [Tree; 2] {
    [0, 1].map(|who| {
        let ticking = Arc::clone(clock);
        let user = User {
            account: AccountId(1 + i64::try_from(who).unwrap()),
            name: format!("u{who}"),
            space: spaces[who],
            device: None,
        };
        let clock = Clock::from_fn(move || Millis(ticking.load(Ordering::SeqCst)));
        Tree::new(Arc::clone(store), user, clock)
    })
}

pub(super) fn rules() -> Rules {
    let days = |days: u64| Duration::from_hours(days * 24);
    Rules {
        versions: Keep::default(),
        trash: Duration::from_millis(MONTH.unsigned_abs()),
        activity: days(365),
        feed: days(90),
    }
}

/// The property that the model sets.
pub(super) fn property(colour: u8) -> Property {
    Property {
        namespace: "urn:test".to_owned(),
        name: "colour".to_owned(),
        xml: format!("<colour xmlns=\"urn:test\">{colour}</colour>").into_bytes(),
    }
}

pub(super) async fn begin(tree: &Tree, at: &At, size: usize) -> Result<UploadId, UploadError> {
    let new = NewUpload {
        size: size as u64,
        base: Base::Unstated,
        modified: None,
        created: None,
        checksum: None,
    };
    Ok(tree.upload_open(&path(&at.text()), new).await?.id)
}

pub(super) async fn append(
    tree: &Tree,
    id: UploadId,
    offset: usize,
    bytes: &[u8],
) -> Result<(), UploadError> {
    let mut appender = tree.upload_append(id, offset as u64).await?;
    appender.push(Bytes::copy_from_slice(bytes)).await?;
    appender.pause().await.map(drop)
}

pub(super) fn plain(error: UploadError) -> Error {
    if let UploadError::Tree(error) = error {
        return error;
    }
    panic!("{error}")
}
