//! One log line and one count for each request, written when its response has ended.
//!
//! The line at `info` holds no path: file names are personal. The path is logged at `debug`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body::{Frame, SizeHint};
use tracing::Instrument;
use uuid::Uuid;

use super::Client;
use crate::server::ops::metrics::{Finished, Metrics};

/// What the log says of a request whose client left before the answer, as nginx does.
const CLIENT_LEFT: u16 = 499;
const REQUEST_ID: &str = "x-request-id";
/// Hexadecimal digits of an id.
const ID_LEN: usize = 16;

/// Gives the request its id, and records it when it has ended.
pub(super) async fn observe(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    // The first half of a random UUID tells apart what a log holds, and is 13 bytes on the wire, not 27.
    let id = Uuid::new_v4().simple().to_string()[..ID_LEN].to_owned();
    let span = tracing::info_span!("request", id);
    let client = request.extensions().get::<Client>().copied();
    let received = Arc::new(AtomicU64::new(0));
    let mut record = Record {
        id,
        method: request.method().clone(),
        status: StatusCode::from_u16(CLIENT_LEFT).expect("it is a valid number"),
        client,
        started: Instant::now(),
        received: Arc::clone(&received),
        sent: Arc::default(),
        metrics,
    };
    span.in_scope(|| tracing::debug!(path = request.uri().path(), "request"));
    let request = request.map(|body| {
        Body::new(Counted {
            body,
            bytes: received,
            record: None,
        })
    });
    let mut response = next.run(request).instrument(span).await;
    record.status = response.status();
    // The id is hexadecimal; without it the response is still right.
    if let Ok(id) = HeaderValue::from_str(&record.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let bytes = Arc::clone(&record.sent);
    response.map(|body| {
        Body::new(Counted {
            body,
            bytes,
            record: Some(record),
        })
    })
}

/// A request on its way; written down when dropped.
struct Record {
    id: String,
    method: Method,
    status: StatusCode,
    client: Option<Client>,
    started: Instant,
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

impl Drop for Record {
    fn drop(&mut self) {
        let finished = Finished {
            class: class(&self.method),
            status: status_class(self.status),
            duration: self.started.elapsed(),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        };
        self.metrics.finished(finished);
        tracing::info!(
            id = self.id,
            method = known(&self.method),
            status = self.status.as_u16(),
            duration_ms = u64::try_from(finished.duration.as_millis()).unwrap_or(u64::MAX),
            received_bytes = finished.received,
            sent_bytes = finished.sent,
            client = self.client.map(|client| tracing::field::display(client.ip)),
            "request"
        );
    }
}

/// Requests of one class take comparable time.
fn class(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" | "HEAD" => "read",
        "PROPFIND" | "REPORT" | "SEARCH" => "list",
        "PUT" | "POST" | "PATCH" | "DELETE" | "MKCOL" | "COPY" | "MOVE" | "PROPPATCH" => "write",
        _ => "other",
    }
}

/// The method, unless a stranger has made it up to fill our log.
fn known(method: &Method) -> &str {
    match method.as_str() {
        name if class(method) != "other" || matches!(name, "OPTIONS" | "LOCK" | "UNLOCK") => name,
        _ => "other",
    }
}

fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// A body whose bytes are counted. The record of a response lives as long as its body.
struct Counted {
    body: Body,
    bytes: Arc<AtomicU64>,
    #[expect(dead_code, reason = "its drop writes the log line")]
    record: Option<Record>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|f| f.as_ref().ok()?.data_ref()) {
            self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::any;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_request_is_counted_when_its_response_has_ended() {
        let metrics = Metrics::new();
        let echo = any(|body: Bytes| async move { body });
        let layer = from_fn_with_state(Arc::clone(&metrics), observe);
        let routes = Router::new().route("/", echo).layer(layer);
        let request = Request::put("/")
            .header(REQUEST_ID, "forged")
            .body(Body::from("12345"));

        let response = routes.oneshot(request.unwrap()).await.unwrap();

        let counted = "sync_http_requests_total{class=\"write\",status=\"2xx\"} 1";
        assert_eq!(response.headers()[REQUEST_ID].len(), ID_LEN);
        assert!(!metrics.encode(None).contains(counted));
        response.into_body().collect().await.unwrap();
        let page = metrics.encode(None);
        assert!(page.contains(counted), "{page}");
        assert!(page.contains("sync_http_received_bytes_total 5"), "{page}");
        assert!(page.contains("sync_http_sent_bytes_total 5"), "{page}");
    }

    #[test]
    fn made_up_methods_do_not_reach_the_log() {
        let made_up = Method::from_bytes(b"EVIL").unwrap();
        assert_eq!((class(&made_up), known(&made_up)), ("other", "other"));
        assert_eq!(known(&Method::from_bytes(b"LOCK").unwrap()), "LOCK");
    }
}
