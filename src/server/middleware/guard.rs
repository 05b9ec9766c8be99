//! A panic becomes a 500, and the headers that every response carries.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderValue, StatusCode, header};

use super::Client;

/// Two years, as the preload list asks for; without subdomains, which are not ours to bind.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Answers 500 when a handler panics; the panic hook has logged where.
pub(super) async fn catch_panic(request: Request, next: Next) -> Response {
    // Nothing is used after the panic but the constant answer.
    let caught = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    caught.unwrap_or_else(|_panic| {
        (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
    })
}

/// Adds the headers that keep browsers from guessing, and from going back to plain HTTP.
pub(super) async fn add_headers(request: Request, next: Next) -> Response {
    let https = request
        .extensions()
        .get::<Client>()
        .is_some_and(|client| client.https);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::any;
    use tower::ServiceExt;

    use super::*;

    async fn get(routes: Router, https: bool) -> Response {
        let ip = "192.0.2.7".parse().unwrap();
        let request = Request::builder().extension(Client { ip, https });
        routes
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_is_answered_with_500() {
        async fn handler() -> StatusCode {
            panic!("boom")
        }
        let routes = Router::new()
            .route("/", any(handler))
            .layer(from_fn(catch_panic));
        assert_eq!(get(routes, false).await.status(), 500);
    }

    #[tokio::test]
    async fn hsts_is_sent_over_https_only() {
        let routes = Router::new().layer(from_fn(add_headers));
        let plain = get(routes.clone(), false).await;
        let tls = get(routes, true).await;
        assert!(!plain.headers().contains_key("strict-transport-security"));
        assert_eq!(
            tls.headers()["strict-transport-security"],
            "max-age=63072000"
        );
        assert_eq!(tls.headers()["x-content-type-options"], "nosniff");
    }
}
