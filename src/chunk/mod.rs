//! Cutting bytes into chunks, naming the result, and telling the difference of two. Pure: no I/O, no
//! keys kept.

mod cut;
pub mod delta;
mod manifest;
pub mod patch;
pub mod plan;
pub mod signature;

pub use cut::{CHUNK_MAX, Class, Cutter};
pub use manifest::{Manifest, RUNS_MAX};
