//! Every route of the server, and nothing else that decides where a request goes.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use http::{Method, StatusCode, header};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::compress::Sender;
use super::config::Secret;
use super::listener::Peer;
use super::middleware::{self, Client};
use super::ops::metrics::Metrics;
use super::ops::{health, scrape};
use super::{api, garmin, session, web, webdav};
use crate::accounts::Accounts;
use crate::store::Store;
use crate::tree::{Tree, User};
use crate::types::Clock;

/// What the routes need.
pub(crate) struct Shell {
    /// Names and bytes.
    pub store: Arc<Store>,
    /// Who may log in.
    pub accounts: Accounts,
    /// The WebDAV face under `/dav/`.
    pub dav: webdav::Dav,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Opens `/metrics` to others than this machine.
    pub metrics_token: Option<Secret>,
    /// Whose `X-Forwarded-*` is believed.
    pub proxies: Arc<[IpNet]>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Ends what waits for something to happen.
    pub stop: CancellationToken,
    /// Owns what outlives its request.
    pub tasks: TaskTracker,
}

/// All routes with everything around them.
pub(crate) fn routes(shell: Shell) -> Router {
    let (metrics, proxies) = (Arc::clone(&shell.metrics), Arc::clone(&shell.proxies));
    let watches = garmin::routes(
        Arc::clone(&shell.store),
        shell.accounts.clone(),
        session::Watches::new(shell.accounts.clone(), Arc::clone(&shell.metrics)),
        shell.clock.clone(),
    );
    let api = api::routes(api::Api {
        store: Arc::clone(&shell.store),
        accounts: shell.accounts.clone(),
        metrics: Arc::clone(&shell.metrics),
        clock: shell.clock.clone(),
        stop: shell.stop.clone(),
        tasks: shell.tasks.clone(),
        waiting: api::Waiting::new(),
        answering: api::answering(),
    });
    let routes = Router::new()
        .route("/", any(front))
        .route("/health", get(healthy))
        .route("/metrics", get(scraped))
        .route("/dav", any(dav))
        .route("/dav/", any(dav))
        .route("/dav/{*path}", any(dav))
        .merge(web::routes())
        .nest_service(garmin::PREFIX, watches)
        .nest_service(api::PREFIX, api)
        .fallback(elsewhere)
        .with_state(Arc::new(shell));
    middleware::wrap(routes, metrics, proxies)
}

/// `/` is a page for people and, for clients that walk down from it, a collection. It never asks
/// for a log-in: the Nextcloud desktop client would take that for its own.
async fn front(State(shell): State<Arc<Shell>>, request: Request) -> Response {
    match request.method().as_str() {
        "GET" | "HEAD" => Html(include_str!("front.html")).into_response(),
        "OPTIONS" => webdav::root_options(),
        "PROPFIND" => webdav::root_propfind(&shell.dav, request).await,
        _ => {
            let allow = [(header::ALLOW, "GET, HEAD, OPTIONS, PROPFIND")];
            (StatusCode::METHOD_NOT_ALLOWED, allow).into_response()
        }
    }
}

async fn healthy(State(shell): State<Arc<Shell>>) -> Response {
    health::check(&shell.store).await
}

async fn scraped(State(shell): State<Arc<Shell>>, request: Request) -> Response {
    let peer = *request
        .extensions()
        .get::<Peer>()
        .expect("the listener adds it");
    let token = shell.metrics_token.as_ref();
    scrape::page(&shell.metrics, token, peer, request.headers()).await
}

async fn dav(State(shell): State<Arc<Shell>>, request: Request) -> Response<Body> {
    let client = *request
        .extensions()
        .get::<Client>()
        .expect("the middleware adds it");
    let login = session::log_in(&shell.accounts, &shell.metrics, client, request.headers());
    let session = match login.await {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    if let Some(sender) = request.extensions().get::<Sender>() {
        sender.is(session.account);
    }
    let (account, name) = (session.account, session.name);
    let user = User {
        account,
        name,
        space: session.space,
        device: session.device,
    };
    let tree = Tree::new(Arc::clone(&shell.store), user, shell.clock.clone());
    webdav::handle(&shell.dav, tree, request).await
}

async fn elsewhere(request: Request) -> Response {
    // `OPTIONS *` asks about the server as a whole (RFC 9110 §9.3.7).
    if request.method() == Method::OPTIONS && request.uri().path() == "*" {
        return webdav::root_options();
    }
    (
        StatusCode::NOT_FOUND,
        "nothing is here; files are at /dav/\n",
    )
        .into_response()
}

#[cfg(test)]
mod tests;
