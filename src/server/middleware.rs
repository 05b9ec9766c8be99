//! What every request passes on its way to a route, in one place.

mod client;
mod guard;
mod observe;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use ipnet::IpNet;

pub(crate) use client::Client;

use super::compress;
use super::ops::metrics::Metrics;

/// Wraps the routes. A request passes the layers from the last line up to the first, its response
/// back down.
pub(crate) fn wrap(routes: Router, metrics: Arc<Metrics>, proxies: Arc<[IpNet]>) -> Router {
    routes
        .layer(from_fn(compress::response))
        .layer(from_fn(compress::request))
        .layer(from_fn(guard::catch_panic))
        .layer(from_fn(guard::add_headers))
        .layer(from_fn_with_state(metrics, observe::observe))
        .layer(from_fn_with_state(proxies, client::identify))
}
