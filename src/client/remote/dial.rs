//! Opens connections: name, TCP, TLS. Everything that goes over them is counted and slowed down.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::Address;
use super::limit::{Limits, Metered};
use super::tls::{Tls, Trust};
use super::{Error, Result};

/// Longest time for all addresses of a name together.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// Longest time for the handshake, which takes some round trips over a slow line.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// Head start of an address before the next one is tried as well (RFC 8305 §8).
const HEAD_START: Duration = Duration::from_millis(250);
/// Silence after which the kernel asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(25);
/// How often it asks.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// Bytes or questions that nobody has acknowledged for so long end the connection. HTTP/2 pings would not
/// do: under a low rate their answers wait behind minutes of data. A server that does not read while it makes much
/// durable counts as well.
const UNANSWERED_MAX: Duration = Duration::from_mins(2);

/// Knows the way to one server.
pub(super) struct Dialer {
    address: Address,
    tls: Option<Tls>,
    limits: Arc<Limits>,
}

/// Bytes of TLS that may wait for the line on a shared connection: under a low rate a small request waits behind
/// them.
const UNSENT_MAX: usize = 16 * 1024;

/// Which protocols a TLS handshake offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 and HTTP/1.1.
    Either,
    /// HTTP/1.1 alone.
    Http1,
}

impl Dialer {
    pub(super) fn new(address: Address, trust: &Trust, limits: Arc<Limits>) -> Result<Self> {
        let tls = address.secure.then(|| Tls::new(trust)).transpose()?;
        Ok(Self {
            address,
            tls,
            limits,
        })
    }

    /// A new connection, with TLS when the address says so.
    pub(super) async fn dial(&self, offer: Offer) -> Result<Wire> {
        let host = &self.address.host;
        let late = |_elapsed| Error::Offline(format!("{host} does not answer"));
        let tcp = timeout(CONNECT_MAX, self.tcp()).await.map_err(late)??;
        let tcp = Metered::new(tcp, Arc::clone(&self.limits));
        let Some(tls) = &self.tls else {
            return Ok(Wire::Plain(tcp));
        };
        let name = ServerName::try_from(host.clone())
            .map_err(|_| Error::Address(format!("`{host}` is no name of a host")))?;
        let config = match offer {
            Offer::Either => &tls.either,
            Offer::Http1 => &tls.http1,
        };
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, tcp);
        match timeout(HANDSHAKE_MAX, handshake).await.map_err(late)? {
            Ok(mut stream) => {
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    stream.get_mut().1.set_buffer_limit(Some(UNSENT_MAX));
                }
                Ok(Wire::Tls(Box::new(stream)))
            }
            Err(error) => Err(tls.explain(host, &error)),
        }
    }

    /// Tries the addresses of the name, each a little later than the one before, and takes the first that
    /// answers.
    async fn tcp(&self) -> Result<TcpStream> {
        let host = &self.address.host;
        let offline = |error: &io::Error| Error::Offline(format!("{host}: {error}"));
        let found = tokio::net::lookup_host((host.as_str(), self.address.port)).await;
        let found: Vec<_> = found.map_err(|error| offline(&error))?.collect();
        let mut waiting = alternate(found).into_iter();
        let mut running = FuturesUnordered::new();
        let mut failed = io::Error::other("the name has no address");
        running.extend(waiting.next().map(connect));
        while !running.is_empty() {
            let next = tokio::select! {
                connected = running.next() => match connected {
                    Some(Ok(stream)) => return Ok(stream),
                    Some(Err(error)) => {
                        failed = error;
                        waiting.next()
                    }
                    None => None,
                },
                () = sleep(HEAD_START), if waiting.len() > 0 => waiting.next(),
            };
            running.extend(next.map(connect));
        }
        Err(offline(&failed))
    }
}

/// Each family in turn, beginning with that of the first: one that does not work costs one head start.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == six_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        if pair == (None, None) {
            return all;
        }
        all.extend(pair.0.into_iter().chain(pair.1));
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNANSWERED_MAX))?;
    Ok(stream)
}

/// An open connection.
pub(super) enum Wire {
    /// Without TLS.
    Plain(Metered<TcpStream>),
    /// With TLS.
    Tls(Box<TlsStream<Metered<TcpStream>>>),
}

impl Wire {
    /// Whether the handshake has settled on HTTP/2.
    fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.is_http2() {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => {
                let most = stream.get_ref().0.record_max().min(bytes.len());
                Pin::new(stream).poll_write(cx, &bytes[..most])
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(stream) => {
                let most = stream.get_ref().0.record_max();
                if most == usize::MAX {
                    return Pin::new(stream).poll_write_vectored(cx, parts);
                }
                let first = parts.iter().find(|part| !part.is_empty());
                let first = first.map_or(&[][..], |part| part);
                Pin::new(stream).poll_write(cx, &first[..most.min(first.len())])
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Opens connections for the pool of hyper.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) dialer: Arc<Dialer>,
    pub(super) offer: Offer,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<TokioIo<Wire>>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _all_go_to_one_server: Uri) -> Self::Future {
        let (dialer, offer) = (Arc::clone(&self.dialer), self.offer);
        Box::pin(async move { dialer.dial(offer).await.map(TokioIo::new) })
    }
}
