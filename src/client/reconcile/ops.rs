//! What has to be done on each side.
//!
//! Ops name items by id: where an item lies while they are carried out is for whoever carries them out to know, for a
//! collection above it may have moved meanwhile. `parent` and `name` say where it lies afterwards. Kind, content and
//! executable are those of the merged tree.

use std::sync::Arc;

use crate::client::item::ItemId;

/// One op, and what must have been done before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<Op> {
    /// What to do.
    pub op: Op,
    /// Steps of the same list, all earlier: when one of them failed or was left out, this one has to be left out.
    pub needs: Vec<usize>,
}

/// Something to do here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalOp {
    /// Makes a collection that the server has.
    MakeCollection {
        /// Which one.
        id: ItemId,
        /// Where.
        parent: ItemId,
        /// Its name.
        name: String,
    },
    /// Gets the content of a file or link from the server, and makes it executable or not.
    Fetch {
        /// Which one.
        id: ItemId,
        /// Where.
        parent: ItemId,
        /// Its name.
        name: String,
        /// It is here with the content that the local tree says, to be replaced; otherwise nothing is at the place.
        replaces: bool,
    },
    /// Moves or renames; nothing is at the place.
    Move {
        /// Which one.
        id: ItemId,
        /// Into which collection.
        parent: ItemId,
        /// Its new name.
        name: String,
        /// Only out of the way of others: another move of the same item follows.
        temporary: bool,
    },
    /// Removes.
    Remove {
        /// Which one.
        id: ItemId,
        /// All that lies below it then and goes, too, collections before what they hold. Anything else that is found
        /// there is not to be touched.
        below: Vec<ItemId>,
    },
    /// Makes a file executable or not.
    SetExecutable {
        /// Which one.
        id: ItemId,
        /// Whether it may be run.
        executable: bool,
    },
}

/// Something to do on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteOp {
    /// Makes a collection. The server gives it an id of its own, which takes the place of this one everywhere.
    MakeCollection {
        /// Which one.
        id: ItemId,
        /// Where.
        parent: ItemId,
        /// Its name.
        name: String,
    },
    /// Sends the content of a file or link, and whether it is executable. When the server does not have this id (it is
    /// only here so far, or was deleted there), it gives it one of its own, which takes the place of this one
    /// everywhere.
    Upload {
        /// Which one.
        id: ItemId,
        /// Where.
        parent: ItemId,
        /// Its name.
        name: String,
        /// Etag of the version that it was made from; without it the writer knew of none (`none`).
        base: Option<Arc<str>>,
    },
    /// Moves or renames; nothing is at the place.
    Move {
        /// Which one.
        id: ItemId,
        /// Into which collection.
        parent: ItemId,
        /// Its new name.
        name: String,
        /// Only out of the way of others: another move of the same item follows.
        temporary: bool,
    },
    /// Deletes, with everything below.
    Delete {
        /// Which one.
        id: ItemId,
        /// Etag that a file must still have; a collection has none.
        base: Option<Arc<str>>,
        /// All that is known to lie below it then and goes, too, collections before what they hold.
        below: Vec<ItemId>,
    },
    /// Makes a file executable or not.
    SetExecutable {
        /// Which one.
        id: ItemId,
        /// Whether it may be run.
        executable: bool,
    },
}

impl RemoteOp {
    /// The item that it is about.
    pub fn id(&self) -> ItemId {
        match self {
            Self::MakeCollection { id, .. }
            | Self::Upload { id, .. }
            | Self::Move { id, .. }
            | Self::Delete { id, .. }
            | Self::SetExecutable { id, .. } => *id,
        }
    }
}

/// Two ids for one item: in the local tree and in the synced one, `to` takes the place of `from`, as an id and as a
/// parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopt {
    /// The id that it had.
    pub from: ItemId,
    /// The server's id for what lies at the same place.
    pub to: ItemId,
}
