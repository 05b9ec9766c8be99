//! The sync API under `/api/v1`: JSON over the rules, and a binary stream for contents.
//!
//! A handler takes what the request says, calls one verb and shows what came of it. The `OpenAPI`
//! document is made from the handlers and served beside them.
#![expect(
    unused_qualifications,
    reason = "the code that utoipa generates names the parameters' types in full"
)]

mod answer;
mod auth;
mod conflicts;
mod devices;
mod document;
mod errors;
mod extract;
mod files;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod problem;
mod responses;
mod show;
mod sync;
mod trash;
mod uploads;
mod usage;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response;
use axum::response::Response;
use axum::{Extension, Router};
use http::{HeaderValue, header};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use document::Document;
use problem::Problem;
pub(crate) use problem::shape;
pub(crate) use sync::Waiting;

use super::Metrics;
use crate::accounts::Accounts;
use crate::store::{Shares, Store};
use crate::types::{AccountId, Clock};

/// Where the API is.
pub(crate) const PREFIX: &str = "/api/v1";
/// Longest JSON body of a request, in bytes: two paths of 4 KiB in escapes fit in.
const JSON_MAX: usize = 64 * 1024;
/// Longest JSON body that asks for signatures or many files, in bytes: 4096 parts of two numbers of 16
/// digits, 1000 files of an id and two etags.
const LIST_MAX: usize = 160 * 1024;

/// What the handlers need.
pub(crate) struct Api {
    /// Names and bytes.
    pub store: Arc<Store>,
    /// Who may log in.
    pub accounts: Accounts,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Ends connections that wait for events.
    pub stop: CancellationToken,
    /// Owns the tasks that outlive their request.
    pub tasks: TaskTracker,
    /// Bounds who waits for events.
    pub waiting: Waiting,
    /// Memory for long answers, in KiB.
    pub answering: Shares<AccountId>,
}

/// Memory for the long answers of a server.
pub(crate) fn answering() -> Shares<AccountId> {
    Shares::new(answer::ANSWERING)
}

/// All routes, relative to [`PREFIX`].
pub(crate) fn routes(api: Api) -> Router {
    let (router, spec) = documented().split_for_parts();
    router
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(JSON_MAX))
        .layer(map_response(private))
        .layer(Extension(document::text(spec)))
        .with_state(Arc::new(api))
}

/// Caches that others share keep nothing that a token opens, whichever header it comes in: by itself that is so only with
/// `Authorization` (RFC 9111 §3.5).
async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private"));
    response
}

fn documented() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(document::get))
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(devices::list))
        .routes(routes!(devices::rename, devices::revoke))
        .routes(routes!(devices::pair))
        .routes(routes!(devices::confirm))
        .routes(routes!(usage::show))
        .merge(files())
        .merge(sync())
}

fn files() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(files::upload::put))
        .layer(DefaultBodyLimit::disable())
        .routes(routes!(files::download::get))
        .routes(routes!(files::list::list))
        .routes(routes!(files::list::search))
        .routes(routes!(files::list::info))
        .routes(routes!(files::list::lookup))
        .routes(routes!(files::change::remove))
        .routes(routes!(files::change::mkdir))
        .routes(routes!(files::change::rename))
        .routes(routes!(files::change::copy))
        .routes(routes!(files::versions::list))
        .routes(routes!(files::versions::restore))
        .routes(routes!(trash::list))
        .routes(routes!(trash::restore))
        .routes(routes!(trash::purge))
        .routes(routes!(conflicts::list))
        .routes(routes!(conflicts::resolve))
        .routes(routes!(uploads::open, uploads::list))
        .routes(routes!(uploads::show, uploads::append, uploads::abort))
        .routes(routes!(uploads::finish))
}

fn sync() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(sync::delta::signature))
        .routes(routes!(sync::fetch::fetch))
        .layer(DefaultBodyLimit::max(LIST_MAX))
        .routes(routes!(sync::status::status))
        .routes(routes!(sync::pull::pull))
        .routes(routes!(sync::push::push))
        .routes(routes!(sync::delta::delta))
        .routes(routes!(sync::delta::manifest))
        .routes(routes!(sync::events::events))
        .routes(routes!(sync::events::poll))
        .routes(routes!(sync::status::log))
        .routes(routes!(sync::status::keys))
}

async fn nowhere() -> Problem {
    Problem::new(problem::NOT_FOUND, "there is no such route")
}
