//! Devices log in and out: by password, by app password or by a pairing code.

use std::net::IpAddr;

use super::refresh::{IDLE, LIFE};
use super::refresh_token::RefreshToken;
use super::tokens::Tokens;
use super::{Accounts, DeviceKind, LoginError, Result, Session, devices, random};
use crate::store::Error;
use crate::store::meta::accounts::{self, NewDevice};
use crate::store::meta::tokens::{self, Family, NewFamily, Stale};
use crate::store::meta::{Alone, Conn, Meta};
use crate::types::{AccountId, DeviceId, Millis};

/// Log-ins without a device that an account may have; beyond, the one refreshed longest ago ends.
const WITHOUT_DEVICE_MAX: i64 = 32;

const NO_APP_PASSWORD: &str =
    "an app password belongs to one device: use the account's password or a pairing code";
const OTHER_DEVICE: &str = "this app password belongs to another device";
const NO_WATCH: &str = "a watch shows a code that is confirmed on another device";
const NO_WEBDAV: &str = "a WebDAV client logs in with an app password";

/// How a new device shows whose it is.
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    /// As a person logs in; an app password is not enough.
    Password {
        /// The account's name.
        account: &'a str,
        /// The account's password.
        password: &'a str,
    },
    /// A code of [`Accounts::pairing_code`].
    Code(&'a str),
}

/// A new log-in and its first refresh token.
pub(super) type Opened = (Family, RefreshToken);

impl Accounts {
    /// Makes a device and logs it in, from the client at `peer`. The same limits hold as for
    /// Basic. Watches and `WebDAV` clients come in other ways and are told so.
    pub async fn register(
        &self,
        peer: IpAddr,
        who: Credentials<'_>,
        name: &str,
        kind: DeviceKind,
    ) -> Result<Tokens, LoginError> {
        match kind {
            DeviceKind::Garmin => return Err(LoginError::NotAllowed(NO_WATCH)),
            DeviceKind::Webdav => return Err(LoginError::NotAllowed(NO_WEBDAV)),
            DeviceKind::Linux | DeviceKind::Mobile | DeviceKind::Web => {}
        }
        if !devices::is_name(name) {
            return Err(LoginError::DeviceName);
        }
        let device = (name.to_owned(), kind);
        let opened = match who {
            Credentials::Code(code) => self.pair(peer, code, device).await?,
            Credentials::Password { account, password } => {
                let meta = &self.store.meta;
                let verified = self.basic.check(meta, peer, account, password).await?;
                if verified.session.device.is_some() {
                    return Err(LoginError::NotAllowed(NO_APP_PASSWORD));
                }
                let (account, epoch) = (verified.session.account, verified.epoch);
                open_new_device(meta, self.clock.now(), account, epoch, device).await?
            }
        };
        Ok(self.bearer.tokens(opened.0, &opened.1)?)
    }

    /// Logs in from the client at `peer`: with an app password as its device; with the account's
    /// password as `device`, whose log-in before ends, or without a device.
    pub async fn login(
        &self,
        peer: IpAddr,
        account: &str,
        password: &str,
        device: Option<DeviceId>,
    ) -> Result<Tokens, LoginError> {
        let meta = &self.store.meta;
        let verified = self.basic.check(meta, peer, account, password).await?;
        let device = match (verified.session.device, device) {
            (Some(own), Some(asked)) if own != asked => {
                return Err(LoginError::NotAllowed(OTHER_DEVICE));
            }
            (own, asked) => own.or(asked),
        };
        let (account, epoch) = (verified.session.account, verified.epoch);
        let now = self.clock.now();
        let opened = meta.write(move |tx| {
            Box::pin(async move {
                tx.alone(Alone::Accounts).await?;
                open(tx, now, account, epoch, device).await
            })
        });
        let (family, refresh) = opened.await?;
        if device.is_some() {
            // Its log-in before may be remembered yet.
            self.bearer.forget_all();
        }
        Ok(self.bearer.tokens(family, &refresh)?)
    }

    /// Ends the log-in of a session, its refresh token and its access tokens: at once here, within
    /// 5 s in other processes. A session by Basic has none, and nothing happens.
    pub async fn logout(&self, session: &Session) -> Result<()> {
        let Some(family) = session.family else {
            return Ok(());
        };
        let ended = self
            .store
            .meta
            .write::<_, Error, _>(move |tx| Box::pin(async move { tokens::end(tx, family).await }));
        ended.await?;
        self.bearer.forget_all();
        Ok(())
    }
}

/// Makes a device and its log-in.
async fn open_new_device(
    meta: &Meta,
    now: Millis,
    account: AccountId,
    epoch: i64,
    (name, kind): (String, DeviceKind),
) -> Result<Opened, LoginError> {
    meta.write(move |tx| {
        Box::pin(async move {
            tx.alone(Alone::Accounts).await?;
            add_device(tx, now, account, epoch, (&name, kind)).await
        })
    })
    .await
}

/// Makes a device and its log-in within a transaction.
pub(super) async fn add_device(
    tx: &mut Conn,
    now: Millis,
    account: AccountId,
    epoch: i64,
    (name, kind): (&str, DeviceKind),
) -> Result<Opened, LoginError> {
    let row = NewDevice {
        account,
        name,
        kind: kind.as_str(),
        // The device has no app password, and nobody knows a text with this hash.
        secret_hash: &random::bytes::<32>(),
        created: now,
    };
    let device = accounts::add_device(tx, &row).await?;
    let device = device.ok_or(LoginError::Wrong)?;
    open(tx, now, account, epoch, Some(device)).await
}

/// Begins a log-in within a transaction; that of the same device before ends.
async fn open(
    tx: &mut Conn,
    now: Millis,
    account: AccountId,
    epoch: i64,
    device: Option<DeviceId>,
) -> Result<Opened, LoginError> {
    if let Some(id) = device {
        let found = accounts::device(tx, account, id).await?;
        if found.is_none_or(|device| device.revoked_at.is_some()) {
            return Err(LoginError::NotFound);
        }
        tokens::end_of_device(tx, id).await?;
    }
    let refresh = RefreshToken::generate();
    let row = NewFamily {
        account,
        epoch,
        device,
        handle: &refresh.handle_hash(),
        secret: &refresh.secret_hash(),
        created: now,
        expires: now.plus(LIFE),
    };
    // The password may have been changed since it was checked.
    let family = tokens::open(tx, &row).await?.ok_or(LoginError::Wrong)?;
    let stale = Stale {
        now,
        idle_since: now.minus(IDLE),
        most: WITHOUT_DEVICE_MAX,
    };
    tokens::tidy(tx, account, &stale).await?;
    let family = tokens::by_id(tx, family).await?;
    let family = family.ok_or(Error::Corrupt("a log-in that was just made is gone"))?;
    Ok((family, refresh))
}
