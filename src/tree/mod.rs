//! The rules of one account's versioned tree: the only API the faces use.
//!
//! Knows nothing of HTTP and holds no SQL. Each verb is one file and one transaction. A root is the
//! account's own space with the spaces of everyone mounted in it by name.

mod activity;
mod batch;
mod conflicts;
mod copy;
mod create;
mod cursors;
mod delta;
mod error;
mod feed;
mod fetch;
mod find;
mod list;
mod locate;
mod locks;
pub mod mend;
mod mkdir;
mod model;
mod props;
mod read;
mod remove;
mod rename;
mod report;
pub mod retain;
mod row;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod touch;
mod transfer;
mod trash;
mod turn;
mod uploads;
mod usage;
mod versions;
mod write;

use std::sync::Arc;

pub use activity::Standing;
pub use batch::{BATCH_MAX, BatchItem};
pub use conflicts::{CONFLICTS_MAX, OpenConflict, open_conflicts};
pub use copy::Reach;
pub use create::{DEFAULT_FOLDERS, NewSpace, create_space};
pub use delta::{ContentFacts, Room, held};
pub use error::{Error, Result};
pub use feed::{FEED_MAX, Feed, FeedChange, FeedCursor};
pub use fetch::{Coming, FetchError, Fetched, Wanted};
pub use find::{FIND_MAX, Found};
pub use list::{Page, PageEnd, With};
pub use locks::{LOCK_SECONDS_MAX, LockRequest};
pub use model::{
    Base, Conflict, Keep, Kind, Located, Lock, Node, Overtaken, Overwrite, Placed, Precondition,
    Property, PropertyChange, Times, Usage, User, Version, Write, Written,
};
pub use report::{Change, ChangeKind, Changes, Cursor};
pub use trash::{TrashMark, Trashed};
pub use uploads::{
    NewUpload, UPLOAD_LIFETIME, UPLOAD_SIZE_MAX, UPLOADS_MAX, UploadAppender, UploadError,
    UploadSession, free_uploads,
};
pub use usage::Held;

use futures_util::future::BoxFuture;

use crate::store::Store;
use crate::store::meta::Conn;
use crate::types::{Clock, SpaceId};

/// One account's tree, as one device uses it. Cheap to clone.
#[derive(Clone)]
pub struct Tree {
    store: Arc<Store>,
    user: User,
    clock: Clock,
    tokens: Arc<[String]>,
}

impl Tree {
    /// The tree of `user`.
    pub fn new(store: Arc<Store>, user: User, clock: Clock) -> Self {
        Self {
            store,
            user,
            clock,
            tokens: Arc::default(),
        }
    }

    /// The same tree for a request that has submitted lock tokens (RFC 4918 §6.4).
    #[must_use]
    pub fn with_tokens(&self, tokens: &[String]) -> Self {
        Self {
            tokens: tokens.into(),
            ..self.clone()
        }
    }

    /// Runs a verb's transaction on a space and, once it is durable, wakes those who wait for it.
    async fn write<T, F>(&self, space: SpaceId, work: F) -> Result<T>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let done = self.store.meta.write(work).await?;
        self.store.events.announce(space);
        Ok(done)
    }

    /// The same for one that names contents: the small ones are kept beside the database by then.
    async fn write_contents<T, F>(&self, space: SpaceId, work: F) -> Result<T>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let done = self.write(space, work).await?;
        self.store.recent.settle().await;
        Ok(done)
    }

    /// Who uses it.
    pub fn user(&self) -> &User {
        &self.user
    }
}
