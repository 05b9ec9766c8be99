//! Leaving room for those who wait for an answer.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Longest breath.
const BREATH_MAX: Duration = Duration::from_secs(1);

/// How fast something may go that takes long.
pub(super) struct Pace {
    /// Most bytes a second.
    rate: Option<u64>,
    /// When the last breath ended.
    since: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            since: Mutex::new(Instant::now()),
        }
    }

    /// Pauses as long as was worked since the last time: half of the disk and of the writer are for
    /// others.
    pub(super) async fn breathe(&self) {
        let worked = self.since().elapsed().min(BREATH_MAX);
        tokio::time::sleep(worked).await;
        *self.since() = Instant::now();
    }

    /// The same after so many bytes were read and written again, which may take no less than the rate
    /// says.
    pub(super) async fn breathe_after(&self, bytes: u64) {
        let worked = self.since().elapsed();
        let least = self.rate.map_or(Duration::ZERO, |rate| due(bytes, rate));
        tokio::time::sleep(worked.min(BREATH_MAX).max(least.saturating_sub(worked))).await;
        *self.since() = Instant::now();
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long so many bytes take at a rate.
pub(super) fn due(bytes: u64, rate: u64) -> Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(rate.max(1));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_says_how_long_bytes_take() {
        assert_eq!(due(32 << 20, 32 << 20), Duration::from_secs(1));
        assert_eq!(due(0, 5), Duration::ZERO);
        assert_eq!(due(5, 0), Duration::from_secs(5));
    }
}
