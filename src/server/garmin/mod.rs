//! The face for Garmin watches under `/api/v1/garmin/`: what an app on a watch can ask for.
//!
//! Such an app speaks through a phone and over Bluetooth. It takes JSON objects of a few kilobytes
//! with a length and nothing else, so every answer is one, errors included; only files and pieces
//! of files are not. `docs/GARMIN.md` says what the routes take and give.

mod answer;
mod download;
mod enter;
mod error;
mod fields;
mod files;
mod find;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod links;
mod pace;
mod pair;
mod piece;
mod samples;
mod slices;
mod status;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};

use self::error::Error;
use self::links::Links;
use self::pace::Pace;
use self::slices::Slices;
use crate::accounts::Accounts;
use crate::server::session::Watches;
use crate::store::Store;
use crate::types::{Clock, DeviceId};

/// Where the routes are.
pub(crate) const PREFIX: &str = "/api/v1/garmin";
/// The folder of the account that uploads go into and listings start at.
const FOLDER: &str = "garmin";
/// Largest file that goes to or comes from a watch, in bytes: some minutes over Bluetooth.
const FILE_MAX: usize = 100 * 1024;

/// Requests of one watch: one a second, and three at once, which is what a phone sends in parallel.
const WATCH_PACE: (Duration, u32) = (Duration::from_secs(1), 3);
/// Pairing requests from one network: a few watches that poll every five seconds.
const NETWORK_PACE: (Duration, u32) = (Duration::from_secs(1), 10);
/// Polls of one pairing: every five seconds; one may come early, because the first did come late.
const POLL_PACE: (Duration, u32) = (Duration::from_secs(5), 2);

/// What the routes share.
struct Face {
    store: Arc<Store>,
    accounts: Accounts,
    log_ins: Watches,
    clock: Clock,
    watches: Pace<DeviceId>,
    networks: Pace<[u8; 9]>,
    polls: Pace<String>,
    slices: Slices,
    links: Links,
}

/// The routes below [`PREFIX`], to be nested as a service: as a router its answer to what is
/// not there would not reach the path with nothing but a slash behind it.
pub(crate) fn routes(
    store: Arc<Store>,
    accounts: Accounts,
    log_ins: Watches,
    clock: Clock,
) -> Router {
    let face = Face {
        store,
        accounts,
        log_ins,
        clock,
        watches: Pace::new(WATCH_PACE),
        networks: Pace::new(NETWORK_PACE),
        polls: Pace::new(POLL_PACE),
        slices: Slices::default(),
        links: Links::new(),
    };
    Router::new()
        .route("/files", get(files::list))
        .route("/download/{file}", get(download::native))
        .route("/link/{id}", get(download::link))
        .route("/meta/{id}", get(piece::meta))
        .route("/chunk/{id}", get(piece::chunk))
        .route("/upload", post(upload::receive))
        .route("/status", get(status::glance))
        .route("/pair", post(pair::pair))
        .method_not_allowed_fallback(|| async { Error::Method })
        .fallback(|| async { Error::NoRoute })
        .with_state(Arc::new(face))
}

/// Gives refusals from around the routes (a content coding nobody knows, a panic) the form that
/// watches understand; the routes have it themselves.
pub(crate) async fn shape(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let ours = response.headers().get(header::CONTENT_TYPE) == Some(&answer::JSON);
    match response.status() {
        status if ours || !(status.is_client_error() || status.is_server_error()) => response,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Error::Media.into_response(),
        StatusCode::SERVICE_UNAVAILABLE => Error::busy().into_response(),
        _ => Error::Failed.into_response(),
    }
}

#[cfg(test)]
mod tests;
