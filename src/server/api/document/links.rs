//! What of one answer a later request needs, as `OpenAPI` links.

use serde_json::Value;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi as Spec, RefOr};

/// Parameters, or `body.FIELD`, and where their values are.
type Values = &'static [(&'static str, &'static str)];
/// The operation and status whose answer is used, what of it, and by which operations.
type Row = (&'static str, &'static str, Values, &'static [&'static str]);

/// What the names of body fields begin with.
const BODY: &str = "body.";

const NODE: Values = &[("id", "$response.body#/id")];
const WRITTEN: Values = &[("id", "$response.body#/node/id")];
const DEVICE: Values = &[("id", "$response.body#/device/id")];
const FIRST: Values = &[("id", "$response.body#/items/0/id")];
const SAME: Values = &[("id", "$request.path.id")];
const REFRESH: Values = &[("body.refresh_token", "$response.body#/refresh_token")];
const CODE: Values = &[("body.code", "$response.body#/code")];
const FILE: Values = &[("body.id", "$response.body#/node/id")];
const SPACE: Values = &[("space", "$response.body#/spaces/0/id")];
const CURSOR: Values = &[("cursor", "$response.body#/cursor")];
const UPLOAD: Values = &[
    ("id", "$response.body#/id"),
    ("Upload-Offset", "$response.body#/offset"),
];
const HEAD: Values = &[
    ("id", "$response.body#/node/id"),
    ("number", "$response.body#/node/version"),
];
const VERSION: Values = &[
    ("id", "$request.path.id"),
    ("number", "$response.body#/items/0/number"),
];

const LINKS: &[Row] = &[
    (
        "registerDevice",
        "201",
        DEVICE,
        &["renameDevice", "revokeDevice"],
    ),
    ("registerDevice", "201", REFRESH, &["refreshTokens"]),
    ("login", "200", REFRESH, &["refreshTokens"]),
    ("makePairingCode", "201", CODE, &["registerDevice"]),
    (
        "uploadFile",
        "201",
        WRITTEN,
        &["getNode", "downloadFile", "deleteNode"],
    ),
    (
        "uploadFile",
        "201",
        WRITTEN,
        &["listVersions", "getDelta", "getManifest"],
    ),
    ("uploadFile", "201", HEAD, &["restoreVersion"]),
    ("uploadFile", "201", FILE, &["getSignatures"]),
    ("uploadFile", "200", WRITTEN, &["getNode"]),
    (
        "makeCollection",
        "201",
        NODE,
        &["getNode", "listFiles", "deleteNode"],
    ),
    ("copyNode", "200", WRITTEN, &["getNode", "deleteNode"]),
    ("moveNode", "200", WRITTEN, &["getNode"]),
    ("listFiles", "200", FIRST, &["getNode"]),
    ("listVersions", "200", VERSION, &["restoreVersion"]),
    (
        "deleteNode",
        "204",
        SAME,
        &["restoreFromTrash", "purgeFromTrash"],
    ),
    (
        "listTrash",
        "200",
        FIRST,
        &["restoreFromTrash", "purgeFromTrash"],
    ),
    ("listConflicts", "200", FIRST, &["resolveConflict"]),
    (
        "openUpload",
        "201",
        NODE,
        &["getUpload", "finishUpload", "abortUpload"],
    ),
    ("openUpload", "201", UPLOAD, &["appendToUpload"]),
    ("appendToUpload", "200", UPLOAD, &["appendToUpload"]),
    ("appendToUpload", "200", NODE, &["finishUpload"]),
    (
        "getSyncStatus",
        "200",
        CURSOR,
        &["pullChanges", "pollEvents"],
    ),
    ("getSyncStatus", "200", SPACE, &["getSpaceKeys"]),
    ("pullChanges", "200", CURSOR, &["pullChanges", "pollEvents"]),
];

/// Adds all links to the operations of a document.
pub(super) fn add(spec: &mut Spec) {
    for item in spec.paths.paths.values_mut() {
        let methods = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in methods.into_iter().flatten() {
            add_to(operation);
        }
    }
}

fn add_to(operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    for (_, status, values, targets) in LINKS.iter().filter(|row| row.0 == id) {
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(*status) {
            let links = targets
                .iter()
                .map(|to| ((*to).to_owned(), link(to, values).into()));
            response.links.extend(links);
        }
    }
}

fn link(to: &str, values: Values) -> Link {
    let mut link = Link::builder().operation_id(to);
    let mut body = serde_json::Map::new();
    for (name, value) in values {
        match name.strip_prefix(BODY) {
            Some(field) => {
                body.insert(field.to_owned(), Value::from(*value));
            }
            None => link = link.parameter(*name, Value::from(*value)),
        }
    }
    if !body.is_empty() {
        link = link.request_body(Some(Value::Object(body)));
    }
    link.build()
}

/// How many links there are.
#[cfg(test)]
pub(super) fn count() -> usize {
    LINKS.iter().map(|row| row.3.len()).sum()
}
