//! `Authorization` from anybody.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};

use super::{credentials, without_domain};

/// What was read as a name and a password is read as the same again.
pub(crate) fn basic(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let Some((user, password)) = read(value) else {
        return;
    };
    assert!(!user.contains(':') && user.ends_with(without_domain(&user)));
    let code = STANDARD.encode(format!("{user}:{password}"));
    let value = HeaderValue::try_from(format!("Basic {code}")).expect("base64 is ASCII");
    assert_eq!(read(value), Some((user, password)));
}

fn read(value: HeaderValue) -> Option<(String, String)> {
    credentials(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
}
