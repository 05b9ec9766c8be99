//! Why a command or the server itself stopped, in words for the operator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{config, password, tls};
use crate::{accounts, crypto, jobs, store, tree};

/// Result of a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A file or folder of the server.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database is there, the key that opens its files is not.
    #[error(
        "the database {} exists, but its master key {} does not: put the key back from your copy. \
         Without it the files cannot be read",
        database, key.display()
    )]
    KeyMissing {
        /// The database.
        database: store::meta::Database,
        /// Where the key was looked for.
        key: PathBuf,
    },
    /// There is no database, but there was one.
    #[error(
        "there is no database at {}, but snapshots of one in {}: run `sync-server recover`, or move \
         that folder away to begin with nothing",
        database, snapshots.display()
    )]
    DatabaseLost {
        /// Where the database was looked for.
        database: store::meta::Database,
        /// The folder of the snapshots.
        snapshots: PathBuf,
    },
    /// Nothing can be recovered without the key.
    #[error("there is no master key {}: put it back from your copy", .0.display())]
    NoKey(PathBuf),
    /// The database could not be made anew.
    #[error(transparent)]
    Recover(#[from] jobs::recover::RecoverError),
    /// Another server has the data folder.
    #[error("{}: another sync-server is running on this data folder", .0.display())]
    InUse(PathBuf),
    /// A command of this program collects what nothing names.
    #[error("{}: a collection is under way; try again when it is done", .0.display())]
    Collecting(PathBuf),
    /// A command of this program has the store open.
    #[error("{}: a command of this program uses the store; try again when it is done", .0.display())]
    Opened(PathBuf),
    /// The master key is being changed.
    #[error("{}: the master key is being changed; try again when that is done", .0.display())]
    Rekeying(PathBuf),
    /// The master key is another one, and what is needed when the database is lost is not.
    #[error(
        "{said}\nNo snapshot opens with the new key yet: keep the old key until this command was run again and went well: {source}"
    )]
    OldSnapshots {
        /// What the change has to say.
        said: String,
        /// Why there is none.
        source: Box<Error>,
    },
    /// A server somewhere else uses the database, or was killed just now.
    #[error("a server uses the database, or did less than a minute ago; stop it and try again")]
    Used,
    /// The new master key is the one that opens the store already.
    #[error("{}: this is the master key of the store already", .0.display())]
    SameKey(PathBuf),
    /// The server that runs was started with an older program, which does not know of collection.
    #[error("the running server is older than this program; restart it first")]
    OldServer,
    /// The master key.
    #[error(transparent)]
    Key(#[from] crypto::Error),
    /// Database or data folder.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The space of everyone.
    #[error("the shared folder: {0}")]
    Shared(#[from] tree::Error),
    /// A check of what is stored.
    #[error(transparent)]
    Check(tree::Error),
    /// A job.
    #[error(transparent)]
    Job(#[from] jobs::Error),
    /// An export.
    #[error(transparent)]
    Export(#[from] jobs::export::Error),
    /// An export that left something out.
    #[error("{failed} could not be exported; see {}", list.display())]
    LeftOut {
        /// How many files and folders.
        failed: u64,
        /// Where they are listed.
        list: PathBuf,
    },
    /// A change of accounts.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    /// A watch that could not be paired.
    #[error(transparent)]
    Watch(#[from] accounts::WatchError),
    /// A password that could not be read.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// Certificate or key.
    #[error("TLS: {0}")]
    Tls(#[from] tls::Error),
    /// The port.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output, or the runtime.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// So many things are damaged and could not be repaired; they were told.
    #[error("damaged: {0}")]
    Damage(u64),
    /// The running server does not answer, or says that it is not well.
    #[error("not healthy: {0}")]
    Unhealthy(String),
}

impl Error {
    /// 2 where the command was asked wrongly, 3 where it found damage and did the rest, 1 where it failed.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Password(password::Error::NoTerminal) => ExitCode::from(2),
            Self::LeftOut { .. } | Self::Damage(_) => ExitCode::from(3),
            Self::File { .. }
            | Self::KeyMissing { .. }
            | Self::DatabaseLost { .. }
            | Self::NoKey(_)
            | Self::Recover(_)
            | Self::InUse(_)
            | Self::Collecting(_)
            | Self::Opened(_)
            | Self::Rekeying(_)
            | Self::OldSnapshots { .. }
            | Self::Used
            | Self::SameKey(_)
            | Self::OldServer
            | Self::Key(_)
            | Self::Store(_)
            | Self::Shared(_)
            | Self::Check(_)
            | Self::Job(_)
            | Self::Export(_)
            | Self::Accounts(_)
            | Self::Watch(_)
            | Self::Password(_)
            | Self::Tls(_)
            | Self::Bind { .. }
            | Self::Io(_)
            | Self::Unhealthy(_) => ExitCode::FAILURE,
        }
    }
}
