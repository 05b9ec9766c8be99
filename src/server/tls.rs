//! TLS of the server's own port, with certificates that can be replaced while it runs.
//!
//! Invariant: there is always a usable pair; a bad replacement is logged and the old one stays.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::config::{self, TlsVersion};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no PEM of the expected kind.
    #[error("{}: no PEM {what}: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What the reader said.
        source: pem::Error,
    },
    /// They do not fit together, or the key's kind is unknown.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
}

/// The TLS side of the port.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    pair: Arc<Pair>,
    files: Files,
    seen: Mutex<Stamp>,
}

/// The pair in use.
struct Pair(RwLock<Arc<CertifiedKey>>);

struct Files {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
}

/// Tells one state of the two files from the next.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// TLS as configured; `None` when it is off.
    pub(crate) fn open(config: &config::Tls) -> Result<Option<Arc<Self>>, Error> {
        let (Some(cert), Some(key)) = (&config.cert, &config.key) else {
            return Ok(None);
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let files = Files {
            cert: cert.clone(),
            key: key.clone(),
            provider: Arc::clone(&provider),
        };
        let seen = files.stamp();
        let pair = Arc::new(Pair(RwLock::new(files.load()?)));
        let versions: &[_] = match config.min_version {
            TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
            TlsVersion::V1_3 => &[&version::TLS13],
        };
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&pair) as _);
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(server));
        Ok(Some(Arc::new(Self {
            acceptor,
            pair,
            files,
            seen: Mutex::new(seen),
        })))
    }

    /// Shakes hands; the caller limits the time.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// Looks at the files every ten seconds and on SIGHUP, until `stop`.
    pub(super) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            tracing::warn!("no SIGHUP on this system; certificates are still read every 10 s");
            return self.look_until(stop).await;
        };
        tokio::select! {
            () = Arc::clone(&self).look_until(stop) => {}
            () = async {
                while hangup.recv().await.is_some() {
                    self.refresh();
                }
            } => {}
        }
    }

    async fn look_until(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.refresh();
        }
    }

    /// Takes up changed files. Two small files every ten seconds are not worth a thread.
    pub(super) fn refresh(&self) {
        let now = self.files.stamp();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        match self.files.load() {
            Ok(new) => {
                *self.pair.0.write().unwrap_or_else(PoisonError::into_inner) = new;
                tracing::info!("took up the new TLS certificate");
            }
            Err(error) => tracing::error!("the old TLS certificate stays in use: {error}"),
        }
    }
}

impl Files {
    fn stamp(&self) -> Stamp {
        [&self.cert, &self.key].map(|path| {
            let data = fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        })
    }

    fn load(&self) -> Result<Arc<CertifiedKey>, Error> {
        let pem = |path: &Path, what| {
            let path = path.to_owned();
            move |source| {
                if let pem::Error::Io(source) = source {
                    return Error::File { path, source };
                }
                Error::Pem { path, what, source }
            }
        };
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(pem(&self.cert, "certificate"))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(pem(&self.key, "private key"))?;
        Ok(Arc::new(CertifiedKey::from_der(
            chain,
            key,
            &self.provider,
        )?))
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.0.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}
