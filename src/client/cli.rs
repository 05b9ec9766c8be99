//! The command line of `sync-client`. Knows nothing of how it is done.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::config::{Secrets, Window};

/// Keeps a folder in step with a sync-server.
#[derive(Debug, Parser)]
#[command(name = "sync-client", version, max_term_width = 100)]
pub struct Cli {
    /// Folder with the settings of this device [default: ~/.config/sync-client]
    #[arg(long, global = true, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// Write JSON for programs instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Tell what is done, step by step, on stderr; twice for more
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set this device up: log in and say which folder is kept in step
    Configure(Configure),
    /// Bring both sides in step once
    Sync(Sync),
    /// Keep both sides in step until told to stop
    Daemon,
    /// What is in step, what is not, and why
    Status,
    /// Files that two devices changed at the same time
    Conflicts,
    /// End conflicts: by looking at both sides, or with --take
    Resolve(Resolve),
    /// Which folders are kept on this device
    Select(Select),
    /// How fast this device may send and receive
    Limit(Limit),
    /// Wait until `resume`
    Pause,
    /// Go on after `pause`
    Resume,
}

/// Arguments of `configure`.
#[derive(Debug, Args)]
pub struct Configure {
    /// Address of the server, e.g. `https://files.example.org`
    #[arg(long, value_name = "URL")]
    pub server: String,
    /// The account's name
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// What this device is called [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub device_name: Option<String>,
    /// The folder to keep in step; made when it is not there
    #[arg(long, value_name = "DIR")]
    pub sync_dir: PathBuf,
    /// File whose first line is the password [default: `SYNC_PASSWORD`, or a prompt]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// A pairing code in place of the password
    #[arg(long, value_name = "CODE", conflicts_with = "password_file")]
    pub code: Option<String>,
    /// Certificates (PEM) to trust besides those of the system
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the one certificate to trust, in hex digits
    #[arg(long, value_name = "HEX")]
    pub fingerprint: Option<String>,
    /// Where the log-in is kept [default: the Secret Service when there is one, else a file]
    #[arg(long, value_enum)]
    pub secrets: Option<Secrets>,
}

/// Arguments of `sync`.
#[derive(Debug, Args)]
pub struct Sync {
    /// Delete on one side what is gone on the other, even if that is nearly everything
    #[arg(long)]
    pub force_delete: bool,
}

/// Arguments of `resolve`.
#[derive(Debug, Args)]
pub struct Resolve {
    /// Number or path of one conflict; all of them, one after the other, when absent
    #[arg(value_name = "CONFLICT")]
    pub conflict: Option<String>,
    /// What stays, without asking
    #[arg(long, value_enum)]
    pub take: Option<Take>,
}

/// What stays of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Take {
    /// The bytes this device wrote.
    Local,
    /// The bytes another device wrote.
    Server,
    /// Both, as two files.
    Both,
    /// What comes out of $VISUAL or $EDITOR.
    Editor,
}

/// Arguments of `select`.
#[derive(Debug, Args)]
pub struct Select {
    /// Do not keep this folder here (it stays on the server)
    #[arg(long, value_name = "FOLDER")]
    pub exclude: Vec<String>,
    /// Keep this folder here again
    #[arg(long, value_name = "FOLDER")]
    pub include: Vec<String>,
}

/// Arguments of `limit`.
#[derive(Debug, Args)]
pub struct Limit {
    /// Bytes per second to the server, e.g. "500KiB"; "none" for no limit
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub up: Option<Rate>,
    /// Bytes per second from the server
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub down: Option<Rate>,
    /// The rates hold at these hours only, e.g. "08:00-18:00"; replaces those that were set for them
    #[arg(long, value_name = "HH:MM-HH:MM", value_parser = hours)]
    pub at: Option<Hours>,
    /// Forget all limits
    #[arg(long)]
    pub clear: bool,
}

/// A rate, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Option<ByteSize>);

/// Begin and end of a part of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours(pub String, pub String);

/// Slower than this nothing gets through before it times out, in bytes per second.
const RATE_MIN: ByteSize = ByteSize::kib(4);

fn rate(text: &str) -> Result<Rate, String> {
    if text == "none" {
        return Ok(Rate(None));
    }
    let rate: ByteSize = text.trim_end_matches("/s").parse()?;
    if rate < RATE_MIN {
        return Err(format!("at least {RATE_MIN} a second"));
    }
    Ok(Rate(Some(rate)))
}

fn hours(text: &str) -> Result<Hours, String> {
    let (from, to) = Window::hours(text).ok_or("hours are written as 08:00-18:00")?;
    Ok(Hours(from, to))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rates_are_sizes_a_second_or_none() {
        assert_eq!(rate("none"), Ok(Rate(None)));
        assert_eq!(rate("1MiB/s"), Ok(Rate(Some(ByteSize::mib(1)))));
        assert!(rate("10").is_err());
        assert!(rate("fast").is_err());
    }
}
