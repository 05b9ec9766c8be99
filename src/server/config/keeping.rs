//! How long things stay: the sections `versions`, `trash`, `activity` and `feed`.

use std::time::Duration;

use serde::Deserialize;

use super::text;

/// How many previous contents of a file stay.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Versions {
    /// The newest ones that always stay.
    #[serde(deserialize_with = "text::number")]
    pub keep_always: u32,
    /// The most that stay at all.
    #[serde(deserialize_with = "text::number")]
    pub keep: u32,
    /// How long those between the two numbers stay.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
}

/// How long deleted files stay.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trash {
    /// Time until a deleted file is gone for good.
    #[serde(with = "humantime_serde")]
    pub keep: Duration,
}

/// How long the activity log goes back.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Activity {
    /// Time until a line is deleted.
    #[serde(with = "humantime_serde")]
    pub keep: Duration,
}

/// How long devices may stay away.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// Time until it is forgotten that something is gone; cursors hold as long.
    #[serde(with = "humantime_serde")]
    pub keep: Duration,
}

impl Versions {
    pub(super) fn is_ordered(&self) -> bool {
        self.keep >= self.keep_always
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            keep_always: 5,
            keep: 10,
            max_age: Duration::from_hours(30 * 24),
        }
    }
}

impl Default for Trash {
    fn default() -> Self {
        Self {
            keep: Duration::from_hours(30 * 24),
        }
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            keep: Duration::from_hours(365 * 24),
        }
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            keep: Duration::from_hours(90 * 24),
        }
    }
}
