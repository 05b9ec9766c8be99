//! HTTP on top of the rules: connections, sessions, routes and what wraps them.

pub mod cli;
mod compress;
pub mod config;
mod listener;
mod middleware;
mod ops;
mod password;
pub mod telemetry;
mod tls;
