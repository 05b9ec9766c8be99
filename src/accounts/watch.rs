//! Watches: how one is paired, and what it shows with every request afterwards.
//!
//! Nobody can type a password into a watch. It shows six digits, its owner confirms them where he
//! is logged in, and the watch fetches its token. Knows nothing of HTTP.
//!
//! Six digits can be guessed, and still are enough, because they are no credential: they open
//! nothing, and the watch does not fetch its token with them but with a secret of 256 bits. Only
//! somebody who is logged in can confirm digits, and then lets a watch into his *own* account, so
//! a guess gives away the guesser's files, not those of others; the watch shows whose account it
//! has joined. A stranger who wants in would need an owner to mistype the digits of his watch into
//! those of the stranger: with at most [`OPEN_MAX`] pairings open, one slip in ten thousand. Tries
//! are few in any case ([`ACCOUNT_TRIES`], [`NETWORK_TRIES`]).

mod token;

use std::net::IpAddr;
use std::time::Duration;

use super::devices::{self, DeviceInfo, DeviceKind};
use super::limits::{Rule, Windows, network};
use super::{app_password, random};
use crate::store;
use crate::store::meta::accounts::{self, NewDevice};
use crate::store::meta::watch::{self, NewPairing};
use crate::store::meta::{Conn, Meta, tokens};
use crate::types::{AccountId, FamilyId, Millis};

pub(super) use token::Tokens;

/// How long the digits can be confirmed.
const CODE_LIFE: Duration = Duration::from_mins(10);
/// How long a watch has to fetch its token once it was confirmed; the code's life goes on besides.
const FETCH_LIFE: Duration = Duration::from_mins(2);
/// How long a token may be fetched again, because its answer was lost on the way to the watch.
const AGAIN_LIFE: Duration = Duration::from_mins(1);
/// Pairings open at once: with a hundred of a million codes taken, a slip hits one in ten thousand.
const OPEN_MAX: i64 = 100;
/// Pairings that one network may have open: a household with new watches.
const OPEN_NETWORK_MAX: i64 = 5;
/// Codes drawn before giving up; with [`OPEN_MAX`] taken even the second is hardly ever needed.
const DRAWS_MAX: usize = 8;
/// Codes an account may try.
const ACCOUNT_TRIES: Rule = Rule {
    max: 5,
    window: Duration::from_mins(10),
};
/// Codes that may be tried from one network, whoever is logged in.
const NETWORK_TRIES: Rule = Rule {
    max: 20,
    window: Duration::from_mins(10),
};
/// Longest model a watch may state, in bytes.
pub const MAX_WATCH_MODEL_BYTES: usize = 64;
/// What a watch is called when neither it nor its owner says.
const DEFAULT_NAME: &str = "Garmin watch";

/// A pairing that has begun.
#[derive(Clone, Debug)]
pub struct WatchPairing {
    /// Six digits for the watch to show.
    pub code: String,
    /// What the watch asks again with, 43 characters; only the watch knows it.
    pub secret: String,
    /// How long the digits can be confirmed.
    pub expires_in: Duration,
}

/// What a watch that asks again is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchAnswer {
    /// Nobody has confirmed the digits yet.
    Waiting {
        /// How long they can be.
        left: Duration,
    },
    /// The watch is paired.
    Paired {
        /// Its token, 43 characters.
        token: String,
        /// The name of the account it belongs to now.
        account: String,
    },
    /// No such pairing, or its time is over.
    Over,
}

/// Why a watch was not paired. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Too many watches are being paired.
    #[error("too many watches are being paired, try again in some minutes")]
    TooMany,
    /// No watch shows these digits, or not any more.
    #[error("no watch shows this code now")]
    Code,
    /// Too many codes were tried.
    #[error("too many codes were tried")]
    Limited {
        /// Until the limit ends.
        retry_after: Duration,
    },
    /// A name that is empty, too long or holds control characters.
    #[error("a device name must have 1 to 255 characters and no control characters")]
    Name,
    /// No such account.
    #[error("no such account")]
    NoAccount,
    /// The log-in of the owner has ended meanwhile.
    #[error("the log-in has ended")]
    LoggedOut,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The tries of those who confirm codes.
pub(super) struct Tries {
    accounts: Windows<AccountId>,
    networks: Windows<[u8; 9]>,
}

impl Tries {
    pub(super) fn new() -> Self {
        Self {
            accounts: Windows::new(ACCOUNT_TRIES),
            networks: Windows::new(NETWORK_TRIES),
        }
    }

    /// Takes a try before it is known whether the code is right, so that tries at the same time
    /// are counted, too.
    async fn spend(&self, peer: IpAddr, account: AccountId, now: Millis) -> Result<(), WatchError> {
        let refused = match self.accounts.spend(account, now).await {
            Some(left) => Some(left),
            None => self.networks.spend(network(peer), now).await,
        };
        refused.map_or(Ok(()), |retry_after| {
            Err(WatchError::Limited { retry_after })
        })
    }
}

/// Begins a pairing for a watch at `peer`.
pub(super) async fn begin(
    meta: &Meta,
    now: Millis,
    peer: IpAddr,
    model: Option<&str>,
) -> Result<WatchPairing, WatchError> {
    let model = model.filter(|model| model.len() <= MAX_WATCH_MODEL_BYTES);
    let model = model.filter(|model| devices::is_name(model));
    let (model, network) = (model.map(str::to_owned), network(peer));
    let secret = token::generate();
    let secret_hash = app_password::digest(&secret);
    let token_hash = app_password::digest(&token::of(&secret));
    let code = meta
        .write(move |tx| {
            Box::pin(async move {
                watch::expire(tx, now).await?;
                let (all, here) = watch::count(tx, &network).await?;
                if all >= OPEN_MAX || here >= OPEN_NETWORK_MAX {
                    return Err(WatchError::TooMany);
                }
                for _ in 0..DRAWS_MAX {
                    let code = digits();
                    let new = NewPairing {
                        code: &code,
                        secret_hash: &secret_hash,
                        token_hash: &token_hash,
                        network: &network,
                        model: model.as_deref(),
                        expires: now.plus(CODE_LIFE),
                    };
                    if watch::insert(tx, &new).await? {
                        return Ok(code);
                    }
                }
                Err(WatchError::TooMany)
            })
        })
        .await?;
    Ok(WatchPairing {
        code,
        secret,
        expires_in: CODE_LIFE,
    })
}

/// What to tell the watch that asks with `secret`.
pub(super) async fn poll(
    meta: &Meta,
    now: Millis,
    secret: &str,
) -> Result<WatchAnswer, store::Error> {
    if !token::has_shape(secret) {
        return Ok(WatchAnswer::Over);
    }
    let hash = app_password::digest(secret);
    let found = watch::by_secret(&mut *meta.read().await?, &hash, now).await?;
    let Some(pairing) = found else {
        return Ok(WatchAnswer::Over);
    };
    let Some(account) = pairing.account else {
        let left = u64::try_from(pairing.expires_at - now.0).unwrap_or(0);
        let left = Duration::from_millis(left);
        return Ok(WatchAnswer::Waiting { left });
    };
    if !pairing.fetched {
        meta.write::<_, store::Error, _>(move |tx| {
            Box::pin(async move { watch::fetched(tx, pairing.id, now.plus(AGAIN_LIFE)).await })
        })
        .await?;
    }
    // Made from the secret, so that it can be given again without being kept anywhere.
    let token = token::of(secret);
    Ok(WatchAnswer::Paired { token, account })
}

/// Makes the watch that shows `code` a device of the account. `by` is where the owner is logged
/// in; the command line has no such thing and no limit: who may run it may read the database.
pub(super) async fn confirm(
    meta: &Meta,
    tries: &Tries,
    now: Millis,
    by: Option<(IpAddr, Option<FamilyId>)>,
    account: AccountId,
    (code, name): (&str, Option<&str>),
) -> Result<DeviceInfo, WatchError> {
    if name.is_some_and(|name| !devices::is_name(name)) {
        return Err(WatchError::Name);
    }
    // People type the digits in groups, as they see them.
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WatchError::Code);
    }
    if let Some((peer, _)) = by {
        tries.spend(peer, account, now).await?;
    }
    let name = name.map(str::to_owned);
    let device = meta
        .write(move |tx| {
            Box::pin(async move {
                if !tokens::still_there(tx, by.and_then(|(_, family)| family)).await? {
                    return Err(WatchError::LoggedOut);
                }
                make_device(tx, now, account, (&code, name)).await
            })
        })
        .await?;
    tries.accounts.forget(&account).await;
    Ok(device)
}

async fn make_device(
    tx: &mut Conn,
    now: Millis,
    account: AccountId,
    (code, name): (&str, Option<String>),
) -> Result<DeviceInfo, WatchError> {
    let open = watch::by_code(tx, code, now).await?;
    let open = open.ok_or(WatchError::Code)?;
    let name = name.or(open.model);
    let name = name.unwrap_or_else(|| DEFAULT_NAME.to_owned());
    let kind = DeviceKind::Garmin;
    let row = NewDevice {
        account,
        name: &name,
        kind: kind.as_str(),
        secret_hash: &open.token_hash,
        created: now,
    };
    let device = accounts::add_device(tx, &row).await?;
    let id = device.ok_or(WatchError::NoAccount)?;
    let expires = Millis(open.expires_at).max(now.plus(FETCH_LIFE));
    watch::confirm(tx, open.id, id, expires).await?;
    Ok(DeviceInfo {
        id,
        name,
        kind,
        created: now,
        last_sync: None,
        revoked: None,
    })
}

/// Six digits, all codes equally likely: the largest multiple of a million in 32 bits is kept to.
fn digits() -> String {
    const CODES: u32 = 1_000_000;
    loop {
        let drawn = u32::from_le_bytes(random::bytes());
        if drawn < u32::MAX / CODES * CODES {
            return format!("{:06}", drawn % CODES);
        }
    }
}

#[cfg(test)]
mod tests;
