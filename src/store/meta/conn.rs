//! A connection to the database, as the functions of this module take it.

use std::ops::{Deref, DerefMut};

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;

/// A connection, with or without a transaction around it.
pub struct Conn(pub(super) PoolConnection<Sqlite>);

/// A connection to read with; gives itself back.
pub struct Reading(pub(super) Conn);

impl Deref for Reading {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}
