//! What every route may answer besides: documented once.

use std::collections::BTreeMap;

use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::protocol::problem::{self, MEDIA_TYPE};

/// The refusals of any route, as problems.
pub(super) struct Problems;

/// Each status and when it comes.
const STATUSES: &[(&str, &str)] = &[
    (
        "400",
        "The request, a path, a length or a checksum is wrong",
    ),
    ("401", "No valid access token"),
    ("403", "This is not allowed"),
    ("404", "Nothing is there, or nothing this account may see"),
    ("405", "This method is not allowed here"),
    ("409", "Something is in the way, or missing above"),
    ("410", "The cursor is not valid any more"),
    ("412", "It has changed meanwhile"),
    ("413", "Too large"),
    ("414", "The address is too long"),
    ("415", "The body has the wrong type or coding"),
    ("416", "The range lies outside of the file"),
    ("422", "A field has a value that cannot be"),
    ("423", "Somebody has locked it"),
    ("426", "This is a WebSocket"),
    (
        "429",
        "Too many failed log-ins or requests; see Retry-After",
    ),
    ("431", "The headers are too large"),
    ("500", "The server failed"),
    ("503", "The server is busy; see Retry-After"),
    ("507", "The quota is used up, or the server's disk is full"),
];

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let name = <problem::Problem as ToSchema>::name();
        let schema = RefOr::Ref(Ref::from_schema_name(name));
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = |text: &str| {
            ResponseBuilder::new()
                .description(text)
                .content(MEDIA_TYPE, content.clone())
                .build()
        };
        let rows = STATUSES.iter();
        rows.map(|(status, text)| ((*status).to_owned(), RefOr::T(response(text))))
            .collect()
    }
}

/// The schema that [`Problems`] refers to.
pub(super) fn problem_schema() -> (String, RefOr<utoipa::openapi::Schema>) {
    let name = <problem::Problem as ToSchema>::name();
    (
        name.into_owned(),
        <problem::Problem as PartialSchema>::schema(),
    )
}
