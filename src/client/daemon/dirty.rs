//! What the next pass has to look at.

use std::collections::BTreeMap;

use crate::client::local::scan::{Reach, Scope, look_again};
use crate::client::pass::{Asked, Outcome};

/// Passes in a row that did nothing and yet want another one, before that has to wait: others may be faster that often.
const VAIN: u32 = 5;

/// What has to be looked at.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    all: bool,
    paths: BTreeMap<String, Reach>,
    /// Whether the server has, or may have, news.
    pull: bool,
    /// Whether somebody wants what is gone to be deleted, whatever that is.
    force_delete: bool,
    /// Passes in a row that did nothing.
    vain: u32,
}

impl Dirty {
    /// Everything is to be looked at, on both sides.
    pub(super) fn all(&mut self) {
        (self.all, self.pull) = (true, true);
        self.paths.clear();
    }

    /// The same, and what is gone is to be deleted.
    pub(super) fn force(&mut self) {
        self.all();
        self.force_delete = true;
    }

    /// More is to be looked at.
    pub(super) fn add(&mut self, more: BTreeMap<String, Reach>, pull: bool) {
        self.pull |= pull;
        if !self.all {
            for (path, reach) in more {
                look_again(&mut self.paths, path, reach);
            }
        }
    }

    /// Whether a pass has something to do.
    pub(super) fn is_any(&self) -> bool {
        self.all || self.pull || !self.paths.is_empty()
    }

    /// What is to be done now; nothing is left then.
    pub(super) fn take(&mut self) -> Asked {
        let vain = self.vain;
        let Self {
            all,
            paths,
            pull,
            force_delete,
            ..
        } = std::mem::take(self);
        self.vain = vain;
        Asked {
            scope: if all { Scope::All } else { Scope::Dirty(paths) },
            pull,
            force_delete,
        }
    }

    /// A pass has ended early: all that was asked of it is still wanted.
    pub(super) fn put_back(&mut self, asked: &Asked) {
        self.all();
        self.force_delete |= asked.force_delete;
    }

    /// Whether a pass has come to nothing, so that the next one has to wait; else it gets what this one wants. One that
    /// leaves a rest does not count: the next one takes on more, until there is none.
    pub(super) fn is_vain(&mut self, outcome: &mut Outcome) -> bool {
        let wants = outcome.goes_on();
        if !wants || outcome.done > 0 {
            self.vain = 0;
        } else if !outcome.rest {
            self.vain += 1;
        }
        if outcome.is_stuck() || self.vain > VAIN {
            return true;
        }
        if wants {
            self.add(std::mem::take(&mut outcome.again), true);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants_more(done: u64) -> Outcome {
        Outcome {
            done,
            more: true,
            ..Outcome::default()
        }
    }

    #[test]
    fn a_deletion_that_somebody_wants_is_still_wanted_after_a_pass_that_failed() {
        let mut dirty = Dirty::default();
        dirty.force();
        let asked = dirty.take();
        assert!(asked.force_delete && !dirty.is_any());
        dirty.put_back(&asked);
        let asked = dirty.take();
        assert!(asked.force_delete && matches!(asked.scope, Scope::All));
        // Once it was done it is not wanted any more
        dirty.all();
        assert!(!dirty.take().force_delete);
    }

    #[test]
    fn passes_that_want_another_one_and_do_nothing_end_and_those_that_do_something_go_on() {
        let mut dirty = Dirty::default();
        for _ in 0..VAIN {
            assert!(!dirty.is_vain(&mut wants_more(0)) && dirty.is_any());
            dirty.take();
        }
        assert!(dirty.is_vain(&mut wants_more(0)) && !dirty.is_any());
        assert!(dirty.is_vain(&mut wants_more(0)));
        for _ in 0..3 * VAIN {
            assert!(!dirty.is_vain(&mut wants_more(1)));
        }
        assert!(!dirty.is_vain(&mut Outcome::default()));
    }

    #[test]
    fn passes_that_leave_a_rest_go_on_whether_they_did_something_or_failed() {
        let mut dirty = Dirty::default();
        for _ in 0..3 * VAIN {
            let mut outcome = Outcome {
                failed: 1,
                rest: true,
                ..Outcome::default()
            };
            assert!(!dirty.is_vain(&mut outcome));
            assert!(dirty.take().pull);
        }
        // On a full disk the rest has no room either
        let mut outcome = Outcome {
            failed: 1,
            rest: true,
            full: true,
            ..Outcome::default()
        };
        assert!(dirty.is_vain(&mut outcome) && !dirty.is_any());
        // Without a rest they would have been too many
        let mut outcome = Outcome {
            failed: 1,
            ..wants_more(0)
        };
        assert!(dirty.is_vain(&mut outcome) && !dirty.is_any());
    }

    #[test]
    fn what_is_looked_at_is_looked_at_as_far_as_anybody_wants() {
        let mut dirty = Dirty::default();
        assert!(!dirty.is_any());
        let paths = |reach| BTreeMap::from([("a".to_owned(), reach)]);
        dirty.add(paths(Reach::Below), false);
        dirty.add(paths(Reach::Entry), true);
        let asked = dirty.take();
        assert_eq!(asked.scope, Scope::Dirty(paths(Reach::Below)));
        assert!(asked.pull && !dirty.is_any());
        dirty.all();
        dirty.add(paths(Reach::Entry), false);
        assert_eq!(dirty.take().scope, Scope::All);
    }
}
