//! stub
pub mod webdav;
