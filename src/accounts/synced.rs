//! When devices last synced, noted now and then: a device that syncs all the time must not make a
//! write of each time.

use std::future::ready;

use moka::future::Cache;
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;

use crate::types::{DeviceId, Millis};

/// A device is noted once in so many milliseconds.
const EVERY_MILLIS: i64 = 60_000;
/// Devices remembered, about 100 bytes each; one forgotten is noted again.
const REMEMBERED_MAX: u64 = 4096;

/// When devices were last noted.
#[derive(Clone)]
pub(super) struct Synced {
    noted: Cache<DeviceId, Millis>,
}

impl Synced {
    pub(super) fn new() -> Self {
        let noted = Cache::builder()
            .max_capacity(REMEMBERED_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { noted }
    }

    /// Whether a device is to be noted now; of those who ask at once, one hears yes.
    pub(super) async fn is_due(&self, device: DeviceId, now: Millis) -> bool {
        let entry = self.noted.entry(device);
        let asked = entry.and_compute_with(|last| {
            let age = last.map(|last| now.0 - last.into_value().0);
            let recent = age.is_some_and(|age| (0..EVERY_MILLIS).contains(&age));
            ready(if recent { Op::Nop } else { Op::Put(now) })
        });
        !matches!(asked.await, CompResult::Unchanged(_))
    }

    /// Makes a device due again; it could not be noted.
    pub(super) async fn forget(&self, device: DeviceId) {
        self.noted.invalidate(&device).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_device_is_due_once_a_minute() {
        let synced = Synced::new();
        let (phone, laptop) = (DeviceId(1), DeviceId(2));
        assert!(synced.is_due(phone, Millis(100_000)).await);
        assert!(!synced.is_due(phone, Millis(159_999)).await);
        assert!(synced.is_due(laptop, Millis(159_999)).await);
        assert!(synced.is_due(phone, Millis(160_000)).await);
        // The clock was set back.
        assert!(synced.is_due(phone, Millis(50_000)).await);
    }

    #[tokio::test]
    async fn a_device_that_could_not_be_noted_is_due_at_once() {
        let synced = Synced::new();
        assert!(synced.is_due(DeviceId(1), Millis(1)).await);
        synced.forget(DeviceId(1)).await;
        assert!(synced.is_due(DeviceId(1), Millis(1)).await);
    }
}
