//! Pairing codes: short texts that let one device in without a password.
//!
//! 40 random bits are soon found by whoever has the hash, so it is keyed, and hard to guess for
//! whoever has to ask.

use std::net::IpAddr;
use std::time::Duration;

use zeroize::Zeroizing;

use super::login::{self, Opened};
use super::{Accounts, DeviceKind, Error, LoginError, Result, random};
use crate::store::meta::{Alone, Conn, accounts, tokens};
use crate::types::{AccountId, FamilyId, Millis};

/// How long a code holds.
const LIFE: Duration = Duration::from_mins(10);
/// Codes an account may have open; a new one ends the oldest beyond.
const OPEN_MAX: i64 = 3;
/// Characters of a code: 8 × 5 = 40 random bits.
const LENGTH: usize = 8;
/// Characters that nobody confuses when reading them aloud or from a screen.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A code to type on a new device.
pub struct PairingCode {
    /// 8 letters and digits.
    pub code: String,
    /// Seconds it holds.
    pub expires_in: u64,
}

/// What codes are hashed with.
pub(super) struct CodeKey(pub(super) Zeroizing<[u8; 32]>);

impl CodeKey {
    fn digest(&self, code: &str) -> [u8; 32] {
        blake3::keyed_hash(&self.0, code.as_bytes()).into()
    }
}

impl Accounts {
    /// A code that lets one device in to the account, once, within 10 minutes. An account may have
    /// three; the oldest ends then. `by` is the log-in that asks, which must hold at that moment;
    /// `None` on the command line.
    pub async fn pairing_code(
        &self,
        account: AccountId,
        by: Option<FamilyId>,
    ) -> Result<PairingCode> {
        let code = generate();
        let (hash, now) = (self.code_key.digest(&code), self.clock.now());
        let added = self.store.meta.write(move |tx| {
            Box::pin(async move {
                tx.alone(Alone::Accounts).await?;
                if !tokens::still_there(tx, by).await? {
                    return Err(Error::LoggedOut);
                }
                if !tokens::add_code(tx, &hash, account, now.plus(LIFE)).await? {
                    return Err(Error::NotFound);
                }
                Ok(tokens::tidy_codes(tx, account, now, OPEN_MAX).await?)
            })
        });
        added.await?;
        Ok(PairingCode {
            code,
            expires_in: LIFE.as_secs(),
        })
    }

    /// Uses up a code for a new device. Wrong ones count against the network; five, and no code is
    /// looked at from there until the ten minutes since the first are over.
    pub(super) async fn pair(
        &self,
        peer: IpAddr,
        code: &str,
        device: (String, DeviceKind),
    ) -> Result<Opened, LoginError> {
        let (limits, now) = (&self.basic.limits, self.clock.now());
        let attempt = limits.attempt(peer, "");
        if let Some(retry_after) = limits.take_code(&attempt, now).await {
            self.basic.note_limited();
            return Err(LoginError::Limited { retry_after });
        }
        let hash = self.code_key.digest(&as_made(code));
        let opened = self.store.meta.write(move |tx| {
            Box::pin(async move { pair_within(tx, &hash, now, (&device.0, device.1)).await })
        });
        let opened = opened.await;
        if matches!(opened, Err(LoginError::Wrong)) {
            self.basic.note_wrong(attempt.peer);
        } else {
            limits.give_code_back(&attempt, now).await;
        }
        opened
    }
}

async fn pair_within(
    tx: &mut Conn,
    hash: &[u8],
    now: Millis,
    device: (&str, DeviceKind),
) -> Result<Opened, LoginError> {
    tx.alone(Alone::Accounts).await?;
    let account = tokens::take_code(tx, hash, now).await?;
    let account = account.ok_or(LoginError::Wrong)?;
    let epoch = accounts::epoch(tx, account, None).await?;
    let epoch = epoch.ok_or(LoginError::Wrong)?;
    login::add_device(tx, now, account, epoch, device).await
}

fn generate() -> String {
    let bytes: [u8; LENGTH] = random::bytes();
    // 256 is a multiple of 32, so that all letters are equally likely.
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte % 32)]);
    bytes.iter().map(letter).collect()
}

/// A code as it was made, from what a person typed: small letters, spaces and dashes do not matter.
fn as_made(typed: &str) -> String {
    let typed = typed.chars().filter(|c| !matches!(c, ' ' | '-'));
    // One more tells a longer text from a code.
    typed
        .take(LENGTH + 1)
        .collect::<String>()
        .to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_never_repeat_and_use_the_whole_alphabet() {
        let codes: HashSet<String> = (0..1000).map(|_| generate()).collect();
        assert_eq!(codes.len(), 1000);
        assert!(codes.iter().all(|code| code.len() == LENGTH));
        let used: HashSet<char> = codes.iter().flat_map(|code| code.chars()).collect();
        assert_eq!(used.len(), ALPHABET.len());
        assert!(used.is_disjoint(&HashSet::from(['0', 'O', '1', 'I'])));
    }

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        for typed in ["ABCD2345", "abcd2345", "abcd-2345", " ABCD 2345 "] {
            assert_eq!(as_made(typed), "ABCD2345", "{typed}");
        }
        for other in ["ABCD23456", "ABCD234", "", &"x".repeat(100_000)] {
            assert_ne!(as_made(other), "ABCD2345");
            assert!(as_made(other).len() <= 9);
        }
    }

    #[test]
    fn hashes_of_a_code_depend_on_the_key() {
        let [one, other] = [[1; 32], [2; 32]].map(|key| CodeKey(Zeroizing::new(key)));
        assert_eq!(one.digest("ABCD2345"), one.digest("ABCD2345"));
        assert_ne!(one.digest("ABCD2345"), other.digest("ABCD2345"));
        assert_ne!(one.digest("ABCD2345"), one.digest("ABCD2346"));
    }
}
