//! Uploads that are taken in several requests and survive restarts of client and server.
//!
//! What arrived lies in durable chunks; the row of the upload holds their manifest and, sealed, the
//! few bytes behind them. Nothing of it can be seen in the tree before [`Tree::upload_finish`].

mod append;
mod claim;
mod finish;

use std::time::Duration;

pub use append::UploadAppender;
pub use claim::free_uploads;

use self::claim::Claim;
use super::locate::{Place, root_of};
use super::model::Base;
use super::{Error, Tree, row};
use crate::chunk::{Class, Manifest};
use crate::store;
use crate::store::content::{Checksum, Parked, Upload};
use crate::store::meta::nodes::{self, COLLECTION};
use crate::store::meta::uploads::{self, UploadRow};
use crate::store::meta::{Alone, Conn, spaces};
use crate::types::{ETag, Millis, NodePath, SpaceId, UploadId};

/// How long an upload stays when no bytes come and nobody finishes it; also how long a finished one
/// is remembered.
pub const UPLOAD_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// Most unfinished uploads of one account: each may hold bytes that count in no quota yet.
pub const UPLOADS_MAX: i64 = 100;
/// Largest upload, in bytes (16 TiB): beyond what any manifest can name.
pub const UPLOAD_SIZE_MAX: u64 = 1 << 44;
/// `upload.base` of a writer who believes that nothing is there.
const NOTHING: &str = "none";

/// Why an upload does not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The bytes given do not follow those that are there.
    #[error("the upload goes on at byte {received}")]
    Offset {
        /// Bytes that are there.
        received: u64,
    },
    /// Another request works on it.
    #[error("another request is sending to this upload or finishing it")]
    Busy,
    /// It was finished and takes no more bytes.
    #[error("the upload is finished")]
    Finished,
    /// It cannot be finished yet.
    #[error("{received} of {size} bytes have arrived")]
    Incomplete {
        /// Bytes that are there.
        received: u64,
        /// Bytes announced.
        size: u64,
    },
    /// More bytes than were announced; those before count.
    #[error("more than the {size} bytes announced")]
    TooLong {
        /// Bytes announced.
        size: u64,
    },
    /// The account has [`UPLOADS_MAX`] unfinished uploads.
    #[error("at most {UPLOADS_MAX} unfinished uploads at a time")]
    TooMany,
    /// No bytes came for so long that others were let in; those before count.
    #[error("no bytes came for a while; what had arrived is kept")]
    Paused,
    /// As for any other verb. `NotFound`: no such upload, or another account's, or too old.
    #[error(transparent)]
    Tree(#[from] Error),
}

impl From<store::Error> for UploadError {
    fn from(error: store::Error) -> Self {
        Self::Tree(error.into())
    }
}

type Result<T, E = UploadError> = std::result::Result<T, E>;

/// What is known when an upload begins.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Bytes that will come.
    pub size: u64,
    /// What the writer's version was made from.
    pub base: Base,
    /// Modification time the client states.
    pub modified: Option<Millis>,
    /// Creation time the client states.
    pub created: Option<Millis>,
    /// Checksum the client states; proven at the end.
    pub checksum: Option<Checksum>,
}

/// An upload under way or finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadSession {
    /// Its id.
    pub id: UploadId,
    /// Where it will go, in the account's tree.
    pub path: NodePath,
    /// The space that path led into when it began.
    pub space: SpaceId,
    /// Bytes announced.
    pub size: u64,
    /// Bytes that are durable. While somebody sends, it lags behind by up to 32 MiB.
    pub received: u64,
    /// When it will be forgotten unless somebody uses it.
    pub expires: Millis,
    /// Whether it was finished.
    pub finished: bool,
}

impl Tree {
    /// Begins an upload to a path whose parent exists. What the account has begun before counts as if
    /// it were there already: together it must fit into the quota.
    pub async fn upload_open(&self, at: &NodePath, new: NewUpload) -> Result<UploadSession> {
        if new.size > UPLOAD_SIZE_MAX {
            return Err(Error::TooLarge("an upload is at most 16 TiB").into());
        }
        let place = self.place(at).await?;
        let (tree, path) = (self.clone(), at.to_string());
        let meta = &self.store.meta;
        let made = meta
            .write(move |conn| Box::pin(async move { open(conn, &tree, &place, path, new).await }));
        session(&made.await?)
    }

    /// An upload of this account, unfinished or finished.
    pub async fn upload_get(&self, id: UploadId) -> Result<UploadSession> {
        session(&self.upload_row(id).await?)
    }

    /// The unfinished uploads of this account, oldest first.
    pub async fn upload_list(&self) -> Result<Vec<UploadSession>> {
        let (account, since) = (self.user.account, oldest(self.clock.now()));
        let rows = {
            let mut conn = self.store.meta.read().await?;
            uploads::unfinished(&mut conn, account, since).await?
        };
        rows.iter().map(session).collect()
    }

    /// Forgets an upload; one who is sending to it is stopped soon after. Of a finished one only the
    /// answer is forgotten, what it made stays.
    pub async fn upload_abort(&self, id: UploadId) -> Result<()> {
        self.upload_row(id).await?;
        let account = self.user.account;
        let meta = &self.store.meta;
        let gone: store::Result<bool> = meta
            .write(move |conn| Box::pin(async move { uploads::delete(conn, account, id).await }))
            .await;
        // Somebody else was quicker; gone is gone.
        let _already = gone?;
        Ok(())
    }

    async fn upload_row(&self, id: UploadId) -> Result<UploadRow> {
        let mut conn = self.store.meta.read().await?;
        let since = oldest(self.clock.now());
        let row = uploads::by_id(&mut conn, self.user.account, id, since).await?;
        Ok(row.ok_or(Error::NotFound)?)
    }

    /// Takes an upload of this account for oneself; its row as it is then.
    async fn upload_taken(&self, id: UploadId) -> Result<(UploadRow, Claim)> {
        self.upload_row(id).await?;
        let claim = self.claim(id).await?;
        Ok((self.upload_row(id).await?, claim))
    }

    /// Goes on where the row says that an upload stands.
    async fn upload_resumed(&self, row: &UploadRow) -> Result<Upload> {
        let (id, space) = (UploadId(row.id), SpaceId(row.space));
        let held = uploads::held(&mut *self.store.meta.read().await?, id).await?;
        let held = held.ok_or(Error::NotFound)?;
        let keys = self.store.keys.of(&self.store.meta, space).await?;
        let received = row::bytes(held.received);
        let parked = Parked::open(&keys, id, received, &held.manifest, held.tail).await?;
        let class = Class::of(Some(row::bytes(row.size)));
        let mut upload = Upload::resume(&self.store, space, class, parked).await?;
        upload.set_name(row.path.rsplit('/').next().unwrap_or_default());
        Ok(upload)
    }
}

/// Uploads last used before this are as good as forgotten.
pub(super) fn oldest(now: Millis) -> Millis {
    now.minus(UPLOAD_LIFETIME)
}

async fn open(
    conn: &mut Conn,
    tree: &Tree,
    place: &Place,
    path: String,
    new: NewUpload,
) -> Result<UploadRow> {
    let (now, account) = (tree.clock.now(), tree.user.account);
    // What the account has begun is counted by one at a time.
    conn.alone(Alone::Space(place.space)).await?;
    let pending = uploads::pending(conn, account, place.space, oldest(now)).await?;
    if pending.number >= UPLOADS_MAX {
        return Err(UploadError::TooMany);
    }
    let size = super::write::signed(new.size);
    refuse_over_quota(conn, place, size.saturating_add(pending.bytes)).await?;
    let new = uploads::NewUpload {
        account,
        space: place.space,
        path,
        size,
        base: base_text(new.base),
        mtime: new.modified,
        created: new.created,
        checksum: new.checksum.map(|checksum| checksum.as_str().to_owned()),
        now,
    };
    Ok(uploads::insert(conn, &new, &Manifest::default().encode()).await?)
}

/// An early answer, too, for what can never be put there; the end has the last word.
async fn refuse_over_quota(conn: &mut Conn, place: &Place, bytes: i64) -> Result<(), Error> {
    let there = nodes::child(conn, place.parent, &place.name).await?;
    if there.as_ref().is_some_and(|there| there.kind == COLLECTION) {
        return Err(Error::IsACollection);
    }
    let space = spaces::by_id(conn, place.space).await?;
    let Some(quota) = space.ok_or(Error::NotFound)?.quota else {
        return Ok(());
    };
    let root = nodes::by_id(conn, root_of(place.space)).await?;
    let used = root.map_or(0, |root| root.tree_size) - there.map_or(0, |there| there.size);
    let would = used.saturating_add(bytes);
    if would > quota {
        let (used, quota) = (would.unsigned_abs(), quota.unsigned_abs());
        return Err(Error::QuotaExceeded { used, quota });
    }
    Ok(())
}

fn session(row: &UploadRow) -> Result<UploadSession> {
    Ok(UploadSession {
        id: UploadId(row.id),
        path: NodePath::parse(&row.path).map_err(Error::from)?,
        space: SpaceId(row.space),
        size: row::bytes(row.size),
        received: row::bytes(row.received),
        expires: Millis(row.used_at).plus(UPLOAD_LIFETIME),
        finished: row.made.is_some(),
    })
}

/// A base as its row keeps it: the tag clients know, so that a row can be read.
fn base_text(base: Base) -> Option<String> {
    match base {
        Base::Unstated => None,
        Base::Nothing => Some(NOTHING.to_owned()),
        Base::Content(content) => Some(ETag::file(content).bare().to_owned()),
    }
}

fn parse_base(text: Option<&str>) -> store::Result<Base> {
    match text {
        None => Ok(Base::Unstated),
        Some(NOTHING) => Ok(Base::Nothing),
        Some(tag) => match ETag::parse(tag).content() {
            Some(content) => Ok(Base::Content(content)),
            None => Err(store::Error::Corrupt("the base of an upload")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ContentId;

    #[test]
    fn a_base_comes_back_from_its_row() {
        for base in [Base::Unstated, Base::Nothing, Base::Content(ContentId(26))] {
            let text = base_text(base);
            assert_eq!(parse_base(text.as_deref()).unwrap(), base);
        }
        assert_eq!(base_text(Base::Content(ContentId(26))).unwrap(), "f1a");
        assert!(parse_base(Some("d1")).is_err());
    }
}
