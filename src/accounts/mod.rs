//! Who may log in: accounts, their passwords and the app passwords of their devices.
//!
//! Knows nothing of HTTP, prompts or trees, and holds no SQL. What it hands out is a [`Session`].

mod app_password;
mod basic;
mod devices;
mod directory;
mod error;
#[cfg(test)]
mod fixture;
mod limits;
mod name;
mod password;
mod random;
mod session;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use basic::Failures;
pub use devices::{DeviceInfo, DeviceKind, MAX_DEVICE_NAME_BYTES};
pub use directory::{AccountInfo, NewAccount, REMOVED_SPACE};
pub use error::{Denied, Error, Result};
pub use name::{MAX_NAME_BYTES, NameError};
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES, PasswordError};
pub use session::Session;
pub use watch::{MAX_WATCH_MODEL_BYTES, WatchAnswer, WatchError, WatchPairing};

pub(crate) use limits::network;

use crate::store::Store;
use crate::store::meta::Conn;
use crate::types::{AccountId, Clock, DeviceId, SpaceId};

/// The accounts of one server. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<Store>,
    hasher: Arc<password::Hasher>,
    basic: Arc<basic::Basic>,
    watches: Arc<watch::Tokens>,
    watch_tries: Arc<watch::Tries>,
    clock: Clock,
}

impl Accounts {
    /// The accounts in `store`.
    pub fn open(store: Arc<Store>, clock: Clock) -> Self {
        let hasher = password::Hasher::new(password::PARAMS);
        let basic = Arc::new(basic::Basic::new(Arc::clone(&hasher), clock.clone()));
        Self {
            store,
            hasher,
            basic,
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
    /// processes; app passwords go on.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<()> {
        password::check_new(password)?;
        let phc = self.hasher.hash(password).await?;
        directory::set_password(&self.store.meta, name, phc).await?;
        self.basic.forget_all();
        Ok(())
    }

    /// Sets the bytes of live files an account may have in its own space; `None` for no limit.
    pub async fn set_quota(&self, name: &str, quota: Option<u64>) -> Result<()> {
        directory::set_quota(&self.store.meta, name, quota).await
    }

    /// Removes an account: its password, its devices and their app passwords are gone, its name is
    /// free. Its files stay where they are, in a space renamed to [`REMOVED_SPACE`]…, until a
    /// garbage collection takes them; nobody can log in to them. Its locks run out by themselves.
    pub async fn remove(&self, name: &str) -> Result<()> {
        directory::remove(&self.store.meta, name).await?;
        self.basic.forget_all();
        self.watches.recheck_all();
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

    /// Revokes a device: at once here, within 5 s in other processes. Again is fine.
    pub async fn device_revoke(&self, account: AccountId, device: DeviceId) -> Result<()> {
        devices::revoke(&self.store.meta, self.clock.now(), account, device).await?;
        self.basic.forget_all();
        self.watches.recheck_all();
        Ok(())
    }

    /// Notes that a device has synced; meant for once a sync, not once a request.
    pub async fn device_synced(&self, device: DeviceId) -> Result<()> {
        devices::synced(&self.store.meta, self.clock.now(), device).await
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
    /// itself. `peer` is where the owner is logged in, for the limits; `None` on the command line,
    /// which has none.
    pub async fn watch_confirm(
        &self,
        peer: Option<IpAddr>,
        account: AccountId,
        code: &str,
        name: Option<&str>,
    ) -> Result<DeviceInfo, WatchError> {
        let (meta, now) = (&self.store.meta, self.clock.now());
        watch::confirm(meta, &self.watch_tries, now, peer, account, (code, name)).await
    }

    /// Checks the token of a watch at `peer`. It opens what is made for watches and nothing else.
    pub async fn verify_watch(&self, peer: IpAddr, token: &str) -> Result<Session, Denied> {
        self.watches.verify(&self.store.meta, peer, token).await
    }

    /// Logins refused since the start.
    pub fn failures(&self) -> Failures {
        self.basic.failures()
    }

    /// Passwords hashed since the start.
    pub fn hashes(&self) -> u64 {
        self.hasher.hashes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::MasterKey;
    use crate::store::meta::versions::Keep;
    use crate::tree::{DEFAULT_FOLDERS, NewSpace, create_space};
    use crate::types::Millis;

    const PASSWORD: &str = "correct horse";

    async fn server() -> (tempfile::TempDir, Arc<Store>, Accounts) {
        let folder = tempfile::tempdir().unwrap();
        let (database, data) = (folder.path().join("db"), folder.path().join("data"));
        let master = MasterKey::generate().unwrap();
        let store = Store::open(&database, &data, master, Keep::default())
            .await
            .unwrap();
        let accounts = Accounts::open(Arc::clone(&store), Clock::from_fn(|| Millis(1)));
        (folder, store, accounts)
    }

    async fn add(store: &Arc<Store>, accounts: &Accounts, name: &str) -> Result<AccountId> {
        let store = Arc::clone(store);
        let space = format!("~{name}");
        let password = PASSWORD.to_owned();
        let new = NewAccount {
            name: name.to_owned(),
            password,
            admin: true,
            quota: Some(10),
        };
        accounts
            .add(new, move |tx| {
                Box::pin(async move {
                    let (name, folders) = (space.as_str(), DEFAULT_FOLDERS);
                    let new = NewSpace {
                        name,
                        everyone: false,
                        quota: None,
                        folders,
                    };
                    create_space(tx, &store.keys, new, Millis(1)).await
                })
            })
            .await
    }

    async fn login(accounts: &Accounts, password: &str) -> Result<Session, Denied> {
        accounts
            .verify_basic([192, 0, 2, 1].into(), "alice", password)
            .await
    }

    #[tokio::test]
    async fn an_account_is_made_with_its_space_and_can_be_removed_and_made_again() {
        let (_folder, store, accounts) = server().await;
        assert!(accounts.is_empty().await.unwrap());
        let alice = add(&store, &accounts, "alice").await.unwrap();

        assert!(!accounts.is_empty().await.unwrap());
        assert!(matches!(
            add(&store, &accounts, "alice").await,
            Err(Error::Taken)
        ));
        let session = login(&accounts, PASSWORD).await.unwrap();
        assert_eq!((session.account, session.admin), (alice, true));
        let listed = accounts.list().await.unwrap();
        assert_eq!(
            (listed.len(), listed[0].quota, listed[0].used),
            (1, Some(10), 0)
        );

        accounts.remove("alice").await.unwrap();
        assert!(accounts.is_empty().await.unwrap());
        assert!(matches!(
            login(&accounts, PASSWORD).await,
            Err(Denied::Wrong)
        ));
        let again = add(&store, &accounts, "alice").await.unwrap();
        let fresh = login(&accounts, PASSWORD).await.unwrap();
        assert_eq!((fresh.account, fresh.space != session.space), (again, true));
    }

    #[tokio::test]
    async fn a_change_made_here_is_seen_by_the_next_request() {
        let (_folder, store, accounts) = server().await;
        let alice = add(&store, &accounts, "alice").await.unwrap();
        let (phone, secret) = accounts
            .device_add(alice, "phone", DeviceKind::Mobile)
            .await
            .unwrap();
        login(&accounts, PASSWORD).await.unwrap();
        assert_eq!(login(&accounts, &secret).await.unwrap().device, Some(phone));

        accounts
            .set_password("ALICE", "another horse")
            .await
            .unwrap();
        assert!(matches!(
            login(&accounts, PASSWORD).await,
            Err(Denied::Wrong)
        ));
        assert!(login(&accounts, "another horse").await.is_ok());
        assert!(login(&accounts, &secret).await.is_ok());

        accounts.device_revoke(alice, phone).await.unwrap();
        assert!(matches!(
            login(&accounts, &secret).await,
            Err(Denied::Wrong)
        ));
        assert!(
            accounts.device_list(alice).await.unwrap()[0]
                .revoked
                .is_some()
        );
    }

    #[tokio::test]
    async fn names_and_passwords_that_cannot_be_make_no_account() {
        let (_folder, store, accounts) = server().await;
        assert!(matches!(
            add(&store, &accounts, "a/b").await,
            Err(Error::Name(_))
        ));
        add(&store, &accounts, "alice").await.unwrap();
        let short = accounts.set_password("alice", "1234567").await;
        assert!(matches!(
            short,
            Err(Error::Password(PasswordError::TooShort))
        ));
        assert!(login(&accounts, PASSWORD).await.is_ok());
    }
}
