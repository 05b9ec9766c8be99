//! Passes against a server in memory.

mod leaving;
mod meeting;
mod model;
mod pages;
mod swap;
mod touching;
pub(super) mod wire;
mod world;
