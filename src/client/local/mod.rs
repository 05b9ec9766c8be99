//! The folder on this machine: what is in it, what happens to it, and how it is changed.
//!
//! Paths are relative to the folder, with `/` between names; the folder itself is the empty one. Nothing here ever
//! follows a link, and nothing is replaced or removed that is not what it was expected to be.

pub mod cutting;
pub mod folder;
pub mod ignore;
pub mod place;
pub mod read;
pub mod scan;
pub mod shadow;
pub mod stamp;
pub mod watch;

use super::item::ItemId;
pub use stamp::Stamp;

#[cfg(test)]
pub(super) mod tests;

/// The path of a name in a collection.
pub fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        return name.to_owned();
    }
    let mut path = String::with_capacity(dir.len() + 1 + name.len());
    path.push_str(dir);
    path.push('/');
    path.push_str(name);
    path
}

/// Begins the name of what lets others pass.
const PASSING: &str = ".sync-client-moving-";

/// What an item is called while others pass it by.
pub fn passing_name(id: ItemId) -> String {
    format!("{PASSING}{}", id.0)
}

/// The item that is called so while others pass it by.
fn passing(name: &str) -> Option<ItemId> {
    name.strip_prefix(PASSING)?.parse().ok().map(ItemId)
}

/// The collection that a path lies in, and its name there.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
