//! Uploads in parts that have begun.

use sqlx::Row as _;

use super::{Error, Journal};
use crate::crypto::Blinded;

const GET: &str = "SELECT upload, base, root, size FROM upload WHERE path = $1";
const PUT: &str =
    "INSERT OR REPLACE INTO upload (path, upload, base, root, size) VALUES ($1, $2, $3, $4, $5)";
const ALL: &str = "SELECT path, upload FROM upload";
const REMOVE: &str = "DELETE FROM upload WHERE path = $1";

/// An upload in parts that a restart can go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The server's id.
    pub upload: i64,
    /// The base that was stated.
    pub base: String,
    /// Root of the content.
    pub root: Blinded,
    /// Bytes of the content.
    pub size: u64,
}

impl Journal {
    /// The upload to a path that has begun.
    pub async fn begun(&self, path: &str) -> Result<Option<Begun>, Error> {
        let query = sqlx::query(GET).bind(path);
        let Some(row) = query.fetch_optional(&mut *self.conn().await).await? else {
            return Ok(None);
        };
        let root: &[u8] = row.try_get(2)?;
        Ok(Some(Begun {
            upload: row.try_get(0)?,
            base: row.try_get(1)?,
            root: Blinded(root.try_into().map_err(|_| Error::Row("a root"))?),
            size: row.try_get::<i64, _>(3)?.cast_unsigned(),
        }))
    }

    /// All that have begun: their paths, and the server's ids.
    pub async fn uploads(&self) -> Result<Vec<(String, i64)>, Error> {
        let query = sqlx::query_as(ALL);
        Ok(query.fetch_all(&mut *self.conn().await).await?)
    }

    /// Remembers an upload that has begun.
    pub async fn begin(&self, path: &str, begun: &Begun) -> Result<(), Error> {
        let query = sqlx::query(PUT)
            .bind(path)
            .bind(begun.upload)
            .bind(&*begun.base);
        let query = query.bind(&begun.root.0[..]).bind(begun.size.cast_signed());
        query.execute(&mut *self.conn().await).await?;
        Ok(())
    }

    /// Forgets the upload to a path.
    pub async fn end(&self, path: &str) -> Result<(), Error> {
        sqlx::query(REMOVE)
            .bind(path)
            .execute(&mut *self.conn().await)
            .await?;
        Ok(())
    }
}
