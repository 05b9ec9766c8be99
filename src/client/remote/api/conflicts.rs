//! Conflicts.

use super::{LISTING_MAX, route};
use crate::client::remote::Result;
use crate::client::remote::login::Session;
use crate::client::remote::request::Request;
use crate::protocol::files::{Conflicts, Keep, Resolve};

impl Session {
    /// A page of the conflicts that nobody has resolved.
    pub async fn conflicts(&self, cursor: Option<&str>) -> Result<Conflicts> {
        let request = Request::get(route("conflicts", &[("cursor", cursor)])).unpacks();
        self.ask(request).await?.json(LISTING_MAX).await
    }

    /// Ends a conflict. `not-found` after a broken connection: it was done.
    pub async fn resolve(&self, id: i64, keep: Keep) -> Result<()> {
        let request = Request::post(format!("conflicts/{id}/resolve")).json(&Resolve { keep })?;
        self.ask(request).await?.nothing().await
    }
}
