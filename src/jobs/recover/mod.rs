//! Making the database anew when it is lost: from the newest snapshot that opens whole, and from what
//! lies in the segments since.
//!
//! The database belongs to nobody until the end: whoever kills this begins again, and no server starts
//! on it before. Needs the segments and the snapshots, and changes neither.

mod load;
mod place;
mod scan;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::crypto::MasterKey;
use crate::store::meta::versions::Keep;
use crate::store::meta::{Conn, Meta, dump, rescue};
use crate::store::snapshot::Folder;
use crate::store::{Error, Result, Store};
use crate::types::{Clock, Millis};

/// The folder in each space for what was not in the snapshot.
pub const FOLDER: &str = "recovered";

type Shared = Arc<Store>;

/// What was found, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The time of the snapshot.
    pub taken: Millis,
    /// Files of snapshots it was made from.
    pub files: u64,
    /// Files of snapshots that did not open.
    pub refused: u64,
    /// Segments that were read.
    pub scanned: u64,
    /// Segments and small files of spaces that the snapshot does not know.
    pub unknown: u64,
    /// Bytes in segments that are damaged or were cut short.
    pub damaged: u64,
    /// Chunks that do not lie where the snapshot says.
    pub lost: u64,
    /// Those of them that were not found elsewhere.
    pub missing: u64,
    /// Files whose bytes are not all there.
    pub broken: u64,
    /// Contents that are newer than the snapshot and lie in [`FOLDER`] now.
    pub placed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Contents newer than the snapshot whose chunks are not all there.
    pub torn: u64,
}

/// Why nothing was recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It has a key already.
    #[error("the database is in use; move it away first if it is to be made anew")]
    Exists,
    /// There is no base that opens.
    #[error("there is no snapshot in {0} that opens with this master key")]
    NoSnapshot(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
    /// A name.
    #[error(transparent)]
    Tree(#[from] crate::tree::Error),
}

/// Makes the database anew. Nobody else may use it or the data folder.
pub async fn recover(
    meta: Meta,
    data: &Path,
    master: MasterKey,
    clock: Clock,
) -> std::result::Result<Recovered, RecoverError> {
    if crate::store::KeyRing::is_marked(&meta).await? {
        return Err(RecoverError::Exists);
    }
    // What an earlier try has left.
    write(&meta, |conn| Box::pin(dump::clear(conn))).await?;
    let store = Store::recovering(meta, data, master, Keep::default()).await?;
    let folder = Folder::of(data);
    let mut done = Recovered::default();
    if !load::load(&store, &folder, &mut done).await? {
        let folder = folder.path().display().to_string();
        return Err(RecoverError::NoSnapshot(folder));
    }
    write(&store.meta, |conn| Box::pin(rescue::skip(conn))).await?;
    let lists = scan::scan(&store, &mut done).await?;
    place::place(&store, (lists, &folder), &clock, &mut done).await?;
    store.keys.mark(&store.meta).await?;
    store.close().await;
    Ok(done)
}

/// A transaction.
async fn write<F>(meta: &Meta, work: F) -> Result<()>
where
    F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<()>> + Send + 'static,
{
    meta.write(work).await
}

/// Runs what reads files, away from those who wait for the network.
async fn reading<T, F>(work: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_stopped) => Err(Error::Closing),
    }
}
