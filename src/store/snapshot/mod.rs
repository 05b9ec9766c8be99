//! Snapshots of the database beside the segments: what makes names out of bytes again when the database
//! is lost. `docs/STORAGE-FORMAT.md` describes the files.
//!
//! A snapshot is a chain: a base with all rows, and files with the pages that changed since the one
//! before. A page is a window of ids of a few tables, always whole, so the newest one counts and those
//! before it do not. The rows are plain values, and either database takes those of the other. Beside it lie
//! the small contents that came since.

mod file;
mod folder;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod page;
pub mod recent;

pub use file::{Head, Kind, Reader, Writer};
pub use folder::{Entry, Folder};
pub use page::{Cell, Page, Row, Window};
pub use recent::{Recent, Small};
