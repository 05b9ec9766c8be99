use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tempfile::tempdir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::stand::{Stand, Way, json};
use crate::client::remote::request::Request;
use crate::client::remote::{Error, Fingerprint, Limits, Server, Source, Speaks, Trust};

/// A server's certificate and who signed it.
struct Signed {
    config: Arc<ServerConfig>,
    authority: String,
    fingerprint: Fingerprint,
}

fn signed(names: &[&str], set: impl FnOnce(&mut CertificateParams)) -> Signed {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    set(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let digest = Sha256::digest(certificate.der());
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Signed {
        config: Arc::new(config),
        authority: authority.pem(),
        fingerprint: Fingerprint::parse(&digits.join(":")).unwrap(),
    }
}

async fn stand(signed: &Signed) -> Stand {
    let way = Way {
        tls: Some(Arc::clone(&signed.config)),
        old: false,
    };
    Stand::with(way, |_| Some(json(&1))).await
}

async fn connect(address: &str, trust: &Trust) -> Result<(), Error> {
    Server::new(address, trust, Arc::new(Limits::default()))?
        .connect()
        .await
}

fn https(stand: &Stand) -> String {
    format!("https://localhost:{}", stand.at.port())
}

fn says(result: Result<(), Error>, words: &[&str]) {
    let Err(Error::Tls(text)) = result else {
        panic!("{result:?}");
    };
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

#[tokio::test]
async fn a_server_of_an_own_authority_is_trusted_by_its_file_or_by_its_fingerprint() {
    let signed = signed(&["localhost"], |_| {});
    let stand = stand(&signed).await;
    let address = https(&stand);
    let fingerprint = signed.fingerprint.to_string();
    says(
        connect(&address, &Trust::default()).await,
        &["`tls.ca`", "`tls.fingerprint`", &fingerprint],
    );
    let directory = tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, &signed.authority).unwrap();
    let trust = Trust {
        ca: Some(file),
        fingerprint: None,
    };
    connect(&address, &trust).await.unwrap();
    let trust = Trust {
        ca: None,
        fingerprint: Some(signed.fingerprint),
    };
    connect(&address, &trust).await.unwrap();
    // The name does not matter then.
    connect(&format!("https://{}", stand.at), &trust)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_pinned_certificate_is_the_only_one_that_is_trusted() {
    let (pinned, other) = (
        signed(&["localhost"], |_| {}),
        signed(&["localhost"], |_| {}),
    );
    let stand = stand(&other).await;
    let trust = Trust {
        ca: None,
        fingerprint: Some(pinned.fingerprint),
    };
    let seen = other.fingerprint.to_string();
    says(
        connect(&https(&stand), &trust).await,
        &["is not the one with `tls.fingerprint`", &seen],
    );
}

#[tokio::test]
async fn errors_of_certificates_say_what_is_wrong() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let trust = Trust {
        ca: Some(file.clone()),
        fingerprint: None,
    };
    says(
        connect("https://localhost:1", &trust).await,
        &["`tls.ca`", "ca.pem"],
    );
    std::fs::write(&file, "no certificate").unwrap();
    says(
        connect("https://localhost:1", &trust).await,
        &["`tls.ca`", "no certificate in it"],
    );

    let elsewhere = signed(&["elsewhere.example"], |_| {});
    std::fs::write(&file, &elsewhere.authority).unwrap();
    let refused = connect(&https(&stand(&elsewhere).await), &trust).await;
    says(
        refused,
        &["localhost is for another name", "`tls.fingerprint`"],
    );

    let old = signed(&["localhost"], |params| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    std::fs::write(&file, &old.authority).unwrap();
    says(
        connect(&https(&stand(&old).await), &trust).await,
        &["expired", "clock"],
    );

    let young = signed(&["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2999, 1, 1);
    });
    std::fs::write(&file, &young.authority).unwrap();
    says(
        connect(&https(&stand(&young).await), &trust).await,
        &["not valid yet", "clock"],
    );
}

#[tokio::test]
async fn the_wrong_scheme_is_recognized_both_ways() {
    let signed = signed(&["localhost"], |_| {});
    let secure = stand(&signed).await;
    let plain = Stand::start(|_| Some(json(&1))).await;
    let refused = connect(&https(&plain), &Trust::default()).await;
    says(refused, &["does not speak TLS", "http://"]);
    let refused = connect(&secure.address(), &Trust::default())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("https://"), "{refused}");
}

#[tokio::test]
async fn with_tls_the_handshake_settles_on_http2_and_bulk_goes_by_http1() {
    let signed = signed(&["localhost"], |_| {});
    let stand = stand(&signed).await;
    let trust = Trust {
        ca: None,
        fingerprint: Some(signed.fingerprint),
    };
    let server = Server::new(&https(&stand), &trust, Arc::default()).unwrap();
    let small = Request::get("usage");
    let large = Request::get("usage").expects(1 << 20);
    for request in [small, large] {
        let one: i32 = server
            .send(request, None)
            .await
            .unwrap()
            .json(10)
            .await
            .unwrap();
        assert_eq!(one, 1);
    }
    let versions: Vec<_> = stand.seen().iter().map(|seen| seen.version).collect();
    assert_eq!(versions, [http::Version::HTTP_2, http::Version::HTTP_11]);
    assert_eq!(server.speaks(), None::<Speaks>);
}

#[tokio::test]
async fn at_a_low_rate_the_head_of_a_request_does_not_wait_for_its_body() {
    let signed = signed(&["localhost"], |_| {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::clone(&signed.config));
    let first = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut begin = vec![0; 64 * 1024];
        let read = stream.read(&mut begin).await.unwrap();
        begin.truncate(read);
        String::from_utf8_lossy(&begin).into_owned()
    });
    let trust = Trust {
        ca: None,
        fingerprint: Some(signed.fingerprint),
    };
    let server = Server::new(&format!("https://localhost:{port}"), &trust, Arc::default()).unwrap();
    server.limits().set(NonZeroU64::new(32 * 1024), None);
    let body = stream::iter([Ok(Bytes::from(vec![b'x'; 1 << 20]))]);
    let request = Request::post("sync/push").source(Source::new(body, 1 << 20), None);
    let sending = tokio::spawn(async move { server.send(request, None).await.map(drop) });
    let first = first.await.unwrap();
    assert!(first.starts_with("POST /api/v1/sync/push "), "{first}");
    assert!(first.len() <= 2048, "{}", first.len());
    sending.abort();
}

#[test]
fn fingerprints_are_read_as_programs_print_them() {
    let digits = "00".repeat(31) + "fF";
    let fingerprint = Fingerprint::parse(&digits).unwrap();
    assert_eq!(fingerprint.to_string(), "00".repeat(31) + "ff");
    let colons = format!("SHA256:{}FF", "00:".repeat(31));
    assert_eq!(Fingerprint::parse(&colons), Some(fingerprint));
    for wrong in ["", "00", &"0g".repeat(32), &"é".repeat(32), &digits[1..]] {
        assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
    }
}
