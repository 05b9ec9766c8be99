//! Databases that were lost.

mod anew;
mod fixture;
mod refused;
mod resealed;
mod same;
