//! Tests of the accounts of a whole server, with a clock that only moves when told to.

mod bearer;
mod changes;
mod ended;
mod fixture;
mod login;
mod pairing;
mod refresh;
