//! App passwords: random secrets, one a device, so strong that a plain hash keeps them safe.
//!
//! Letters, digits and `-` only: phones split the `nc://login/…` form of a QR code at `&` and iOS
//! does not decode percent signs in it.

use sha2::{Digest, Sha256};

use super::random;

/// 5 groups of 5 of 62 characters are 148 random bits.
const GROUPS: usize = 5;
/// Characters of one group.
const GROUP: usize = 5;
/// Characters with the dashes between the groups.
const LENGTH: usize = GROUPS * GROUP + GROUPS - 1;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A new secret such as `x7Kq2-9fTbA-mmPz0-Qw3rL-5sVdE`.
pub(super) fn generate() -> String {
    let mut secret = String::with_capacity(LENGTH);
    while secret.len() < LENGTH {
        secret.push(if is_dash(secret.len()) { '-' } else { letter() });
    }
    secret
}

/// Six random bits, drawn again for the two values beyond the alphabet, so that all letters are
/// equally likely.
fn letter() -> char {
    loop {
        let [byte] = random::bytes();
        if let Some(&letter) = ALPHABET.get(usize::from(byte & 63)) {
            return char::from(letter);
        }
    }
}

/// Whether a secret looks like one of ours; a password that happens to is still tried as one.
pub(super) fn has_shape(secret: &str) -> bool {
    secret.len() == LENGTH
        && secret.bytes().enumerate().all(|(at, byte)| {
            if is_dash(at) {
                byte == b'-'
            } else {
                byte.is_ascii_alphanumeric()
            }
        })
}

/// What is stored of a secret, and what it is found by.
pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn is_dash(at: usize) -> bool {
    at % (GROUP + 1) == GROUP
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn secrets_have_their_shape_and_never_repeat() {
        let secrets: HashSet<String> = (0..1000).map(|_| generate()).collect();
        assert_eq!(secrets.len(), 1000);
        assert!(secrets.iter().all(|secret| has_shape(secret)));
        let used: HashSet<char> = secrets.iter().flat_map(|secret| secret.chars()).collect();
        assert_eq!(used.len(), ALPHABET.len() + 1);
    }

    #[test]
    fn passwords_of_people_do_not_have_the_shape() {
        for secret in [
            "",
            "hunter42",
            "x7Kq2-9fTbA-mmPz0-Qw3rL-5sVd",
            "x7Kq2 9fTbA mmPz0 Qw3rL 5sVdE",
        ] {
            assert!(!has_shape(secret), "{secret}");
        }
        assert!(has_shape("x7Kq2-9fTbA-mmPz0-Qw3rL-5sVdE"));
    }
}
