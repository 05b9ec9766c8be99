//! Access tokens: JWTs (RFC 7519) signed with HMAC-SHA256 by this server for itself.
//!
//! Who issues is who checks, so one secret key is enough. Knows nothing of databases: whether the
//! log-in behind a token still holds is asked elsewhere.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::types::{AccountId, DeviceId, FamilyId, Millis};

/// How long a token is good for, at most.
pub(super) const LIFE: Duration = Duration::from_mins(15);
/// Longest token looked at, in bytes; ours have less than 260.
const MAX_BYTES: usize = 512;
/// How far in the future a token may have been issued, in seconds: the clock may be set back a
/// little. More would make tokens from a wrong clock last.
const CLOCK_STEP: i64 = 5;
const ISSUER: &str = "sync-server";
const AUDIENCE: &str = "api";

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) account: AccountId,
    pub(super) device: Option<DeviceId>,
    pub(super) family: FamilyId,
    /// The account's epoch at the time of issue.
    pub(super) epoch: i64,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not signed by this server for its API.
    Forged,
    /// Its time is over, or has not come.
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    did: Option<i64>,
    sid: i64,
    ver: i64,
    iat: i64,
    exp: i64,
    iss: String,
    aud: String,
}

/// Makes and reads tokens with one key.
pub(super) struct Signer {
    header: Header,
    signing: EncodingKey,
    checking: DecodingKey,
    rules: Validation,
}

impl Signer {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = None;
        header.kid = Some(fingerprint(key));
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        // Compared with the clock below, which tests can move.
        rules.validate_exp = false;
        Self {
            header,
            signing: EncodingKey::from_secret(key),
            checking: DecodingKey::from_secret(key),
            rules,
        }
    }

    /// A token good from `now` until `end`, or for [`LIFE`] when that is less, and for how many
    /// seconds that is.
    pub(super) fn issue(&self, access: Access, now: Millis, end: Millis) -> (String, u64) {
        let iat = now.secs();
        let exp = now.plus(LIFE).secs().min(end.secs());
        let claims = Claims {
            sub: access.account.to_string(),
            did: access.device.map(|device| device.0),
            sid: access.family.0,
            ver: access.epoch,
            iat,
            exp,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.signing)
            .expect("numbers and texts are JSON, and an HMAC takes any key");
        (token, u64::try_from(exp - iat).unwrap_or(0))
    }

    /// What a token says, when it is one of ours and its time has come and is not over.
    pub(super) fn read(&self, token: &str, now: Millis) -> Result<Access, Refused> {
        if token.len() > MAX_BYTES {
            return Err(Refused::Forged);
        }
        let data = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.rules)
            .map_err(|_why| Refused::Forged)?;
        if data.header.kid != self.header.kid {
            return Err(Refused::Forged);
        }
        let claims = data.claims;
        let account = claims.sub.parse().map_err(|_text| Refused::Forged)?;
        let issued_by = now.secs().saturating_add(CLOCK_STEP);
        if claims.exp <= now.secs() || claims.iat > issued_by {
            return Err(Refused::Expired);
        }
        Ok(Access {
            account: AccountId(account),
            device: claims.did.map(DeviceId),
            family: FamilyId(claims.sid),
            epoch: claims.ver,
        })
    }
}

/// A short public name of a key, so that a token tells which one signed it.
fn fingerprint(key: &[u8; 32]) -> String {
    let hash = blake3::keyed_hash(key, b"name of this key");
    URL_SAFE_NO_PAD.encode(&hash.as_bytes()[..6])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const NOW: Millis = Millis(1_800_000_000_500);
    const LATER: Millis = Millis(9_999_999_999_000);
    const ACCESS: Access = Access {
        account: AccountId(12),
        device: Some(DeviceId(34)),
        family: FamilyId(56),
        epoch: 7,
    };

    fn claims() -> Value {
        json!({
            "sub": "12", "did": 34, "sid": 56, "ver": 7, "iat": 1_800_000_000,
            "exp": 1_800_000_900, "iss": "sync-server", "aud": "api"
        })
    }

    /// A token of `claims` signed as `header` says, with `key`.
    fn signed(header: &Header, claims: &Value, key: &[u8]) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(key)).unwrap()
    }

    fn header(algorithm: Algorithm) -> Header {
        let mut header = Header::new(algorithm);
        header.kid = Some(fingerprint(&KEY));
        header
    }

    /// Whether a token of `claims`, signed with the right key, is refused, and how.
    fn read(claims: &Value) -> Result<Access, Refused> {
        let token = signed(&header(Algorithm::HS256), claims, &KEY);
        Signer::new(&KEY).read(&token, NOW)
    }

    fn with(name: &str, value: impl Into<Value>) -> Value {
        let mut claims = claims();
        claims[name] = value.into();
        claims
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    #[test]
    fn a_token_reads_back_until_its_time_is_over() {
        let signer = Signer::new(&KEY);
        let (token, seconds) = signer.issue(ACCESS, NOW, LATER);

        assert_eq!(seconds, 900);
        let last = Millis(NOW.secs() * 1000).plus(Duration::from_millis(899_999));
        assert_eq!(signer.read(&token, NOW), Ok(ACCESS));
        assert_eq!(signer.read(&token, last), Ok(ACCESS));
        let over = last.plus(Duration::from_millis(1));
        assert_eq!(signer.read(&token, over), Err(Refused::Expired));
    }

    #[test]
    fn a_token_does_not_outlive_its_log_in() {
        let signer = Signer::new(&KEY);
        let end = NOW.plus(Duration::from_secs(10));
        let (token, seconds) = signer.issue(ACCESS, NOW, end);
        assert_eq!(seconds, 10);
        assert_eq!(signer.read(&token, end), Err(Refused::Expired));
        assert_eq!(signer.issue(ACCESS, NOW, Millis(0)).1, 0);
    }

    #[test]
    fn a_token_is_small_even_with_the_largest_ids() {
        let signer = Signer::new(&KEY);
        let (small, _) = signer.issue(ACCESS, NOW, LATER);
        assert!(small.len() <= 232, "{}", small.len());
        let most = (1 << 53) - 1;
        let large = Access {
            account: AccountId(most),
            device: Some(DeviceId(most)),
            family: FamilyId(most),
            epoch: 1_000_000,
        };
        let (token, _) = signer.issue(large, NOW, LATER);
        assert!(token.len() <= MAX_BYTES, "{}", token.len());
        assert_eq!(signer.read(&token, NOW), Ok(large));
    }

    #[test]
    fn a_log_in_without_a_device_has_no_claim_for_it() {
        let signer = Signer::new(&KEY);
        let access = Access {
            device: None,
            ..ACCESS
        };
        let (token, _) = signer.issue(access, NOW, LATER);
        assert_eq!(signer.read(&token, NOW), Ok(access));
        let payload = token.split('.').nth(1).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
        assert!(!String::from_utf8(payload).unwrap().contains("did"));
    }

    #[test]
    fn only_hmac_sha256_with_our_key_is_taken() {
        let signer = Signer::new(&KEY);
        let right = signed(&header(Algorithm::HS256), &claims(), &KEY);
        assert_eq!(signer.read(&right, NOW), Ok(ACCESS));

        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let token = signed(&header(algorithm), &claims(), &KEY);
            assert_eq!(signer.read(&token, NOW), Err(Refused::Forged));
        }
        let other = signed(&header(Algorithm::HS256), &claims(), &[8; 32]);
        assert_eq!(signer.read(&other, NOW), Err(Refused::Forged));

        let signature = right.rsplit('.').next().unwrap();
        for none in ["none", "None", "NONE"] {
            let head = part(&json!({ "alg": none, "kid": fingerprint(&KEY) }));
            let body = part(&claims());
            for signature in ["", signature] {
                let token = format!("{head}.{body}.{signature}");
                assert_eq!(signer.read(&token, NOW), Err(Refused::Forged), "{token}");
            }
        }
    }

    #[test]
    fn the_header_must_name_our_key() {
        let signer = Signer::new(&KEY);
        for kid in [None, Some(fingerprint(&[8; 32])), Some(String::new())] {
            let mut header = header(Algorithm::HS256);
            header.kid = kid;
            let token = signed(&header, &claims(), &KEY);
            assert_eq!(signer.read(&token, NOW), Err(Refused::Forged));
        }
    }

    #[test]
    fn every_claim_must_be_there_and_right() {
        assert_eq!(read(&claims()), Ok(ACCESS));
        for name in ["sub", "sid", "ver", "iat", "exp", "iss", "aud"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(read(&claims), Err(Refused::Forged), "without {name}");
        }
        for (name, wrong) in [
            ("aud", json!("web")),
            ("iss", json!("somebody")),
            ("sub", json!("alice")),
            ("sub", json!(12)),
            ("exp", json!("never")),
            ("sid", Value::Null),
        ] {
            assert_eq!(read(&with(name, wrong)), Err(Refused::Forged), "{name}");
        }
    }

    #[test]
    fn a_token_from_the_future_is_not_taken_yet() {
        assert_eq!(read(&with("iat", 1_800_000_005)), Ok(ACCESS));
        assert_eq!(read(&with("iat", 1_800_000_006)), Err(Refused::Expired));
        assert_eq!(read(&with("exp", i64::MAX)), Ok(ACCESS));
        assert_eq!(read(&with("exp", i64::MIN)), Err(Refused::Forged));
    }

    #[test]
    fn a_changed_or_cut_token_is_forged() {
        let signer = Signer::new(&KEY);
        let (token, _) = signer.issue(ACCESS, NOW, LATER);
        for at in 0..token.len() {
            let cut = signer.read(&token[..at], NOW);
            assert_eq!(cut, Err(Refused::Forged), "cut at {at}");
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(signer.read(&changed, NOW), Err(Refused::Forged), "at {at}");
        }
        for text in ["", "..", "a.b.c", "…", &"x".repeat(100_000)] {
            assert_eq!(signer.read(text, NOW), Err(Refused::Forged));
        }
    }
}
