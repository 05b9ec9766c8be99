//! The accounts themselves: adding, listing, changing, removing.

use futures_util::future::BoxFuture;

use super::name::{self, AccountName};
use super::{Error, Result};
use crate::store::meta::accounts::{self, Listed};
use crate::store::meta::{Alone, Conn, Meta, spaces, tokens};
use crate::types::{AccountId, Millis, SpaceId};

/// Begins the name of a space whose account was removed: `removed:<account id>:<old name>`.
///
/// Account names hold no `:` and account ids are never used again, so such names are free.
pub const REMOVED_SPACE: &str = "removed:";

/// An account to be.
pub struct NewAccount {
    /// 1 to 64 bytes; unique whatever the case.
    pub name: String,
    /// 8 to 1024 bytes.
    pub password: String,
    /// Whether it may administer the server.
    pub admin: bool,
    /// Bytes of live files allowed in its own space; `None` for no limit.
    pub quota: Option<u64>,
}

/// An account as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its id.
    pub id: AccountId,
    /// Its name as it was given.
    pub name: String,
    /// Whether it may administer the server.
    pub admin: bool,
    /// Bytes of live files allowed in its own space; `None` for no limit.
    pub quota: Option<u64>,
    /// Bytes of live files in its own space.
    pub used: u64,
    /// When it was made.
    pub created: Millis,
    /// Devices that are not revoked.
    pub devices: u64,
}

/// What is known of an account to be once it was checked and its password hashed.
pub(super) struct Checked {
    pub(super) name: AccountName,
    pub(super) password: String,
    pub(super) admin: bool,
    pub(super) quota: Option<u64>,
}

/// Makes the account and, by `create_space`, its space, in one transaction.
pub(super) async fn add<F, E>(
    meta: &Meta,
    now: Millis,
    new: Checked,
    create_space: F,
) -> Result<AccountId>
where
    F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<SpaceId, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    meta.write(move |tx| {
        Box::pin(async move {
            tx.alone(Alone::Accounts).await?;
            let name_key = new.name.key();
            if accounts::by_key(tx, &name_key).await?.is_some() {
                return Err(Error::Taken);
            }
            let space = create_space(tx)
                .await
                .map_err(|error| Error::Space(Box::new(error)))?;
            if new.quota.is_some() {
                spaces::set_quota(tx, space, stored_quota(new.quota)).await?;
            }
            let row = accounts::NewAccount {
                name: new.name.as_str(),
                name_key: &name_key,
                password: &new.password,
                admin: new.admin,
                space,
                created: now,
            };
            accounts::create(tx, &row).await?.ok_or(Error::Taken)
        })
    })
    .await
}

/// All accounts by name.
pub(super) async fn list(meta: &Meta) -> Result<Vec<AccountInfo>> {
    let rows = accounts::list(&mut *meta.read().await?).await?;
    Ok(rows.into_iter().map(info).collect())
}

/// The id of the account with this name.
pub(super) async fn find(meta: &Meta, name: &str) -> Result<AccountId> {
    let account = accounts::by_key(&mut *meta.read().await?, &name::key(name)).await?;
    account
        .map(|account| AccountId(account.id))
        .ok_or(Error::NotFound)
}

/// Sets the hash of an account's password and ends its log-ins by token.
pub(super) async fn set_password(meta: &Meta, name: &str, phc: String) -> Result<()> {
    let key = name::key(name);
    meta.write(move |tx| {
        Box::pin(async move {
            tx.alone(Alone::Accounts).await?;
            let account = accounts::set_password(tx, &key, &phc).await?;
            let account = account.ok_or(Error::NotFound)?;
            Ok(tokens::end_of_account(tx, account).await?)
        })
    })
    .await
}

/// Sets the quota of an account's own space.
pub(super) async fn set_quota(meta: &Meta, name: &str, quota: Option<u64>) -> Result<()> {
    let key = name::key(name);
    meta.write(move |tx| {
        Box::pin(async move {
            tx.alone(Alone::Accounts).await?;
            let account = accounts::by_key(tx, &key).await?.ok_or(Error::NotFound)?;
            Ok(spaces::set_quota(tx, SpaceId(account.space), stored_quota(quota)).await?)
        })
    })
    .await
}

/// Removes an account and its devices; its space stays under a [`REMOVED_SPACE`] name.
pub(super) async fn remove(meta: &Meta, name: &str) -> Result<()> {
    let key = name::key(name);
    meta.write(move |tx| {
        Box::pin(async move {
            tx.alone(Alone::Accounts).await?;
            let (account, space) = accounts::remove(tx, &key).await?.ok_or(Error::NotFound)?;
            let prefix = format!("{REMOVED_SPACE}{account}:");
            Ok(accounts::prefix_space_name(tx, space, &prefix).await?)
        })
    })
    .await
}

/// Quotas beyond 2^63 bytes mean as much as the database can say.
fn stored_quota(quota: Option<u64>) -> Option<i64> {
    quota.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn info(row: Listed) -> AccountInfo {
    AccountInfo {
        id: AccountId(row.id),
        name: row.name,
        admin: row.admin,
        quota: row.quota.map(|bytes| bytes.max(0).unsigned_abs()),
        used: row.used.max(0).unsigned_abs(),
        created: Millis(row.created_at),
        devices: row.devices.unsigned_abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::fixture::{Fixture, NoSpace};

    #[tokio::test]
    async fn names_are_taken_whatever_their_case() {
        let fixture = Fixture::new().await;
        fixture.add("Änne", "correct horse").await;

        for name in ["Änne", "änne", "A\u{308}NNE"] {
            let again = fixture.try_add(name, "correct horse").await;
            assert!(matches!(again, Err(Error::Taken)), "{name}");
        }
        assert_eq!(
            find(&fixture.meta, "ÄNNE").await.unwrap(),
            fixture.find("änne").await
        );
    }

    #[tokio::test]
    async fn a_list_shows_quota_and_devices_of_each() {
        let fixture = Fixture::new().await;
        let bob = fixture.add("bob", "correct horse").await;
        fixture.add("Alice", "correct horse").await;
        fixture.add_device(bob, "phone").await;

        set_quota(&fixture.meta, "BOB", Some(u64::MAX))
            .await
            .unwrap();

        let all = list(&fixture.meta).await.unwrap();
        let names: Vec<_> = all.iter().map(|info| info.name.as_str()).collect();
        assert_eq!(names, ["Alice", "bob"]);
        assert_eq!((all[0].quota, all[0].devices), (None, 0));
        assert_eq!(
            (all[1].quota, all[1].devices),
            (Some(i64::MAX.unsigned_abs()), 1)
        );
        assert_eq!((all[1].used, all[1].created), (0, fixture.now()));
    }

    #[tokio::test]
    async fn a_space_that_cannot_be_made_leaves_no_account() {
        let fixture = Fixture::new().await;
        let new = fixture.checked("alice", "correct horse").await;

        let failed = add(&fixture.meta, fixture.now(), new, |tx| {
            Box::pin(async move {
                spaces::create(tx, "half", false, None)
                    .await
                    .map_err(|_| NoSpace)?;
                Err(NoSpace)
            })
        })
        .await;

        assert!(matches!(failed, Err(Error::Space(_))));
        assert!(list(&fixture.meta).await.unwrap().is_empty());
        // The half-made space is gone as well: its name and id are free.
        fixture.add("half", "correct horse").await;
    }

    #[tokio::test]
    async fn removing_frees_the_name_and_keeps_the_space() {
        let fixture = Fixture::new().await;
        let old = fixture.add("alice", "correct horse").await;
        fixture.add_device(old, "phone").await;
        let before = fixture.space_of("alice").await;

        remove(&fixture.meta, "Alice").await.unwrap();

        assert!(matches!(
            remove(&fixture.meta, "alice").await,
            Err(Error::NotFound)
        ));
        let mut conn = fixture.meta.read().await.unwrap();
        let kept = spaces::by_id(&mut conn, before).await.unwrap().unwrap();
        assert_eq!(kept.name, format!("removed:{old}:alice"));
        assert!(accounts::devices(&mut conn, old).await.unwrap().is_empty());
        drop(conn);
        assert_ne!(fixture.add("alice", "correct horse").await, old);
        assert_ne!(fixture.space_of("alice").await, before);
    }

    #[tokio::test]
    async fn what_is_not_there_cannot_be_changed() {
        let fixture = Fixture::new().await;
        let meta = &fixture.meta;
        let phc = "$argon2id$".to_owned();
        assert!(matches!(
            set_password(meta, "x", phc).await,
            Err(Error::NotFound)
        ));
        assert!(matches!(
            set_quota(meta, "x", None).await,
            Err(Error::NotFound)
        ));
        assert!(matches!(find(meta, "x").await, Err(Error::NotFound)));
    }
}
