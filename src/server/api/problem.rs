//! Every refusal of the API in one form: `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};

use crate::protocol::problem::{self, MEDIA_TYPE, TYPE_PREFIX};

/// Longest text of a foreign refusal that is taken over, in bytes.
const TEXT_MAX: usize = 4096;

/// A kind of problem: its stable name, status and title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(super) name: &'static str,
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $status:ident, $title:literal;)*) => {
        $($(#[$doc])*
        pub(crate) const $constant: Kind =
            Kind { name: $name, status: StatusCode::$status, title: $title };)*
        /// All kinds, for the document and the tests.
        pub(super) const ALL: &[Kind] = &[$($constant),*];
    };
}

kinds! {
    /// A parameter, header or body that cannot be.
    BAD_REQUEST = "bad-request", BAD_REQUEST, "The request is malformed";
    /// A path that cannot be.
    BAD_PATH = "bad-path", BAD_REQUEST, "The path cannot be";
    /// A binary stream that cannot be read.
    BAD_STREAM = "bad-stream", BAD_REQUEST, "The stream is malformed";
    /// A body shorter or longer than it said.
    BAD_LENGTH = "bad-length", BAD_REQUEST, "The length is not as stated";
    /// A checksum or root that the bytes do not have.
    CHECKSUM = "checksum-mismatch", BAD_REQUEST, "The bytes are not those that were stated";
    /// No token, or one that is none of ours.
    UNAUTHORIZED = "unauthorized", UNAUTHORIZED, "Log in first";
    /// An access or refresh token that has ended.
    EXPIRED = "token-expired", UNAUTHORIZED, "The token has ended";
    /// A refresh token that was used before; its log-in has ended.
    REUSED = "token-reused", UNAUTHORIZED, "The refresh token was used before; log in again";
    /// A refresh token that was exchanged a moment ago, twice already; its log-in goes on.
    REPLACED = "token-replaced", UNAUTHORIZED, "The refresh token has been exchanged already";
    /// Something that may not be done.
    FORBIDDEN = "forbidden", FORBIDDEN, "This is not allowed";
    /// Nothing is there, or nothing this account may see.
    NOT_FOUND = "not-found", NOT_FOUND, "Not found";
    /// No such method here.
    METHOD = "method-not-allowed", METHOD_NOT_ALLOWED, "This method is not allowed here";
    /// The collection above is not there.
    NO_PARENT = "no-parent", CONFLICT, "The parent collection does not exist";
    /// Something is there already.
    EXISTS = "exists", CONFLICT, "Something is there already";
    /// A file where a collection is needed.
    NOT_A_COLLECTION = "not-a-collection", CONFLICT, "This is not a collection";
    /// A collection where a file is needed.
    IS_A_COLLECTION = "is-a-collection", CONFLICT, "This is a collection";
    /// An upload goes on elsewhere.
    UPLOAD_OFFSET = "upload-offset", CONFLICT, "The upload goes on at another offset";
    /// An upload that cannot go on now.
    UPLOAD_STATE = "upload-state", CONFLICT, "The upload cannot do this now";
    /// A cursor of another database or of a later state of it.
    STALE_CURSOR = "stale-cursor", GONE, "The cursor is not one of this database";
    /// A cursor since when not everything can be told any more.
    EXPIRED_CURSOR = "expired-cursor", GONE, "The cursor is not valid any more";
    /// A stated etag is not the current one.
    PRECONDITION = "precondition-failed", PRECONDITION_FAILED, "It has changed meanwhile";
    /// Too large.
    TOO_LARGE = "too-large", PAYLOAD_TOO_LARGE, "This is too large";
    /// A URL that is too long.
    URI_TOO_LONG = "uri-too-long", URI_TOO_LONG, "The address is too long";
    /// A body of another type.
    MEDIA = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body has the wrong type";
    /// A range outside of the file.
    RANGE = "range", RANGE_NOT_SATISFIABLE, "The range lies outside of the file";
    /// A body that is well-formed and makes no sense.
    INVALID = "invalid", UNPROCESSABLE_ENTITY, "A field has a value that cannot be";
    /// Somebody's lock covers it.
    LOCKED = "locked", LOCKED, "It is locked";
    /// A WebSocket without its handshake.
    UPGRADE = "upgrade-required", UPGRADE_REQUIRED, "This is a WebSocket";
    /// Too many requests or wrong passwords.
    LIMITED = "too-many-requests", TOO_MANY_REQUESTS, "Too many requests";
    /// A header that is too large.
    HEADERS = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large";
    /// The server failed.
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "The server failed";
    /// The server is busy or stopping.
    BUSY = "busy", SERVICE_UNAVAILABLE, "The server is busy";
    /// Over quota.
    QUOTA = "quota-exceeded", INSUFFICIENT_STORAGE, "The quota is used up";
    /// The server's disk is full.
    DISK_FULL = "disk-full", INSUFFICIENT_STORAGE, "The server's disk is full";
}

/// A refusal on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    field: Option<String>,
    header: Option<Box<(HeaderName, String)>>,
}

/// What a handler returns.
pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    /// A problem in words.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            field: None,
            header: None,
        }
    }

    /// A field, parameter or header whose value cannot be.
    pub(crate) fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::new(INVALID, detail).at(field)
    }

    /// Names the field, parameter or header.
    pub(crate) fn at(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    /// Says when to try again.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, seconds.to_string())
    }

    /// Adds a header that says what would be right.
    pub(crate) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// As it goes over the wire.
    pub(crate) fn body(&self) -> problem::Problem {
        problem::Problem {
            kind: format!("{TYPE_PREFIX}{}", self.kind.name),
            title: self.kind.title.to_owned(),
            status: self.kind.status.as_u16(),
            detail: if self.detail.is_empty() {
                self.kind.title.to_owned()
            } else {
                self.detail.clone()
            },
            field: self.field.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body()).expect("a problem is plain JSON");
        let mut response = (self.kind.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some((name, value)) = self.header.map(|header| *header)
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(name, value);
        }
        // Not Basic, which browsers would answer by themselves.
        if self.kind.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Gives refusals that come from below or around the handlers (axum, the layers) the same form.
pub(crate) async fn shape(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE);
    let shaped = kind.is_some_and(|kind| kind == MEDIA_TYPE);
    if shaped || !(response.status().is_client_error() || response.status().is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let problem = Problem::new(kind_of(parts.status), text_of(body).await);
    let (shape, body) = problem.into_response().into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.extend(shape.headers);
    Response::from_parts(parts, body)
}

async fn text_of(body: Body) -> String {
    let read = Limited::new(body, TEXT_MAX).collect().await;
    let bytes = read
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The kind of a bare status.
fn kind_of(status: StatusCode) -> Kind {
    match status {
        StatusCode::UNAUTHORIZED => UNAUTHORIZED,
        StatusCode::FORBIDDEN => FORBIDDEN,
        StatusCode::NOT_FOUND => NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => METHOD,
        StatusCode::PAYLOAD_TOO_LARGE => TOO_LARGE,
        StatusCode::URI_TOO_LONG => URI_TOO_LONG,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => MEDIA,
        StatusCode::UNPROCESSABLE_ENTITY => INVALID,
        StatusCode::UPGRADE_REQUIRED => UPGRADE,
        StatusCode::TOO_MANY_REQUESTS => LIMITED,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => HEADERS,
        StatusCode::SERVICE_UNAVAILABLE => BUSY,
        status if status.is_client_error() => BAD_REQUEST,
        _ => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn names_are_unique_and_stable_words() {
        let names: HashSet<_> = ALL.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), ALL.len());
        let word = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        assert!(names.iter().all(|name| word(name)));
    }

    #[test]
    fn who_must_log_in_is_told_how() {
        for (kind, challenged) in [(UNAUTHORIZED, true), (EXPIRED, true), (FORBIDDEN, false)] {
            let response = Problem::new(kind, "no").into_response();
            let challenge = response.headers().get(WWW_AUTHENTICATE);
            assert_eq!(
                challenge.is_some_and(|scheme| scheme == "Bearer"),
                challenged
            );
        }
    }

    #[tokio::test]
    async fn foreign_refusals_get_the_form_and_keep_their_headers() {
        let refuse = || async {
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                [("x", "y")],
                "not this\n",
            )
        };
        let routes = Router::new().route("/a", get(refuse)).layer(from_fn(shape));
        let ask = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path);
            routes.clone().oneshot(request.body(Body::empty()).unwrap())
        };
        let refused = ask("GET", "/a").await.unwrap();
        assert_eq!(
            (refused.status(), &refused.headers()["x"]),
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                &HeaderValue::from_static("y")
            )
        );
        assert_eq!(refused.headers()[CONTENT_TYPE], MEDIA_TYPE);
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        let problem: problem::Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (problem.name(), problem.status, problem.detail.as_str()),
            ("unsupported-media-type", 415, "not this")
        );

        let refused = ask("POST", "/a").await.unwrap();
        assert_eq!(refused.headers()["allow"], "GET,HEAD");
        assert_eq!(refused.headers()[CONTENT_TYPE], MEDIA_TYPE);
    }
}
