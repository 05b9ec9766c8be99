//! What the operator may set, where it is read from, and what it is when nothing is said.
//!
//! Layers, later ones win: the defaults below, the YAML file, the environment (`SYNC_*`), flags.
//! Knows nothing of what the values are used for. Invariant: an unknown key anywhere is an error
//! that names it, so a misspelt setting never silently stays at its default.

mod environment;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod keeping;
mod scrub;
mod snapshot;
#[cfg(test)]
mod tests;
mod text;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use figment::Figment;
use figment::providers::{Format, Serialized};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_saphyr::figment::Yaml;
use tracing_subscriber::EnvFilter;

use crate::store::meta::Database;

pub use environment::Environment;
pub use keeping::{Activity, Feed, Trash, Versions};
pub use scrub::{SCRUB_RATE_MIN, Scrubbing};
pub use snapshot::Snapshotting;
pub use text::Secret;

/// The file that is read when it exists and no other is named.
pub const DEFAULT_FILE: &str = "config/config.yaml";

/// Everything the operator may set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address to listen on.
    pub bind: IpAddr,
    /// TCP port; 0 means any free one.
    #[serde(deserialize_with = "text::number")]
    pub port: u16,
    /// The SQLite database file, whose folder is made when missing, or the address of a PostgreSQL
    /// database.
    pub db_path: Database,
    /// The folder of the sealed file contents; made when missing.
    pub data_path: PathBuf,
    /// The master key; made on the first start.
    pub key_file: PathBuf,
    /// What is logged: a level, or directives such as `info,sync_server=debug`.
    pub log_level: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Password of `admin`, used once, when there is no account yet. Random when unset.
    pub admin_password: Option<Secret>,
    /// Quota of a new account in bytes; `None` is no limit.
    pub quota_default: Option<ByteSize>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    #[serde(deserialize_with = "text::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Bearer token that opens `/metrics` to others than loopback.
    pub metrics_token: Option<Secret>,
    /// TLS of the server's own port.
    pub tls: Tls,
    /// Limits of connections.
    pub http: Http,
    /// How many previous contents of a file stay.
    pub versions: Versions,
    /// How long deleted files stay.
    pub trash: Trash,
    /// How long the activity log goes back.
    pub activity: Activity,
    /// How long devices may stay away.
    pub feed: Feed,
    /// What the server does by itself.
    pub jobs: Jobs,
    /// Giving room back.
    pub collect: Collecting,
    /// For the day on which the database is lost.
    pub snapshot: Snapshotting,
    /// Finding what the disk has changed.
    pub scrub: Scrubbing,
    /// WebDAV.
    pub webdav: Webdav,
}

/// TLS of the server's own port; on when both files are named.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, PEM, leaf first.
    pub cert: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
    /// Oldest protocol spoken.
    pub min_version: TlsVersion,
}

/// A TLS protocol version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246; what Windows 10's `WebClient` and older phones speak.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Limits of connections and requests.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Longest wait for a complete request head, and for the TLS handshake.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a connection may stay open between requests.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Longest pause inside a request body.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Longest pause of a client that does not read its response.
    #[serde(with = "humantime_serde")]
    pub send_timeout: Duration,
    /// Connections served at once; further ones wait in the kernel's backlog.
    #[serde(deserialize_with = "text::number")]
    pub connections_max: u32,
    /// Connections served at once for one address (IPv6: one /64); 0 is no limit.
    #[serde(deserialize_with = "text::number")]
    pub connections_per_ip_max: u32,
    /// How long running requests may take to finish when the server stops.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

/// What the server does by itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jobs {
    /// From the start of the server to the first job. Gives the machine time to set its clock: by a
    /// wrong one, what was deleted today may look old.
    #[serde(with = "humantime_serde")]
    pub start_after: Duration,
}

/// Giving the room of what nothing names any more back to the disk.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Collecting {
    /// Time between two looks.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// How long contents stay that nothing names any more.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// Most bytes read and written a second for making room.
    pub rate: ByteSize,
}

/// WebDAV.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webdav {
    /// What happens to `._*` and `.DS_Store`.
    pub apple_files: AppleFiles,
    /// Host names of this server. When set, a `Destination` elsewhere is refused with 502.
    #[serde(deserialize_with = "text::list")]
    pub own_hosts: Vec<String>,
}

/// What happens to the `._*` and `.DS_Store` files of macOS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppleFiles {
    /// They are files like all others.
    #[default]
    Keep,
    /// They are kept, but not listed.
    Hide,
    /// They are accepted and thrown away.
    Swallow,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8090,
            db_path: Database::File("./db/sync.db".into()),
            data_path: "./data".into(),
            key_file: "./config/master.key".into(),
            log_level: "info".to_owned(),
            log_format: LogFormat::default(),
            admin_password: None,
            quota_default: None,
            trusted_proxies: Vec::new(),
            metrics_token: None,
            tls: Tls::default(),
            http: Http::default(),
            versions: Versions::default(),
            trash: Trash::default(),
            activity: Activity::default(),
            feed: Feed::default(),
            jobs: Jobs::default(),
            collect: Collecting::default(),
            snapshot: Snapshotting::default(),
            scrub: Scrubbing::default(),
            webdav: Webdav::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            // A paused film over gvfs or davfs2 keeps its connection without reading.
            send_timeout: Duration::from_mins(5),
            connections_max: 512,
            connections_per_ip_max: 256,
            drain: Duration::from_secs(8),
        }
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            start_after: Duration::from_mins(5),
        }
    }
}

impl Default for Collecting {
    fn default() -> Self {
        Self {
            every: Duration::from_mins(10),
            grace: Duration::from_hours(1),
            rate: ByteSize::mib(32),
        }
    }
}

/// What the command line sets; `None` leaves the layers below as they are.
#[derive(Clone, Debug, Default, Serialize, clap::Args)]
#[command(next_help_heading = "Settings (also in the file and as SYNC_… variables)")]
pub struct Flags {
    /// Address to listen on
    #[arg(long, global = true, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<IpAddr>,
    /// TCP port; 0 means any free one
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Database: a file of SQLite, or the address of a PostgreSQL
    #[arg(long, global = true, value_name = "FILE|URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    db_path: Option<String>,
    /// Folder of the sealed contents
    #[arg(long, global = true, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_path: Option<PathBuf>,
    /// Master key file
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
    /// Log level: error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_level: Option<String>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The named file is not there.
    #[error("configuration file {} does not exist", .0.display())]
    NoFile(PathBuf),
    /// A key or value that is not understood; names it and where it stands.
    #[error("configuration: {0}{hint}", hint = kubernetes_hint(.0))]
    Wrong(#[from] Box<figment::Error>),
    /// A value this version cannot serve.
    #[error("configuration: {key}: {what} is not built yet; use a path on the local disk")]
    NotBuilt {
        /// The key.
        key: &'static str,
        /// What was asked for.
        what: &'static str,
    },
    /// A value that makes no sense.
    #[error("configuration: {key}: {why}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What would make sense.
        why: &'static str,
    },
}

impl Config {
    /// Reads all layers. `file` must exist when it is named.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Self, Error> {
        if let Some(file) = file
            && !file.is_file()
        {
            return Err(Error::NoFile(file.to_owned()));
        }
        let file = file.unwrap_or(Path::new(DEFAULT_FILE));
        let mut layers = Figment::new();
        if file.is_file() {
            layers = layers.merge(Yaml::file_exact(file));
        }
        Self::extract(
            &layers
                .merge(Environment::read(environment))
                .merge(Serialized::defaults(flags)),
        )
    }

    fn extract(layers: &Figment) -> Result<Self, Error> {
        let config: Self = layers.extract().map_err(Box::new)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Error> {
        if self.data_path.starts_with("s3:") {
            return Err(Error::NotBuilt {
                key: "data_path",
                what: "S3 storage",
            });
        }
        let rules = [
            (
                "log_level",
                "is no log filter",
                EnvFilter::try_new(&self.log_level).is_ok(),
            ),
            (
                "tls",
                "needs both cert and key",
                self.tls.cert.is_some() == self.tls.key.is_some(),
            ),
            (
                "http.connections_max",
                "must be at least 1",
                self.http.connections_max > 0,
            ),
            (
                "http",
                "timeouts must be longer than zero",
                self.http.no_timeout_is_zero(),
            ),
            (
                "collect",
                "every and rate must be above zero",
                !self.collect.every.is_zero() && self.collect.rate.as_u64() > 0,
            ),
            (
                "snapshot.every",
                "must be above zero",
                !self.snapshot.every.is_zero(),
            ),
            (
                "scrub",
                "every must be above zero, rate at least 64 KiB",
                !self.scrub.every.is_zero() && self.scrub.rate >= SCRUB_RATE_MIN,
            ),
            (
                "versions.keep",
                "must not be below keep_always",
                self.versions.is_ordered(),
            ),
        ];
        match rules.into_iter().find(|(_, _, holds)| !holds) {
            Some((key, why, _)) => Err(Error::Invalid { key, why }),
            None => Ok(()),
        }
    }
}

impl Http {
    fn no_timeout_is_zero(&self) -> bool {
        [
            self.header_timeout,
            self.idle_timeout,
            self.body_timeout,
            self.send_timeout,
        ]
        .iter()
        .all(|timeout| !timeout.is_zero())
    }
}

/// Kubernetes sets `SYNC_PORT=tcp://…` in every pod beside a service named `sync`.
fn kubernetes_hint(error: &figment::Error) -> &'static str {
    if error.to_string().contains("tcp://") {
        " (set by Kubernetes for a service named `sync`? Then set enableServiceLinks: false)"
    } else {
        ""
    }
}
