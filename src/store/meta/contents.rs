//! Contents: the immutable bytes that file versions name.

use super::Conn;
use crate::chunk::Manifest;
use crate::crypto::Blinded;
use crate::store::content::{Checksum, Staged, StagedBody};
use crate::store::{Error, Result};
use crate::types::{ContentId, SpaceId};

/// A stored content.
pub struct Content {
    /// The space whose keys sealed it.
    pub space: SpaceId,
    /// Stand-in for the whole content.
    pub root: Blinded,
    /// Bytes.
    pub size: u64,
    /// Where the bytes are.
    pub body: StagedBody,
    /// The checksum its uploader stated and we verified (`SHA1:<hex>`).
    pub checksum: Option<String>,
}

const INSERT: &str = "INSERT INTO content (space, root, size, sealed, manifest, checksum)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (space, root) DO UPDATE SET checksum = COALESCE(content.checksum, excluded.checksum)
    RETURNING id";
const LOAD: &str =
    "SELECT space, root, size, sealed, manifest, checksum FROM content WHERE id = $1";

/// Gives a staged content a row, or finds the one that equal bytes have already.
pub async fn insert(conn: &mut Conn, staged: &Staged) -> Result<ContentId> {
    let size = i64::try_from(staged.size).map_err(|_huge| Error::Corrupt("a content's size"))?;
    let (sealed, manifest) = match &staged.body {
        StagedBody::Inline(sealed) => (Some(sealed.as_slice()), None),
        StagedBody::Chunks(manifest) => (None, Some(manifest.encode())),
    };
    let query = sqlx::query_scalar(INSERT)
        .bind(staged.space.0)
        .bind(&staged.root.0[..])
        .bind(size)
        .bind(sealed)
        .bind(manifest)
        .bind(staged.checksum.as_ref().map(Checksum::as_str));
    Ok(ContentId(query.fetch_one(conn).await?))
}

/// A content by its row; an error when there is none, because ids only come from rows that name it.
pub async fn load(conn: &mut Conn, content: ContentId) -> Result<Content> {
    type Row = (
        i64,
        Vec<u8>,
        i64,
        Option<Vec<u8>>,
        Option<Vec<u8>>,
        Option<String>,
    );
    let row: Option<Row> = sqlx::query_as(LOAD)
        .bind(content.0)
        .fetch_optional(conn)
        .await?;
    let (space, root, size, sealed, manifest, checksum) =
        row.ok_or(Error::Corrupt("a content has no row"))?;
    let body = match (sealed, manifest) {
        (Some(sealed), None) => StagedBody::Inline(sealed),
        (None, Some(manifest)) => {
            let manifest = Manifest::decode(&manifest);
            StagedBody::Chunks(manifest.ok_or(Error::Corrupt("a content's manifest"))?)
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(Error::Corrupt("a content lies in two places or none"));
        }
    };
    let root = root
        .try_into()
        .map_err(|_length| Error::Corrupt("a content's root"))?;
    let size = u64::try_from(size).map_err(|_negative| Error::Corrupt("a content's size"))?;
    Ok(Content {
        space: SpaceId(space),
        root: Blinded(root),
        size,
        body,
        checksum,
    })
}
