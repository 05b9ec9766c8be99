//! Databases that were lost.

mod anew;
mod fixture;
mod marks;
mod refused;
mod resealed;
mod same;
