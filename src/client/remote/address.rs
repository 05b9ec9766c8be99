//! Where the server is.

use super::{Error, Result};

/// The parts of the server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether it is reached by TLS.
    pub(super) secure: bool,
    /// Name or IP address, without brackets.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
    /// Host and, when it is not the usual one, port, as in an address.
    pub(super) authority: String,
    /// What stands before `/api/v1`; empty or with a leading slash.
    pub(super) prefix: String,
}

impl Address {
    /// Reads `https://host[:port][/prefix]`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::Address(format!("`{text}` {why}"));
        let shape = "is not of the form https://HOST or https://HOST:PORT/PREFIX";
        let uri: http::Uri = text.trim().parse().map_err(|_| bad(shape))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad(shape)),
        };
        let authority = uri.authority().ok_or_else(|| bad(shape))?;
        if authority.as_str().contains('@') {
            return Err(bad(
                "holds a name or password; log in with `sync-client configure`",
            ));
        }
        if uri.query().is_some() || authority.host().is_empty() {
            return Err(bad(shape));
        }
        let usual = if secure { 443 } else { 80 };
        let port = match (authority.port_u16(), authority.as_str().rsplit_once(']')) {
            (Some(port), _) => port,
            (None, Some((_, rest))) if !rest.is_empty() => return Err(bad(shape)),
            (None, None) if authority.as_str().contains(':') => return Err(bad(shape)),
            (None, _) => usual,
        };
        let named = authority.host();
        Ok(Self {
            secure,
            host: named
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port,
            authority: if port == usual {
                named.to_owned()
            } else {
                format!("{named}:{port}")
            },
            prefix: prefix(uri.path()),
        })
    }

    /// The whole address of a route, which has no leading slash and may have a query.
    pub(super) fn route(&self, route: &str) -> String {
        let Self {
            authority, prefix, ..
        } = self;
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{authority}{prefix}/api/v1/{route}")
    }
}

/// Somebody may have copied the address of the API itself.
fn prefix(path: &str) -> String {
    let path = path.trim_end_matches('/');
    path.strip_suffix("/api/v1").unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_and_perhaps_a_prefix() {
        let address = Address::parse("https://Files.example:8443/sync/").unwrap();
        assert_eq!(
            (address.host.as_str(), address.port),
            ("Files.example", 8443)
        );
        assert_eq!(
            address.route("sync/pull?a=b"),
            "https://Files.example:8443/sync/api/v1/sync/pull?a=b"
        );
        let address = Address::parse("http://[::1]:8090").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 8090));
        assert_eq!(address.route("usage"), "http://[::1]:8090/api/v1/usage");
        let address = Address::parse("https://[::1]/api/v1/").unwrap();
        assert_eq!(
            (address.port, address.route("usage").as_str()),
            (443, "https://[::1]/api/v1/usage")
        );
    }

    #[test]
    fn what_is_no_address_is_refused_and_a_password_in_it_as_well() {
        for text in [
            "files.example",
            "ftp://a",
            "https://",
            "https://a:b",
            "https://a:99999",
            "https://a?b=c",
            "https://[::1]x",
            "/path",
            "https://me:secret@a",
            "",
        ] {
            assert!(
                matches!(Address::parse(text), Err(Error::Address(_))),
                "{text}"
            );
        }
    }
}
