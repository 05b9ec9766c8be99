//! `/health`: whether the server can do its work.

use axum::body::Body;
use http::{Response, StatusCode, header};

use crate::store::meta::totals;
use crate::store::{Error, Store};

/// Answers `GET /health` after reading from the database.
pub(in crate::server) async fn check(store: &Store) -> Response<Body> {
    // Before it is read from: while it is proved sound, who reads waits.
    let read = if store.meta.is_suspect() {
        Err(Error::Suspect)
    } else {
        read(store).await
    };
    let (status, body) = match read {
        Ok(()) => (StatusCode::OK, "{\"status\":\"ok\"}\n"),
        Err(Error::Suspect) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "{\"status\":\"degraded\"}\n",
        ),
        Err(error) => {
            tracing::error!("health: {error}");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "{\"status\":\"unavailable\"}\n",
            )
        }
    };
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .body(Body::from(body))
        .expect("the parts are constants")
}

async fn read(store: &Store) -> crate::store::Result<()> {
    totals::probe(&mut *store.meta.read().await?).await
}
