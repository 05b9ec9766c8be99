//! The `OpenAPI` document of the routes, made from the annotations of their handlers.

mod links;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Spec, RefOr};
use utoipa::{Modify, OpenApi};

use super::responses::{self, Problems};
use crate::protocol::schema;
use crate::protocol::sync::{DeltaHead, Event, FetchHead};

/// What introduces the document.
const ABOUT: &str = "\
Files in step on all devices: JSON over the rules of the tree, and a binary stream for contents.

Times are integers, milliseconds since 1970 (UTC). Ids and sizes are integers below 2^53. A \
request with unknown fields or query parameters is refused. Every refusal is an `application/problem+json` \
(RFC 9457) whose `type` is `urn:sync-server:problem:` and a stable name; each response below lists \
the names it may have. New names, and new fields in answers, may come with any version.

Log in with `registerDevice` or `login` and send `Authorization: Bearer …` with the access \
token, or `X-Access-Token: …`, which HTTP/2 can shorten. When it ends (`token-expired`), exchange the refresh token with `refreshTokens`.";

/// The document before the routes add theirs.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "sync-server",
        description = ABOUT,
        license(name = "AGPL-3.0-or-later", identifier = "AGPL-3.0-or-later"),
    ),
    servers((url = "/api/v1", description = "This server")),
    security(("bearer" = [])),
    components(schemas(schema::Id, schema::SearchText, DeltaHead, FetchHead, Event)),
    tags(
        (name = "auth", description = "Logging devices in and out"),
        (name = "devices", description = "The devices of the account, and pairing new ones"),
        (name = "files", description = "Files and collections, their bytes and their versions"),
        (name = "uploads", description = "Large files in several requests"),
        (name = "trash", description = "What was deleted"),
        (name = "conflicts", description = "Files that two devices changed at the same time"),
        (name = "sync", description = "Keeping a device in step: changes, deltas, events"),
        (name = "document", description = "This description"),
    ),
    modifiers(&Shared),
)]
pub(super) struct Document;

/// Where no body is as good as an empty one.
const MAY_BE_EMPTY: [&str; 2] = ["/files/upload", "/uploads/{id}"];

struct Shared;

impl Modify for Shared {
    fn modify(&self, spec: &mut Spec) {
        let components = spec.components.get_or_insert_with(Default::default);
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The `access_token` of a log-in"));
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
        let (problem, described) = responses::problem_schema();
        components.schemas.insert(problem, described);
        components.responses = responses::components();
    }
}

/// The finished document as JSON.
pub(super) fn text(mut spec: Spec) -> Arc<str> {
    links::add(&mut spec);
    for path in MAY_BE_EMPTY {
        let item = spec.paths.paths.get_mut(path);
        let item = item.expect("the routes are there");
        for operation in [&mut item.post, &mut item.patch].into_iter().flatten() {
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.required = None;
            }
        }
    }
    spec.to_json().expect("the document is plain JSON").into()
}

/// Describes this API.
#[utoipa::path(get, path = "/openapi.json", operation_id = "getDocument", tag = "document",
    security(()),
    responses((status = 200, description = "This document", body = Object), Problems))]
pub(super) async fn get(Extension(text): Extension<Arc<str>>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, text.to_string()).into_response()
}
