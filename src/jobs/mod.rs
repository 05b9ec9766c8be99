//! What the server does by itself, and what commands do at once for the whole store.

pub mod collect;
