//! Pauses between trials: longer each time, and never the same for all clients of a server.

use std::time::Duration;

/// The first pause is at most this.
pub(super) const FIRST: Duration = Duration::from_secs(2);
/// No pause is longer.
pub(super) const MOST: Duration = Duration::from_mins(1);

/// How long to wait after each failure.
#[derive(Debug)]
pub(super) struct Pauses {
    most: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { most: FIRST }
    }
}

impl Pauses {
    /// The next pause: between half of what it may be and all of it.
    pub(super) fn next(&mut self) -> Duration {
        let most = self.most;
        self.most = (most * 2).min(MOST);
        most / 2 + part(most / 2)
    }

    /// All is well again.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// A random part of a time.
pub(super) fn part(most: Duration) -> Duration {
    // Without randomness there is only no spreading.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    let nanos = most.as_nanos() * u128::from(random) / u128::from(u32::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute_and_are_short_again_after_a_success() {
        let mut pauses = Pauses::default();
        let mut most = FIRST;
        for _ in 0..10 {
            let pause = pauses.next();
            assert!(most / 2 <= pause && pause <= most, "{pause:?} of {most:?}");
            most = (most * 2).min(MOST);
        }
        assert!(pauses.next() >= MOST / 2);
        pauses.reset();
        assert!(pauses.next() <= FIRST);
    }

    #[test]
    fn pauses_differ() {
        let pauses: std::collections::HashSet<_> = (0..20).map(|_| part(MOST)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }
}
