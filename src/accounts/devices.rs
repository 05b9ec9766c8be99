//! The devices of an account. Each has an app password of its own and can be shut out alone.

use super::{Error, Result, app_password};
use crate::store;
use crate::store::meta::accounts::{self, Device, NewDevice};
use crate::store::meta::{Alone, Meta, tokens};
use crate::types::{AccountId, DeviceId, Millis};

/// Longest device name, in characters; some clients send their whole `User-Agent`.
pub const MAX_DEVICE_NAME: usize = 255;

/// What kind of program a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A `WebDAV` client.
    Webdav,
    /// The `sync-client` of this project.
    Linux,
    /// A phone app.
    Mobile,
    /// A watch.
    Garmin,
    /// A browser.
    Web,
}

impl DeviceKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Webdav,
        Self::Linux,
        Self::Mobile,
        Self::Garmin,
        Self::Web,
    ];

    /// As the database and the command line write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webdav => "webdav",
            Self::Linux => "linux",
            Self::Mobile => "mobile",
            Self::Garmin => "garmin",
            Self::Web => "web",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A device as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// What it runs.
    pub kind: DeviceKind,
    /// When it was added.
    pub created: Millis,
    /// When it last synced.
    pub last_sync: Option<Millis>,
    /// When it was revoked.
    pub revoked: Option<Millis>,
}

/// Whether a device may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_DEVICE_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// Reads the kind of a stored device.
pub(super) fn stored_kind(text: &str) -> Result<DeviceKind, store::Error> {
    DeviceKind::parse(text).ok_or(store::Error::Corrupt("a device's type"))
}

/// Adds a device and returns its app password, which is not kept and cannot be shown again.
pub(super) async fn add(
    meta: &Meta,
    now: Millis,
    account: AccountId,
    name: &str,
    kind: DeviceKind,
) -> Result<(DeviceId, String)> {
    if !is_name(name) {
        return Err(Error::DeviceName);
    }
    let name = name.to_owned();
    let secret = app_password::generate();
    let secret_hash = app_password::digest(&secret);
    let id = meta
        .write(move |tx| {
            Box::pin(async move {
                let kind = kind.as_str();
                let row = NewDevice {
                    account,
                    name: &name,
                    kind,
                    secret_hash: &secret_hash,
                    created: now,
                };
                accounts::add_device(tx, &row).await?.ok_or(Error::NotFound)
            })
        })
        .await?;
    Ok((id, secret))
}

/// The devices of an account, revoked ones included.
pub(super) async fn list(meta: &Meta, account: AccountId) -> Result<Vec<DeviceInfo>> {
    let rows = accounts::devices(&mut *meta.read().await?, account).await?;
    rows.into_iter().map(info).collect()
}

/// Gives a device another name; one that was revoked is not found.
pub(super) async fn rename(
    meta: &Meta,
    account: AccountId,
    device: DeviceId,
    name: &str,
) -> Result<DeviceInfo> {
    if !is_name(name) {
        return Err(Error::DeviceName);
    }
    let name = name.to_owned();
    meta.write(move |tx| {
        Box::pin(async move {
            let renamed = accounts::rename_device(tx, account, device, &name).await?;
            info(renamed.ok_or(Error::NotFound)?)
        })
    })
    .await
}

/// Revokes a device and ends its log-in by token; again is fine.
pub(super) async fn revoke(
    meta: &Meta,
    now: Millis,
    account: AccountId,
    device: DeviceId,
) -> Result<()> {
    meta.write(move |tx| {
        Box::pin(async move {
            tx.alone(Alone::Accounts).await?;
            if !accounts::revoke(tx, account, device, now).await? {
                return Err(Error::NotFound);
            }
            tokens::end_of_device(tx, device).await?;
            // It may have made some for others.
            Ok(tokens::end_codes(tx, account).await?)
        })
    })
    .await
}

/// Notes that a device has synced.
pub(super) async fn synced(meta: &Meta, now: Millis, device: DeviceId) -> Result<()> {
    meta.write(move |tx| {
        Box::pin(async move { Ok(accounts::device_synced(tx, device, now).await?) })
    })
    .await
}

fn info(row: Device) -> Result<DeviceInfo> {
    let kind = stored_kind(&row.kind)?;
    Ok(DeviceInfo {
        id: DeviceId(row.id),
        name: row.name,
        kind,
        created: Millis(row.created_at),
        last_sync: row.last_sync.map(Millis),
        revoked: row.revoked_at.map(Millis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::fixture::Fixture;

    #[tokio::test]
    async fn a_device_is_listed_with_all_that_happened_to_it() {
        let fixture = Fixture::new().await;
        let meta = &fixture.meta;
        let alice = fixture.add("alice", "correct horse").await;
        let (phone, secret) = add(meta, Millis(1), alice, "Pixel", DeviceKind::Mobile)
            .await
            .unwrap();
        assert!(app_password::has_shape(&secret));

        synced(meta, Millis(2), phone).await.unwrap();
        revoke(meta, Millis(3), alice, phone).await.unwrap();
        revoke(meta, Millis(4), alice, phone).await.unwrap();

        let expected = DeviceInfo {
            id: phone,
            name: "Pixel".to_owned(),
            kind: DeviceKind::Mobile,
            created: Millis(1),
            last_sync: Some(Millis(2)),
            revoked: Some(Millis(3)),
        };
        assert_eq!(list(meta, alice).await.unwrap(), [expected]);
    }

    #[tokio::test]
    async fn a_device_is_renamed_by_its_account_only() {
        let fixture = Fixture::new().await;
        let meta = &fixture.meta;
        let alice = fixture.add("alice", "correct horse").await;
        let bob = fixture.add("bob", "correct horse").await;
        let (phone, _secret) = fixture.add_device(alice, "phone").await;

        let renamed = rename(meta, alice, phone, "Pixel").await.unwrap();
        assert_eq!(renamed, list(meta, alice).await.unwrap()[0]);
        assert_eq!((renamed.id, renamed.name.as_str()), (phone, "Pixel"));

        let stranger = rename(meta, bob, phone, "mine").await;
        assert!(matches!(stranger, Err(Error::NotFound)));
        let empty = rename(meta, alice, phone, "").await;
        assert!(matches!(empty, Err(Error::DeviceName)));
        assert_eq!(list(meta, alice).await.unwrap()[0].name, "Pixel");
    }

    #[tokio::test]
    async fn nobody_revokes_the_devices_of_others() {
        let fixture = Fixture::new().await;
        let alice = fixture.add("alice", "correct horse").await;
        let bob = fixture.add("bob", "correct horse").await;
        let (phone, _secret) = fixture.add_device(alice, "phone").await;

        let refused = revoke(&fixture.meta, Millis(1), bob, phone).await;

        assert!(matches!(refused, Err(Error::NotFound)));
        assert_eq!(list(&fixture.meta, alice).await.unwrap()[0].revoked, None);
    }

    #[tokio::test]
    async fn a_device_needs_an_account_and_a_name() {
        let fixture = Fixture::new().await;
        let alice = fixture.add("alice", "correct horse").await;
        for name in ["", "a\nb", &"x".repeat(256)] {
            let refused = add(&fixture.meta, Millis(1), alice, name, DeviceKind::Web).await;
            assert!(matches!(refused, Err(Error::DeviceName)), "{name:?}");
        }
        let nobody = add(
            &fixture.meta,
            Millis(1),
            AccountId(999),
            "x",
            DeviceKind::Web,
        )
        .await;
        assert!(matches!(nobody, Err(Error::NotFound)));
    }

    #[test]
    fn kinds_read_back() {
        for kind in DeviceKind::ALL {
            assert_eq!(DeviceKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(DeviceKind::parse("toaster"), None);
    }
}
