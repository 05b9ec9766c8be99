//! The activity log: who did what to which file, newest last. Rules never read it; people do.

use std::sync::LazyLock;

use sqlx::FromRow;

use super::rows::Insert;
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{AccountId, Millis};

/// Most rows of one page: about 100 KiB of JSON.
pub const PAGE_MAX: u32 = 1000;

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who acted.
    pub account_id: i64,
    /// With which device.
    pub device_id: Option<i64>,
    /// Where.
    pub space_id: i64,
    /// On which node.
    pub file_id: i64,
    /// What: `upload`, `delete`, …
    pub action: &'static str,
    /// Bytes concerned.
    pub size: i64,
    /// When, ms.
    pub at: i64,
}

/// A line as it is read back.
#[derive(Clone, Debug, FromRow)]
pub struct Logged {
    /// Rising; the cursor of pages.
    pub id: i64,
    /// Who acted.
    pub account_id: i64,
    /// With which device.
    pub device_id: Option<i64>,
    /// Where.
    pub space_id: i64,
    /// On which node.
    pub file_id: i64,
    /// What; a newer server may have written words this one does not know.
    pub action: String,
    /// Bytes concerned.
    pub size: i64,
    /// When, ms.
    pub at: i64,
}

static APPEND: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "INSERT INTO sync_log (account_id, device_id, space_id, file_id, action, size, at)",
        7,
        "",
    )
});
const PAGE: &str = "SELECT id, account_id, device_id, space_id, file_id, action, size, at
    FROM sync_log WHERE id < $1 AND (CAST($2 AS BIGINT) IS NULL OR account_id = $2)
    ORDER BY id DESC LIMIT $3";
const FORGET: &str = "DELETE FROM sync_log WHERE id IN (
    SELECT id FROM sync_log WHERE at <= $1 ORDER BY at, id LIMIT $2)";
const OLD: &str = "SELECT count(*) FROM sync_log WHERE at <= $1";

/// Adds lines, in the transaction of what they tell of.
pub async fn append(conn: &mut Conn, entries: &[Entry]) -> Result<()> {
    for (sql, batch) in APPEND.batches(entries) {
        let mut query = sql::query(sql);
        for entry in batch {
            query = query
                .bind(entry.account_id)
                .bind(entry.device_id)
                .bind(entry.space_id)
                .bind(entry.file_id)
                .bind(entry.action)
                .bind(entry.size)
                .bind(entry.at);
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Rows below the id `before` (all when `None`), newest first, of one account or of all; at most
/// `limit` and [`PAGE_MAX`].
pub async fn page(
    conn: &mut Conn,
    account: Option<AccountId>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Logged>> {
    let query = sql::query_as(PAGE).bind(before.unwrap_or(i64::MAX));
    let query = query
        .bind(account.map(|id| id.0))
        .bind(i64::from(limit.min(PAGE_MAX)));
    Ok(query.fetch_all(conn).await?)
}

/// Deletes at most `limit` of the rows of `until` and before, oldest first, and says how many.
pub async fn forget(conn: &mut Conn, until: Millis, limit: i64) -> Result<u64> {
    let query = sql::query(FORGET).bind(until.0).bind(limit);
    Ok(query.execute(conn).await?.rows_affected())
}

/// How many rows are of `until` or before.
pub async fn count_until(conn: &mut Conn, until: Millis) -> Result<i64> {
    let query = sql::query_scalar(OLD).bind(until.0);
    Ok(query.fetch_one(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let mut all = vec![PAGE, FORGET, OLD];
    all.extend(APPEND.texts());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::meta::{Meta, testing};

    fn entry(account: i64, at: i64) -> Entry {
        Entry {
            account_id: account,
            device_id: None,
            space_id: 1,
            file_id: 9,
            action: "upload",
            size: 5,
            at,
        }
    }

    async fn log_of(entries: Vec<Entry>) -> (tempfile::TempDir, Meta) {
        let dir = tempfile::tempdir().unwrap();
        let meta = Meta::open(&testing::database(dir.path())).await.unwrap();
        meta.write::<_, crate::store::Error, _>(move |tx| {
            Box::pin(async move { append(tx, &entries).await })
        })
        .await
        .unwrap();
        (dir, meta)
    }

    #[tokio::test]
    async fn pages_run_backwards_without_gaps_or_repeats() {
        let (_dir, meta) = log_of((0..5).map(|at| entry(1 + at % 2, at)).collect()).await;
        let mut conn = meta.read().await.unwrap();

        let first = page(&mut conn, None, None, 3).await.unwrap();
        let second = page(&mut conn, None, Some(first[2].id), 3).await.unwrap();
        let of_two = page(&mut conn, Some(AccountId(2)), None, 3).await.unwrap();

        let times = |rows: &[Logged]| rows.iter().map(|row| row.at).collect::<Vec<_>>();
        assert_eq!(times(&first), [4, 3, 2]);
        assert_eq!(times(&second), [1, 0]);
        assert_eq!(times(&of_two), [3, 1]);
        assert_eq!(first[0].action, "upload");
    }

    #[tokio::test]
    async fn forgetting_takes_the_oldest_and_nothing_that_is_newer() {
        let (_dir, meta) = log_of((0..5).map(|at| entry(1, at)).collect()).await;
        let gone = async |limit| {
            meta.write::<_, crate::store::Error, _>(move |tx| {
                Box::pin(async move { forget(tx, Millis(2), limit).await })
            })
            .await
            .unwrap()
        };
        let mut conn = meta.read().await.unwrap();
        assert_eq!(count_until(&mut conn, Millis(2)).await.unwrap(), 3);

        assert_eq!([gone(2).await, gone(2).await, gone(2).await], [2, 1, 0]);

        let rows = page(&mut conn, None, None, 10).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.at).collect::<Vec<_>>(), [4, 3]);
    }
}
