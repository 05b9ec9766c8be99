//! Jobs over a real store, with a clock that tests move.

pub(super) mod begin;
mod cleaning;
mod feeding;
pub(super) mod fixture;
mod large;
mod leases;
mod quotas;
mod resealing;
mod schedules;
mod times;
