//! What operators and their monitors ask: is it well, what is it doing.

pub(super) mod health;
pub(super) mod metrics;
pub(super) mod scrape;
