//! Access tokens on requests: the signature and the time each time, the log-in behind them from
//! memory.
//!
//! Nobody guesses a token, so failures are counted but not limited.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::watch;

use super::access::{Access, Refused, Signer};
use super::refresh::is_over;
use super::refresh_token::RefreshToken;
use super::tokens::{TokenDevice, Tokens};
use super::{Accounts, Denied, Failures, Result, Session, devices, is_fresh, recheck};
use crate::store;
use crate::store::meta::tokens::{self, Family};
use crate::store::meta::{Meta, accounts};
use crate::types::{AccountId, Clock, DeviceId, FamilyId, Millis, SpaceId};

/// Log-ins remembered, about 300 bytes each.
const REMEMBERED_MAX: u64 = 4096;
/// Forgotten after so long without a request.
const REMEMBERED_IDLE: Duration = Duration::from_mins(5);

/// What was refused since the start.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) expired: AtomicU64,
    pub(super) forged: AtomicU64,
    pub(super) ended: AtomicU64,
    pub(super) reused: AtomicU64,
}

/// A log-in as the database had it.
struct Known {
    session: Session,
    epoch: i64,
    confirmed: Millis,
    /// [`Bearer::changes`] from before the database was asked.
    changes: u64,
}

/// Makes access tokens and checks them.
pub(super) struct Bearer {
    signer: Signer,
    known: Cache<FamilyId, Arc<Known>>,
    /// Changes made in this process that may have ended log-ins. What was learned before the last
    /// one counts for nothing, even when it is put into the memory only after it. Who holds on to a
    /// log-in is told.
    changes: watch::Sender<u64>,
    pub(super) counters: Counters,
    clock: Clock,
}

impl Bearer {
    pub(super) fn new(key: &[u8; 32], clock: Clock) -> Self {
        let known = Cache::builder()
            .max_capacity(REMEMBERED_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(REMEMBERED_IDLE)
            .build();
        Self {
            signer: Signer::new(key),
            known,
            changes: watch::Sender::new(0),
            counters: Counters::default(),
            clock,
        }
    }

    /// Forgets which log-ins hold; for a change made in this process.
    pub(super) fn forget_all(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Adds what was refused since the start.
    pub(super) fn failures(&self, others: Failures) -> Failures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Failures {
            expired: read(&self.counters.expired),
            forged: read(&self.counters.forged),
            ended: read(&self.counters.ended),
            reused: read(&self.counters.reused),
            ..others
        }
    }

    /// The tokens of a log-in as the database has it now.
    pub(super) fn tokens(
        &self,
        family: Family,
        refresh: &RefreshToken,
    ) -> Result<Tokens, store::Error> {
        let access = Access {
            account: AccountId(family.account),
            device: family.device.map(DeviceId),
            family: FamilyId(family.id),
            epoch: family.epoch,
        };
        let end = Millis(family.expires_at);
        let (access, expires_in) = self.signer.issue(access, self.clock.now(), end);
        Ok(Tokens {
            access,
            refresh: refresh.text(),
            expires_in,
            account: AccountId(family.account),
            device: device(&family)?,
            admin: family.admin,
            name: family.name,
        })
    }

    async fn verify(&self, meta: &Meta, token: &str) -> Result<Session, Denied> {
        let access = match self.signer.read(token, self.clock.now()) {
            Ok(access) => access,
            Err(Refused::Expired) => return Err(count(&self.counters.expired, Denied::Expired)),
            Err(Refused::Forged) => return Err(count(&self.counters.forged, Denied::Forged)),
        };
        let known = self.known(meta, access.family).await?;
        let known = known.filter(|known| {
            let session = &known.session;
            session.account == access.account
                && session.device == access.device
                && known.epoch == access.epoch
        });
        match known {
            Some(known) => Ok(known.session.clone()),
            None => Err(count(&self.counters.ended, Denied::Ended)),
        }
    }

    /// What is known of a log-in; `None` when it has ended.
    async fn known(&self, meta: &Meta, id: FamilyId) -> Result<Option<Arc<Known>>, store::Error> {
        let changes = *self.changes.borrow();
        let now = self.clock.now();
        if let Some(known) = self.known.get(&id).await
            && known.changes == changes
            && is_fresh(meta, now.0 - known.confirmed.0)
        {
            return Ok(Some(known));
        }
        let family = tokens::by_id(&mut *meta.read().await?, id).await?;
        let Some(family) = family.filter(|family| !is_over(family, now)) else {
            self.known.invalidate(&id).await;
            return Ok(None);
        };
        let known = Arc::new(Known {
            epoch: family.epoch,
            session: session(family)?,
            confirmed: now,
            changes,
        });
        self.known.insert(id, Arc::clone(&known)).await;
        Ok(Some(known))
    }
}

impl Accounts {
    /// Checks the access token of one request from the client at `peer`. Takes microseconds for a
    /// log-in seen since the last [`recheck`], else one look into the database.
    ///
    /// What ends a log-in in this process is seen at once, by other processes after that time.
    pub async fn verify_bearer(&self, peer: IpAddr, token: &str) -> Result<Session, Denied> {
        let verified = self.bearer.verify(&self.store.meta, token).await;
        verified.inspect_err(|denied| tracing::debug!("access token from {peer}: {denied}"))
    }

    /// Told whenever log-ins may have ended in this process, for those who hold on to one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.bearer.changes.subscribe()
    }

    /// How often whoever holds on to a log-in asks whether it [`Self::still_holds`].
    pub fn recheck(&self) -> Duration {
        recheck(&self.store.meta)
    }

    /// Whether the log-in or device of a session is still there, for those who hold on to one: ask
    /// every [`Self::recheck`] and after each of the [`Self::changes`]. The time of the access token does not
    /// matter here.
    pub async fn still_holds(&self, session: &Session) -> Result<bool> {
        let meta = &self.store.meta;
        if let Some(family) = session.family {
            return Ok(self.bearer.known(meta, family).await?.is_some());
        }
        let mut conn = meta.read().await?;
        let epoch = accounts::epoch(&mut conn, session.account, session.device).await?;
        Ok(epoch.is_some())
    }
}

fn count(counter: &AtomicU64, denied: Denied) -> Denied {
    counter.fetch_add(1, Ordering::Relaxed);
    denied
}

fn session(family: Family) -> Result<Session, store::Error> {
    Ok(Session {
        account: AccountId(family.account),
        space: SpaceId(family.space),
        admin: family.admin,
        device: family.device.map(DeviceId),
        kind: family
            .kind
            .as_deref()
            .map(devices::stored_kind)
            .transpose()?,
        family: Some(FamilyId(family.id)),
        name: family.name,
    })
}

fn device(family: &Family) -> Result<Option<TokenDevice>, store::Error> {
    let (Some(id), Some(name), Some(kind)) = (family.device, &family.device_name, &family.kind)
    else {
        return Ok(None);
    };
    Ok(Some(TokenDevice {
        id: DeviceId(id),
        name: name.clone(),
        kind: devices::stored_kind(kind)?,
    }))
}
