//! The script that installs the client.

use axum::extract::Request;
use http::header;

use super::program::Facts;

const TEMPLATE: &str = include_str!("install.sh");
const UNIT: &str = include_str!("../../../config/sync-client.service");
/// Longest name of a host with a port, in bytes: what DNS allows, and six more.
const HOST_MAX: usize = 253 + 6;

/// The host that a request names, if it is one: it will stand in a script.
pub(super) fn host(request: &Request) -> Option<&str> {
    let stated = request.headers().get(header::HOST);
    let stated = stated.and_then(|host| host.to_str().ok());
    let host = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => stated?,
    };
    is_host(host).then_some(host)
}

fn is_host(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (1..=HOST_MAX).contains(&text.len()) && text.bytes().all(may)
}

/// The script of a server with this address for a client of which these are the facts.
pub(super) fn script(server: &str, facts: &Facts) -> String {
    TEMPLATE
        .replace("@UNIT@", UNIT)
        .replace("@SERVER@", server)
        .replace("@SHA256@", &facts.sha256)
        .replace("@MACHINE@", facts.machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_host_comes_into_the_script() {
        for good in [
            "example.org",
            "localhost:8090",
            "[::1]:8090",
            "10.0.0.1",
            "a_b-c",
        ] {
            assert!(is_host(good), "{good}");
        }
        let long = "a".repeat(HOST_MAX + 1);
        for bad in [
            "",
            "a b",
            "a'b",
            "a$(b)",
            "a;b",
            "a/b",
            "user@host",
            "a\nb",
            "ä",
            &long,
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn the_script_is_filled_in_and_the_unit_ends_where_it_should() {
        let facts = Facts {
            sha256: "0".repeat(64),
            machine: "x86_64",
        };
        let script = script("https://files.example:8443", &facts);
        assert!(!script.contains('@'), "{script}");
        assert!(script.contains("server='https://files.example:8443'\n"));
        assert!(script.contains("machine='x86_64'\n"));
        assert!(UNIT.ends_with('\n') && !UNIT.contains("\nUNIT\n"));
        assert!(script.contains("WantedBy=default.target\nUNIT\n"));
    }
}
