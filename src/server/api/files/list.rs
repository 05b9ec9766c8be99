//! Looking: listings, searches, single nodes.

use serde::Deserialize;
use utoipa::IntoParams;

use super::super::extract::{self, Caller, Json, Path, Query};
use super::super::problem::{Problem, Result};
use super::super::responses::Problems;
use super::super::show;
use crate::protocol::files::{Node, Nodes};
use crate::tree::{FIND_MAX, Found};
use crate::types::NodeId;

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
    path: Option<String>,
    /// The collection's id in place of its path.
    id: Option<i64>,
    /// Also everything below, each collection before what it holds.
    #[serde(default)]
    recursive: bool,
    /// Most nodes in the answer, 1 to 1000; 200 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the answer before.
    cursor: Option<String>,
}

/// Lists a collection, page by page.
#[utoipa::path(get, path = "/files/list", tag = "files", params(ListQuery),
    responses((status = 200, body = Nodes), Problems))]
pub(in super::super) async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Nodes>> {
    let top = extract::locate(&caller.tree, query.path.as_deref(), query.id).await?;
    if !top.node.is_collection() {
        return Err(crate::tree::Error::NotACollection.into());
    }
    let after = query.cursor.as_deref();
    let after = after
        .map(|text| extract::path("cursor", text))
        .transpose()?;
    let limit = limit(query.limit)?;
    let walk = caller
        .tree
        .walk(&top, query.recursive, after.as_ref(), limit);
    Ok(Json(nodes(walk.await?)))
}

/// What is searched for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct SearchQuery {
    /// Part of a name; ASCII letters match in any case.
    #[param(min_length = 1, max_length = 255)]
    q: String,
    /// Only below this collection.
    path: Option<String>,
    /// Most nodes in the answer, 1 to 1000; 200 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the answer before.
    cursor: Option<String>,
}

/// Finds nodes by a part of their name, in the order of their ids.
///
/// An answer may hold fewer nodes than asked for and still have a `next`.
#[utoipa::path(get, path = "/files/search", tag = "files", params(SearchQuery),
    responses((status = 200, body = Nodes), Problems))]
pub(in super::super) async fn search(
    caller: Caller,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Nodes>> {
    if !(1..=QUERY_MAX).contains(&query.q.chars().count()) {
        return Err(Problem::invalid(
            "q",
            "a search text has 1 to 255 characters",
        ));
    }
    let under = extract::locate(&caller.tree, query.path.as_deref(), None).await?;
    let after = match query.cursor.as_deref().map(str::parse) {
        None => None,
        Some(Ok(id)) => Some(NodeId(id)),
        Some(Err(_)) => return Err(Problem::invalid("cursor", "this is no cursor of a search")),
    };
    let limit = limit(query.limit)?;
    let found = caller.tree.search(&under, &query.q, after, limit).await?;
    Ok(Json(nodes(found)))
}

/// Tells about one node.
#[utoipa::path(get, path = "/files/{id}/info", tag = "files",
    params(("id" = i64, Path, description = "The node")),
    responses((status = 200, body = Node), Problems))]
pub(in super::super) async fn info(caller: Caller, Path(id): Path<i64>) -> Result<Json<Node>> {
    Ok(Json(show::located(caller.tree.by_id(NodeId(id)).await?)))
}

/// A path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PathQuery {
    /// The node's path.
    path: String,
}

/// Tells about the node at a path.
#[utoipa::path(get, path = "/files/info", tag = "files", params(PathQuery),
    responses((status = 200, body = Node), Problems))]
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
