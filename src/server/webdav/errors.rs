//! Refusals: what a failed verb means in HTTP and `WebDAV`. The only place where that is decided.

use axum::body::Body;
use dav_server::fs::FsError;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::text::{encode_path, escape_text};
use super::xml::XmlError;
use crate::store;
use crate::tree;
use crate::types::PathError;

/// Media type of every XML answer. Nextcloud and ownCloud clients compare it as text.
pub(crate) const XML_TYPE: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");
/// Seconds after which a client may try again when the store was busy.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// A request that is answered with an error status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status.
    pub(crate) status: StatusCode,
    /// The failed precondition as XML inside `DAV:error` (RFC 4918 §16); empty for none.
    condition: String,
    /// For people; some clients show it.
    message: String,
}

impl Refusal {
    /// A refusal that no RFC has a name for.
    pub(crate) fn new(status: StatusCode, message: &str) -> Self {
        Self {
            status,
            condition: String::new(),
            message: message.to_owned(),
        }
    }

    /// 400, with what was wrong.
    pub(crate) fn bad(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A refusal with a named precondition, given as an empty `d:` element's local name.
    pub(crate) fn with(status: StatusCode, condition: &str, message: &str) -> Self {
        let condition = format!("<d:{condition}/>");
        Self {
            status,
            condition,
            message: message.to_owned(),
        }
    }

    /// RFC 4918 §9.1: listings of whole trees are refused.
    pub(crate) fn finite_depth() -> Self {
        Self::with(
            StatusCode::FORBIDDEN,
            "propfind-finite-depth",
            "Depth: infinity is not supported; ask with Depth: 1",
        )
    }

    /// The answer, with a `DAV:error` body.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
        }
        if self.status == StatusCode::NOT_FOUND {
            // Finder asks for dozens of names that are not there; keep those answers small.
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(0));
            return response;
        }
        response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
        *response.body_mut() = Body::from(self.xml());
        response
    }

    fn xml(&self) -> String {
        let mut out = String::from(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><d:error xmlns:d=\"DAV:\" \
             xmlns:s=\"http://sabredav.org/ns\">",
        );
        out.push_str(&self.condition);
        out.push_str("<s:message>");
        escape_text(&mut out, &self.message);
        out.push_str("</s:message></d:error>");
        out
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        let status = match error {
            PathError::PathTooLong => StatusCode::URI_TOO_LONG,
            PathError::Relative
            | PathError::Control
            | PathError::NameTooLong
            | PathError::Encoding
            | PathError::NotUtf8 => StatusCode::BAD_REQUEST,
        };
        Self::new(status, &error.to_string())
    }
}

impl From<XmlError> for Refusal {
    fn from(error: XmlError) -> Self {
        Self::bad(&error.to_string())
    }
}

/// What the adapter tells dav-server. Its answer is replaced by [`refusal`] afterwards, because its
/// own set of errors has no 409, 412 or 423.
pub(crate) fn to_fs(error: &tree::Error) -> FsError {
    match error {
        tree::Error::NotFound | tree::Error::NoParent | tree::Error::NoSuchLock => {
            FsError::NotFound
        }
        tree::Error::Exists | tree::Error::IsACollection => FsError::Exists,
        tree::Error::Path(PathError::PathTooLong) => FsError::PathTooLong,
        tree::Error::NotACollection
        | tree::Error::Forbidden(_)
        | tree::Error::PreconditionFailed
        | tree::Error::Locked(_)
        | tree::Error::StaleCursor
        | tree::Error::ExpiredCursor
        | tree::Error::Path(
            PathError::Relative
            | PathError::Control
            | PathError::NameTooLong
            | PathError::Encoding
            | PathError::NotUtf8,
        ) => FsError::Forbidden,
        tree::Error::QuotaExceeded { .. } => FsError::InsufficientStorage,
        tree::Error::TooLarge(_) => FsError::TooLarge,
        tree::Error::Checksum | tree::Error::Store(_) => FsError::GeneralFailure,
    }
}

/// What the client is told. `prefix` is the decoded URL prefix for hrefs.
pub(crate) fn refusal(error: &tree::Error, prefix: &str) -> Refusal {
    let text = error.to_string();
    match error {
        tree::Error::NotFound => Refusal::new(StatusCode::NOT_FOUND, &text),
        tree::Error::NoParent | tree::Error::NotACollection => {
            Refusal::new(StatusCode::CONFLICT, &text)
        }
        tree::Error::Exists | tree::Error::IsACollection => {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, &text)
        }
        tree::Error::Path(error) => (*error).into(),
        tree::Error::Forbidden(_) => Refusal::new(StatusCode::FORBIDDEN, &text),
        tree::Error::PreconditionFailed => Refusal::new(StatusCode::PRECONDITION_FAILED, &text),
        tree::Error::Locked(lock) => {
            let href = encode_path(prefix, &lock.root, false);
            Refusal {
                status: StatusCode::LOCKED,
                condition: format!(
                    "<d:lock-token-submitted><d:href>{href}</d:href></d:lock-token-submitted>"
                ),
                message: text,
            }
        }
        tree::Error::NoSuchLock => Refusal::with(
            StatusCode::CONFLICT,
            "lock-token-matches-request-uri",
            &text,
        ),
        tree::Error::QuotaExceeded { .. } => Refusal::with(
            StatusCode::INSUFFICIENT_STORAGE,
            "quota-not-exceeded",
            &text,
        ),
        tree::Error::TooLarge(_) => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, &text),
        tree::Error::Checksum => Refusal::bad(&text),
        // Either way RFC 6578 knows one answer, and the client lists everything.
        tree::Error::StaleCursor | tree::Error::ExpiredCursor => {
            Refusal::with(StatusCode::FORBIDDEN, "valid-sync-token", &text)
        }
        tree::Error::Store(error) => store_refusal(error),
    }
}

/// Logs what failed and tells the client no more than whether to try again.
fn store_refusal(error: &store::Error) -> Refusal {
    tracing::error!(%error, "a WebDAV request failed in the store");
    match error {
        store::Error::DiskFull => Refusal::with(
            StatusCode::INSUFFICIENT_STORAGE,
            "sufficient-disk-space",
            "the server's disk is full",
        ),
        // A 500 makes sync clients put the file aside for a day; a busy database is over in seconds.
        store::Error::Database(_)
        | store::Error::Away(_)
        | store::Error::Later { .. }
        | store::Error::Suspect
        | store::Error::Busy
        | store::Error::Stale
        | store::Error::Closing => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is busy")
        }
        store::Error::Migrate(_)
        | store::Error::Unfit(_)
        | store::Error::Io { .. }
        | store::Error::Gone
        | store::Error::WrongKey { .. }
        | store::Error::Crypto(_)
        | store::Error::Corrupt(_) => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server's storage failed",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Lock;
    use crate::types::{AccountId, Millis, NodeId, NodePath};

    fn lock() -> Lock {
        Lock {
            token: "urn:uuid:secret".into(),
            node: NodeId(1),
            root: NodePath::parse("/a b").unwrap(),
            account: AccountId(1),
            principal: "alice".into(),
            deep: true,
            shared: false,
            owner: None,
            timeout_secs: 1,
            expires: Millis(0),
        }
    }

    #[test]
    fn every_error_has_its_status_and_condition() {
        use tree::Error as E;
        let rows: Vec<(E, u16, &str)> = vec![
            (E::NotFound, 404, ""),
            (E::NoParent, 409, ""),
            (E::Exists, 405, ""),
            (E::NotACollection, 409, ""),
            (E::IsACollection, 405, ""),
            (E::Path(PathError::PathTooLong), 414, ""),
            (E::Path(PathError::NameTooLong), 400, ""),
            (E::Path(PathError::Relative), 400, ""),
            (E::Forbidden("no"), 403, ""),
            (E::PreconditionFailed, 412, ""),
            (
                E::Locked(Box::new(lock())),
                423,
                "lock-token-submitted><d:href>/dav/a%20b<",
            ),
            (E::NoSuchLock, 409, "lock-token-matches-request-uri"),
            (
                E::QuotaExceeded { used: 2, quota: 1 },
                507,
                "quota-not-exceeded",
            ),
            (E::TooLarge("x"), 413, ""),
            (E::Checksum, 400, ""),
            (E::StaleCursor, 403, "valid-sync-token"),
            (E::ExpiredCursor, 403, "valid-sync-token"),
            (
                E::Store(store::Error::DiskFull),
                507,
                "sufficient-disk-space",
            ),
            (E::Store(store::Error::Closing), 503, ""),
            (E::Store(store::Error::Suspect), 503, ""),
            (
                E::Store(store::Error::Away(sqlx::Error::PoolTimedOut)),
                503,
                "",
            ),
            (E::Store(store::Error::Corrupt("x")), 500, ""),
        ];
        for (error, status, condition) in rows {
            let refusal = refusal(&error, "/dav/");
            assert_eq!(refusal.status.as_u16(), status, "{error}");
            assert!(
                refusal.condition.contains(condition),
                "{error}: {}",
                refusal.condition
            );
            assert_eq!(
                condition.is_empty(),
                refusal.condition.is_empty(),
                "{error}"
            );
            let _known_to_dav_server = to_fs(&error);
        }
    }

    #[test]
    fn a_refusal_is_xml_and_holds_no_token() {
        let refusal = refusal(&tree::Error::Locked(Box::new(lock())), "/dav/");
        let body = refusal.xml();
        assert!(!body.contains("secret"));
        assert!(super::super::xml::parse(body.as_bytes()).is_ok(), "{body}");
    }
}
