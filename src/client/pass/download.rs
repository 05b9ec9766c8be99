//! Getting a large file in such a way that a broken line costs little.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::content::list_of;
use super::fetch::Missed;
use super::gather::Parts;
use super::here::Wanted;
use super::put::PARTS_MIN;
use super::taking::Taking;
use super::{Engine, Error};
use crate::chunk::Class;
use crate::client::item::Kind;
use crate::client::journal::{Entry, unpack};
use crate::client::local::cutting::Cutting;
use crate::client::local::place::Stage;
use crate::client::local::read::{List, Opened, ReadError};
use crate::client::remote;
use crate::crypto::ClientKeys;
use crate::types::Millis;

impl Engine {
    /// Whether a file is large, and nothing of it is here.
    pub(super) fn goes_in_parts(&self, wanted: &Wanted, parts: &Parts) -> bool {
        let head = parts.heads.get(&wanted.id);
        head.is_some_and(|head| head.kind == Kind::File && head.size >= PARTS_MIN)
            && self.old(wanted, parts).is_none()
    }

    /// Stages a large file; what came before a line broke counts.
    pub(super) async fn fetch_one(
        &self,
        wanted: Wanted,
        taking: &mut Taking<'_>,
    ) -> Result<(), Error> {
        let Some(head) = taking.head(&wanted).cloned() else {
            return Ok(());
        };
        match self.download(&head, wanted.executable).await? {
            Ok((stage, list)) => {
                taking.add(stage, Some(list), wanted);
                Ok(())
            }
            Err(missed) => self.missed(&wanted, missed, taking).await,
        }
    }

    async fn download(
        &self,
        head: &Entry,
        executable: bool,
    ) -> Result<Result<(Stage, List), Missed>, Error> {
        let part = block_in_place(|| Stage::part(&self.folder, head.id, &head.etag, executable));
        let (mut stage, mut there) = match part {
            Ok(part) => part,
            Err(refused) => return Ok(Err(Missed::Refused(refused))),
        };
        if there > head.size {
            if let Err(refused) = stage.spoil() {
                return Ok(Err(Missed::Refused(refused)));
            }
            return Ok(Err(Missed::Other));
        }
        let usual = Class::of(Some(head.size));
        let keys = self.keys(head.space).await?;
        let mut cutting = Cutting::new(usual, head.size, &keys);
        if let Err(error) = block_in_place(|| cut_to(&stage, there, &mut cutting)) {
            return Ok(Err(Missed::This(error.to_string())));
        }
        if there < head.size {
            let resume = (there > 0).then_some((head.etag.as_ref(), there));
            let mut coming = match self.session.download(head.id.0, resume, head.size).await {
                Ok(coming) => coming,
                Err(error) if error.problem() == Some("not-found") => {
                    return Ok(Err(Missed::Other));
                }
                Err(error) if error.is_of_one() => {
                    return Ok(Err(Missed::This(error.to_string())));
                }
                Err(error) => return Err(error.into()),
            };
            let before = there;
            if coming.etag != *head.etag || coming.from != there {
                let spoiled = block_in_place(|| stage.spoil());
                return Ok(Err(spoiled.err().map_or(Missed::Other, Missed::Refused)));
            }
            self.progress.step(there);
            loop {
                let bytes = match coming.next().await {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => break,
                    // Where nothing more comes it may be damaged on the server.
                    Err(error @ remote::Error::Broken(_)) if there == before => {
                        return Ok(Err(Missed::This(error.to_string())));
                    }
                    Err(error) => return Err(error.into()),
                };
                there += bytes.len() as u64;
                self.progress.step(bytes.len() as u64);
                let written = block_in_place(|| {
                    cutting.push(&bytes);
                    stage.write(&bytes)
                });
                if let Err(refused) = written {
                    return Ok(Err(Missed::Refused(refused)));
                }
            }
        }
        if there < head.size {
            return Err(remote::Error::Broken("the file ended early".to_owned()).into());
        }
        self.whole(head, stage, cutting.end(), &keys).await
    }

    /// Holds what came against the list that the server has of it.
    async fn whole(
        &self,
        head: &Entry,
        mut stage: Stage,
        list: List,
        keys: &Arc<ClientKeys>,
    ) -> Result<Result<(Stage, List), Missed>, Error> {
        let manifest = match self.session.manifest(head.id.0, Some(&head.etag)).await {
            Ok(manifest) => manifest,
            Err(error) if error.problem() == Some("not-found") => return Ok(Err(Missed::Other)),
            Err(error) if error.is_of_one() => return Ok(Err(Missed::This(error.to_string()))),
            Err(error) => return Err(error.into()),
        };
        let chunks = unpack(&manifest)?;
        let Some(file) = stage.written() else {
            return Err(Error::Confused("a file without bytes"));
        };
        let list = block_in_place(|| list_of(list, &Opened::of(file)?, &chunks, keys));
        match list {
            Ok(Some(list)) => {
                let timed = block_in_place(|| stage.set_time(Millis(head.mtime)));
                return Ok(timed.map(|()| (stage, list)).map_err(Missed::Refused));
            }
            Ok(None) => {}
            Err(error) => return Ok(Err(Missed::This(error.to_string()))),
        }
        let spoiled = block_in_place(|| stage.spoil());
        let wrong =
            Missed::This("what came is not what the server told; it is fetched again".to_owned());
        Ok(Err(spoiled.err().map_or(wrong, Missed::Refused)))
    }
}

/// Cuts what came before.
fn cut_to(stage: &Stage, there: u64, cutting: &mut Cutting) -> Result<(), ReadError> {
    match stage.written() {
        Some(file) if there > 0 => cutting.read_to(&Opened::of(file)?, there),
        Some(_) | None => Ok(()),
    }
}
