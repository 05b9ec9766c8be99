//! What clients show to be let in.

use super::access::{Access, Signer};
use super::name::AccountName;
use super::refresh_token::RefreshToken;
use crate::types::{AccountId, DeviceId, FamilyId, Millis};

/// When the token below was issued.
const NOW: Millis = Millis(1_800_000_000_000);

/// Only a token that was signed is taken; names are equal to what they become.
pub(crate) fn credentials(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let signed = Access {
        account: AccountId(1),
        device: Some(DeviceId(2)),
        family: FamilyId(3),
        epoch: 4,
    };
    if let Ok(access) = Signer::new(&[7; 32]).read(text, NOW) {
        // Whoever has no key can only repeat this one.
        assert_eq!(access, signed);
    }
    if let Some(token) = RefreshToken::parse(text) {
        assert_eq!(token.text(), text);
    }
    if let Ok(name) = AccountName::parse(text) {
        assert_eq!(AccountName::parse(name.as_str()).as_ref(), Ok(&name));
        let lower = AccountName::parse(&name.key());
        assert!(lower.is_err() || lower.is_ok_and(|lower| lower.key() == name.key()));
    }
}

/// The token that `fuzz/regressions/credentials/` holds, so that it is never thrown out.
#[test]
fn the_token_that_is_kept_is_taken() {
    let signer = Signer::new(&[7; 32]);
    let access = Access {
        account: AccountId(1),
        device: Some(DeviceId(2)),
        family: FamilyId(3),
        epoch: 4,
    };
    let (token, _) = signer.issue(access, NOW, Millis(i64::MAX));
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fuzz/regressions/credentials/access"
    );
    assert_eq!(std::fs::read_to_string(file).unwrap_or_default(), token);
    assert!(signer.read(&token, NOW).is_ok());
}
