//! Contents: the immutable bytes that file versions name.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::rows::{Among, Insert};
use super::{Alone, Conn, chunks, sql};
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

static INSERT: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "INSERT INTO content (space, root, size, sealed, manifest, checksum, class)",
        7,
        // The bytes are those of the root. Whatever the row says of them may be damaged.
        "ON CONFLICT (space, root) DO UPDATE
            SET size = excluded.size, sealed = excluded.sealed, manifest = excluded.manifest,
                class = excluded.class, checksum = COALESCE(content.checksum, excluded.checksum),
                dead = NULL, dead_at = NULL, damaged = NULL
            RETURNING id, root",
    )
});
const LOAD: &str =
    "SELECT id, space, root, size, class, sealed, manifest, checksum FROM content WHERE id = $1";
static LOAD_EACH: LazyLock<Among> = LazyLock::new(|| {
    Among::only(
        "SELECT id, space, root, size, class, sealed, manifest, checksum FROM content WHERE id",
    )
});
const BY_ROOT: &str = "SELECT id FROM content
    WHERE space = $1 AND root = $2 AND size = $3 AND dead IS NULL AND damaged IS NULL";
const KEEP: &str = "UPDATE content SET dead = NULL, dead_at = NULL
    WHERE id = $1 AND space = $2 RETURNING id";

const SIZE: Error = Error::Corrupt("a content has another size than its chunks");

/// Gives a staged content a row, or finds the one that equal bytes have already.
pub async fn insert(conn: &mut Conn, staged: &Staged) -> Result<ContentId> {
    let ids = insert_all(conn, &[staged]).await?;
    let id = ids.get(&staged.root).copied();
    id.ok_or(Error::Corrupt("a content got no row"))
}

/// Gives staged contents of one space rows, or finds those that equal bytes have already; by roots.
/// No root may come twice: a statement can touch a row only once. [`Error::Stale`] when a chunk of
/// one was collected meanwhile.
pub async fn insert_all(
    conn: &mut Conn,
    staged: &[&Staged],
) -> Result<HashMap<Blinded, ContentId>> {
    conn.alone(Alone::Naming).await?;
    keep_chunks(conn, staged).await?;
    let mut ids = HashMap::with_capacity(staged.len());
    for (sql, batch) in INSERT.batches(staged) {
        let mut query = sql::query_as(sql);
        for staged in batch {
            let size =
                i64::try_from(staged.size).map_err(|_huge| Error::Corrupt("a content's size"))?;
            let (sealed, manifest) = match &staged.body {
                StagedBody::Inline(sealed) => (Some(sealed.as_slice()), None),
                StagedBody::Chunks(manifest) => (None, Some(manifest.encode())),
            };
            query = query
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
        }
        let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(&mut *conn).await?;
        for (id, root) in rows {
            ids.insert(to_root(root)?, ContentId(id));
        }
    }
    Ok(ids)
}

/// Makes sure that the chunks of contents are there and stay. Most have one run; these share
/// statements.
async fn keep_chunks(conn: &mut Conn, staged: &[&Staged]) -> Result<()> {
    let (mut single, mut sizes) = (Vec::new(), Vec::new());
    for staged in staged {
        let StagedBody::Chunks(manifest) = &staged.body else {
            continue;
        };
        if let [run] = manifest.runs() {
            single.push(*run);
            sizes.push((staged.space, staged.size));
        } else if chunks::keep(conn, staged.space, manifest.runs()).await? != staged.size {
            return Err(SIZE);
        }
    }
    for (runs, sizes) in single
        .chunks(chunks::RUNS_AT_ONCE)
        .zip(sizes.chunks(chunks::RUNS_AT_ONCE))
    {
        let lengths = chunks::keep_each(conn, sizes[0].0, runs).await?;
        if !sizes.iter().map(|(_, size)| *size).eq(lengths) {
            return Err(SIZE);
        }
    }
    Ok(())
}

/// Makes sure that a content is there and stays, in the transaction that names it. [`Error::Stale`]
/// when it was collected.
pub async fn keep(conn: &mut Conn, space: SpaceId, content: ContentId) -> Result<()> {
    conn.alone(Alone::Naming).await?;
    let query = sql::query_scalar(KEEP).bind(content.0).bind(space.0);
    let kept: Option<i64> = query.fetch_optional(conn).await?;
    kept.map(drop).ok_or(Error::Stale)
}

/// A content by its row; an error when there is none, because ids only come from rows that name it.
pub async fn load(conn: &mut Conn, content: ContentId) -> Result<Content> {
    let row: Option<ContentRow> = sql::query_as(LOAD)
        .bind(content.0)
        .fetch_optional(conn)
        .await?;
    row.ok_or(Error::Corrupt("a content has no row"))?.read()
}

/// Contents by their rows, not too many at once; for each what is wrong with it, if something is. Those
/// that have no row are left out.
pub async fn load_each(
    conn: &mut Conn,
    contents: &[ContentId],
) -> Result<HashMap<ContentId, Result<Content>>> {
    let mut loaded = HashMap::with_capacity(contents.len());
    for (sql, batch) in LOAD_EACH.batches(contents) {
        let mut query = sql::query_as(sql);
        for content in batch {
            query = query.bind(content.0);
        }
        let rows: Vec<ContentRow> = query.fetch_all(&mut *conn).await?;
        loaded.extend(rows.into_iter().map(|row| (ContentId(row.id), row.read())));
    }
    Ok(loaded)
}

#[derive(sqlx::FromRow)]
struct ContentRow {
    id: i64,
    space: i64,
    root: Vec<u8>,
    size: i64,
    class: Option<i64>,
    sealed: Option<Vec<u8>>,
    manifest: Option<Vec<u8>>,
    checksum: Option<String>,
}

impl ContentRow {
    fn read(self) -> Result<Content> {
        let body = match (self.sealed, self.manifest) {
            (Some(sealed), None) => StagedBody::Inline(sealed),
            (None, Some(manifest)) => {
                let manifest = Manifest::decode(&manifest);
                StagedBody::Chunks(manifest.ok_or(Error::Corrupt("a content's manifest"))?)
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(Error::Corrupt("a content lies in two places or none"));
            }
        };
        let size =
            u64::try_from(self.size).map_err(|_negative| Error::Corrupt("a content's size"))?;
        let class = match self.class {
            Some(SMALL) => Class::Small,
            Some(LARGE) => Class::Large,
            Some(_) => return Err(Error::Corrupt("a content's class")),
            // Rows made before there was the column: their size decided.
            None => Class::of(Some(size)),
        };
        Ok(Content {
            space: SpaceId(self.space),
            root: to_root(self.root)?,
            size,
            class,
            class_known: self.class.is_some(),
            body,
            checksum: self.checksum,
        })
    }
}

fn to_root(bytes: Vec<u8>) -> Result<Blinded> {
    let root = bytes.try_into();
    root.map(Blinded)
        .map_err(|_length| Error::Corrupt("a content's root"))
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
    let query = sql::query_scalar(BY_ROOT)
        .bind(space.0)
        .bind(&root.0[..])
        .bind(size);
    Ok(query.fetch_optional(conn).await?.map(ContentId))
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let mut all = vec![LOAD, BY_ROOT, KEEP];
    all.extend(INSERT.texts());
    all.extend(LOAD_EACH.texts());
    all
}
