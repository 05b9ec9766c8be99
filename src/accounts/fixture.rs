//! A database with accounts and a clock that stands still, for the tests of this module.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use argon2::Params;
use tempfile::TempDir;

use super::basic::Basic;
use super::directory::{self, Checked};
use super::name::AccountName;
use super::password::Hasher;
use super::{Denied, DeviceKind, Result, Session, devices};
use crate::store::Error;
use crate::store::meta::{Meta, accounts, spaces, testing};
use crate::types::{AccountId, Clock, DeviceId, Millis, SpaceId};

/// A space could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no space")]
pub(super) struct NoSpace;

pub(super) struct Fixture {
    _dir: TempDir,
    pub(super) meta: Meta,
    pub(super) hasher: Arc<Hasher>,
    now: Arc<AtomicI64>,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let meta = Meta::open(&testing::database(dir.path())).await.unwrap();
        // Cheap: what a hash costs is not what these tests are about.
        let hasher = Hasher::new(Params::new(16, 1, 1, None).unwrap());
        Self {
            _dir: dir,
            meta,
            hasher,
            now: Arc::new(AtomicI64::new(1_800_000_000_000)),
        }
    }

    pub(super) fn now(&self) -> Millis {
        Millis(self.now.load(Ordering::Relaxed))
    }

    pub(super) fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    pub(super) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::from_fn(move || Millis(now.load(Ordering::Relaxed)))
    }

    pub(super) fn basic(&self) -> Basic {
        Basic::new(Arc::clone(&self.hasher), self.clock())
    }

    pub(super) async fn checked(&self, name: &str, password: &str) -> Checked {
        let name = AccountName::parse(name).unwrap();
        let password = self.hasher.hash(password).await.unwrap();
        Checked {
            name,
            password,
            admin: false,
            quota: None,
        }
    }

    pub(super) async fn try_add(&self, name: &str, password: &str) -> Result<AccountId> {
        let new = self.checked(name, password).await;
        let space = name.to_owned();
        directory::add(&self.meta, self.now(), new, move |tx| {
            Box::pin(async move { spaces::create(tx, &space, false, None).await })
        })
        .await
    }

    pub(super) async fn add(&self, name: &str, password: &str) -> AccountId {
        self.try_add(name, password).await.unwrap()
    }

    pub(super) async fn add_device(&self, account: AccountId, name: &str) -> (DeviceId, String) {
        devices::add(&self.meta, self.now(), account, name, DeviceKind::Webdav)
            .await
            .unwrap()
    }

    pub(super) async fn find(&self, name: &str) -> AccountId {
        directory::find(&self.meta, name).await.unwrap()
    }

    pub(super) async fn space_of(&self, name: &str) -> SpaceId {
        let mut conn = self.meta.read().await.unwrap();
        SpaceId(
            accounts::by_key(&mut conn, name)
                .await
                .unwrap()
                .unwrap()
                .space,
        )
    }

    pub(super) async fn stored_hash(&self, name: &str) -> String {
        let mut conn = self.meta.read().await.unwrap();
        accounts::by_key(&mut conn, name)
            .await
            .unwrap()
            .unwrap()
            .password
    }

    /// Sets a password as another process does: without telling anybody.
    pub(super) async fn set_password_elsewhere(&self, name: &str, password: &str) {
        let phc = self.hasher.hash(password).await.unwrap();
        directory::set_password(&self.meta, name, phc)
            .await
            .unwrap();
    }

    /// Puts `phc` where an account's hash is.
    pub(super) async fn replace_hash(&self, name: &str, phc: &str) {
        let (account, old) = (self.find(name).await, self.stored_hash(name).await);
        let phc = phc.to_owned();
        self.meta
            .write::<_, Error, _>(move |tx| {
                Box::pin(async move { accounts::renew_hash(tx, account, &old, &phc).await })
            })
            .await
            .unwrap();
    }
}

pub(super) const HOME: &str = "192.0.2.1";
pub(super) const AWAY: &str = "198.51.100.7";
pub(super) const PASSWORD: &str = "correct horse";

pub(super) async fn login(
    fixture: &Fixture,
    basic: &Basic,
    peer: &str,
    user: &str,
    password: &str,
) -> Result<Session, Denied> {
    basic
        .verify(&fixture.meta, peer.parse().unwrap(), user, password)
        .await
}

pub(super) async fn alice() -> (Fixture, Basic, AccountId) {
    let fixture = Fixture::new().await;
    let account = fixture.add("Alice", PASSWORD).await;
    let basic = fixture.basic();
    (fixture, basic, account)
}

pub(super) fn is_wrong(result: &Result<Session, Denied>) -> bool {
    matches!(result, Err(Denied::Wrong))
}

pub(super) fn is_limited(result: &Result<Session, Denied>) -> bool {
    matches!(result, Err(Denied::Limited { .. }))
}
