//! `/metrics`: for this machine, or for whoever has the token.

use axum::body::Body;
use headers::authorization::Bearer;
use headers::{Authorization, HeaderMapExt};
use http::{HeaderMap, Response, StatusCode, header};
use subtle::ConstantTimeEq;

use super::metrics::Metrics;
use crate::server::config::Secret;
use crate::server::listener::Peer;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers `GET /metrics`.
pub(in crate::server) async fn page(
    metrics: &Metrics,
    token: Option<&Secret>,
    peer: Peer,
    headers: &HeaderMap,
) -> Response<Body> {
    if !may_read(token, peer, headers) {
        let refused = Response::builder().status(StatusCode::FORBIDDEN);
        return refused
            .body(Body::from(
                "metrics are for this machine, or for a bearer of metrics_token\n",
            ))
            .expect("the parts are constants");
    }
    Response::builder()
        .header(header::CONTENT_TYPE, OPEN_METRICS)
        .body(Body::from(metrics.encode(resident_bytes().await)))
        .expect("the parts are constants")
}

/// A loopback socket counts only without proxy headers: a proxy on this machine has one, too.
fn may_read(token: Option<&Secret>, peer: Peer, headers: &HeaderMap) -> bool {
    let proxied = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    if peer.address.ip().to_canonical().is_loopback() && !proxied {
        return true;
    }
    let (Some(token), Some(given)) = (token, headers.typed_get::<Authorization<Bearer>>()) else {
        return false;
    };
    given
        .token()
        .as_bytes()
        .ct_eq(token.expose().as_bytes())
        .into()
}

/// `None` where there is no Linux `/proc`.
async fn resident_bytes() -> Option<i64> {
    let status = tokio::fs::read_to_string("/proc/self/status").await.ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn peer(address: &str) -> Peer {
        Peer {
            address: address.parse().unwrap(),
            tls: false,
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn this_machine_may_read_but_not_through_a_proxy_on_it() {
        assert!(may_read(None, peer("127.0.0.1:5"), &headers(&[])));
        assert!(may_read(None, peer("[::ffff:127.0.0.1]:5"), &headers(&[])));
        let proxied = headers(&[("x-forwarded-for", "127.0.0.1")]);
        assert!(!may_read(None, peer("127.0.0.1:5"), &proxied));
        assert!(!may_read(None, peer("192.0.2.1:5"), &headers(&[])));
    }

    #[test]
    fn the_token_opens_it_from_anywhere() {
        let token = Secret::new("letmein");
        let right = headers(&[("authorization", "Bearer letmein")]);
        let wrong = headers(&[("authorization", "Bearer letmeout")]);
        assert!(may_read(Some(&token), peer("192.0.2.1:5"), &right));
        assert!(!may_read(Some(&token), peer("192.0.2.1:5"), &wrong));
        assert!(!may_read(None, peer("192.0.2.1:5"), &right));
    }

    #[tokio::test]
    async fn the_memory_of_this_process_is_known() {
        assert!(resident_bytes().await.unwrap() > 1_000_000);
    }
}
