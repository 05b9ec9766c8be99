//! The command line: what can be asked of `sync-server`. Knows nothing of how it is done.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use humantime_serde::re::humantime::parse_duration;

use super::config::{Flags, SCRUB_RATE_MIN};

/// A WebDAV file server that keeps versions, seals what it stores, and stays small.
#[derive(Debug, Parser)]
#[command(name = "sync-server", version, max_term_width = 100)]
pub struct Cli {
    /// Settings file [default: config/config.yaml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Settings that win over file and environment.
    #[command(flatten)]
    pub flags: Flags,
    /// What to do; `serve` when not given.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (the default)
    Serve,
    /// Accounts; works beside a running server
    #[command(subcommand)]
    User(User),
    /// Devices: app passwords and pairing; works beside a running server
    #[command(subcommand)]
    Device(Device),
    /// What is stored, in numbers
    Status,
    /// What uses the disk
    DiskUsage,
    /// Conflicts that nobody has resolved yet
    Conflicts,
    /// Forget what is old, now; works beside a running server
    Cleanup(Cleanup),
    /// Give the room of what nothing names any more back to the disk; works beside a running server
    Gc {
        /// How long files that were purged stay in case the database has to be restored, e.g. "1h"
        /// [default: that of the settings]
        #[arg(long, value_name = "AGE", value_parser = parse_duration)]
        grace: Option<Duration>,
    },
    /// Write every file to a folder, as plain files with their times; works beside a running server
    Export(Export),
    /// Give the store another master key; the server must be stopped
    Rekey(Rekey),
    /// Make a lost database anew from the snapshots and segments in the data folder; with no server
    /// running
    Recover,
    /// Check that everything agrees: files, contents, chunks and segments; works beside a running server.
    /// Ends with code 3 when something is damaged
    Fsck(Fsck),
    /// Open everything that is sealed, to find bytes that the disk has changed; works beside a running
    /// server. Ends with code 3 when something is damaged
    Scrub(Scrub),
    /// Ask the running server whether it is well; for container health checks
    Healthcheck,
}

/// Accounts.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Make an account
    Add {
        /// Name to log in with
        name: String,
        /// May administer the server
        #[arg(long)]
        admin: bool,
        /// Most bytes of live files, e.g. "50 GiB" [default: that of the settings]
        #[arg(long, value_name = "SIZE")]
        quota: Option<ByteSize>,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List the accounts
    List,
    /// Set a new password
    Passwd {
        /// The account
        name: String,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Set or lift the quota
    Quota {
        /// The account
        name: String,
        /// A size such as "50 GiB", or "none"
        #[arg(value_name = "SIZE", value_parser = quota)]
        quota: Quota,
    },
    /// Remove an account; nobody can log in to its files any more
    Remove {
        /// The account
        name: String,
    },
}

/// Devices.
#[derive(Debug, Subcommand)]
pub enum Device {
    /// Make an app password and print it once
    Add {
        /// The account it logs in to
        account: String,
        /// A name to know it by, e.g. "Anna's phone"
        name: String,
    },
    /// Make a code that lets one device in, once, and print it
    Pair {
        /// The account the device will belong to
        account: String,
    },
    /// Pair the watch that shows a code
    Confirm {
        /// The account the watch will belong to
        account: String,
        /// The six digits the watch shows
        code: String,
        /// A name to know it by [default: what the watch calls itself]
        #[arg(long)]
        name: Option<String>,
    },
    /// List the devices of an account
    List {
        /// The account
        account: String,
    },
    /// Revoke a device: its app password and its log-in end
    Revoke {
        /// The account
        account: String,
        /// The number that `device list` shows
        id: i64,
    },
}

/// What to forget.
#[derive(Clone, Copy, Debug, Args)]
pub struct Cleanup {
    /// Forget what was deleted, replaced or logged longer ago, e.g. "30d". The newest versions of each
    /// file stay as the settings say, and so does every upload that can still go on
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    pub older_than: Duration,
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
}

/// What to export, and where to.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// The folder to write to: empty, or not there yet
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Only this space, e.g. "user:anna" or "shared" [default: all]
    #[arg(long, value_name = "NAME")]
    pub space: Option<String>,
    /// Previous versions as well, as DIR/.versions/SPACE/PATH/NUMBER
    #[arg(long)]
    pub versions: bool,
    /// Go on with an export: write what is not there yet, or has another size or time
    #[arg(long)]
    pub resume: bool,
}

/// The key to be.
#[derive(Clone, Debug, Args)]
pub struct Rekey {
    /// The file of the new master key; made when it is missing
    #[arg(long, value_name = "FILE")]
    pub new_key_file: PathBuf,
    /// Seal all that is stored anew as well; the server does it in the background from its next start on
    #[arg(long)]
    pub reseal: bool,
}

/// What to check.
#[derive(Clone, Copy, Debug, Args)]
pub struct Fsck {
    /// Open everything that is sealed as well: reads all bytes
    #[arg(long)]
    pub deep: bool,
    /// Repair what can be; nothing is deleted. What is damaged is offered to nobody who uploads, so that
    /// sending the same file again brings it back
    #[arg(long)]
    pub repair: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// How to scrub.
#[derive(Clone, Copy, Debug, Args)]
pub struct Scrub {
    /// Most bytes read a second, e.g. "8 MiB" [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    pub rate: Option<ByteSize>,
    /// Begin a new pass instead of going on with the one under way
    #[arg(long)]
    pub from_start: bool,
}

/// Where a password comes from: a prompt, when nothing is said and there is a terminal.
#[derive(Debug, Args)]
pub struct PasswordSource {
    /// Read the password from the first line of FILE, or of stdin when FILE is "-"
    #[arg(long = "password-file", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// A quota as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(pub Option<u64>);

fn quota(text: &str) -> Result<Quota, String> {
    match text {
        "none" => Ok(Quota(None)),
        size => size.parse().map(|ByteSize(bytes)| Quota(Some(bytes))),
    }
}

fn rate(text: &str) -> Result<ByteSize, String> {
    let rate: ByteSize = text.parse()?;
    if rate < SCRUB_RATE_MIN {
        return Err(format!("must be at least {SCRUB_RATE_MIN}"));
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default_and_settings_may_stand_on_either_side() {
        assert!(parse("sync-server").unwrap().command.is_none());
        assert!(parse("sync-server --port 0 serve").is_ok());
        assert!(parse("sync-server serve --port 0 --config x.yaml").is_ok());
    }

    #[test]
    fn a_device_is_paired_with_an_account() {
        let command = parse("sync-server device pair anna").unwrap().command;
        let Some(Command::Device(Device::Pair { account })) = command else {
            panic!("{command:?}")
        };
        assert_eq!(account, "anna");
    }

    #[test]
    fn a_quota_is_a_size_or_none() {
        assert_eq!(quota("none"), Ok(Quota(None)));
        assert_eq!(quota("2 KiB"), Ok(Quota(Some(2048))));
        assert!(quota("much").is_err());
    }

    #[test]
    fn an_age_is_a_duration_and_must_be_stated() {
        let command = parse("sync-server cleanup --older-than 30d --dry-run")
            .unwrap()
            .command;
        let Some(Command::Cleanup(cleanup)) = command else {
            panic!("{command:?}")
        };
        assert_eq!(cleanup.older_than, Duration::from_hours(30 * 24));
        assert!(cleanup.dry_run);
    }

    #[test]
    fn an_age_is_a_time_span() {
        let command = parse("sync-server gc --grace 90m").unwrap().command;
        let Some(Command::Gc { grace }) = command else {
            panic!("{command:?}")
        };
        assert_eq!(grace, Some(Duration::from_mins(90)));
        assert!(parse("sync-server gc --grace 0s").is_ok());
    }

    #[test]
    fn checks_say_how_far_they_go() {
        let parsed = parse("sync-server fsck --deep --repair --json").unwrap();
        let Some(Command::Fsck(fsck)) = parsed.command else {
            panic!("{parsed:?}")
        };
        assert!(fsck.deep && fsck.repair && fsck.json);
        let parsed = parse("sync-server scrub --rate 8MiB --from-start").unwrap();
        let Some(Command::Scrub(scrub)) = parsed.command else {
            panic!("{parsed:?}")
        };
        assert_eq!(scrub.rate, Some(ByteSize::mib(8)));
        assert!(scrub.from_start);
    }

    #[test]
    fn wrong_usage_ends_with_code_2() {
        for line in [
            "sync-server fly",
            "sync-server user add",
            "sync-server device pair",
            "sync-server --port x",
            "sync-server cleanup",
            "sync-server cleanup --older-than 30",
            "sync-server cleanup --older-than -1d",
            "sync-server gc --grace soon",
            "sync-server fsck --fast",
            "sync-server scrub --rate slow",
            "sync-server scrub --rate 1KiB",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
