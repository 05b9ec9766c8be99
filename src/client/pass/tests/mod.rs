//! Passes against a server in memory.

mod meeting;
mod model;
mod swap;
mod world;
