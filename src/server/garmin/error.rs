//! Refusals: what a watch is told when something cannot be, and the only place that decides it.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderValue, Response, StatusCode, header};

use super::answer;
use crate::accounts::Denied;
use crate::store;
use crate::tree;

/// Seconds after which a watch may try again what the server had no room or time for.
const BUSY_SECONDS: u32 = 5;
/// Longest name of a field of the request that is said back, in bytes.
const FIELD_MAX: usize = 16;

/// Why a watch does not get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// No token, or none that is valid: pair again.
    Token,
    /// Too many requests.
    Slow {
        /// When to come again.
        seconds: u32,
    },
    /// The server has no room or time now.
    Busy {
        /// When to come again.
        seconds: u32,
    },
    /// No such route.
    NoRoute,
    /// The route does not know this method.
    Method,
    /// No such file or folder, or nothing for a watch.
    NotFound,
    /// No such pairing (any more).
    PairingOver,
    /// A field of the request that is missing, cannot be, or is not known.
    Field(String),
    /// A body that cannot be read as what it says it is.
    Body,
    /// A body that is neither JSON nor a form.
    Media,
    /// More bytes than may be.
    TooBig,
    /// A name of no kind of file that watches have.
    Kind,
    /// A CRC-32 that is not that of the bytes.
    Crc,
    /// The file is not the version that was asked for.
    Changed,
    /// A file without bytes; an empty answer would not arrive.
    Empty,
    /// A folder lies where a file should be, or the other way round.
    InTheWay,
    /// The account or the server has no room left.
    Full,
    /// Somebody has locked the file.
    Locked,
    /// The server failed.
    Failed,
}

impl Error {
    /// Come again soon.
    pub(super) fn busy() -> Self {
        Self::Busy {
            seconds: BUSY_SECONDS,
        }
    }

    /// A field of the request that is wrong.
    pub(super) fn field(name: &str) -> Self {
        let plain = name.len() <= FIELD_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric());
        Self::Field(if plain { name } else { "?" }.to_owned())
    }

    /// The status and the word for it.
    fn parts(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Token => (StatusCode::UNAUTHORIZED, "auth"),
            Self::Slow { .. } => (StatusCode::TOO_MANY_REQUESTS, "slow"),
            // Not 503: phones pass a 4xx on with its body.
            Self::Busy { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "route"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::NotFound => (StatusCode::NOT_FOUND, "none"),
            Self::PairingOver => (StatusCode::NOT_FOUND, "over"),
            Self::Field(_) => (StatusCode::BAD_REQUEST, "field"),
            Self::Body => (StatusCode::BAD_REQUEST, "body"),
            Self::Media => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media"),
            Self::TooBig => (StatusCode::PAYLOAD_TOO_LARGE, "big"),
            Self::Kind => (StatusCode::BAD_REQUEST, "kind"),
            Self::Crc => (StatusCode::BAD_REQUEST, "crc"),
            Self::Changed => (StatusCode::CONFLICT, "changed"),
            Self::Empty => (StatusCode::CONFLICT, "empty"),
            Self::InTheWay => (StatusCode::CONFLICT, "way"),
            Self::Full => (StatusCode::CONFLICT, "full"),
            Self::Locked => (StatusCode::LOCKED, "lock"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "fail"),
        }
    }

    fn text(&self) -> String {
        let (_, word) = self.parts();
        match self {
            Self::Field(name) => format!(r#"{{"e":"{word}","f":"{name}"}}"#),
            Self::Slow { seconds } | Self::Busy { seconds } => {
                format!(r#"{{"e":"{word}","s":{seconds}}}"#)
            }
            Self::Token
            | Self::NoRoute
            | Self::Method
            | Self::NotFound
            | Self::PairingOver
            | Self::Body
            | Self::Media
            | Self::TooBig
            | Self::Kind
            | Self::Crc
            | Self::Changed
            | Self::Empty
            | Self::InTheWay
            | Self::Full
            | Self::Locked
            | Self::Failed => format!(r#"{{"e":"{word}"}}"#),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response<Body> {
        let mut response = answer::json_text(self.parts().0, self.text());
        if let Self::Slow { seconds } | Self::Busy { seconds } = self {
            let seconds = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if self == Self::Token {
            let challenge = HeaderValue::from_static("Bearer realm=\"sync-server\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Wrong | Denied::Forged | Denied::Ended | Denied::Expired => Self::Token,
            Denied::Limited { retry_after } => {
                let seconds = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX);
                Self::Slow {
                    seconds: seconds.max(1),
                }
            }
            Denied::Busy => Self::Busy {
                seconds: BUSY_SECONDS,
            },
            Denied::Store(error) => of_store(&error),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        of_store(&error)
    }
}

impl From<tree::Error> for Error {
    fn from(error: tree::Error) -> Self {
        match error {
            tree::Error::NotFound => Self::NotFound,
            tree::Error::NoParent
            | tree::Error::Exists
            | tree::Error::NotACollection
            | tree::Error::IsACollection
            | tree::Error::Forbidden(_) => Self::InTheWay,
            tree::Error::Path(_) => Self::field("n"),
            tree::Error::Locked(_) => Self::Locked,
            tree::Error::QuotaExceeded { .. } => Self::Full,
            tree::Error::TooLarge(_) => Self::TooBig,
            tree::Error::Store(error) => of_store(&error),
            // What brings these about is in no request of a watch.
            tree::Error::PreconditionFailed
            | tree::Error::NoSuchLock
            | tree::Error::Checksum
            | tree::Error::StaleCursor
            | tree::Error::ExpiredCursor => {
                tracing::error!(%error, "a watch's request failed in a way it cannot");
                Self::Failed
            }
        }
    }
}

/// Logs what failed and tells the watch no more than whether to try again.
fn of_store(error: &store::Error) -> Error {
    tracing::error!(%error, "a watch's request failed in the store");
    match error {
        store::Error::DiskFull => Error::Full,
        store::Error::Database(_)
        | store::Error::Away(_)
        | store::Error::Later { .. }
        | store::Error::Suspect
        | store::Error::Busy
        | store::Error::Stale
        | store::Error::Closing => Error::Busy {
            seconds: BUSY_SECONDS,
        },
        store::Error::Migrate(_)
        | store::Error::Unfit(_)
        | store::Error::Io { .. }
        | store::Error::Gone
        | store::Error::WrongKey { .. }
        | store::Error::Crypto(_)
        | store::Error::Corrupt(_) => Error::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::types::PathError;

    async fn answered(error: Error) -> (u16, String) {
        let response = error.into_response();
        assert_eq!(response.headers()["content-type"], "application/json");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(parts.headers["content-length"], body.len().to_string());
        assert!(body.len() <= 100, "{body:?}");
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(value.is_object());
        (
            parts.status.as_u16(),
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    fn away() -> store::Error {
        store::Error::Away(sqlx::Error::PoolTimedOut)
    }

    #[tokio::test]
    async fn every_error_has_its_status_and_word() {
        use tree::Error as E;
        let slow = Duration::from_millis(90_400);
        let rows: Vec<(Error, u16, &str)> = vec![
            (Error::Token, 401, r#"{"e":"auth"}"#),
            (Error::Slow { seconds: 1 }, 429, r#"{"e":"slow","s":1}"#),
            (Error::Busy { seconds: 5 }, 429, r#"{"e":"busy","s":5}"#),
            (Error::NoRoute, 404, r#"{"e":"route"}"#),
            (Error::Method, 405, r#"{"e":"method"}"#),
            (Error::PairingOver, 404, r#"{"e":"over"}"#),
            (Error::field("o"), 400, r#"{"e":"field","f":"o"}"#),
            (Error::field("\"}{"), 400, r#"{"e":"field","f":"?"}"#),
            (
                Error::field(&"x".repeat(17)),
                400,
                r#"{"e":"field","f":"?"}"#,
            ),
            (Error::Body, 400, r#"{"e":"body"}"#),
            (Error::Media, 415, r#"{"e":"media"}"#),
            (Error::TooBig, 413, r#"{"e":"big"}"#),
            (Error::Kind, 400, r#"{"e":"kind"}"#),
            (Error::Crc, 400, r#"{"e":"crc"}"#),
            (Error::Changed, 409, r#"{"e":"changed"}"#),
            (Error::Empty, 409, r#"{"e":"empty"}"#),
            (Denied::Wrong.into(), 401, r#"{"e":"auth"}"#),
            (Denied::Busy.into(), 429, r#"{"e":"busy","s":5}"#),
            (
                Denied::Limited { retry_after: slow }.into(),
                429,
                r#"{"e":"slow","s":90}"#,
            ),
            (
                Denied::Store(Arc::new(away())).into(),
                429,
                r#"{"e":"busy","s":5}"#,
            ),
            (E::NotFound.into(), 404, r#"{"e":"none"}"#),
            (E::NoParent.into(), 409, r#"{"e":"way"}"#),
            (E::Exists.into(), 409, r#"{"e":"way"}"#),
            (E::NotACollection.into(), 409, r#"{"e":"way"}"#),
            (E::IsACollection.into(), 409, r#"{"e":"way"}"#),
            (E::Forbidden("x").into(), 409, r#"{"e":"way"}"#),
            (
                E::Path(PathError::Control).into(),
                400,
                r#"{"e":"field","f":"n"}"#,
            ),
            (E::Locked(Box::new(lock())).into(), 423, r#"{"e":"lock"}"#),
            (
                E::QuotaExceeded { used: 2, quota: 1 }.into(),
                409,
                r#"{"e":"full"}"#,
            ),
            (E::TooLarge("x").into(), 413, r#"{"e":"big"}"#),
            (E::PreconditionFailed.into(), 500, r#"{"e":"fail"}"#),
            (E::NoSuchLock.into(), 500, r#"{"e":"fail"}"#),
            (E::Checksum.into(), 500, r#"{"e":"fail"}"#),
            (E::StaleCursor.into(), 500, r#"{"e":"fail"}"#),
            (E::ExpiredCursor.into(), 500, r#"{"e":"fail"}"#),
            (
                E::Store(store::Error::DiskFull).into(),
                409,
                r#"{"e":"full"}"#,
            ),
            (store::Error::Corrupt("x").into(), 500, r#"{"e":"fail"}"#),
        ];
        for (error, status, text) in rows {
            let shown = format!("{error:?}");
            assert_eq!(answered(error).await, (status, text.to_owned()), "{shown}");
        }
    }

    #[test]
    fn who_comes_too_often_or_without_a_token_is_told_so_in_the_head_too() {
        let slow = Error::Slow { seconds: 7 }.into_response();
        assert_eq!(slow.headers()["retry-after"], "7");
        let token = Error::Token.into_response();
        assert_eq!(
            token.headers()["www-authenticate"],
            "Bearer realm=\"sync-server\""
        );
    }

    fn lock() -> tree::Lock {
        tree::Lock {
            token: "urn:uuid:secret".into(),
            node: crate::types::NodeId(1),
            root: crate::types::NodePath::root(),
            account: crate::types::AccountId(1),
            principal: "alice".into(),
            deep: true,
            shared: false,
            owner: None,
            timeout_secs: 1,
            expires: crate::types::Millis(0),
        }
    }
}
