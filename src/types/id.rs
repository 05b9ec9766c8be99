//! Identifiers. All are positive 63-bit integers, because that is what SQL and the clients keep.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A space: the unit of ordering, dedup, keys and quota.
    SpaceId
);
id!(
    /// A file or collection; never reused, survives renames.
    NodeId
);
id!(
    /// One immutable content (the bytes of a file version) within a space.
    ContentId
);
id!(
    /// The row of a stored chunk; manifests are runs of these.
    ChunkRow
);
id!(
    /// An upload that is taken in several requests.
    UploadId
);
id!(
    /// A process that uses the store, for as long as it holds anything of it.
    ProcessId
);
id!(
    /// A person who logs in.
    AccountId
);
id!(
    /// One app password or paired device of an account.
    DeviceId
);
id!(
    /// One log-in by token: the refresh tokens that replace one another.
    FamilyId
);
id!(
    /// Position in the change sequence of one space; gap-free, in commit order.
    Seq
);

impl NodeId {
    /// Node ids carry their space in the upper bits, so that drawing one needs no table of its own.
    /// 2^36 nodes a space; ids stay below 2^53 (exact in a JavaScript number) for 131,071 spaces.
    const SPACE_SHIFT: u32 = 36;

    /// The `n`-th node ever made in `space`.
    pub fn nth(space: SpaceId, n: i64) -> Self {
        Self((space.0 << Self::SPACE_SHIFT) + n)
    }

    /// The space that it was made in, and that it is in for good.
    pub fn space(self) -> SpaceId {
        SpaceId(self.0 >> Self::SPACE_SHIFT)
    }
}
