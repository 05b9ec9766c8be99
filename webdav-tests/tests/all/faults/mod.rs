//! Faults below the real server: each cell of a table lets some calls fail while clients write and read,
//! and then cuts the power. `faults.c` says what the disk has then.

mod copied;
mod disk;
mod full;
mod storm;
mod world;
