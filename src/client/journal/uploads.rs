//! Uploads in parts that have begun.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::entry::all;
use super::{Error, Journal};
use crate::client::local::Stamp;

const GET: &str = "SELECT upload, base, inode, size, mtime, ctime FROM upload WHERE path = $1";
const PUT: &str = "INSERT OR REPLACE INTO upload (path, upload, base, inode, size, mtime, ctime) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const ALL: &str = "SELECT upload, base, inode, size, mtime, ctime, path FROM upload";
const REMOVE: &str = "DELETE FROM upload WHERE path = $1";

/// An upload in parts that a restart can go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The server's id.
    pub upload: i64,
    /// The base that was stated.
    pub base: String,
    /// What the file was when it began.
    pub stamp: Stamp,
}

impl Journal {
    /// The upload to a path that has begun.
    pub async fn begun(&self, path: &str) -> Result<Option<Begun>, Error> {
        let query = sqlx::query(GET).bind(path);
        let Some(row) = query.fetch_optional(&mut *self.conn().await).await? else {
            return Ok(None);
        };
        Ok(Some(begun(&row)?))
    }

    /// All that have begun, with their paths.
    pub async fn uploads(&self) -> Result<Vec<(String, Begun)>, Error> {
        let of = |row: &SqliteRow| Ok((row.try_get(6)?, begun(row)?));
        all(sqlx::query(ALL), &mut *self.conn().await, of).await
    }

    /// Remembers an upload that has begun.
    pub async fn begin(&self, path: &str, begun: &Begun) -> Result<(), Error> {
        let query = sqlx::query(PUT)
            .bind(path)
            .bind(begun.upload)
            .bind(&*begun.base);
        let stamp = &begun.stamp;
        let query = query
            .bind(stamp.inode.cast_signed())
            .bind(stamp.size.cast_signed())
            .bind(stamp.mtime_ns)
            .bind(stamp.ctime_ns);
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

fn begun(row: &SqliteRow) -> Result<Begun, Error> {
    Ok(Begun {
        upload: row.try_get(0)?,
        base: row.try_get(1)?,
        stamp: Stamp {
            inode: row.try_get::<i64, _>(2)?.cast_unsigned(),
            size: row.try_get::<i64, _>(3)?.cast_unsigned(),
            mtime_ns: row.try_get(4)?,
            ctime_ns: row.try_get(5)?,
        },
    })
}
