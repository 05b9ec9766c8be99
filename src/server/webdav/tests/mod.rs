//! The face driven through its one entry, over a real tree in a temporary folder.

mod defects;
mod finding;
mod fixture;
mod locking;
mod moving;
mod properties;
mod reading;
mod syncing;
mod writing;
