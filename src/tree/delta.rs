//! Contents by what they share: making one from another, and telling the way from one to another.
//!
//! Only what a node holds or held may be named, and only by those who see the node.

use super::model::Node;
use super::{Error, Result, Tree};
use crate::chunk::Class;
use crate::crypto::{self, Blinded, ClientKeys};
use crate::store;
pub use crate::store::Held as Room;
use crate::store::content::{
    self, Checksum, ContentChunks, Diff, DiffError, INLINE_MAX, Rebuild, RebuildError,
    SignatureError, Signatures, Staged, StagedBody, proves, staged_bytes,
};
use crate::store::meta::{contents, versions};
use crate::types::{ContentId, Mode, NodePath, SpaceId};

/// What is known of a content without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct ContentFacts {
    /// Stand-in for the whole.
    pub root: Blinded,
    /// Bytes.
    pub size: u64,
    /// How it is cut.
    pub class: Class,
}

impl Tree {
    /// The keys with which members of a space name its chunks and contents.
    pub async fn client_keys(&self, space: SpaceId) -> Result<ClientKeys> {
        let mut conn = self.store.meta.read().await?;
        if !self.may_see(&mut conn, space).await? {
            return Err(Error::NotFound);
        }
        drop(conn);
        let keys = self.store.keys.of(&self.store.meta, space).await?;
        Ok(keys.client_keys())
    }

    /// Whether a content is the current one of a node or one of its versions.
    pub async fn has_content(&self, node: &Node, content: ContentId) -> Result<bool> {
        let mut conn = self.store.meta.read().await?;
        Ok(versions::names_content(&mut conn, node.id, content).await?)
    }

    /// Root, size and class of a content that a node holds or held.
    pub async fn content_facts(&self, content: ContentId) -> Result<ContentFacts> {
        let row = contents::load(&mut *self.store.meta.read().await?, content).await?;
        Ok(ContentFacts {
            root: row.root,
            size: row.size,
            class: row.class,
        })
    }

    /// The space of a path whose parent exists; a size that can never fit is refused.
    pub async fn admit(&self, at: &NodePath, size: u64) -> Result<SpaceId> {
        let place = self.place(at).await?;
        // A small body has arrived before anybody could be told that it will not fit.
        if size > INLINE_MAX as u64 {
            self.refuse_over_quota(&place, size).await?;
        }
        Ok(place.space)
    }

    /// Starts a content of `size` bytes, made of operations on a base that [`Self::has_content`] has
    /// let pass, in a space that [`Self::admit`] has named.
    pub async fn rebuild(
        &self,
        space: SpaceId,
        base: Option<ContentId>,
        class: Class,
        size: u64,
    ) -> Result<Rebuild, RebuildError> {
        Rebuild::start(&self.store, space, base, class, size).await
    }

    /// Waits for the memory of a patch of so many bytes that is on its way in; busy when that takes too
    /// long. To be kept until [`Rebuild::patch`] has taken it.
    pub async fn room_for_patch(&self, bytes: usize) -> Result<Room> {
        let shares = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        Ok(self.store.patching.take(self.user.space, shares).await?)
    }

    /// The content with this root in a space that [`Self::admit`] has named, ready to be named again.
    pub async fn known_content(
        &self,
        space: SpaceId,
        root: Blinded,
        size: u64,
    ) -> Result<Option<Staged>> {
        let pin = self.store.pin().await?;
        let keys = self.store.keys.of(&self.store.meta, space).await?;
        let mut conn = self.store.meta.read().await?;
        let Some(known) = contents::known_root(&mut conn, space, root, size).await? else {
            return Ok(None);
        };
        let row = match contents::load(&mut conn, known).await {
            Ok(row) => row,
            // What is damaged is sent again.
            Err(error) if error.is_damage() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let body = match row.body {
            StagedBody::Chunks(manifest) => {
                let known = (root, row.class_known);
                let rows = content::rows(&mut conn, &keys, known, &manifest).await?;
                if !rows.are_sound(size) {
                    return Ok(None);
                }
                StagedBody::Chunks(manifest)
            }
            // By the newest key: it is written to its row again, which may be sealed anew by then.
            StagedBody::Inline(sealed) => match keys.reseal_inline(root, &sealed) {
                Ok(anew) => StagedBody::Inline(anew.unwrap_or(sealed)),
                Err(crypto::Error::Sealed) => return Ok(None),
                Err(error) => return Err(store::Error::from(error).into()),
            },
        };
        Ok(Some(Staged {
            space,
            root,
            size,
            class: row.class,
            body,
            checksum: None,
            pin: Some(pin),
        }))
    }

    /// Whether a staged content has a checksum; reads it.
    pub async fn proves(&self, staged: &Staged, claim: &Checksum) -> Result<bool> {
        Ok(proves(&self.store, staged, claim).await?)
    }

    /// Whether a staged content can be the target of a symbolic link; reads it when it is short enough.
    pub async fn is_link_target(&self, staged: &Staged) -> Result<bool> {
        let short = staged.size <= Mode::TARGET_MAX;
        Ok(short && Mode::is_target(&staged_bytes(&self.store, staged).await?))
    }

    /// The operations that make `to` from `from`; both must have passed [`Self::has_content`].
    pub async fn diff(&self, from: Option<ContentId>, to: ContentId) -> Result<Diff, DiffError> {
        Diff::open(&self.store, from, to).await
    }

    /// The chunks of a content that has passed [`Self::has_content`].
    pub async fn chunks(&self, content: ContentId) -> Result<ContentChunks> {
        Ok(ContentChunks::open(&self.store, content).await?)
    }

    /// Signatures of parts of a content that has passed [`Self::has_content`].
    pub async fn signatures(
        &self,
        content: ContentId,
        ranges: Vec<std::ops::Range<u64>>,
        block: u64,
    ) -> Result<Signatures, SignatureError> {
        Signatures::open(&self.store, content, ranges, block).await
    }
}

/// Bytes of a staged content that are held in memory until it is named.
pub fn held(staged: &Staged) -> usize {
    match &staged.body {
        StagedBody::Inline(sealed) => sealed.len(),
        // A run, and its form in the database once more.
        StagedBody::Chunks(manifest) => manifest.runs().len() * 32,
    }
}
