//! The processes that use the store, and the epochs of its collection. A process may append to
//! segments and be waited for while its row is there; deleting the row shuts it out for good.

use super::{Alone, Conn, sql};
use crate::crypto::SegmentId;
use crate::store::{Error, Result};
use crate::types::{Millis, ProcessId};

/// The epoch before any collection.
const FIRST_EPOCH: i64 = 1;

const EPOCH: &str = "SELECT CAST(value AS BIGINT) FROM setting WHERE key = 'collect_epoch'";
const NEXT_EPOCH: &str = "INSERT INTO setting (key, value) VALUES ('collect_epoch', '2')
    ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(setting.value AS BIGINT) + 1 AS TEXT)
    RETURNING CAST(value AS BIGINT)";
const ENTER: &str = "INSERT INTO process (until, floor) VALUES ($1, $2) RETURNING id";
const STAY: &str = "UPDATE process SET until = $2, floor = $3 WHERE id = $1";
const LEAVE: &str = "DELETE FROM process WHERE id = $1";
const CLEAR: &str = "DELETE FROM process";
const EXPIRE: &str = "DELETE FROM process WHERE until < $1";
const FLOOR: &str = "SELECT MIN(floor) FROM process";
const CLOSING: &str = "SELECT name FROM segment WHERE process = $1 AND closing";
const ANY_CLOSING: &str = "SELECT EXISTS (SELECT 1 FROM segment s
    JOIN process p ON p.id = s.process WHERE s.closing)";
const RELEASE: &str = "UPDATE segment SET process = NULL, closing = FALSE
    WHERE name = $1 AND process = $2";

/// The present epoch.
pub async fn epoch(conn: &mut Conn) -> Result<i64> {
    let epoch = sql::query_scalar(EPOCH).fetch_optional(conn).await?;
    Ok(epoch.unwrap_or(FIRST_EPOCH))
}

/// Begins the next epoch and returns it.
pub async fn next_epoch(conn: &mut Conn) -> Result<i64> {
    Ok(sql::query_scalar(NEXT_EPOCH).fetch_one(conn).await?)
}

/// Makes a row for a process that holds nothing yet; it, and the epoch that counts for it.
pub async fn enter(conn: &mut Conn, until: Millis) -> Result<(ProcessId, i64)> {
    // A round that begins either waits for those of this epoch, or this is of its own.
    conn.alone(Alone::Collecting).await?;
    let epoch = epoch(conn).await?;
    let query = sql::query_scalar(ENTER).bind(until.0).bind(epoch);
    Ok((ProcessId(query.fetch_one(conn).await?), epoch))
}

/// Notes that a process is alive and how far back it reaches; `false` when it was shut out.
pub async fn stay(conn: &mut Conn, id: ProcessId, until: Millis, floor: i64) -> Result<bool> {
    let query = sql::query(STAY).bind(id.0).bind(until.0).bind(floor);
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

/// Forgets a process: what it appended to is closed.
pub async fn leave(conn: &mut Conn, id: ProcessId) -> Result<()> {
    conn.alone(Alone::Collecting).await?;
    sql::query(LEAVE).bind(id.0).execute(conn).await?;
    Ok(())
}

/// Shuts out everybody; only for one who knows that all others are gone.
pub async fn clear(conn: &mut Conn) -> Result<()> {
    sql::query(CLEAR).execute(conn).await?;
    Ok(())
}

/// Shuts out those who have not been heard of.
pub async fn expire(conn: &mut Conn, now: Millis) -> Result<()> {
    sql::query(EXPIRE).bind(now.0).execute(conn).await?;
    Ok(())
}

/// The oldest epoch that any process reaches back to; `None` when there is no process.
pub async fn floor(conn: &mut Conn) -> Result<Option<i64>> {
    Ok(sql::query_scalar(FLOOR).fetch_one(conn).await?)
}

/// Segments that a process is asked to close.
pub async fn closing(conn: &mut Conn, id: ProcessId) -> Result<Vec<SegmentId>> {
    let names: Vec<Vec<u8>> = sql::query_scalar(CLOSING)
        .bind(id.0)
        .fetch_all(conn)
        .await?;
    names.into_iter().map(to_segment).collect()
}

/// Whether any process was asked to close a segment and has not done so yet.
pub async fn any_closing(conn: &mut Conn) -> Result<bool> {
    Ok(sql::query_scalar(ANY_CLOSING).fetch_one(conn).await?)
}

/// Notes that a process will not append to a segment any more and that nothing of it waits for a row.
pub async fn release(conn: &mut Conn, id: ProcessId, segment: SegmentId) -> Result<()> {
    let query = sql::query(RELEASE).bind(&segment.0[..]).bind(id.0);
    query.execute(conn).await?;
    Ok(())
}

pub(super) fn to_segment(name: Vec<u8>) -> Result<SegmentId> {
    let name = name.try_into();
    name.map(SegmentId)
        .map_err(|_length| Error::Corrupt("a segment's name"))
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        EPOCH,
        NEXT_EPOCH,
        ENTER,
        STAY,
        LEAVE,
        CLEAR,
        EXPIRE,
        FLOOR,
        CLOSING,
        ANY_CLOSING,
        RELEASE,
    ]
}
