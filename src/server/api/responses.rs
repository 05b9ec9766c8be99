//! Refusals that many routes share: documented once, by the kinds of problems.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::StatusCode;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{
    Content, ContentBuilder, Header, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::problem;
use crate::protocol::problem::{MEDIA_TYPE, Problem};

/// A set of refusals, for the annotations of the handlers.
macro_rules! sets {
    ($($(#[$doc:meta])* $name:ident: $($status:ident)+;)*) => {
        $($(#[$doc])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                let statuses = [$(StatusCode::$status),+];
                statuses.map(|status| (status.as_str().to_owned(), reference(status))).into()
            }
        })*
        const ALL: &[StatusCode] = &[$($(StatusCode::$status),+),*];
    };
}

sets! {
    /// What any route may answer.
    Problems: BAD_REQUEST UNAUTHORIZED FORBIDDEN NOT_FOUND METHOD_NOT_ALLOWED URI_TOO_LONG
        UNSUPPORTED_MEDIA_TYPE UNPROCESSABLE_ENTITY TOO_MANY_REQUESTS
        REQUEST_HEADER_FIELDS_TOO_LARGE INTERNAL_SERVER_ERROR SERVICE_UNAVAILABLE;
    /// What a route that takes a body may answer besides.
    TooLarge: PAYLOAD_TOO_LARGE;
    /// What a route that changes the tree may answer besides.
    InTheWay: CONFLICT PRECONDITION_FAILED PAYLOAD_TOO_LARGE LOCKED INSUFFICIENT_STORAGE;
    /// What a route that needs a file, or a collection, may answer besides.
    NoFile: CONFLICT;
    /// What a route that takes the cursor of a pull may answer besides.
    Stale: GONE;
    /// What a route that takes ranges may answer besides.
    NoRange: RANGE_NOT_SATISFIABLE;
    /// What a WebSocket may answer besides.
    NoHandshake: UPGRADE_REQUIRED;
}

/// The responses that the sets refer to, by name.
pub(super) fn components() -> BTreeMap<String, RefOr<Response>> {
    let response = |status: &StatusCode| (name(*status), RefOr::T(describe(*status)));
    ALL.iter().map(response).collect()
}

/// The schema of every refusal.
pub(super) fn problem_schema() -> (String, RefOr<utoipa::openapi::Schema>) {
    let name = <Problem as ToSchema>::name();
    (name.into_owned(), <Problem as PartialSchema>::schema())
}

fn reference(status: StatusCode) -> RefOr<Response> {
    RefOr::Ref(Ref::from_response_name(name(status)))
}

/// `NotFound` and the like.
fn name(status: StatusCode) -> String {
    let words = status.canonical_reason().unwrap_or(status.as_str());
    words.split(' ').collect()
}

fn describe(status: StatusCode) -> Response {
    let mut response = ResponseBuilder::new().description(text(status));
    if let Some((header, value)) = header(status) {
        response = response.header(header, value);
    }
    if has_body(status) {
        response = response.content(MEDIA_TYPE, content());
    }
    response.build()
}

/// The kinds of problems with this status.
fn text(status: StatusCode) -> String {
    let mut text = String::new();
    let kinds = problem::ALL.iter().filter(|kind| kind.status == status);
    for kind in kinds {
        let separator = if text.is_empty() { "" } else { "\n\n" };
        write!(text, "{separator}`{}`: {}.", kind.name, kind.title).expect("memory");
    }
    if !has_body(status) {
        text.push_str(" The answer has no body.");
    }
    text
}

/// What is too large for the HTTP parser never gets to the routes.
fn has_body(status: StatusCode) -> bool {
    !matches!(
        status,
        StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    )
}

fn content() -> Content {
    let name = <Problem as ToSchema>::name();
    let schema = RefOr::Ref(Ref::from_schema_name(name));
    ContentBuilder::new().schema(Some(schema)).build()
}

fn header(status: StatusCode) -> Option<(&'static str, Header)> {
    let (name, kind, text) = match status {
        StatusCode::UNAUTHORIZED => ("WWW-Authenticate", Type::String, "Always `Bearer`"),
        StatusCode::METHOD_NOT_ALLOWED => ("Allow", Type::String, "The methods that are allowed"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            ("Retry-After", Type::Integer, "Seconds to wait, when known")
        }
        _ => return None,
    };
    let schema = ObjectBuilder::new().schema_type(kind);
    let header = HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(text));
    Some((name, header.build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_problem_is_in_a_set() {
        for kind in problem::ALL {
            assert!(ALL.contains(&kind.status), "{}", kind.name);
        }
    }

    #[test]
    fn a_response_names_its_problems() {
        assert_eq!(name(StatusCode::PAYLOAD_TOO_LARGE), "PayloadTooLarge");
        assert_eq!(
            text(StatusCode::GONE),
            "`stale-cursor`: The cursor is not one of this database.\n\n\
             `expired-cursor`: The cursor is not valid any more."
        );
        assert_eq!(
            text(StatusCode::INSUFFICIENT_STORAGE),
            "`quota-exceeded`: The quota is used up.\n\n`disk-full`: The server's disk is full."
        );
    }
}
