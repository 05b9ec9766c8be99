//! What the three trees are made of: here (local), there (remote), and what both last had (synced).

use std::sync::Arc;

/// Names an item in all three trees: the server's node id, or a negative number for what is only here so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub i64);

impl ItemId {
    /// Whether the server knows it.
    pub fn is_known(self) -> bool {
        self.0 > 0
    }
}

/// Collection, file, or symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Holds other items.
    Collection,
    /// Holds bytes.
    File,
    /// Holds a target that is never followed.
    Link,
}

/// What is in a file or link; tells whether two are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// A collection has none.
    None,
    /// That of a version that the server has, by its etag.
    Version(Arc<str>),
    /// Bytes that are only here, by a number that stands for them during this pass.
    Local(u64),
}

/// A file, collection or link as it is in one of the trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Who it is.
    pub id: ItemId,
    /// The collection it lies in.
    pub parent: ItemId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What is in it.
    pub content: Content,
    /// Whether a file may be run.
    pub executable: bool,
    /// Whether it is the root of a space that is mounted: it is where the server says, and stays there.
    pub mount: bool,
}

impl Item {
    /// The collection it lies in, and its name there.
    pub fn place(&self) -> (ItemId, &str) {
        (self.parent, &self.name)
    }

    /// Etag of its content, when the server has it.
    pub fn etag(&self) -> Option<&Arc<str>> {
        match &self.content {
            Content::Version(etag) => Some(etag),
            Content::None | Content::Local(_) => None,
        }
    }
}
