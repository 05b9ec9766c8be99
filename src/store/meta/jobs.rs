//! Jobs: when each is due, and which run has it now.

use super::{Conn, sql};
use crate::store::Result;
use crate::types::Millis;

/// A run that wants a job.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The job.
    pub name: &'a str,
    /// The run: a random number.
    pub holder: i64,
    /// Now.
    pub now: Millis,
    /// For how many milliseconds.
    pub lease: i64,
    /// How many milliseconds lie between two runs, for one that waits until the job is due.
    pub every: Option<i64>,
}

// Times further ahead than anybody sets them were set by a clock that was wrong.
const TAKE: &str = "INSERT INTO job (name, holder, until, due) VALUES ($1, $2, $3, 0)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE (job.until <= $4 OR job.until > $5) AND (job.due <= $6 OR job.due > $7)
    RETURNING holder";
const HOLD: &str = "UPDATE job SET until = $3 WHERE name = $1 AND holder = $2";
const END: &str = "UPDATE job SET until = 0, due = COALESCE(CAST($3 AS BIGINT), due)
    WHERE name = $1 AND holder = $2";
const FREE: &str = "UPDATE job SET until = 0 WHERE name = $1";
const NEXT: &str = "SELECT name, until, due FROM job";

/// Gives a job to a run; `false` when another has it, or when it is not due.
pub async fn take(conn: &mut Conn, claim: &Claim<'_>) -> Result<bool> {
    let now = claim.now.0;
    let until = now.saturating_add(claim.lease);
    let (due, late) = match claim.every {
        Some(every) => (now, now.saturating_add(every)),
        None => (i64::MAX, i64::MAX),
    };
    let query = sql::query_scalar::<i64>(TAKE)
        .bind(claim.name)
        .bind(claim.holder)
        .bind(until)
        .bind(now)
        .bind(until.saturating_add(claim.lease));
    let taken = query.bind(due).bind(late).fetch_optional(conn).await?;
    Ok(taken.is_some())
}

/// Keeps a job for longer; `false` when another run has taken it.
pub async fn hold(conn: &mut Conn, name: &str, holder: i64, until: Millis) -> Result<bool> {
    let query = sql::query(HOLD).bind(name).bind(holder).bind(until.0);
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

/// Gives a job back; with `due` it says when it is to run next. Nothing when another run has it.
pub async fn end(conn: &mut Conn, name: &str, holder: i64, due: Option<Millis>) -> Result<()> {
    let query = sql::query(END)
        .bind(name)
        .bind(holder)
        .bind(due.map(|due| due.0));
    query.execute(conn).await?;
    Ok(())
}

/// Takes a job from the run that has it.
pub async fn free(conn: &mut Conn, name: &str) -> Result<()> {
    sql::query(FREE).bind(name).execute(conn).await?;
    Ok(())
}

/// Each job that ever ran: its name, until when a run has it, and when it is due.
pub async fn all(conn: &mut Conn) -> Result<Vec<(String, Millis, Millis)>> {
    let rows: Vec<(String, i64, i64)> = sql::query_as(NEXT).fetch_all(conn).await?;
    let times = |(name, until, due)| (name, Millis(until), Millis(due));
    Ok(rows.into_iter().map(times).collect())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![TAKE, HOLD, END, FREE, NEXT]
}
