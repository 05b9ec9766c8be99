//! The spaces mounted in every root, remembered for a moment: each path begins with the question.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::Result;
use super::meta::Conn;
use super::meta::spaces::{self, Space};

/// How long another process' new mount may stay unseen.
const REMEMBERED: Duration = Duration::from_secs(5);

type Remembered = Option<(Instant, Arc<[Space]>)>;

/// The spaces of everyone.
#[derive(Default)]
pub struct Mounts(RwLock<Remembered>);

impl Mounts {
    /// The spaces of everyone, at most five seconds old. Takes the caller's connection: one that
    /// waited for a second could wait for others who do the same.
    pub async fn all(&self, conn: &mut Conn) -> Result<Arc<[Space]>> {
        let remembered = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((at, mounts)) = remembered
            && at.elapsed() < REMEMBERED
        {
            return Ok(mounts);
        }
        let mounts: Arc<[Space]> = spaces::shared(conn).await?.into();
        let fresh = Some((Instant::now(), Arc::clone(&mounts)));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(mounts)
    }

    /// Forgets, because this process has just made a space.
    pub fn forget(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
