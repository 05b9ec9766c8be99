//! Contents: the immutable bytes that file versions name.

use super::Conn;
use crate::chunk::{Class, Manifest};
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
    /// How it is cut.
    pub class: Class,
    /// Whether the row says so; older rows do not, and then it is a guess.
    pub class_known: bool,
    /// Where the bytes are.
    pub body: StagedBody,
    /// The checksum its uploader stated and we verified (`SHA1:<hex>`).
    pub checksum: Option<String>,
}

/// `content.class` of contents cut finely.
const SMALL: i64 = 0;
/// `content.class` of contents cut coarsely.
const LARGE: i64 = 1;

const INSERT: &str = "INSERT INTO content (space, root, size, sealed, manifest, checksum, class)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (space, root) DO UPDATE SET checksum = COALESCE(content.checksum, excluded.checksum)
    RETURNING id";
const LOAD: &str =
    "SELECT space, root, size, class, sealed, manifest, checksum FROM content WHERE id = $1";
const BY_ROOT: &str = "SELECT id FROM content WHERE space = $1 AND root = $2 AND size = $3";

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
        .bind(staged.checksum.as_ref().map(Checksum::as_str))
        .bind(match staged.class {
            Class::Small => SMALL,
            Class::Large => LARGE,
        });
    Ok(ContentId(query.fetch_one(conn).await?))
}

/// A content by its row; an error when there is none, because ids only come from rows that name it.
pub async fn load(conn: &mut Conn, content: ContentId) -> Result<Content> {
    type Row = (
        i64,
        Vec<u8>,
        i64,
        Option<i64>,
        Option<Vec<u8>>,
        Option<Vec<u8>>,
        Option<String>,
    );
    let row: Option<Row> = sqlx::query_as(LOAD)
        .bind(content.0)
        .fetch_optional(conn)
        .await?;
    let (space, root, size, class, sealed, manifest, checksum) =
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
    let class_known = class.is_some();
    let class = match class {
        Some(SMALL) => Class::Small,
        Some(LARGE) => Class::Large,
        Some(_) => return Err(Error::Corrupt("a content's class")),
        // Rows made before there was the column: their size decided.
        None => Class::of(Some(size)),
    };
    Ok(Content {
        space: SpaceId(space),
        root: Blinded(root),
        size,
        class,
        class_known,
        body,
        checksum,
    })
}

/// The content of a space that has this root and this many bytes, if there is one.
pub async fn known_root(
    conn: &mut Conn,
    space: SpaceId,
    root: Blinded,
    size: u64,
) -> Result<Option<ContentId>> {
    let Ok(size) = i64::try_from(size) else {
        return Ok(None);
    };
    let query = sqlx::query_scalar(BY_ROOT)
        .bind(space.0)
        .bind(&root.0[..])
        .bind(size);
    Ok(query.fetch_optional(conn).await?.map(ContentId))
}
