//! Why a job did not come to its end.

use crate::{store, tree};

/// Result of a job.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What stopped a job. The steps before are done; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease ran out, and another process has the job now.
    #[error("another process has taken over")]
    Lost,
    /// Another process has had the job for longer than anybody waits.
    #[error("{0} is running in another process; try again later")]
    Taken(&'static str),
    /// The process is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The tree.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}
