//! What every request passes on its way to a route, in one place.

mod client;
mod guard;
mod observe;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use ipnet::IpNet;

pub(crate) use client::Client;

use super::ops::metrics::Metrics;
use super::{api, compress, garmin};

/// Refusals from around the routes of the API get its form, too. Watches have a form of their own.
async fn problems(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let of_watches = path.strip_prefix(garmin::PREFIX);
    if of_watches.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return garmin::shape(request, next).await;
    }
    if path.starts_with(api::PREFIX) {
        return api::shape(request, next).await;
    }
    next.run(request).await
}

/// Wraps the routes. A request passes the layers from the last line up to the first, its response
/// back down.
pub(crate) fn wrap(routes: Router, metrics: Arc<Metrics>, proxies: Arc<[IpNet]>) -> Router {
    let codings = compress::Codings::new();
    routes
        .layer(from_fn_with_state(Arc::clone(&codings), compress::response))
        .layer(from_fn_with_state(codings, compress::request))
        .layer(from_fn(guard::catch_panic))
        .layer(from_fn(problems))
        .layer(from_fn(guard::add_headers))
        .layer(from_fn_with_state(metrics, observe::observe))
        .layer(from_fn_with_state(proxies, client::identify))
}
