//! Certificates for `localhost` and clients that trust exactly one of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::process::{run, tool};

/// A self-signed certificate and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM of the certificate.
    pub certificate: String,
    /// PEM of the private key.
    pub key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// A new one for `localhost` and `127.0.0.1`.
    pub fn generate() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("these names are valid");
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        }
    }

    /// Writes `tls.crt` and `tls.key` into `dir`, each by rename so that no reader sees half a file.
    pub fn write_to(&self, dir: &Path) {
        for (name, pem) in [("tls.crt", &self.certificate), ("tls.key", &self.key)] {
            let temporary = dir.join(format!("{name}.new"));
            fs::write(&temporary, pem).expect("a writable directory");
            fs::rename(&temporary, dir.join(name)).expect("a writable directory");
        }
    }

    /// SHA-256 of the certificate in hex digits, as coreutils count it.
    #[track_caller]
    pub fn fingerprint(&self) -> String {
        let said = run(&mut tool("sha256sum"), &self.der).expect_success("sha256sum");
        let text = said.text();
        let digits = text.split_whitespace().next().expect("digits");
        digits.to_owned()
    }

    /// A client that trusts this certificate and no other.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("our own certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}
