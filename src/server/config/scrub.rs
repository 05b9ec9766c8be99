//! How often and how fast what is sealed is opened.

use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

/// Opening everything that is sealed, now and then, to find bytes that the disk has changed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scrubbing {
    /// From the beginning of one pass to that of the next; at once when a pass takes longer.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// Most bytes read a second.
    pub rate: ByteSize,
}

/// Slowest rate of scrubbing: a chunk of 2 MiB takes less than the minute after which a job is believed
/// dead.
pub const SCRUB_RATE_MIN: ByteSize = ByteSize::kib(64);

impl Default for Scrubbing {
    fn default() -> Self {
        Self {
            every: Duration::from_hours(14 * 24),
            rate: ByteSize::mib(8),
        }
    }
}
