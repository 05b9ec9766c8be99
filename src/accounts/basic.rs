//! HTTP Basic: user name and password, sent with every request, checked once.
//!
//! Order of the checks: credentials that were right before (cached), app passwords, the limits, and
//! only then an argon2 hash. Knows nothing of HTTP.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;

use super::limits::{Attempt, Limits};
use super::password::{Hasher, MAX_PASSWORD_BYTES, Turn, Verdict};
use super::{Denied, Session, app_password, devices, is_fresh, name, random};
use crate::store;
use crate::store::meta::Meta;
use crate::store::meta::accounts::{self, Credentials, SecretOwner};
use crate::types::{AccountId, Clock, DeviceId, SpaceId};

/// Credentials remembered, about 300 bytes each.
const CACHED_MAX: u64 = 1024;
/// Forgotten after so long without a request.
const CACHED_IDLE: Duration = Duration::from_mins(5);
/// Forgotten after so long in any case.
const CACHED_LIFE: Duration = Duration::from_hours(1);

/// Logins refused since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Unknown user or wrong password.
    pub wrong: u64,
    /// The app password of a revoked device.
    pub revoked: u64,
    /// Refused unchecked after too many failures.
    pub limited: u64,
    /// Too many passwords were being checked already.
    pub busy: u64,
    /// Access or refresh tokens whose time was over.
    pub expired: u64,
    /// Access tokens that this server did not sign for its API.
    pub forged: u64,
    /// Access or refresh tokens of a log-in that had ended.
    pub ended: u64,
    /// Refresh tokens that were used before.
    pub reused: u64,
}

#[derive(Default)]
struct Counters {
    wrong: AtomicU64,
    revoked: AtomicU64,
    limited: AtomicU64,
    busy: AtomicU64,
}

/// Credentials that were right.
pub(super) struct Verified {
    pub(super) session: Session,
    /// The account's epoch they were checked at.
    pub(super) epoch: i64,
    /// When the database last confirmed them.
    confirmed: AtomicI64,
}

/// What an app password turned out to be.
enum AppPassword {
    Unknown,
    Revoked,
    Valid(Arc<Verified>),
}

/// Checks Basic credentials.
pub(super) struct Basic {
    cache: Cache<[u8; 32], Arc<Verified>>,
    cache_secret: [u8; 32],
    hasher: Arc<Hasher>,
    pub(super) limits: Limits,
    counters: Counters,
    clock: Clock,
}

impl Basic {
    pub(super) fn new(hasher: Arc<Hasher>, clock: Clock) -> Self {
        let cache = Cache::builder()
            .max_capacity(CACHED_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(CACHED_IDLE)
            .time_to_live(CACHED_LIFE)
            .build();
        Self {
            cache,
            cache_secret: random::bytes(),
            hasher,
            limits: Limits::new(),
            counters: Counters::default(),
            clock,
        }
    }

    /// Checks the credentials of one request.
    pub(super) async fn verify(
        &self,
        meta: &Meta,
        peer: IpAddr,
        user: &str,
        password: &str,
    ) -> Result<Session, Denied> {
        let verified = self.check(meta, peer, user, password).await?;
        Ok(verified.session.clone())
    }

    /// Checks credentials and tells what else is known of them.
    pub(super) async fn check(
        &self,
        meta: &Meta,
        peer: IpAddr,
        user: &str,
        password: &str,
    ) -> Result<Arc<Verified>, Denied> {
        // A name too long for any account is not worth normalizing.
        let known = user.len() <= name::MAX_SENT_BYTES;
        let attempt = self.limits.attempt(peer, if known { user } else { "" });
        if !known || password.len() > MAX_PASSWORD_BYTES {
            self.admit(&attempt).await?;
            return Err(self.wrong(&attempt, user).await);
        }
        let key = self.cache_key(&attempt, user, password);
        if let Some(verified) = self.remembered(meta, &attempt, &key).await? {
            return Ok(verified);
        }
        // One check for all requests with these credentials that come at once.
        let check = Box::pin(self.check_unknown(meta, &attempt, user, password));
        let checked = self.cache.try_get_with(key, check).await;
        checked.map_err(|denied| Denied::clone(&denied))
    }

    /// Forgets what was right before; for a change of credentials made in this process.
    pub(super) fn forget_all(&self) {
        self.cache.invalidate_all();
    }

    /// Logins refused since the start.
    pub(super) fn failures(&self) -> Failures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Failures {
            wrong: read(&self.counters.wrong),
            revoked: read(&self.counters.revoked),
            limited: read(&self.counters.limited),
            busy: read(&self.counters.busy),
            ..Failures::default()
        }
    }

    /// Counts and logs a guess that was wrong. The text is stable: fail2ban looks for it.
    pub(super) fn note_wrong(&self, peer: IpAddr) {
        self.counters.wrong.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("authentication failed from {peer}");
    }

    /// Counts a guess that was refused unchecked.
    pub(super) fn note_limited(&self) {
        self.counters.limited.fetch_add(1, Ordering::Relaxed);
    }

    /// The network is part of the key: a stranger elsewhere cannot probe for what the owner's
    /// requests have put into the cache.
    fn cache_key(&self, attempt: &Attempt, user: &str, password: &str) -> [u8; 32] {
        let mut hash = blake3::Hasher::new_keyed(&self.cache_secret);
        hash.update(&attempt.network);
        hash.update(&(user.len() as u64).to_le_bytes())
            .update(user.as_bytes());
        hash.update(password.as_bytes());
        hash.finalize().into()
    }

    async fn remembered(
        &self,
        meta: &Meta,
        attempt: &Attempt,
        key: &[u8; 32],
    ) -> Result<Option<Arc<Verified>>, Denied> {
        let Some(verified) = self.cache.get(key).await else {
            return Ok(None);
        };
        // App passwords cannot be guessed, so probing for them is no danger.
        if verified.session.device.is_none()
            && let Some(retry_after) = self.limits.probe_refusal(attempt, self.clock.now()).await
        {
            self.note_limited();
            return Err(Denied::Limited { retry_after });
        }
        if self.still_holds(meta, &verified).await? {
            return Ok(Some(verified));
        }
        self.cache.invalidate(key).await;
        Ok(None)
    }

    async fn still_holds(&self, meta: &Meta, verified: &Verified) -> Result<bool, store::Error> {
        let now = self.clock.now();
        let age = now.0 - verified.confirmed.load(Ordering::Relaxed);
        if is_fresh(meta, age) {
            return Ok(true);
        }
        let Session {
            account, device, ..
        } = verified.session;
        let epoch = accounts::epoch(&mut *meta.read().await?, account, device).await?;
        if epoch != Some(verified.epoch) {
            return Ok(false);
        }
        verified.confirmed.store(now.0, Ordering::Relaxed);
        Ok(true)
    }

    async fn check_unknown(
        &self,
        meta: &Meta,
        attempt: &Attempt,
        user: &str,
        password: &str,
    ) -> Result<Arc<Verified>, Denied> {
        let name_key = name::key(user);
        match self.try_app_password(meta, &name_key, password).await? {
            AppPassword::Valid(verified) => return Ok(verified),
            // Devices go on asking long after they were revoked. Counting them would shut out
            // everybody else behind their address.
            AppPassword::Revoked => {
                self.counters.revoked.fetch_add(1, Ordering::Relaxed);
                return Err(Denied::Wrong);
            }
            AppPassword::Unknown => {}
        }
        self.admit(attempt).await?;
        let turn = self
            .turn(attempt)
            .await
            .inspect_err(|denied| self.count_busy(denied))?;
        // Others may have used up the guesses while this one waited.
        self.admit(attempt).await?;
        let checked = self.try_password(meta, &turn, &name_key, password).await;
        let Some(verified) = checked.inspect_err(|denied| self.count_busy(denied))? else {
            let denied = self.wrong(attempt, user).await;
            // Only now that it is counted may the next guess have its turn.
            drop(turn);
            return Err(denied);
        };
        self.limits.succeeded(attempt).await;
        Ok(Arc::new(verified))
    }

    async fn turn(&self, attempt: &Attempt) -> Result<Turn, Denied> {
        self.limits.slow_down(attempt, self.clock.now()).await?;
        Ok(self.hasher.turn().await?)
    }

    async fn try_app_password(
        &self,
        meta: &Meta,
        name_key: &str,
        secret: &str,
    ) -> Result<AppPassword, store::Error> {
        if !app_password::has_shape(secret) {
            return Ok(AppPassword::Unknown);
        }
        let now = self.clock.now();
        let hash = app_password::digest(secret);
        let owner = accounts::by_secret(&mut *meta.read().await?, &hash).await?;
        let Some(owner) = owner.filter(|owner| owner.name_key == name_key) else {
            return Ok(AppPassword::Unknown);
        };
        if owner.revoked_at.is_some() {
            return Ok(AppPassword::Revoked);
        }
        let epoch = owner.epoch;
        let session = device_session(owner)?;
        Ok(AppPassword::Valid(Arc::new(Verified {
            session,
            epoch,
            confirmed: now.0.into(),
        })))
    }

    async fn try_password(
        &self,
        meta: &Meta,
        turn: &Turn,
        name_key: &str,
        password: &str,
    ) -> Result<Option<Verified>, Denied> {
        let now = self.clock.now();
        let account =
            accounts::by_key(&mut *meta.read().await.map_err(Denied::from)?, name_key).await?;
        let stored = account.as_ref().map(|account| account.password.clone());
        let verdict = self.hasher.verify(turn, password, stored).await?;
        let (Verdict::Right { renewed }, Some(account)) = (verdict, account) else {
            return Ok(None);
        };
        if let Some(renewed) = renewed {
            renew(meta, &account, renewed).await;
        }
        let epoch = account.epoch;
        Ok(Some(Verified {
            session: password_session(account),
            epoch,
            confirmed: now.0.into(),
        }))
    }

    /// Refuses an attempt after too many failures.
    async fn admit(&self, attempt: &Attempt) -> Result<(), Denied> {
        let now = self.clock.now();
        let Some(retry_after) = self.limits.refusal(attempt, now).await else {
            return Ok(());
        };
        self.limits.refused(attempt, now).await;
        self.note_limited();
        Err(Denied::Limited { retry_after })
    }

    async fn wrong(&self, attempt: &Attempt, user: &str) -> Denied {
        self.limits.failed(attempt, self.clock.now()).await;
        self.note_wrong(attempt.peer);
        tracing::debug!(user.name = user, "authentication failed for a user");
        Denied::Wrong
    }

    fn count_busy(&self, denied: &Denied) {
        if matches!(denied, Denied::Busy) {
            self.counters.busy.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keeps a stronger hash. The login was right, so a failure here does not undo it.
async fn renew(meta: &Meta, account: &Credentials, renewed: String) {
    let (id, old) = (AccountId(account.id), account.password.clone());
    let kept = meta
        .write::<_, store::Error, _>(move |tx| {
            Box::pin(async move { accounts::renew_hash(tx, id, &old, &renewed).await })
        })
        .await;
    if let Err(error) = kept {
        tracing::warn!("a stronger password hash could not be kept: {error}");
    }
}

fn device_session(owner: SecretOwner) -> Result<Session, store::Error> {
    Ok(Session {
        account: AccountId(owner.account),
        name: owner.name,
        space: SpaceId(owner.space),
        admin: owner.admin,
        device: Some(DeviceId(owner.device)),
        kind: Some(devices::stored_kind(&owner.kind)?),
        family: None,
    })
}

fn password_session(account: Credentials) -> Session {
    Session {
        account: AccountId(account.id),
        name: account.name,
        space: SpaceId(account.space),
        admin: account.admin,
        device: None,
        kind: None,
        family: None,
    }
}

#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod tests;
