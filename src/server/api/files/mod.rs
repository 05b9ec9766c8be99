//! Files and collections.

pub(super) mod change;
pub(super) mod download;
pub(super) mod list;
mod range;
pub(super) mod upload;
pub(super) mod versions;

#[cfg(any(test, fuzzing))]
pub(super) use range::fuzz as fuzz_range;
