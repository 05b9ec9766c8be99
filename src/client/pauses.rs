//! Pauses between trials: longer each time, and never the same for all clients of a server.

use std::time::Duration;

/// How long to wait after each failure.
#[derive(Debug)]
pub(super) struct Pauses {
    first: Duration,
    most: Duration,
    /// What the next one is at most.
    next: Duration,
}

impl Pauses {
    /// The first pause is at most `first`, and none is longer than `most`.
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            next: first,
        }
    }

    /// The next pause: between half of what it may be and all of it.
    pub(super) fn next(&mut self) -> Duration {
        let next = self.next;
        self.next = (next * 2).min(self.most);
        next / 2 + part(next / 2)
    }

    /// All is well again.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
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

    const FIRST: Duration = Duration::from_secs(2);
    const MOST: Duration = Duration::from_mins(1);

    #[test]
    fn pauses_grow_up_to_the_longest_and_are_short_again_after_a_success() {
        let mut pauses = Pauses::new(FIRST, MOST);
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
