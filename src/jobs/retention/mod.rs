//! What goes when its time is over, one job a file.

pub(super) mod conflicts;
pub(super) mod feed;
pub(super) mod locks;
pub(super) mod log;
pub(super) mod quota;
pub(super) mod tokens;
pub(super) mod trash;
pub(super) mod uploads;
pub(super) mod versions;
