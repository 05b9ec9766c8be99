//! Keeping devices in step.

pub(super) mod delta;
pub(super) mod events;
pub(super) mod fetch;
pub(super) mod pull;
pub(super) mod push;
mod receive;
pub(super) mod status;

pub(crate) use events::Waiting;
