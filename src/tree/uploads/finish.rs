//! The end of an upload: its bytes get a name, once.

use serde::{Deserialize, Serialize};

use super::{Result, UploadError, parse_base};
use crate::chunk::Manifest;
use crate::crypto::Blinded;
use crate::store;
use crate::store::content::{Checksum, Parked, Staged, proves, rows};
use crate::store::meta::Conn;
use crate::store::meta::uploads::{self, UploadRow};
use crate::tree::locate::Place;
use crate::tree::model::{Kind, Node, Write, Written};
use crate::tree::write::put;
use crate::tree::{Error, Tree, row};
use crate::types::{ContentId, ETag, Millis, Mode, NodeId, NodePath, Seq, SpaceId, UploadId};

impl Tree {
    /// Names the bytes of an upload that are all there, as [`Tree::commit`] would. Asked again, it
    /// answers what it answered first, whatever became of the file since.
    ///
    /// A refusal leaves the upload as it is, so that it can be tried again. Only bytes that do not have
    /// the stated checksum or root are of no use, and those of which some were lost: then the upload is
    /// forgotten, and in the second case `NotFound`, so that its client begins anew.
    pub async fn upload_finish(&self, id: UploadId, root: Option<Blinded>) -> Result<Written> {
        let (row, _taken) = self.upload_taken(id).await?;
        if let Some(made) = &row.made {
            return Ok(read_receipt(made)?);
        }
        match self.finish_taken(&row, root).await {
            Err(UploadError::Tree(Error::Store(error)))
                if (error.is_damage() || matches!(error, store::Error::Stale))
                    && self.has_lost_bytes(&row).await? =>
            {
                tracing::error!(upload = row.id, %error, "an upload has lost bytes and is given up");
                self.upload_abort(id).await?;
                Err(Error::NotFound.into())
            }
            // A request that was given up may have finished it after all.
            Err(UploadError::Tree(Error::NotFound)) => {
                let made = self.upload_row(id).await?.made.ok_or(Error::NotFound)?;
                Ok(read_receipt(&made)?)
            }
            done => done,
        }
    }

    async fn finish_taken(&self, row: &UploadRow, root: Option<Blinded>) -> Result<Written> {
        let (received, size) = (row::bytes(row.received), row::bytes(row.size));
        if received != size {
            return Err(UploadError::Incomplete { received, size });
        }
        let at = NodePath::parse(&row.path).map_err(Error::from)?;
        let place = self.place(&at).await?;
        if place.space.0 != row.space {
            return Err(Error::NoParent.into());
        }
        let staged = self.staged(row, root).await?;
        let how = Write {
            modified: row.mtime.map(Millis),
            created: row.created.map(Millis),
            base: parse_base(row.base.as_deref())?,
            ..Write::default()
        };
        let (tree, id) = (self.clone(), UploadId(row.id));
        let written = self.write_contents(place.space, move |conn| {
            Box::pin(async move { put_once(conn, &tree, id, &place, &staged, &how).await })
        });
        Ok(written.await?)
    }

    /// Whether what its row holds does not lead to the bytes that arrived. Sending more never helps then.
    async fn has_lost_bytes(&self, row: &UploadRow) -> Result<bool> {
        let (id, space) = (UploadId(row.id), SpaceId(row.space));
        let keys = self.store.keys.of(&self.store.meta, space).await?;
        let mut conn = self.store.meta.read().await?;
        let Some(held) = uploads::held(&mut conn, id).await? else {
            return Ok(false);
        };
        let received = row::bytes(held.received);
        let parked = Parked::open(&keys, id, received, &held.manifest, held.tail).await;
        let parked = match parked {
            Err(error) if error.is_damage() => return Ok(true),
            parked => parked?,
        };
        // A root of nobody's: it has none yet.
        let none = (Blinded([0; 16]), false);
        match rows(&mut conn, &keys, none, &parked.manifest).await {
            Err(error) if error.is_damage() => Ok(true),
            found => Ok(!found?.are_sound(parked.covered)),
        }
    }

    /// The whole content, held against what was stated of it.
    async fn staged(&self, row: &UploadRow, root: Option<Blinded>) -> Result<Staged> {
        let upload = self.upload_resumed(row).await?;
        let mut staged = upload.finish().await?.ok_or(Error::Checksum)?;
        if root.is_some_and(|root| root != staged.root) {
            self.upload_abort(UploadId(row.id)).await?;
            return Err(Error::Checksum.into());
        }
        let Some(claim) = row.checksum.as_deref().and_then(Checksum::parse) else {
            return Ok(staged);
        };
        if !proves(&self.store, &staged, &claim).await? {
            self.upload_abort(UploadId(row.id)).await?;
            return Err(Error::Checksum.into());
        }
        staged.checksum = Some(claim);
        Ok(staged)
    }
}

/// The write and the note that it was done, both or neither.
async fn put_once(
    conn: &mut Conn,
    tree: &Tree,
    id: UploadId,
    place: &Place,
    staged: &Staged,
    how: &Write,
) -> Result<Written, Error> {
    let written = put(conn, tree, place, staged, how).await?;
    let (made, empty) = (receipt(&written)?, Manifest::default().encode());
    if !uploads::finish(conn, id, &made, &empty, tree.clock.now()).await? {
        // It was finished or forgotten meanwhile.
        return Err(Error::NotFound);
    }
    Ok(written)
}

/// What finishing an upload answered, to be answered again.
#[derive(Serialize, Deserialize)]
struct Receipt {
    node: File,
    created: bool,
    conflict: Option<File>,
    content: i64,
}

/// A file as it was then.
#[derive(Serialize, Deserialize)]
struct File {
    id: i64,
    space: i64,
    parent: Option<i64>,
    name: String,
    size: u64,
    modified: i64,
    created: i64,
    content: i64,
    version: i64,
    seq: i64,
    #[serde(default)]
    mode: Option<i64>,
    checksum: Option<String>,
}

fn receipt(written: &Written) -> Result<String, Error> {
    let receipt = Receipt {
        node: file(&written.node)?,
        created: written.created,
        conflict: written.conflict.as_ref().map(file).transpose()?,
        content: written.content.0,
    };
    let text = serde_json::to_string(&receipt);
    Ok(text.map_err(|_never| store::Error::Corrupt("the answer of an upload"))?)
}

fn read_receipt(made: &str) -> store::Result<Written> {
    let receipt: Receipt = serde_json::from_str(made)
        .map_err(|_malformed| store::Error::Corrupt("the answer of an upload"))?;
    Ok(Written {
        node: receipt.node.into(),
        created: receipt.created,
        conflict: receipt.conflict.map(Node::from),
        content: ContentId(receipt.content),
    })
}

fn file(node: &Node) -> Result<File, Error> {
    Ok(File {
        id: node.id.0,
        space: node.space.0,
        parent: node.parent.map(|parent| parent.0),
        name: node.name.clone(),
        size: node.size,
        modified: node.modified.0,
        created: node.created.0,
        content: node.content.ok_or(Error::IsACollection)?.0,
        version: node.version,
        seq: node.seq.0,
        mode: node.mode.bits(),
        checksum: node.checksum.clone(),
    })
}

impl From<File> for Node {
    fn from(file: File) -> Self {
        let content = ContentId(file.content);
        Self {
            id: NodeId(file.id),
            space: SpaceId(file.space),
            parent: file.parent.map(NodeId),
            name: file.name,
            kind: Kind::File,
            size: file.size,
            modified: Millis(file.modified),
            created: Millis(file.created),
            etag: ETag::file(content),
            content: Some(content),
            version: file.version,
            seq: Seq(file.seq),
            trashed: None,
            mode: Mode::read(file.mode),
            checksum: file.checksum,
        }
    }
}
