//! Who the client is when a proxy stands between: the address and scheme it really used.
//!
//! Headers are believed only as far as trusted proxies wrote them: from the right end of the
//! chain, up to and including the first address that is not a trusted proxy.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use ipnet::IpNet;

use crate::server::listener::Peer;

/// The client of a request; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address, IPv4 in IPv4 form.
    pub ip: IpAddr,
    /// Whether it spoke HTTPS, to us or to a trusted proxy.
    pub https: bool,
}

/// Adds [`Client`] to a request.
pub(super) async fn identify(
    State(proxies): State<Arc<[IpNet]>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = *request
        .extensions()
        .get::<Peer>()
        .expect("the listener adds it");
    let client = client(peer, request.headers(), &proxies);
    request.extensions_mut().insert(client);
    next.run(request).await
}

fn client(peer: Peer, headers: &HeaderMap, proxies: &[IpNet]) -> Client {
    let trusted = |ip: &IpAddr| proxies.iter().any(|network| network.contains(ip));
    let mut ip = peer.address.ip().to_canonical();
    if !trusted(&ip) {
        return Client {
            ip,
            https: peer.tls,
        };
    }
    for next in chain(headers).map_while(address) {
        ip = next;
        if !trusted(&ip) {
            break;
        }
    }
    let scheme = headers
        .get("x-forwarded-proto")
        .and_then(|value| value.to_str().ok());
    // Of several proxies the outermost one, whose word comes first, saw the client.
    let scheme = scheme
        .and_then(|list| list.split(',').next())
        .map(str::trim);
    Client {
        ip,
        https: scheme.map_or(peer.tls, |scheme| scheme.eq_ignore_ascii_case("https")),
    }
}

/// The entries of all `X-Forwarded-For` lines, nearest proxy first.
fn chain(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all("x-forwarded-for").into_iter().rev();
    lines.flat_map(|line| line.to_str().unwrap_or("(not ASCII)").rsplit(','))
}

/// An entry is an address, with a port behind some proxies (Azure).
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let parsed = bare
        .parse()
        .or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()));
    parsed.ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn seen(peer: &str, headers: &[(&'static str, &'static str)]) -> Client {
        let peer = Peer {
            address: SocketAddr::new(peer.parse().unwrap(), 1),
            tls: false,
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        client(peer, &map, &proxies)
    }

    fn ip_of(peer: &str, forwarded: &'static str) -> String {
        seen(peer, &[("x-forwarded-for", forwarded)]).ip.to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let headers = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
        ];
        let client = seen("192.0.2.7", &headers);
        assert_eq!(
            client,
            Client {
                ip: "192.0.2.7".parse().unwrap(),
                https: false
            }
        );
    }

    #[test]
    fn a_trusted_proxy_names_the_client_and_its_scheme() {
        let headers = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
        ];
        let client = seen("10.0.0.1", &headers);
        assert_eq!(
            client,
            Client {
                ip: "192.0.2.7".parse().unwrap(),
                https: true
            }
        );
    }

    #[test]
    fn what_the_client_itself_claims_before_the_proxies_is_ignored() {
        assert_eq!(
            ip_of("10.0.0.1", "6.6.6.6, 192.0.2.7, 10.0.0.2"),
            "192.0.2.7"
        );
        let lines = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "192.0.2.7"),
        ];
        assert_eq!(seen("10.0.0.1", &lines).ip.to_string(), "192.0.2.7");
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_read() {
        assert_eq!(ip_of("10.0.0.1", "192.0.2.7:4711"), "192.0.2.7");
        assert_eq!(ip_of("::1", "[2001:db8::7]:4711"), "2001:db8::7");
        assert_eq!(ip_of("::1", "[2001:db8::7]"), "2001:db8::7");
        assert_eq!(ip_of("::ffff:10.0.0.1", "::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn behind_an_unreadable_entry_nothing_is_believed() {
        assert_eq!(ip_of("10.0.0.1", "6.6.6.6, unknown"), "10.0.0.1");
        assert_eq!(ip_of("10.0.0.1", "6.6.6.6, unknown, 10.0.0.9"), "10.0.0.9");
    }
}
