//! The section `snapshot`.

use std::time::Duration;

use serde::Deserialize;

/// Snapshots of the database beside the file contents.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshotting {
    /// Time between two looks whether anything changed. Longer when looking takes long: the looks take
    /// a fiftieth of the time at most.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

impl Default for Snapshotting {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
        }
    }
}
