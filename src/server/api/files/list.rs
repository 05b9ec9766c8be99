//! Looking: listings, searches, single nodes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Api;
use super::super::answer::Room;
use super::super::extract::{self, Caller, Json, Path, Query};
use super::super::problem::{Problem, Result};
use super::super::responses::{NoFile, Problems};
use super::super::show;
use crate::protocol::files::{Node, Nodes};
use crate::protocol::schema;
use crate::tree::{FIND_MAX, Found};
use crate::types::{NodeId, NodePath};

/// Nodes in one answer when the client does not say.
const LIMIT: u32 = 200;
/// Longest text searched for, in characters: that of a name.
const QUERY_MAX: usize = 255;

/// Which collection, and which part of it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ListQuery {
    /// The collection's path; the root when neither this nor an id is given.
    #[param(value_type = Option<schema::Path>)]
    path: Option<String>,
    /// The collection's id in place of its path.
    #[param(value_type = Option<schema::Id>)]
    id: Option<i64>,
    /// Also everything below, each collection before what it holds.
    #[serde(default)]
    recursive: bool,
    /// Most nodes in the answer, 1 to 1000; 200 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the answer before.
    #[param(value_type = Option<schema::Cursor>)]
    cursor: Option<String>,
}

/// Lists a collection, page by page.
#[utoipa::path(get, path = "/files/list", operation_id = "listFiles", tag = "files",
    params(ListQuery),
    responses((status = 200, body = Nodes, description = "A page"), Problems, NoFile))]
pub(in super::super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response> {
    let top = extract::locate(&caller.tree, query.path.as_deref(), query.id).await?;
    if !top.node.is_collection() {
        return Err(crate::tree::Error::NotACollection.into());
    }
    let after = query.cursor.as_deref().map(path_cursor).transpose()?;
    let limit = limit(query.limit)?;
    let room = Room::take(&api, &caller, limit).await?;
    let walk = caller
        .tree
        .walk(&top, query.recursive, after.as_ref(), limit);
    room.json(&nodes(walk.await?))
}

/// A cursor of a listing: the path of the last node, seen from the collection.
fn path_cursor(text: &str) -> Result<NodePath> {
    let path = NodePath::parse(text).ok().filter(|path| !path.is_root());
    path.ok_or_else(|| Problem::invalid("cursor", "this is no cursor of a listing"))
}

/// What is searched for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct SearchQuery {
    /// Part of a name; ASCII letters match in any case.
    #[param(value_type = schema::SearchText)]
    q: String,
    /// Only below this collection.
    #[param(value_type = Option<schema::Path>)]
    path: Option<String>,
    /// Most nodes in the answer, 1 to 1000; 200 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the answer before.
    #[param(value_type = Option<schema::Cursor>)]
    cursor: Option<String>,
}

/// Finds nodes by a part of their name, in the order of their ids.
///
/// An answer may hold fewer nodes than asked for and still have a `next`.
#[utoipa::path(get, path = "/files/search", operation_id = "searchFiles", tag = "files",
    params(SearchQuery),
    responses((status = 200, body = Nodes, description = "A page"), Problems))]
pub(in super::super) async fn search(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
) -> Result<Response> {
    if !is_search_text(&query.q) {
        let text = "a search text has 1 to 255 characters and no control characters";
        return Err(Problem::invalid("q", text));
    }
    let under = extract::locate(&caller.tree, query.path.as_deref(), None).await?;
    let after = query.cursor.as_deref().map(extract::row_cursor);
    let after = after.transpose()?.map(NodeId);
    let limit = limit(query.limit)?;
    let room = Room::take(&api, &caller, limit).await?;
    let found = caller.tree.search(&under, &query.q, after, limit).await?;
    room.json(&nodes(found))
}

/// Whether a text can be searched for. No name holds control characters.
pub(in super::super) fn is_search_text(text: &str) -> bool {
    (1..=QUERY_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Tells about one node.
#[utoipa::path(get, path = "/files/{id}/info", operation_id = "getNode", tag = "files",
    params(("id" = schema::Id, Path, description = "The node")),
    responses((status = 200, body = Node, description = "The node"), Problems))]
pub(in super::super) async fn info(caller: Caller, Path(id): Path<i64>) -> Result<Json<Node>> {
    Ok(Json(show::located(caller.tree.by_id(NodeId(id)).await?)))
}

/// A path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PathQuery {
    /// The node's path.
    #[param(value_type = schema::Path)]
    path: String,
}

/// Tells about the node at a path.
#[utoipa::path(get, path = "/files/info", operation_id = "getNodeByPath", tag = "files",
    params(PathQuery),
    responses((status = 200, body = Node, description = "The node"), Problems))]
pub(in super::super) async fn lookup(
    caller: Caller,
    Query(query): Query<PathQuery>,
) -> Result<Json<Node>> {
    let found = extract::locate(&caller.tree, Some(&query.path), None).await?;
    Ok(Json(show::located(found)))
}

/// A stated page length, checked.
pub(in super::super) fn limit(stated: Option<u32>) -> Result<u32> {
    let limit = stated.unwrap_or(LIMIT);
    if (1..=FIND_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid("limit", "a limit lies between 1 and 1000"))
}

fn nodes(found: Found) -> Nodes {
    Nodes {
        items: found.nodes.into_iter().map(show::located).collect(),
        next: found.next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_a_listing_is_a_path_below_it() {
        assert_eq!(path_cursor("a/b").unwrap().to_string(), "/a/b");
        for text in ["", "/", "..", "a/../b"] {
            assert_eq!(path_cursor(text).unwrap_err().body().status, 422, "{text}");
        }
    }
}
