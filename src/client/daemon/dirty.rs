//! What the daemon has to look at.

use std::collections::BTreeMap;

use crate::client::local::scan::{Reach, Scope, look_again};

/// What has to be looked at.
pub(super) enum Dirty {
    All,
    Some(BTreeMap<String, Reach>, bool),
}

impl Dirty {
    /// Adds what has to be looked at, and whether the server is to be asked.
    pub(super) fn add(&mut self, more: BTreeMap<String, Reach>, pull: bool) {
        match self {
            Self::All => {}
            Self::Some(paths, pulls) => {
                for (path, reach) in more {
                    look_again(paths, path, reach);
                }
                *pulls |= pull;
            }
        }
    }

    /// What is to be looked at now, if anything is.
    pub(super) fn take(&mut self) -> Option<(Scope, bool)> {
        match std::mem::replace(self, Self::Some(BTreeMap::new(), false)) {
            Self::All => Some((Scope::All, true)),
            Self::Some(paths, pull) if !paths.is_empty() || pull => {
                Some((Scope::Dirty(paths), pull))
            }
            Self::Some(..) => None,
        }
    }
}
