//! From the `Authorization` header to a [`Session`]: HTTP Basic (RFC 7617), and tokens of watches.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use headers::authorization::Basic;
use headers::{Authorization, HeaderMapExt};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::middleware::Client;
use super::ops::metrics::Metrics;
use crate::accounts::{Accounts, Denied, Session};
use crate::store;

const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"sync-server\", charset=\"UTF-8\"");
/// Seconds after which a client that came while all hashing was taken may come again.
const BUSY_RETRY_SECONDS: u64 = 2;

/// The session of a request, or the answer that refuses it.
pub(super) async fn log_in(
    accounts: &Accounts,
    metrics: &Metrics,
    client: Client,
    headers: &HeaderMap,
) -> Result<Session, Response<Body>> {
    let Some((user, password)) = credentials(headers) else {
        return Err(challenge());
    };
    let verified = accounts
        .verify_basic(client.ip, without_domain(&user), &password)
        .await;
    verified.map_err(|denied| refuse(&denied, metrics))
}

/// Logs watches in by their tokens. Their face says in its own form why it cannot be.
pub(super) struct Watches {
    accounts: Accounts,
    metrics: Arc<Metrics>,
}

impl Watches {
    /// Watches of `accounts`; refusals are counted in `metrics`.
    pub(super) fn new(accounts: Accounts, metrics: Arc<Metrics>) -> Self {
        Self { accounts, metrics }
    }

    /// The session of the watch with this token.
    pub(super) async fn log_in(&self, client: Client, token: &str) -> Result<Session, Denied> {
        let verified = self.accounts.verify_watch(client.ip, token).await;
        verified.inspect_err(|denied| self.metrics.auth_failed(denied.reason()))
    }
}

fn refuse(denied: &Denied, metrics: &Metrics) -> Response<Body> {
    metrics.auth_failed(denied.reason());
    match denied {
        Denied::Wrong | Denied::Forged | Denied::Ended | Denied::Expired => challenge(),
        Denied::Limited { retry_after } => {
            later(StatusCode::TOO_MANY_REQUESTS, retry_after.as_secs().max(1))
        }
        Denied::Busy => later(StatusCode::SERVICE_UNAVAILABLE, BUSY_RETRY_SECONDS),
        Denied::Store(error) => {
            tracing::error!("log-in: {error}");
            failed(error)
        }
    }
}

/// A 500 makes sync clients put the file aside for a day; a busy database is over in seconds.
fn failed(error: &store::Error) -> Response<Body> {
    match error {
        store::Error::Database(_)
        | store::Error::Away(_)
        | store::Error::Later { .. }
        | store::Error::Suspect
        | store::Error::Busy
        | store::Error::Stale
        | store::Error::Closing => later(StatusCode::SERVICE_UNAVAILABLE, BUSY_RETRY_SECONDS),
        store::Error::DiskFull => text(
            StatusCode::INSUFFICIENT_STORAGE,
            "the server's disk is full\n",
        ),
        store::Error::Migrate(_)
        | store::Error::Unfit(_)
        | store::Error::Io { .. }
        | store::Error::Gone
        | store::Error::WrongKey { .. }
        | store::Error::Crypto(_)
        | store::Error::Corrupt(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n"),
    }
}

/// Every 401 carries the challenge, whatever the method; Windows gives up without it.
fn challenge() -> Response<Body> {
    let mut response = text(
        StatusCode::UNAUTHORIZED,
        "log in with user name and password\n",
    );
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, CHALLENGE);
    response
}

fn later(status: StatusCode, seconds: u64) -> Response<Body> {
    let mut response = text(status, "try again later\n");
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn text(status: StatusCode, body: &'static str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Body::from(body))
        .expect("the parts are constants")
}

/// User and password. Old clients send Latin-1 and ignore our `charset`.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    if let Some(Authorization(basic)) = headers.typed_get::<Authorization<Basic>>() {
        return Some((basic.username().to_owned(), basic.password().to_owned()));
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let bytes = STANDARD.decode(encoded.trim()).ok()?;
    let latin1: String = bytes.into_iter().map(char::from).collect();
    let (user, password) = latin1.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (user.to_owned(), password.to_owned()))
}

/// Windows puts its domain or computer name before the user: `DOMAIN\user`.
fn without_domain(user: &str) -> &str {
    user.rsplit_once('\\').map_or(user, |(_domain, user)| user)
}

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(scheme: &str, bytes: &[u8]) -> Option<(String, String)> {
        let value = format!("{scheme} {}", STANDARD.encode(bytes))
            .parse()
            .unwrap();
        credentials(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
    }

    fn pair(user: &str, password: &str) -> (String, String) {
        (user.to_owned(), password.to_owned())
    }

    #[test]
    fn credentials_are_read_as_utf8_or_latin1_and_split_at_the_first_colon() {
        assert_eq!(
            sent("Basic", "jörg:a:b".as_bytes()),
            Some(pair("jörg", "a:b"))
        );
        assert_eq!(sent("basic", b"j\xf6rg:\xe4"), Some(pair("jörg", "ä")));
        assert_eq!(sent("Basic", b"x:"), Some(pair("x", "")));
    }

    #[test]
    fn what_is_no_basic_is_no_credentials() {
        assert_eq!(credentials(&HeaderMap::new()), None);
        assert_eq!(sent("Bearer", b"a:b"), None);
        assert_eq!(sent("Basic", b"no colon"), None);
        let broken = HeaderValue::from_static("Basic ***");
        assert_eq!(
            credentials(&HeaderMap::from_iter([(header::AUTHORIZATION, broken)])),
            None
        );
    }

    #[test]
    fn the_windows_domain_is_dropped() {
        assert_eq!(without_domain("HOME\\anna"), "anna");
        assert_eq!(without_domain("anna"), "anna");
    }

    #[test]
    fn each_refusal_has_its_answer() {
        let metrics = Metrics::new();
        let wrong = refuse(&Denied::Wrong, &metrics);
        assert_eq!(wrong.status(), 401);
        assert_eq!(wrong.headers()["www-authenticate"], CHALLENGE);
        let retry_after = std::time::Duration::from_mins(5);
        let limited = refuse(&Denied::Limited { retry_after }, &metrics);
        assert_eq!(limited.status(), 429);
        assert_eq!(limited.headers()["retry-after"], "300");
        assert_eq!(refuse(&Denied::Busy, &metrics).status(), 503);
        let stored = |error: store::Error| refuse(&Denied::from(error), &metrics);
        let busy = stored(store::Error::Database(sqlx::Error::PoolTimedOut));
        assert_eq!(busy.status(), 503);
        assert_eq!(busy.headers()["retry-after"], "2");
        assert_eq!(stored(store::Error::Corrupt("x")).status(), 500);
        assert!(
            metrics
                .encode(None)
                .contains("sync_auth_failures_total{reason=\"limited\"} 1")
        );
    }
}
