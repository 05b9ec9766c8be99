//! What of one answer a later request needs, as OpenAPI links.

use serde_json::Value;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi as Spec, RefOr};

/// A link: the operation and status whose answer is used, the operation that uses it, and the
/// parameters (or `body.FIELD`) with where their values are.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// What the names of body fields begin with.
const BODY: &str = "body.";
const NODE: &[(&str, &str)] = &[("id", "$response.body#/id")];
const WRITTEN: &[(&str, &str)] = &[("id", "$response.body#/node/id")];
const SAME: &[(&str, &str)] = &[("id", "$request.path.id")];
const CURSOR: &[(&str, &str)] = &[("cursor", "$response.body#/cursor")];

const LINKS: &[Row] = &[
    (
        "registerDevice",
        "201",
        "renameDevice",
        &[("id", "$response.body#/device/id")],
    ),
    (
        "registerDevice",
        "201",
        "revokeDevice",
        &[("id", "$response.body#/device/id")],
    ),
    (
        "registerDevice",
        "201",
        "refreshTokens",
        &[("body.refresh_token", "$response.body#/refresh_token")],
    ),
    (
        "login",
        "200",
        "refreshTokens",
        &[("body.refresh_token", "$response.body#/refresh_token")],
    ),
    (
        "makePairingCode",
        "201",
        "registerDevice",
        &[("body.code", "$response.body#/code")],
    ),
    ("uploadFile", "201", "getNode", WRITTEN),
    ("uploadFile", "201", "downloadFile", WRITTEN),
    ("uploadFile", "201", "deleteNode", WRITTEN),
    ("uploadFile", "201", "listVersions", WRITTEN),
    ("uploadFile", "201", "getDelta", WRITTEN),
    ("uploadFile", "201", "getManifest", WRITTEN),
    (
        "uploadFile",
        "201",
        "restoreVersion",
        &[
            ("id", "$response.body#/node/id"),
            ("number", "$response.body#/node/version"),
        ],
    ),
    ("uploadFile", "200", "getNode", WRITTEN),
    ("makeCollection", "201", "getNode", NODE),
    ("makeCollection", "201", "listFiles", NODE),
    ("makeCollection", "201", "deleteNode", NODE),
    ("copyNode", "200", "deleteNode", WRITTEN),
    ("moveNode", "200", "getNode", WRITTEN),
    (
        "listVersions",
        "200",
        "restoreVersion",
        &[
            ("id", "$request.path.id"),
            ("number", "$response.body#/items/0/number"),
        ],
    ),
    (
        "listFiles",
        "200",
        "getNode",
        &[("id", "$response.body#/items/0/id")],
    ),
    ("deleteNode", "204", "restoreFromTrash", SAME),
    ("deleteNode", "204", "purgeFromTrash", SAME),
    (
        "listTrash",
        "200",
        "restoreFromTrash",
        &[("id", "$response.body#/items/0/id")],
    ),
    (
        "listTrash",
        "200",
        "purgeFromTrash",
        &[("id", "$response.body#/items/0/id")],
    ),
    (
        "listConflicts",
        "200",
        "resolveConflict",
        &[("id", "$response.body#/items/0/id")],
    ),
    ("openUpload", "201", "getUpload", NODE),
    (
        "openUpload",
        "201",
        "appendToUpload",
        &[
            ("id", "$response.body#/id"),
            ("Upload-Offset", "$response.body#/offset"),
        ],
    ),
    ("openUpload", "201", "finishUpload", NODE),
    ("openUpload", "201", "abortUpload", NODE),
    (
        "appendToUpload",
        "200",
        "appendToUpload",
        &[
            ("id", "$response.body#/id"),
            ("Upload-Offset", "$response.body#/offset"),
        ],
    ),
    ("appendToUpload", "200", "finishUpload", NODE),
    ("getSyncStatus", "200", "pullChanges", CURSOR),
    ("getSyncStatus", "200", "pollEvents", CURSOR),
    (
        "getSyncStatus",
        "200",
        "getSpaceKeys",
        &[("space", "$response.body#/spaces/0/id")],
    ),
    ("pullChanges", "200", "pullChanges", CURSOR),
    ("pullChanges", "200", "pollEvents", CURSOR),
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
    for row in LINKS.iter().filter(|row| row.0 == id) {
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(row.1) {
            response.links.insert(row.2.to_owned(), link(row).into());
        }
    }
}

fn link(&(_, _, to, values): &Row) -> Link {
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
    LINKS.len()
}
