//! Refresh tokens replace one another: each is good once, and one that comes twice ends the log-in,
//! because then two have it (RFC 9700 §4.14.2).
//!
//! An answer can be lost on its way, and two threads of one program can ask at once. So the token
//! replaced last gives, for a while and as long as no token that replaced it was used, a second
//! one: its twin. Whichever of the twins is used first stays; the other is then an old token.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::refresh_token::RefreshToken;
use super::tokens::Tokens;
use super::{Accounts, LoginError};
use crate::store::meta::tokens::{self, Family};
use crate::store::meta::{Alone, Conn, watch};
use crate::types::{FamilyId, Millis};

/// A log-in ends when it was not refreshed for so long.
pub(super) const IDLE: Duration = Duration::from_hours(90 * 24);
/// A log-in ends so long after it began, whatever happens.
pub(super) const LIFE: Duration = Duration::from_hours(365 * 24);
/// How long the token replaced last may ask for a twin: a client that waits a minute for an answer
/// and then repeats its request is in time.
const GRACE: Duration = Duration::from_mins(1);

/// What a token may do, by the state of its log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is the current one, or its twin.
    Rotate,
    /// It was replaced just now, and no twin was given yet.
    Twin,
    /// It was replaced just now, and the twin is given.
    TooOften,
    /// It was replaced some time ago.
    Reused,
    /// Its log-in is over.
    Expired,
}

/// What became of a token. Not a `Result`: a failed transaction would undo the end of a log-in.
enum Outcome {
    Next(Box<Family>, RefreshToken),
    Unknown,
    Expired,
    TooOften,
    Reused(Box<Family>),
}

impl Accounts {
    /// The next tokens of a log-in for its refresh token, which is thereby used up.
    ///
    /// A token that was used before ends its log-in and is one log line,
    /// `refresh token used twice`. For 60 s the token replaced last gives one other, as long as
    /// its replacement was not used, because an answer can be lost. Then it is refused and the
    /// log-in stays, so that requests at once do not end it.
    ///
    /// A log-in lasts 90 days from its last refresh, a year at most.
    pub async fn refresh(&self, token: &str) -> Result<Tokens, LoginError> {
        let counters = &self.bearer.counters;
        let count = |counter: &AtomicU64, error| {
            counter.fetch_add(1, Ordering::Relaxed);
            Err(error)
        };
        match self.spend(token).await? {
            Outcome::Next(family, next) => Ok(self.bearer.tokens(*family, &next)?),
            Outcome::Unknown => count(&counters.ended, LoginError::Ended),
            Outcome::Expired => count(&counters.expired, LoginError::Expired),
            Outcome::TooOften => count(&counters.reused, LoginError::Replaced),
            Outcome::Reused(family) => {
                self.bearer.forget_all();
                // The text is stable, for those who watch the log.
                tracing::warn!(
                    account.id = family.account,
                    device.id = family.device,
                    family.id = family.id,
                    "refresh token used twice, log-in ended"
                );
                count(&counters.reused, LoginError::Reused)
            }
        }
    }

    async fn spend(&self, token: &str) -> Result<Outcome, LoginError> {
        let Some(token) = RefreshToken::parse(token) else {
            return Ok(Outcome::Unknown);
        };
        let meta = &self.store.meta;
        // Invented tokens do not get as far as the writer.
        let handle = token.handle_hash();
        let known = tokens::by_handle(&mut *meta.read().await?, &handle).await?;
        if known.is_none() {
            return Ok(Outcome::Unknown);
        }
        let now = self.clock.now();
        meta.write(move |tx| Box::pin(async move { spend_within(tx, &token, now).await }))
            .await
    }
}

/// Deletes what is over of all accounts: log-ins, pairing codes, pairings of watches. Says how many.
pub async fn forget_ended(tx: &mut Conn, now: Millis) -> crate::store::Result<u64> {
    tx.alone(Alone::Accounts).await?;
    let idle_since = now.minus(IDLE);
    let tokens = tokens::forget_ended(tx, now, idle_since).await?;
    Ok(tokens + watch::expire(tx, now).await?)
}

async fn spend_within(
    tx: &mut Conn,
    token: &RefreshToken,
    now: Millis,
) -> Result<Outcome, LoginError> {
    // A token that two spend at once is spent one after the other.
    tx.alone(Alone::Accounts).await?;
    let Some(family) = tokens::by_handle(tx, &token.handle_hash()).await? else {
        return Ok(Outcome::Unknown);
    };
    let (id, hash) = (FamilyId(family.id), token.secret_hash());
    let next = token.successor();
    let next_hash = next.secret_hash();
    match step(&family, &hash, now) {
        Step::Rotate => tokens::rotate(tx, id, (&hash, &next_hash), now).await?,
        Step::Twin => tokens::add_spare(tx, id, &next_hash).await?,
        Step::TooOften => return Ok(Outcome::TooOften),
        Step::Reused => {
            tokens::end(tx, id).await?;
            return Ok(Outcome::Reused(Box::new(family)));
        }
        Step::Expired => {
            tokens::end(tx, id).await?;
            return Ok(Outcome::Expired);
        }
    }
    Ok(Outcome::Next(Box::new(family), next))
}

/// Whether the time of a log-in is over.
pub(super) fn is_over(family: &Family, now: Millis) -> bool {
    now >= Millis(family.rotated_at).plus(IDLE) || now.0 >= family.expires_at
}

fn step(family: &Family, hash: &[u8], now: Millis) -> Step {
    let is = |stored: &Option<Vec<u8>>| stored.as_deref() == Some(hash);
    if is_over(family, now) {
        return Step::Expired;
    }
    if family.secret == hash || is(&family.spare) {
        return Step::Rotate;
    }
    let in_time = now <= Millis(family.rotated_at).plus(GRACE);
    match is(&family.previous) && in_time {
        true if family.spare.is_none() => Step::Twin,
        true => Step::TooOften,
        false => Step::Reused,
    }
}
