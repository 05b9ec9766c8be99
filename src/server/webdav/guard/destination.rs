//! `Destination` (RFC 4918 §10.3) in the forms clients send it.

use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use super::headers::text;
use crate::server::webdav::Dav;
use crate::server::webdav::errors::Refusal;
use crate::server::webdav::text::encode_path;
use crate::types::NodePath;

/// Reads the header and replaces it by the canonical path.
///
/// Scheme, host and user are not compared unless the owner listed the server's names: behind a TLS
/// proxy they differ, KIO 5 sends `http://user:password@host/…`, KIO 6 `webdav://…`, and
/// nextcloudcmd a path only.
pub(super) fn parse(headers: &mut HeaderMap, dav: &Dav) -> Result<NodePath, Refusal> {
    let Some(value) = text(headers, "destination")? else {
        return Err(Refusal::bad("Destination is missing"));
    };
    let path = path_of(&value, dav)?;
    let canonical = encode_path(&dav.prefix, &path, false);
    let canonical = HeaderValue::try_from(canonical).expect("a percent-encoded path is ASCII");
    headers.insert("destination", canonical);
    Ok(path)
}

fn path_of(value: &str, dav: &Dav) -> Result<NodePath, Refusal> {
    let malformed = || Refusal::bad("Destination is not a URL");
    let foreign = || Refusal::new(StatusCode::BAD_GATEWAY, "Destination is another server");
    let path = if value.starts_with('/') {
        value
    } else {
        let (scheme, rest) = value.split_once("://").ok_or_else(malformed)?;
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(malformed());
        }
        let (authority, path) = rest.split_at(rest.find('/').ok_or_else(malformed)?);
        if authority.is_empty() {
            return Err(malformed());
        }
        if !dav.hosts.is_empty() && !is_own(authority, &dav.hosts) {
            return Err(foreign());
        }
        path
    };
    if path.contains('#') {
        return Err(malformed());
    }
    let path = path.split('?').next().unwrap_or_default();
    path.parse::<Uri>().map_err(|_| malformed())?;
    match dav.below(path) {
        Ok((path, _)) => Ok(path),
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Err(foreign()),
        Err(refusal) => Err(refusal),
    }
}

fn is_own(authority: &str, hosts: &[String]) -> bool {
    let host = authority.rsplit('@').next().unwrap_or_default();
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) => bare,
        _ => host,
    };
    hosts
        .iter()
        .any(|own| own.eq_ignore_ascii_case(host) || own.eq_ignore_ascii_case(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dest(dav: &Dav, value: &str) -> Result<String, u16> {
        let mut headers = HeaderMap::new();
        headers.insert("destination", HeaderValue::from_str(value).unwrap());
        let path = parse(&mut headers, dav).map_err(|refusal| refusal.status.as_u16())?;
        assert!(
            headers["destination"]
                .to_str()
                .unwrap()
                .starts_with("/dav/")
        );
        Ok(path.to_string())
    }

    #[test]
    fn every_form_clients_send_means_the_same_path() {
        let dav = Dav::new("/dav/");
        for form in [
            "http://localhost:8090/dav/a%20b/c",
            "https://localhost/dav/a%20b/c",
            "https://example.org/dav/a%20b/c",
            "http://u:p@localhost/dav/a%20b/c",
            "/dav/a%20b/c",
            "/dav//a%20b/c/",
            "webdav://localhost/dav/a%20b/c",
            "webdavs://localhost/dav/a%20b/c",
            "http://[::1]:80/dav/a%20b/c?x=y",
        ] {
            assert_eq!(dest(&dav, form).as_deref(), Ok("/a b/c"), "{form}");
        }
    }

    #[test]
    fn what_is_no_url_or_not_ours_is_refused() {
        let dav = Dav::new("/dav/");
        for (form, status) in [
            ("", 400),
            ("a/b", 400),
            ("http:///dav/a", 400),
            ("http://host", 400),
            ("/dav/a#b", 400),
            ("/dav/a b", 400),
            ("/dav/../a", 400),
            ("/dav/a%2Fb", 400),
            ("/dav/a%00", 400),
            ("/davx/a", 502),
            ("/other/a", 502),
        ] {
            assert_eq!(dest(&dav, form), Err(status), "{form}");
        }
        assert_eq!(parse(&mut HeaderMap::new(), &dav).unwrap_err().status, 400);
    }

    #[test]
    fn foreign_hosts_are_refused_once_the_own_ones_are_listed() {
        let dav = Dav::new("/dav/").with_hosts(vec!["files.example.org".into()]);
        assert!(dest(&dav, "https://u@Files.example.org:8443/dav/a").is_ok());
        assert!(dest(&dav, "/dav/a").is_ok());
        assert_eq!(dest(&dav, "https://evil.example/dav/a"), Err(502));
        assert_eq!(
            dest(&dav, "https://files.example.org@evil.example/dav/a"),
            Err(502)
        );
    }
}
