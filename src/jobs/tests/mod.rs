//! Jobs over a real store, with a clock that tests move.

mod cleaning;
mod fixture;
mod large;
mod leases;
mod schedules;
mod times;
