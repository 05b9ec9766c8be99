//! The token of a watch: 256 random bits as 43 characters, of which only the SHA-256 is kept.
//!
//! A token that was right is remembered, so that a request costs no query. An app password and a
//! token never are each other: they differ in shape, and only watches are looked up by token.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sha2::{Digest, Sha256};

use crate::accounts::{Denied, DeviceKind, Session, app_password, is_fresh, random};
use crate::store;
use crate::store::meta::watch::TokenOwner;
use crate::store::meta::{Meta, accounts, watch};
use crate::types::{AccountId, Clock, DeviceId, SpaceId};

/// Characters of 256 bits in base64url.
const LENGTH: usize = 43;
/// Tokens remembered, about 300 bytes each.
const REMEMBERED_MAX: u64 = 1024;
/// Forgotten after so long without a request.
const REMEMBERED_IDLE: Duration = Duration::from_mins(5);

/// A fresh secret of a pairing.
pub(super) fn generate() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<32>())
}

/// The token of the watch that was paired with `secret`. One-way, and as random as the secret.
pub(super) fn of(secret: &str) -> String {
    let mut hash = Sha256::new_with_prefix("sync-server watch token:");
    hash.update(secret.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// Whether a text looks like one of ours.
pub(super) fn has_shape(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == LENGTH && text.bytes().all(known)
}

/// A token that was right.
struct Verified {
    session: Session,
    epoch: i64,
    /// When the database last confirmed it.
    confirmed: AtomicI64,
    /// The changes made by this process that it is younger than.
    changes: AtomicU64,
}

/// Checks the tokens of watches.
pub(in crate::accounts) struct Tokens {
    remembered: Cache<[u8; 32], Arc<Verified>>,
    /// Changes of credentials made by this process.
    changes: AtomicU64,
    clock: Clock,
}

impl Tokens {
    pub(in crate::accounts) fn new(clock: Clock) -> Self {
        let remembered = Cache::builder()
            .max_capacity(REMEMBERED_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(REMEMBERED_IDLE)
            .build();
        Self {
            remembered,
            changes: AtomicU64::new(0),
            clock,
        }
    }

    /// Has every token asked for anew; for a change of credentials made in this process.
    pub(in crate::accounts) fn recheck_all(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Checks the token of one request.
    ///
    /// Failures are not counted against the network: 256 bits cannot be guessed, and a watch whose
    /// account is gone would shut out the household it is in.
    pub(in crate::accounts) async fn verify(
        &self,
        meta: &Meta,
        peer: IpAddr,
        token: &str,
    ) -> Result<Session, Denied> {
        if !has_shape(token) {
            return Err(wrong(peer));
        }
        let hash = app_password::digest(token);
        if let Some(verified) = self.remembered.get(&hash).await
            && self.still_holds(meta, &verified).await?
        {
            return Ok(verified.session.clone());
        }
        // Read before the database is: a change after this makes what is found old.
        let changes = self.changes.load(Ordering::SeqCst);
        let owner = watch::by_token(&mut *meta.read().await?, &hash).await?;
        let Some(owner) = owner else {
            return Err(wrong(peer));
        };
        if owner.revoked_at.is_some() {
            self.remembered.invalidate(&hash).await;
            return Err(Denied::Wrong);
        }
        let verified = Arc::new(Verified {
            epoch: owner.epoch,
            session: session(owner),
            confirmed: self.clock.now().0.into(),
            changes: changes.into(),
        });
        self.remembered.insert(hash, Arc::clone(&verified)).await;
        Ok(verified.session.clone())
    }

    async fn still_holds(&self, meta: &Meta, verified: &Verified) -> Result<bool, store::Error> {
        let (now, changes) = (self.clock.now(), self.changes.load(Ordering::SeqCst));
        let age = now.0 - verified.confirmed.load(Ordering::Relaxed);
        let young = is_fresh(meta, age);
        if young && verified.changes.load(Ordering::SeqCst) == changes {
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
        verified.changes.store(changes, Ordering::SeqCst);
        Ok(true)
    }
}

/// Logs a token that is none of ours. The text is stable: fail2ban looks for it.
fn wrong(peer: IpAddr) -> Denied {
    tracing::warn!("authentication failed from {}", peer.to_canonical());
    Denied::Wrong
}

fn session(owner: TokenOwner) -> Session {
    Session {
        account: AccountId(owner.account),
        name: owner.name,
        space: SpaceId(owner.space),
        admin: owner.admin,
        device: Some(DeviceId(owner.device)),
        kind: Some(DeviceKind::Garmin),
        family: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_shape_follow_from_the_secret_and_are_not_it() {
        let secret = generate();
        assert!(has_shape(&secret) && has_shape(&of(&secret)));
        assert_eq!(of(&secret), of(&secret));
        assert_ne!(of(&secret), secret);
        assert_ne!(of(&generate()), of(&secret));
    }

    #[test]
    fn app_passwords_do_not_have_the_shape_of_a_token_nor_the_other_way_round() {
        assert!(!has_shape(&app_password::generate()));
        assert!(!app_password::has_shape(&of(&generate())));
        assert!(!has_shape(&"x".repeat(42)) && !has_shape(&"+".repeat(43)));
    }
}
