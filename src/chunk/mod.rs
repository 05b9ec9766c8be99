//! Cutting bytes into chunks and naming the result. Pure: no I/O, no keys kept.

mod manifest;

pub use manifest::Manifest;
