//! The rules, seen through the verbs only.

mod batching;
mod conflict;
mod feeding;
mod fixture;
mod history;
mod limits;
mod locking;
mod model;
mod modes;
mod moving;
mod report;
mod spaces;
mod trash;
mod uploads;
mod world;
mod writing;
