//! Whether a plan removes so much that somebody should be asked first.

use super::Plan;

/// Removing more than half is worth a question where there are more items than this.
pub const FEW_ITEMS: u64 = 100;

/// Removing all files is worth a question from so many on: fewer are soon brought back from trash.
pub const ALL_FILES: u64 = 5;

/// Removing everything, folders and all, is worth a question where there are more items than this.
pub const ALL_ITEMS: u64 = 3;

/// How much there is, or how much of it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Files and links.
    pub files: u64,
    /// Files, links and collections, without the root.
    pub items: u64,
}

/// What a plan would remove from one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// How much goes.
    pub removed: Count,
    /// How much there is now.
    pub of: Count,
}

/// The sides from which a plan would remove too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch {
    /// What would go here.
    pub here: Option<Removal>,
    /// What would go on the server.
    pub there: Option<Removal>,
}

/// Whether a plan removes all files of a side, or more than half of more than [`FEW_ITEMS`] items. How much there is
/// in step has to be told, because the trees are parts.
pub fn too_much(plan: &Plan, of: Count) -> Option<TooMuch> {
    let found = TooMuch {
        here: judge(plan.removed_here, of),
        there: judge(plan.removed_there, of),
    };
    (found.here.is_some() || found.there.is_some()).then_some(found)
}

fn judge(removed: Count, of: Count) -> Option<Removal> {
    let all_files = removed.files >= ALL_FILES && removed.files >= of.files;
    let all = all_files || of.items > ALL_ITEMS && removed.items >= of.items;
    let most = of.items > FEW_ITEMS && removed.items > of.items / 2;
    (all || most).then_some(Removal { removed, of })
}
