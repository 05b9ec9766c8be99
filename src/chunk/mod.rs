//! Cutting bytes into chunks and naming the result. Pure: no I/O, no keys kept.

mod cut;
mod manifest;
pub mod patch;

pub use cut::{CHUNK_MAX, Class, Cutter};
pub use manifest::{Manifest, RUNS_MAX};
