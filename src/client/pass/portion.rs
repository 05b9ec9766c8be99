//! How much a pass takes on, so that a first sync of many files needs no more memory than one of some.
//!
//! What is new on one side and has nothing to do with what happened on the other may wait: it is the same in none of the
//! trees, nothing else depends on it, and collections come before what they hold. All else is planned as a whole, for
//! moves and for the guard against mass deletion.

use super::compare::Compared;
use super::{Engine, Error, Outcome};
use crate::client::item::ItemId;
use crate::client::local::scan::{Found, Reach, Scope, look_again};

/// New items of a side that a pass takes on as a rule. Each takes about a thousand bytes; a pass more costs some tenths of
/// a second.
pub(super) const MOST: usize = 16 * 1024;
/// So many times more are taken on after a pass that did none of what it took on.
const MORE: usize = 4;

impl Engine {
    /// Looks at the folder, and reads what is doubtful.
    pub(super) async fn find(
        &mut self,
        scope: &Scope,
        outcome: &mut Outcome,
    ) -> Result<(Found, Compared), Error> {
        let mut found = self.scan(scope, outcome).await?;
        let compared = self.compare(&mut found).await?;
        Ok((found, compared))
    }

    /// Looks again, at everything, when what was left for later may have to do with what the server told.
    pub(super) async fn find_all(
        &mut self,
        scope: &Scope,
        found: (Found, Compared),
        outcome: &mut Outcome,
    ) -> Result<(Found, Compared), Error> {
        let short: Vec<_> = found.0.short.iter().copied().collect();
        if short.is_empty() || !self.journal.is_pending_at(&short).await? {
            return Ok(found);
        }
        drop(found);
        self.most = usize::MAX;
        let rules_changed = std::mem::take(&mut outcome.rules_changed);
        let scope = beyond(scope, &rules_changed);
        *outcome = Outcome {
            rules_changed,
            ..Outcome::default()
        };
        self.find(&scope, outcome).await
    }

    /// Collections on the server of which all that is new is needed, because something happened here where they lie.
    pub(super) async fn touched(&self, found: &Found) -> Result<Vec<ItemId>, Error> {
        let places = found.changed.iter().map(|local| local.item.parent);
        let missing = found.missing.iter().map(|known| known.item.id);
        let mut touched: Vec<_> = places.chain(missing).filter(|id| id.is_known()).collect();
        touched.sort_unstable();
        touched.dedup();
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.journal.new_below(&touched).await?)
    }

    /// How much the next pass takes on. When nothing of some could be done, whatever is behind them must not wait for
    /// ever.
    pub(super) fn go_on(&mut self, outcome: &Outcome) {
        let stuck = outcome.rest && outcome.done == 0;
        self.most = if stuck {
            self.most.saturating_mul(MORE)
        } else {
            MOST
        };
    }
}

/// What is to be looked at when other rules are known by now: they reach all below.
fn beyond(scope: &Scope, rules_changed: &[String]) -> Scope {
    match scope {
        Scope::All => Scope::All,
        Scope::Dirty(paths) => {
            let mut paths = paths.clone();
            for dir in rules_changed {
                look_again(&mut paths, dir.clone(), Reach::Below);
            }
            Scope::Dirty(paths)
        }
    }
}
