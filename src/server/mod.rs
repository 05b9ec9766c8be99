//! HTTP on top of the rules: connections, sessions, routes and what wraps them.

pub mod config;
