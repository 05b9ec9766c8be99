//! Whom to trust: the system's certificates, an authority of one's own, or one pinned certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};

use super::{Error, Result};
use crate::types::{from_hex, hex};

/// What makes a server's certificate a good one, beside the authorities that the system trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// PEM file with further authorities (setting `tls.ca`).
    pub ca: Option<PathBuf>,
    /// SHA-256 of the server's own certificate (setting `tls.fingerprint`): this one and no other.
    pub fingerprint: Option<Fingerprint>,
}

/// SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads 64 hex digits in any case; colons and spaces between them do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text
            .strip_prefix("SHA256:")
            .or(text.strip_prefix("sha256:"))
            .unwrap_or(text);
        from_hex(&text.replace([':', ' '], "")).map(Self)
    }

    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// TLS towards one server, with HTTP/2 offered and without.
pub(super) struct Tls {
    /// Offers HTTP/2 and HTTP/1.1.
    pub(super) either: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone.
    pub(super) http1: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
}

impl Tls {
    /// Reads the certificates.
    pub(super) fn new(trust: &Trust) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(Verifier::new(trust, &provider)?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self {
            either: offering(&[b"h2", b"http/1.1"]),
            http1: offering(&[b"http/1.1"]),
            verifier,
        })
    }

    /// What a failed handshake means, and which setting helps.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most kinds have no words of their own"
    )]
    pub(super) fn explain(&self, host: &str, error: &io::Error) -> Error {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(error) = inner else {
            return Error::Offline(format!("{host}: the TLS handshake broke off: {error}"));
        };
        Error::Tls(match error {
            rustls::Error::InvalidCertificate(what) => self.certificate(host, what),
            rustls::Error::InvalidMessage(_) => {
                format!(
                    "{host} does not speak TLS on this port: does the address begin with http:// ?"
                )
            }
            _ => format!("no TLS connection to {host}: {error}"),
        })
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most kinds have no words of their own"
    )]
    fn certificate(&self, host: &str, what: &CertificateError) -> String {
        use CertificateError as E;
        let seen = self
            .verifier
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let seen = seen.map_or(String::new(), |seen| seen.to_string());
        let pin = format!(
            "if it is your own server and its log or its certificate says the same, set `tls.fingerprint` to {seen}"
        );
        match what {
            E::ApplicationVerificationFailure => format!(
                "the certificate of {host} is not the one with `tls.fingerprint`: it is {seen}; was it renewed?"
            ),
            E::UnknownIssuer => format!(
                "nobody whom this machine trusts has signed the certificate of {host}: set `tls.ca` to the file with \
                 its authority; or, {pin}"
            ),
            E::NotValidForName | E::NotValidForNameContext { .. } => {
                format!(
                    "the certificate of {host} is for another name: use that name as the address; or, {pin}"
                )
            }
            E::Expired | E::ExpiredContext { .. } => {
                format!(
                    "the certificate of {host} has expired: renew it, or set this machine's clock"
                )
            }
            E::NotValidYet | E::NotValidYetContext { .. } => {
                format!(
                    "the certificate of {host} is not valid yet: is this machine's clock wrong?"
                )
            }
            _ => format!("the certificate of {host} cannot be trusted ({what}): {pin}"),
        }
    }
}

/// Looks at certificates, and remembers the last one for the words of an error.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    rule: Rule,
    seen: Mutex<Option<Fingerprint>>,
}

#[derive(Debug)]
enum Rule {
    Authorities(Arc<WebPkiServerVerifier>),
    Pinned(Fingerprint),
}

impl Verifier {
    fn new(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let rule = match trust.fingerprint {
            Some(pin) => Rule::Pinned(pin),
            None => Rule::Authorities(authorities(trust.ca.as_deref(), provider)?),
        };
        Ok(Self {
            provider: Arc::clone(provider),
            rule,
            seen: Mutex::default(),
        })
    }
}

fn authorities(
    ca: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(file) = ca {
        let bad = |what: &dyn std::fmt::Display| {
            Error::Tls(format!("`tls.ca`: {}: {what}", file.display()))
        };
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))?;
        let mut any = false;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(&error))?;
            roots.add(certificate).map_err(|error| bad(&error))?;
            any = true;
        }
        if !any {
            return Err(bad(&"no certificate in it"));
        }
    }
    if roots.is_empty() {
        let none = "this machine trusts no certificate at all: install the package `ca-certificates`, or set `tls.ca` \
                    or `tls.fingerprint`";
        return Err(Error::Tls(none.to_owned()));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| Error::Tls(error.to_string()))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Fingerprint::of(end_entity);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        match &self.rule {
            Rule::Authorities(rule) => {
                rule.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
            }
            Rule::Pinned(pin) if *pin == seen => Ok(ServerCertVerified::assertion()),
            Rule::Pinned(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
