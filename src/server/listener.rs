//! Accepts connections, few enough at a time, and lets them finish when the server stops.

mod activity;
mod connection;
mod received;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use connection::Peer;

use super::config::Http;
use super::ops::metrics::Metrics;
use super::tls::Tls;

/// Pause after a failed accept: out of file descriptors, only time (or a closing client) helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A bound port.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
    server: connection::Server,
    slots: Arc<Semaphore>,
    crowd: Arc<Crowd>,
    header_timeout: Duration,
    drain: Duration,
    metrics: Arc<Metrics>,
}

impl Listener {
    /// Takes the port; connections wait in the kernel until [`Self::run`].
    pub(crate) async fn bind(
        address: SocketAddr,
        http: &Http,
        proxies: &[IpNet],
        tls: Option<Arc<Tls>>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        Ok(Self {
            tcp: TcpListener::bind(address).await?,
            tls,
            server: connection::Server::new(http),
            slots: Arc::new(Semaphore::new(http.connections_max as usize)),
            crowd: Arc::new(Crowd::new(http.connections_per_ip_max, proxies)),
            header_timeout: http.header_timeout,
            drain: http.drain,
            metrics,
        })
    }

    /// Where it listens; the port is never 0.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `stop`, then lets running requests finish, at most for the drain time.
    pub(crate) async fn run(self, router: Router, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut open = JoinSet::new();
        while let Some((stream, peer, slot)) = this.accept(&stop).await {
            while open.try_join_next().is_some() {}
            let Some(place) = this.crowd.enter(peer.ip()) else {
                this.metrics.connection_refused();
                continue;
            };
            let (this, router, stop) = (Arc::clone(&this), router.clone(), stop.clone());
            open.spawn(async move {
                let _counted = (this.metrics.connection(), place, slot);
                this.serve(stream, peer, router, stop).await;
            });
        }
        let finished = timeout(this.drain, async {
            while open.join_next().await.is_some() {}
        });
        if finished.await.is_err() {
            tracing::warn!(
                connections = open.len(),
                "stopped before all requests were finished"
            );
            open.shutdown().await;
        }
    }

    /// The next connection, once there is a slot for it; `None` after `stop`.
    async fn accept(
        &self,
        stop: &CancellationToken,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let slot = tokio::select! {
            () = stop.cancelled() => return None,
            slot = Arc::clone(&self.slots).acquire_owned() => slot.expect("it is never closed"),
        };
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return None,
                accepted = self.tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => return Some((stream, peer, slot)),
                Err(error) if concerns_one_client(&error) => {}
                Err(error) => {
                    tracing::error!("cannot accept connections: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        router: Router,
        stop: CancellationToken,
    ) {
        // Without it a small answer waits for the acknowledgement of the previous one.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let peer = Peer {
            address,
            tls: self.tls.is_some(),
        };
        let served = match &self.tls {
            None => self.server.serve(stream, peer, router, stop).await,
            Some(tls) => match timeout(self.header_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.server.serve(stream, peer, router, stop).await,
                Ok(Err(error)) => Err(error.into()),
                Err(_elapsed) => Err("the TLS handshake took too long".into()),
            },
        };
        if let Err(error) = served {
            tracing::debug!(client = %address.ip(), "connection: {error}");
        }
    }
}

/// Errors of `accept` that are about the connection that was next, not about us.
fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// How many connections each address has open.
struct Crowd {
    each_max: u32,
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, u32>>,
}

/// One open connection of an address; leaves when dropped.
struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    /// `exempt` proxies, and this machine, stand for many clients.
    fn new(each_max: u32, exempt: &[IpNet]) -> Self {
        Self {
            each_max,
            exempt: exempt.to_vec(),
            open: Mutex::default(),
        }
    }

    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let canonical = address.to_canonical();
        let address = network(canonical);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        let limited = self.each_max > 0
            && !canonical.is_loopback()
            && !self
                .exempt
                .iter()
                .any(|proxies| proxies.contains(&canonical));
        if limited && *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Place {
            crowd: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .crowd
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// One household of IPv6 has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}
