//! `sync-server healthcheck`: the question of a container's health check, without curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::config::Config;
use super::error::{Error, Result};

/// Longest time for each step; container runtimes give up after some seconds themselves.
const STEP_MAX: Duration = Duration::from_secs(3);
/// Most bytes read of the answer.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Asks the server that runs with these settings on this machine.
///
/// With TLS only the port is tried: the certificate names the server as others call it.
pub(super) fn ask(config: &Config) -> Result<()> {
    let ip = match config.bind {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => config.bind,
    };
    let address = SocketAddr::new(ip, config.port);
    let answer = get(address, config.tls.cert.is_some());
    match answer.map_err(|error| Error::Unhealthy(format!("{address}: {error}")))? {
        Some(status) if status != "200" => Err(Error::Unhealthy(format!("status {status}"))),
        Some(_) | None => Ok(()),
    }
}

/// The status of `/health`; `None` when only the port was tried.
fn get(address: SocketAddr, tls: bool) -> io::Result<Option<String>> {
    let mut stream = TcpStream::connect_timeout(&address, STEP_MAX)?;
    if tls {
        return Ok(None);
    }
    stream.set_read_timeout(Some(STEP_MAX))?;
    stream.set_write_timeout(Some(STEP_MAX))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(Some(
        answer.split(' ').nth(1).unwrap_or("(none)").to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn asked(answer: &'static str) -> Result<()> {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let serving = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            length
        });
        let bind = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let asked = ask(&Config {
            bind,
            port,
            ..Config::default()
        });
        assert!(serving.join().unwrap() > 0);
        asked
    }

    #[test]
    fn only_200_is_healthy() {
        assert!(asked("HTTP/1.1 200 OK\r\n\r\n{}").is_ok());
        assert!(asked("HTTP/1.1 503 Service Unavailable\r\n\r\n{}").is_err());
        assert!(asked("").is_err());
    }
}
