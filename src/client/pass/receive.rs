//! One file as it comes: operations applied, and held against what was told.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;

use super::fetch::Missed;
use super::put::cut_file;
use crate::chunk::patch;
use crate::client::local::cutting::Cutting;
use crate::client::local::place::Stage;
use crate::client::local::read::List;
use crate::crypto::ClientKeys;
use crate::protocol::stream::Record;
use crate::protocol::sync::DeltaHead;
use crate::types::{Millis, hex};

/// A file that is being written.
pub(super) struct Receiving<'o> {
    stage: Stage,
    old: Option<&'o File>,
    /// How it is cut, while no byte comes from the old file.
    cutting: Option<Cutting>,
    keys: Arc<ClientKeys>,
    pub(super) size: u64,
}

impl<'o> Receiving<'o> {
    /// Begins a file; `old` is what operations refer to.
    pub(super) fn new(
        stage: Stage,
        old: Option<&'o File>,
        given: &DeltaHead,
        keys: Arc<ClientKeys>,
    ) -> Self {
        let new = || Cutting::new(given.class.into(), given.size, &keys);
        Self {
            stage,
            cutting: old.is_none().then(new),
            keys,
            old,
            size: 0,
        }
    }

    /// Writes what one record says.
    pub(super) fn apply(&mut self, record: Record) -> Result<(), Missed> {
        match record {
            Record::Lit { .. } => Ok(()),
            Record::LitPart(bytes) => self.write(&bytes),
            Record::Copy { offset, len } => {
                let old = self.old.ok_or_else(unexpected)?;
                self.cutting = None;
                self.size += len;
                self.stage.copy(old, offset, len).map_err(Missed::Refused)
            }
            Record::Patch {
                base_offset,
                base_len,
                raw_len,
                packed,
            } => {
                let old = self.old.ok_or_else(unexpected)?;
                let mut prefix = vec![0; usize::try_from(base_len).map_err(|_| unexpected())?];
                old.read_exact_at(&mut prefix, base_offset)
                    .map_err(|_| Missed::Other)?;
                let raw_len = usize::try_from(raw_len).map_err(|_| unexpected())?;
                let raw = patch::decode(&prefix, &packed, raw_len)
                    .map_err(|error| Missed::This(error.to_string()))?;
                self.write(&raw.into())
            }
            Record::File(_) | Record::Ref(_) | Record::Same | Record::End => Err(unexpected()),
        }
    }

    fn write(&mut self, bytes: &Bytes) -> Result<(), Missed> {
        self.size += bytes.len() as u64;
        if let Some(cutting) = &mut self.cutting {
            cutting.push(bytes);
        }
        self.stage.write(bytes).map_err(Missed::Refused)
    }

    /// Holds what came against what was told.
    pub(super) fn finish(
        self,
        given: &DeltaHead,
        mtime: Millis,
    ) -> Result<(Stage, Option<List>), Missed> {
        let list = match (self.cutting, self.stage.written()) {
            (Some(cutting), _) => cutting.end(),
            (None, Some(file)) => cut_file(file, given.class.into(), &self.keys)
                .map_err(|error| Missed::This(error.to_string()))?,
            (None, None) => return Err(unexpected()),
        };
        if self.size != given.size || hex(&list.root.0) != given.root {
            return Err(Missed::This(
                "what came is not what the server told; it is fetched again".to_owned(),
            ));
        }
        self.stage.set_time(mtime).map_err(Missed::Refused)?;
        Ok((self.stage, Some(list)))
    }
}

fn unexpected() -> Missed {
    Missed::This("the server sends what this program does not know".to_owned())
}
