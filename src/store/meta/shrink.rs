//! Free pages of the database file. SQLite only: PostgreSQL looks after its files itself.

use super::{Meta, sql};
use crate::store::{Error, Result};

/// Free pages that stay in the file, of 4 KiB each.
const FREE_KEPT: i64 = 1024;
/// Gives free pages back, a few milliseconds' worth.
// Neither is a statement of both databases.
const SHRINK: &str = "PRAGMA incremental_vacuum(512)";
const FREE: &str = "PRAGMA freelist_count";

impl Meta {
    /// Gives some of the file's free pages back to the file system; whether more can be. A few MiB stay
    /// free for what comes next. Does nothing to a database that was made before this was known.
    pub async fn shrink(&self) -> Result<bool> {
        if self.is_shared() {
            return Ok(false);
        }
        let free: i64 = sql::query_scalar(FREE)
            .fetch_one(&mut *self.read().await?)
            .await?;
        if free <= FREE_KEPT {
            return Ok(false);
        }
        let left = self.write(|conn| {
            Box::pin(async move {
                sql::query(SHRINK).execute(&mut *conn).await?;
                let left: i64 = sql::query_scalar(FREE).fetch_one(conn).await?;
                Ok::<_, Error>(left)
            })
        });
        let left = left.await?;
        Ok(left < free && left > FREE_KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(meta: &Meta, sql: &'static str) {
        let done = meta.write(move |conn| {
            Box::pin(async move {
                sql::query(sql).execute(conn).await?;
                Ok::<_, Error>(())
            })
        });
        done.await.unwrap();
    }

    #[tokio::test]
    async fn free_pages_go_back_in_slices_and_a_few_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let meta = Meta::open(&path.clone().into()).await.unwrap();
        let big = "INSERT INTO setting (key, value) VALUES ('big', printf('%.*c', 12000000, 'x'))";
        run(&meta, big).await;
        assert!(!meta.shrink().await.unwrap());
        run(&meta, "DELETE FROM setting WHERE key = 'big'").await;

        let mut slices = 1;
        while meta.shrink().await.unwrap() {
            slices += 1;
        }

        // 12 MB are 2930 pages, of which 1024 stay.
        assert_eq!(slices, 4);
        meta.close().await;
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 6 << 20, "{size}");
    }
}
