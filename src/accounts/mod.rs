//! Who may log in: accounts, their passwords, the app passwords of their devices, and the tokens of
//! devices that logged in.
//!
//! Knows nothing of HTTP, prompts or trees, and holds no SQL. What it hands out is a [`Session`].

mod access;
mod app_password;
mod basic;
mod bearer;
mod devices;
mod directory;
mod error;
#[cfg(test)]
mod fixture;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod limits;
mod login;
mod name;
mod pairing;
mod password;
mod random;
mod refresh;
mod refresh_token;
mod session;
mod synced;
#[cfg(test)]
mod tests;
mod tokens;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use basic::Failures;
pub use devices::{DeviceInfo, DeviceKind, MAX_DEVICE_NAME};
pub use directory::{AccountInfo, NewAccount, REMOVED_SPACE};
pub use error::{Denied, Error, LoginError, Result};
pub use login::Credentials;
pub use name::{MAX_NAME_BYTES, NameError};
pub use pairing::PairingCode;
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES, PasswordError};
pub use refresh::forget_ended;
pub use session::Session;
pub use tokens::{TokenDevice, Tokens};
pub use watch::{MAX_WATCH_MODEL_BYTES, WatchAnswer, WatchError, WatchPairing};

#[cfg(test)]
pub(crate) use devices::is_name as is_device_name;
pub(crate) use limits::network;

use crate::store::Store;
use crate::store::meta::{Conn, Meta};
use crate::types::{AccountId, Clock, DeviceId, FamilyId, SpaceId, millis};

/// How old the proof may be that a log-in still holds: other processes end log-ins, too. Where servers
/// share a database, so that whoever is shut out at one is out at the others within a second.
pub(crate) fn recheck(meta: &Meta) -> Duration {
    Duration::from_millis(if meta.is_shared() { 500 } else { 5000 })
}

/// Whether a proof of so many milliseconds ago still counts.
fn is_fresh(meta: &Meta, age: i64) -> bool {
    (0..millis(recheck(meta))).contains(&age)
}

/// The accounts of one server. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<Store>,
    hasher: Arc<password::Hasher>,
    basic: Arc<basic::Basic>,
    bearer: Arc<bearer::Bearer>,
    code_key: Arc<pairing::CodeKey>,
    synced: synced::Synced,
    watches: Arc<watch::Tokens>,
    watch_tries: Arc<watch::Tries>,
    clock: Clock,
}

impl Accounts {
    /// The accounts in `store`.
    pub fn open(store: Arc<Store>, clock: Clock) -> Self {
        Self::with_hasher(store, clock, password::Hasher::new(password::PARAMS))
    }

    fn with_hasher(store: Arc<Store>, clock: Clock, hasher: Arc<password::Hasher>) -> Self {
        let basic = basic::Basic::new(Arc::clone(&hasher), clock.clone());
        let bearer = bearer::Bearer::new(&store.keys.token_key(), clock.clone());
        let code_key = pairing::CodeKey(store.keys.code_key());
        Self {
            store,
            hasher,
            basic: Arc::new(basic),
            bearer: Arc::new(bearer),
            code_key: Arc::new(code_key),
            synced: synced::Synced::new(),
            watches: Arc::new(watch::Tokens::new(clock.clone())),
            watch_tries: Arc::new(watch::Tries::new()),
            clock,
        }
    }

    /// Adds an account. `create_space` makes its own space within the same transaction, so neither
    /// is ever there without the other. Write the closure in place (`|tx| Box::pin(async move …)`):
    /// the compiler needs this signature to see its lifetimes.
    ///
    /// The space's name should come from the account's: names of accounts hold no `:` and no `/`.
    pub async fn add<F, E>(&self, new: NewAccount, create_space: F) -> Result<AccountId>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<SpaceId, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let name = name::AccountName::parse(&new.name)?;
        password::check_new(&new.password)?;
        let password = self.hasher.hash(&new.password).await?;
        let new = directory::Checked {
            name,
            password,
            admin: new.admin,
            quota: new.quota,
        };
        directory::add(&self.store.meta, self.clock.now(), new, create_space).await
    }

    /// All accounts by name.
    pub async fn list(&self) -> Result<Vec<AccountInfo>> {
        directory::list(&self.store.meta).await
    }

    /// Whether there is no account yet.
    pub async fn is_empty(&self) -> Result<bool> {
        let mut conn = self.store.meta.read().await?;
        Ok(!crate::store::meta::accounts::any(&mut conn).await?)
    }

    /// The id of the account with this name, whatever the case.
    pub async fn find(&self, name: &str) -> Result<AccountId> {
        directory::find(&self.store.meta, name).await
    }

    /// Sets an account's password. The old one ends at once here and within 5 s in other
    /// processes, and so do all log-ins by token and all pairing codes: whoever changes a password
    /// because a stranger knows it wants the stranger out. Devices log in again; app passwords go
    /// on.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<()> {
        password::check_new(password)?;
        let phc = self.hasher.hash(password).await?;
        directory::set_password(&self.store.meta, name, phc).await?;
        self.forget_all();
        Ok(())
    }

    /// Sets the bytes of live files an account may have in its own space; `None` for no limit.
    pub async fn set_quota(&self, name: &str, quota: Option<u64>) -> Result<()> {
        directory::set_quota(&self.store.meta, name, quota).await
    }

    /// Removes an account: its password, its devices and all that let them in are gone, its name is
    /// free. Its files stay where they are, in a space renamed to [`REMOVED_SPACE`]…, until a
    /// garbage collection takes them; nobody can log in to them. Its locks run out by themselves.
    pub async fn remove(&self, name: &str) -> Result<()> {
        directory::remove(&self.store.meta, name).await?;
        self.forget_all();
        Ok(())
    }

    /// Adds a device and returns its app password, which is not kept and cannot be shown again.
    pub async fn device_add(
        &self,
        account: AccountId,
        name: &str,
        kind: DeviceKind,
    ) -> Result<(DeviceId, String)> {
        devices::add(&self.store.meta, self.clock.now(), account, name, kind).await
    }

    /// The devices of an account in the order they were added, revoked ones included.
    pub async fn device_list(&self, account: AccountId) -> Result<Vec<DeviceInfo>> {
        devices::list(&self.store.meta, account).await
    }

    /// Gives a device another name.
    pub async fn device_rename(
        &self,
        account: AccountId,
        device: DeviceId,
        name: &str,
    ) -> Result<DeviceInfo> {
        devices::rename(&self.store.meta, account, device, name).await
    }

    /// Revokes a device and ends its log-in: at once here, within 5 s in other processes. Again is
    /// fine.
    pub async fn device_revoke(&self, account: AccountId, device: DeviceId) -> Result<()> {
        devices::revoke(&self.store.meta, self.clock.now(), account, device).await?;
        self.forget_all();
        Ok(())
    }

    /// Notes that a device has synced, at most once a minute.
    pub async fn device_synced(&self, device: DeviceId) -> Result<()> {
        let now = self.clock.now();
        if !self.synced.is_due(device, now).await {
            return Ok(());
        }
        let noted = devices::synced(&self.store.meta, now, device).await;
        if noted.is_err() {
            self.synced.forget(device).await;
        }
        noted
    }

    /// Checks the HTTP Basic credentials of one request (RFC 7617) from the client at `peer`.
    ///
    /// Fast for credentials that were right before; else it may take as long as a hash and the
    /// wait for it. Each failure is one log line, `authentication failed from ADDRESS`.
    pub async fn verify_basic(
        &self,
        peer: IpAddr,
        user: &str,
        password: &str,
    ) -> Result<Session, Denied> {
        self.basic
            .verify(&self.store.meta, peer, user, password)
            .await
    }

    /// Begins to pair a watch at `peer`; it shows the digits and polls with the secret. `model` is
    /// what it calls itself; what cannot be a name is left out.
    pub async fn watch_pair(
        &self,
        peer: IpAddr,
        model: Option<&str>,
    ) -> Result<WatchPairing, WatchError> {
        watch::begin(&self.store.meta, self.clock.now(), peer, model).await
    }

    /// What a watch that polls with `secret` is told; its token for a minute after the first time.
    pub async fn watch_poll(&self, secret: &str) -> Result<WatchAnswer, crate::store::Error> {
        watch::poll(&self.store.meta, self.clock.now(), secret).await
    }

    /// Makes the watch that shows `code` a device of the account, called `name`, or as it calls
    /// itself. `by` is the owner's address, for the limits, and log-in, which must hold at that
    /// moment; `None` on the command line, which has neither.
    pub async fn watch_confirm(
        &self,
        by: Option<(IpAddr, Option<FamilyId>)>,
        account: AccountId,
        code: &str,
        name: Option<&str>,
    ) -> Result<DeviceInfo, WatchError> {
        let (meta, now) = (&self.store.meta, self.clock.now());
        watch::confirm(meta, &self.watch_tries, now, by, account, (code, name)).await
    }

    /// Checks the token of a watch at `peer`. It opens what is made for watches and nothing else.
    pub async fn verify_watch(&self, peer: IpAddr, token: &str) -> Result<Session, Denied> {
        self.watches.verify(&self.store.meta, peer, token).await
    }

    /// Logins refused since the start.
    pub fn failures(&self) -> Failures {
        self.bearer.failures(self.basic.failures())
    }

    /// Forgets what was right before; for a change made in this process.
    fn forget_all(&self) {
        self.basic.forget_all();
        self.bearer.forget_all();
        self.watches.recheck_all();
    }

    /// Passwords hashed since the start.
    pub fn hashes(&self) -> u64 {
        self.hasher.hashes()
    }
}
