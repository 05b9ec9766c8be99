//! What is planted is found, named, and repaired or left; what does not open is never served.

mod beside;
mod bits;
mod fixture;
mod healed;
mod planted;
mod scrubbing;
mod told;
mod uploads;
