//! The Linux daemon: keeps a folder in step with a server.
//!
//! A pass is discovery (what changed here, what changed there), [`reconcile`] (pure: three trees in, what has to be
//! done out), and propagation.

pub mod cli;
pub mod commands;
pub mod config;
pub mod control;
pub mod daemon;
pub mod heap;
pub mod item;
pub mod journal;
pub mod local;
pub mod pass;
pub mod progress;
pub mod reconcile;
pub mod remote;
pub mod resolve;
pub mod show;

mod pauses;
