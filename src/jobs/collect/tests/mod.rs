//! Collection on a real database and real files, with uploads and readers under way.

mod fixture;
mod interleaved;
mod killed;
mod meeting;
mod moving;
mod pinned;
mod unnamed;
