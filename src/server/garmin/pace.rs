//! How often somebody may come: a steady rate, and a few at once (the generic cell rate algorithm).

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;

use super::error::Error;
use crate::types::Millis;

/// Visitors remembered, about 200 bytes each. One that is forgotten may come a few times more.
const REMEMBERED_MAX: u64 = 4096;

/// The pace of each visitor.
pub(super) struct Pace<K> {
    /// Milliseconds between two visits.
    every: i64,
    /// How far ahead of the pace a visitor may be, in milliseconds.
    ahead: i64,
    /// When each visitor would be back in step, in milliseconds since 1970.
    due: Cache<K, Arc<AtomicI64>>,
}

impl<K: Hash + Eq + Send + Sync + 'static> Pace<K> {
    /// One visit in each `every`, and at most `burst` at once.
    pub(super) fn new((every, burst): (Duration, u32)) -> Self {
        let due = Cache::builder()
            .max_capacity(REMEMBERED_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(every * (burst + 1))
            .build();
        let every = i64::try_from(every.as_millis()).expect("paces are seconds");
        let ahead = every * i64::from(burst.saturating_sub(1));
        Self { every, ahead, due }
    }

    /// Lets a visitor in or says when to come again.
    pub(super) async fn admit(&self, visitor: K, now: Millis) -> Result<(), Error> {
        let fresh = async { Arc::new(AtomicI64::new(now.0)) };
        let due = self.due.get_with(visitor, fresh).await;
        let next = |due: i64| {
            // Further ahead than anybody can get: the clock was set back.
            let due = if due > now.0 + self.ahead + self.every {
                now.0
            } else {
                due.max(now.0)
            };
            (due - now.0 <= self.ahead).then_some(due + self.every)
        };
        let taken = due.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        taken.map(drop).map_err(|due| {
            let millis = (due - now.0 - self.ahead).clamp(1, self.every);
            let seconds = u64::try_from(millis).unwrap_or(1).div_ceil(1000);
            Error::Slow {
                seconds: u32::try_from(seconds).unwrap_or(1),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);

    async fn let_in(pace: &Pace<i32>, who: i32, at: i64, times: usize) -> usize {
        let mut count = 0;
        for _ in 0..times {
            count += usize::from(pace.admit(who, Millis(at)).await.is_ok());
        }
        count
    }

    #[tokio::test]
    async fn three_come_at_once_and_then_one_each_second() {
        let pace = Pace::new((Duration::from_secs(1), 3));
        assert_eq!(let_in(&pace, 1, NOW.0, 9).await, 3);
        assert_eq!(
            let_in(&pace, 2, NOW.0, 9).await,
            3,
            "others are not held up"
        );
        assert_eq!(pace.admit(1, NOW).await, Err(Error::Slow { seconds: 1 }));
        assert_eq!(let_in(&pace, 1, NOW.0 + 999, 9).await, 0);
        for second in 1..5 {
            assert_eq!(let_in(&pace, 1, NOW.0 + second * 1000, 9).await, 1);
        }
        assert_eq!(let_in(&pace, 1, NOW.0 + 60_000, 9).await, 3);
    }

    #[tokio::test]
    async fn who_is_refused_learns_when_to_come_again() {
        let pace = Pace::new((Duration::from_secs(5), 1));
        pace.admit(1, NOW).await.unwrap();
        for (later, seconds) in [(0, 5), (1000, 4), (1001, 4), (4999, 1)] {
            let refused = pace.admit(1, Millis(NOW.0 + later)).await;
            assert_eq!(refused, Err(Error::Slow { seconds }), "{later}");
        }
        pace.admit(1, Millis(NOW.0 + 5000)).await.unwrap();
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_shuts_nobody_out() {
        let pace = Pace::new((Duration::from_secs(1), 3));
        assert_eq!(let_in(&pace, 1, NOW.0, 9).await, 3);
        assert_eq!(let_in(&pace, 1, NOW.0 - 600_000, 9).await, 3);
    }
}
