//! Files and collections.

pub(super) mod change;
pub(super) mod download;
pub(super) mod list;
pub(super) mod upload;
pub(super) mod versions;
