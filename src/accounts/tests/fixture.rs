//! A server's accounts, a clock that stands still, and a second process beside it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use argon2::Params;
use tempfile::TempDir;

use crate::accounts::password::Hasher;
use crate::accounts::{
    Accounts, Credentials, DeviceKind, LoginError, NewAccount, Result, Session, Tokens,
};
use crate::crypto::MasterKey;
use crate::store::Store;
use crate::store::meta::testing;
use crate::store::meta::versions::Keep;
use crate::tree::{DEFAULT_FOLDERS, NewSpace, create_space};
use crate::types::{AccountId, Clock, Millis};

pub(super) const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
pub(super) const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const DAY: Duration = Duration::from_hours(24);

pub(super) struct Server {
    folder: TempDir,
    now: Arc<AtomicI64>,
    pub(super) store: Arc<Store>,
    pub(super) accounts: Accounts,
}

impl Server {
    pub(super) async fn new() -> Self {
        let now = Arc::new(AtomicI64::new(1_800_000_000_000));
        Self::open(tempfile::tempdir().unwrap(), now).await
    }

    /// A server with the account `alice`.
    pub(super) async fn alice() -> (Self, AccountId) {
        let server = Self::new().await;
        let alice = server.add("alice").await.unwrap();
        (server, alice)
    }

    async fn open(folder: TempDir, now: Arc<AtomicI64>) -> Self {
        let (database, data) = (testing::database(folder.path()), folder.path().join("data"));
        let (master, _) = MasterKey::load_or_create(&folder.path().join("key")).unwrap();
        let store = Store::open(&database, &data, master, Keep::default())
            .await
            .unwrap();
        let accounts = accounts(&store, &now);
        Self {
            folder,
            now,
            store,
            accounts,
        }
    }

    pub(super) async fn restart(self) -> Self {
        self.store.close().await;
        Self::open(self.folder, self.now).await
    }

    /// The same accounts as another process has them: what one changes the other is not told.
    pub(super) fn elsewhere(&self) -> Accounts {
        accounts(&self.store, &self.now)
    }

    pub(super) fn now(&self) -> Millis {
        Millis(self.now.load(Ordering::Relaxed))
    }

    pub(super) fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    pub(super) async fn add(&self, name: &str) -> Result<AccountId> {
        let (store, space) = (Arc::clone(&self.store), format!("~{name}"));
        let new = NewAccount {
            name: name.to_owned(),
            password: PASSWORD.to_owned(),
            admin: true,
            quota: Some(10),
        };
        self.accounts
            .add(new, move |tx| {
                Box::pin(async move {
                    let new = NewSpace {
                        name: &space,
                        everyone: false,
                        quota: None,
                        folders: DEFAULT_FOLDERS,
                    };
                    create_space(tx, &store.keys, new, Millis(1)).await
                })
            })
            .await
    }

    /// Registers a phone of `alice`.
    pub(super) async fn phone(&self) -> Tokens {
        self.register(HOME, PASSWORD, "phone").await.unwrap()
    }

    pub(super) async fn register(
        &self,
        peer: IpAddr,
        password: &str,
        name: &str,
    ) -> Result<Tokens, LoginError> {
        let who = Credentials::Password {
            account: "alice",
            password,
        };
        let kind = DeviceKind::Mobile;
        self.accounts.register(peer, who, name, kind).await
    }

    pub(super) async fn pair(&self, peer: IpAddr, code: &str) -> Result<Tokens, LoginError> {
        let who = Credentials::Code(code);
        let kind = DeviceKind::Linux;
        self.accounts.register(peer, who, "laptop", kind).await
    }

    pub(super) async fn session(&self, tokens: &Tokens) -> Option<Session> {
        let verified = self.accounts.verify_bearer(HOME, &tokens.access).await;
        verified.ok()
    }

    /// Whether requests with these tokens are let in.
    pub(super) async fn is_in(&self, tokens: &Tokens) -> bool {
        self.session(tokens).await.is_some()
    }
}

/// Cheap hashes: what one costs is not what these tests are about.
fn accounts(store: &Arc<Store>, now: &Arc<AtomicI64>) -> Accounts {
    let now = Arc::clone(now);
    let clock = Clock::from_fn(move || Millis(now.load(Ordering::Relaxed)));
    let hasher = Hasher::new(Params::new(16, 1, 1, None).unwrap());
    Accounts::with_hasher(Arc::clone(store), clock, hasher)
}
