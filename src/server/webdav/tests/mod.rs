//! The face driven through its one entry.
