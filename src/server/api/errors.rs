//! What a refusal of the rules means here. The only place where that is decided.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;

use super::problem::{self, Problem};
use crate::accounts::{self, Denied, LoginError, WatchError};
use crate::protocol::stream::StreamError;
use crate::store;
use crate::tree;
use crate::types::PathError;

/// Seconds after which a client may try again when the server was busy.
const BUSY_SECONDS: u64 = 2;

impl From<PathError> for Problem {
    fn from(error: PathError) -> Self {
        Self::new(problem::BAD_PATH, error.to_string()).at("path")
    }
}

impl From<tree::Error> for Problem {
    fn from(error: tree::Error) -> Self {
        let text = error.to_string();
        let kind = match error {
            tree::Error::NotFound => problem::NOT_FOUND,
            tree::Error::NoParent => problem::NO_PARENT,
            tree::Error::Exists => problem::EXISTS,
            tree::Error::NotACollection => problem::NOT_A_COLLECTION,
            tree::Error::IsACollection => problem::IS_A_COLLECTION,
            tree::Error::Path(error) => return error.into(),
            tree::Error::Forbidden(_) => problem::FORBIDDEN,
            tree::Error::PreconditionFailed => problem::PRECONDITION,
            tree::Error::Locked(_) | tree::Error::NoSuchLock => problem::LOCKED,
            tree::Error::QuotaExceeded { .. } => problem::QUOTA,
            tree::Error::TooLarge(_) => problem::TOO_LARGE,
            tree::Error::Checksum => return Self::new(problem::CHECKSUM, text).at("checksum"),
            tree::Error::StaleCursor => return Self::new(problem::STALE_CURSOR, text).at("cursor"),
            tree::Error::ExpiredCursor => {
                return Self::new(problem::EXPIRED_CURSOR, text).at("cursor");
            }
            tree::Error::Store(error) => return error.into(),
        };
        Self::new(kind, text)
    }
}

impl From<store::Error> for Problem {
    /// Logs what failed and tells the client no more than whether to try again.
    fn from(error: store::Error) -> Self {
        failed(&error)
    }
}

fn failed(error: &store::Error) -> Problem {
    if matches!(error, store::Error::Busy) {
        return busy();
    }
    tracing::error!(%error, "an API request failed in the store");
    match error {
        store::Error::DiskFull => Problem::new(problem::DISK_FULL, "the server's disk is full"),
        store::Error::Database(_)
        | store::Error::Away(_)
        | store::Error::Later { .. }
        | store::Error::Suspect
        | store::Error::Busy
        | store::Error::Stale
        | store::Error::Closing => busy(),
        store::Error::Migrate(_)
        | store::Error::Unfit(_)
        | store::Error::Io { .. }
        | store::Error::Gone
        | store::Error::WrongKey { .. }
        | store::Error::Crypto(_)
        | store::Error::Corrupt(_) => {
            Problem::new(problem::INTERNAL, "the server's storage failed")
        }
    }
}

fn busy() -> Problem {
    Problem::new(problem::BUSY, "the server is busy").retry_after(BUSY_SECONDS)
}

impl From<accounts::Error> for Problem {
    fn from(error: accounts::Error) -> Self {
        let text = error.to_string();
        match error {
            accounts::Error::NotFound => Self::new(problem::NOT_FOUND, text),
            accounts::Error::LoggedOut => Self::new(problem::UNAUTHORIZED, text),
            accounts::Error::DeviceName | accounts::Error::Name(_) => Self::invalid("name", text),
            accounts::Error::Password(_) => Self::invalid("password", text),
            accounts::Error::Taken => Self::new(problem::EXISTS, text),
            accounts::Error::Busy => busy(),
            accounts::Error::Space(source) => {
                tracing::error!(%source, "an API request could not make a space");
                Self::new(problem::INTERNAL, "the server's storage failed")
            }
            accounts::Error::Store(error) => error.into(),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let text = error.to_string();
        match error {
            LoginError::Wrong | LoginError::Ended => Self::new(problem::UNAUTHORIZED, text),
            LoginError::Limited { retry_after } => limited(retry_after),
            LoginError::Busy => busy(),
            LoginError::Expired => Self::new(problem::EXPIRED, text),
            LoginError::Replaced => Self::new(problem::REPLACED, text),
            LoginError::Reused => Self::new(problem::REUSED, text),
            LoginError::NotAllowed(_) => Self::new(problem::FORBIDDEN, text),
            LoginError::DeviceName => Self::invalid("name", text),
            LoginError::NotFound => Self::invalid("device", text),
            LoginError::Store(error) => failed(&error),
        }
    }
}

impl From<WatchError> for Problem {
    fn from(error: WatchError) -> Self {
        let text = error.to_string();
        match error {
            WatchError::TooMany => Self::new(problem::LIMITED, text).retry_after(60),
            WatchError::Code => Self::invalid("code", text),
            WatchError::Limited { retry_after } => limited(retry_after),
            WatchError::Name => Self::invalid("name", text),
            WatchError::NoAccount => Self::new(problem::NOT_FOUND, text),
            WatchError::LoggedOut => Self::new(problem::UNAUTHORIZED, text),
            WatchError::Store(error) => error.into(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Wrong | Denied::Forged | Denied::Ended => {
                Self::new(problem::UNAUTHORIZED, "the access token is not valid")
            }
            Denied::Expired => Self::new(problem::EXPIRED, "the access token has ended"),
            Denied::Limited { retry_after } => limited(retry_after),
            Denied::Busy => busy(),
            Denied::Store(error) => failed(&error),
        }
    }
}

fn limited(retry_after: std::time::Duration) -> Problem {
    let problem = Problem::new(problem::LIMITED, "too many failed log-ins; try again later");
    problem.retry_after(retry_after.as_secs().max(1))
}

impl From<StreamError> for Problem {
    fn from(error: StreamError) -> Self {
        Self::new(problem::BAD_STREAM, error.to_string())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let text = rejection.body_text();
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(problem::TOO_LARGE, text),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(problem::MEDIA, text).at("Content-Type")
            }
            StatusCode::UNPROCESSABLE_ENTITY => named(problem::INVALID, text),
            _ => named(problem::BAD_REQUEST, text),
        }
    }
}

/// Names the field that a deserializer complains of: the path in front of its text, or the name that
/// is missing or unknown.
fn named(kind: problem::Kind, text: String) -> Problem {
    let message = text
        .split_once(": ")
        .map_or(text.as_str(), |(_said_by, message)| message);
    let quoted = message
        .split_once("field `")
        .and_then(|(_, rest)| rest.split_once('`'));
    let path = message.split_once(": ").map(|(path, _)| path);
    let is_path = |path: &&str| {
        let mut letters = path.bytes();
        !path.is_empty()
            && letters.all(|byte| byte.is_ascii_alphanumeric() || b"_.[]".contains(&byte))
    };
    let field = quoted
        .map(|(name, _)| name)
        .or(path.filter(is_path))
        .map(str::to_owned);
    let problem = Problem::new(kind, text);
    match field {
        Some(field) => problem.at(&field),
        None => problem,
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        named(problem::BAD_REQUEST, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(problem::BAD_REQUEST, rejection.body_text())
    }
}

/// What a body that broke off means: the client's fault when it was too long for a limit, else it
/// will hardly hear the answer.
pub(super) fn broken_body(error: &axum::Error) -> Problem {
    Problem::new(problem::BAD_LENGTH, format!("the body broke off: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_log_in_that_finds_the_database_busy_may_try_again() {
        let busy = || Arc::new(store::Error::Database(sqlx::Error::PoolTimedOut));
        let problems = [
            Problem::from(Denied::Store(busy())),
            Problem::from(LoginError::Store(busy())),
            Problem::from(WatchError::Store(store::Error::Closing)),
        ];
        for problem in problems {
            let response = axum::response::IntoResponse::into_response(problem);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[http::header::RETRY_AFTER], "2");
        }
        let damaged = Denied::Store(Arc::new(store::Error::Corrupt("x")));
        assert_eq!(Problem::from(damaged).body().status, 500);
    }

    #[test]
    fn the_field_of_a_complaint_is_named() {
        for (text, field) in [
            (
                "Failed to deserialize the JSON body into the target type: q: unknown field `q`, expected",
                Some("q"),
            ),
            (
                "Failed to deserialize the JSON body into the target type: missing field `path` at line 1",
                Some("path"),
            ),
            (
                "Failed to deserialize query string: limit: invalid digit found in string",
                Some("limit"),
            ),
            (
                "Failed to deserialize query string: missing field `path`",
                Some("path"),
            ),
            (
                "Failed to deserialize the JSON body into the target type: ranges[0]: invalid type: string",
                Some("ranges[0]"),
            ),
            (
                "Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0",
                None,
            ),
        ] {
            let body = named(problem::INVALID, text.to_owned()).body();
            assert_eq!(body.field.as_deref(), field, "{text}");
        }
    }

    #[test]
    fn every_refusal_of_the_tree_has_its_status() {
        use tree::Error as E;
        let rows: Vec<(E, u16, &str)> = vec![
            (E::NotFound, 404, "not-found"),
            (E::NoParent, 409, "no-parent"),
            (E::Exists, 409, "exists"),
            (E::NotACollection, 409, "not-a-collection"),
            (E::IsACollection, 409, "is-a-collection"),
            (E::Path(PathError::Relative), 400, "bad-path"),
            (E::Forbidden("no"), 403, "forbidden"),
            (E::PreconditionFailed, 412, "precondition-failed"),
            (E::NoSuchLock, 423, "locked"),
            (
                E::QuotaExceeded { used: 2, quota: 1 },
                507,
                "quota-exceeded",
            ),
            (E::TooLarge("x"), 413, "too-large"),
            (E::Checksum, 400, "checksum-mismatch"),
            (E::StaleCursor, 410, "stale-cursor"),
            (E::ExpiredCursor, 410, "expired-cursor"),
            (E::Store(store::Error::DiskFull), 507, "disk-full"),
            (E::Store(store::Error::Closing), 503, "busy"),
            (E::Store(store::Error::Suspect), 503, "busy"),
            (
                E::Store(store::Error::Away(sqlx::Error::PoolTimedOut)),
                503,
                "busy",
            ),
            (E::Store(store::Error::Corrupt("secret")), 500, "internal"),
        ];
        for (error, status, name) in rows {
            let body = Problem::from(error).body();
            assert_eq!((body.status, body.name()), (status, name));
            assert!(!body.detail.contains("secret"));
        }
    }
}
