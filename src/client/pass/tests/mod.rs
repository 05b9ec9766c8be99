//! Passes against a server in memory.

mod leaving;
mod meeting;
mod model;
mod swap;
mod touching;
mod world;
