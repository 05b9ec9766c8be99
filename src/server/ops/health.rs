//! `/health`: whether the server can do its work.

use axum::body::Body;
use http::{Response, StatusCode, header};

use crate::store::meta::totals;
use crate::store::{Error, Store};

/// Answers `GET /health` after reading from the database.
pub(in crate::server) async fn check(store: &Store) -> Response<Body> {
    let (status, body) = match read(store).await {
        Ok(()) if store.meta.is_suspect() => (
            StatusCode::SERVICE_UNAVAILABLE,
            "{\"status\":\"degraded\"}\n",
        ),
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
