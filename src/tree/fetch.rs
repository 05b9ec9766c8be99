//! Versions of many files for one device: looked for together, read one after the other.

use bytes::Bytes;

use super::delta::ContentFacts;
use super::{Error, Result, Tree};
use crate::store;
use crate::store::content::{Diff, DiffError, Reader, StagedBody, open_inline};
use crate::store::meta::contents::{self, Content};
use crate::store::meta::live::{self, Live};
use crate::store::meta::{Conn, versions};
use crate::types::{ContentId, NodeId, SpaceId};

/// A version of a file that a device wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The file.
    pub node: NodeId,
    /// The version the device has, if it has one.
    pub from: Option<ContentId>,
    /// The version it wants.
    pub to: ContentId,
}

/// Why a version is not given.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No such file, or it is not what it should be.
    #[error(transparent)]
    Tree(#[from] Error),
    /// The version the device has is not kept any more.
    #[error("this version is not kept any more")]
    NoBase,
    /// The version it wants is not kept any more.
    #[error("this version is not kept any more")]
    NoVersion,
    /// The way from one to the other cannot be told.
    #[error(transparent)]
    Diff(#[from] DiffError),
}

impl From<store::Error> for FetchError {
    fn from(error: store::Error) -> Self {
        Self::Tree(error.into())
    }
}

/// A version that was found. What lies in its row has been read with it, at most 8 KiB.
#[derive(Debug)]
pub struct Fetched {
    /// What was wanted.
    pub wanted: Wanted,
    /// The space of the file.
    pub space: SpaceId,
    /// What is known of its content.
    pub facts: ContentFacts,
    sealed: Option<Vec<u8>>,
}

/// How a version comes.
pub enum Coming {
    /// All of it at once: what lies in its row.
    Row(Bytes),
    /// All of it, piece by piece.
    Whole(Reader),
    /// The way from the version that the device has.
    Way(Box<Diff>),
}

impl Tree {
    /// Looks for versions, not too many at once; what became of each, in their order.
    pub async fn fetch(&self, wanted: &[Wanted]) -> Result<Vec<Result<Fetched, FetchError>>> {
        let mut conn = self.store.meta.read().await?;
        let spaces = self.spaces(&mut conn).await?;
        let nodes: Vec<_> = wanted.iter().map(|wanted| wanted.node).collect();
        let live = live::among(&mut conn, &nodes).await?;
        let mut named = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let live = live.get(&wanted.node);
            named.push(match live.filter(|live| spaces.contains(&live.space)) {
                Some(live) => names(&mut conn, live, wanted).await?,
                None => Err(Error::NotFound.into()),
            });
        }
        let there = wanted.iter().zip(&named).filter(|(_, named)| named.is_ok());
        let contents: Vec<_> = there.map(|(wanted, _)| wanted.to).collect();
        let loaded = contents::load_each(&mut conn, &contents).await?;
        let both = wanted.iter().zip(named);
        Ok(both
            .map(|(wanted, named)| fetched(*wanted, named?, loaded.get(&wanted.to)))
            .collect())
    }

    /// Begins to read a version that was found a moment ago. Waits while too many others compare contents.
    pub async fn open_fetched(&self, found: &mut Fetched) -> Result<Coming, FetchError> {
        let Wanted { from, to, .. } = found.wanted;
        if from.is_some() {
            let way = Diff::open(&self.store, from, to).await?;
            return Ok(Coming::Way(Box::new(way)));
        }
        let Some(sealed) = found.sealed.take() else {
            let reader = super::read::open(&self.store, to, found.facts.size).await?;
            return Ok(Coming::Whole(reader));
        };
        let keys = self.store.keys.of(&self.store.meta, found.space).await?;
        let ContentFacts { root, size, .. } = found.facts;
        Ok(Coming::Row(open_inline(&keys, root, size, &sealed)?))
    }
}

/// Whether a file holds or held what is wanted; its space then.
async fn names(
    conn: &mut Conn,
    live: &Live,
    wanted: &Wanted,
) -> Result<Result<SpaceId, FetchError>> {
    let Some(head) = live.content else {
        return Ok(Err(Error::IsACollection.into()));
    };
    for (content, gone) in [
        (Some(wanted.to), FetchError::NoVersion),
        (wanted.from, FetchError::NoBase),
    ] {
        let Some(content) = content.filter(|content| *content != head) else {
            continue;
        };
        if !versions::names_content(conn, wanted.node, content).await? {
            return Ok(Err(gone));
        }
    }
    Ok(Ok(live.space))
}

fn fetched(
    wanted: Wanted,
    space: SpaceId,
    loaded: Option<&store::Result<Content>>,
) -> Result<Fetched, FetchError> {
    let damaged = || store::Error::Corrupt("a file has no content that can be read");
    let Some(Ok(row)) = loaded else {
        return Err(damaged().into());
    };
    let sealed = match &row.body {
        // A way is told by rows alone.
        StagedBody::Inline(sealed) if wanted.from.is_none() => Some(sealed.clone()),
        StagedBody::Inline(_) | StagedBody::Chunks(_) => None,
    };
    Ok(Fetched {
        wanted,
        space,
        facts: ContentFacts {
            root: row.root,
            size: row.size,
            class: row.class,
        },
        sealed,
    })
}
