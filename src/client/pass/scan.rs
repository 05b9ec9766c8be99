//! Looking at the folder.

use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::{Engine, Error, Outcome, now};
use crate::client::item::{Content, Item, ItemId, Kind};
use crate::client::journal::{Entry, Key, Side, Write};
use crate::client::local::Stamp;
use crate::client::local::place::{Old, remove_collection, remove_file};
use crate::client::local::scan::{Found, Known, Scan, Scope, look_again};

/// Items that are forgotten at once, before they are taken away.
const FORGOTTEN: usize = 512;

impl Engine {
    /// Finds what is new, changed or missing here.
    pub(super) async fn scan(
        &mut self,
        scope: &Scope,
        outcome: &mut Outcome,
    ) -> Result<Found, Error> {
        let mut found = block_in_place(|| self.look(scope))?;
        outcome.troubles += found.troubles.len() as u64;
        for trouble in &found.troubles {
            let path = trouble.path.to_string_lossy();
            self.journal
                .note(&path, &trouble.kind.to_string(), now())
                .await?;
        }
        outcome.again.append(&mut found.again);
        outcome.rules_changed.append(&mut found.rules_changed);
        outcome.rest |= !found.left.is_empty();
        for (path, reach) in std::mem::take(&mut found.left) {
            look_again(&mut outcome.again, path, reach);
        }
        if matches!(scope, Scope::All) || !outcome.rules_changed.is_empty() {
            let rules = self.ignore.digest();
            self.anew_when_other(Key::Rules, &rules).await?;
        }
        // A file of which only the inode says that something happened is read like one that was changed.
        for mut suspect in std::mem::take(&mut found.suspects) {
            self.numbers.content += 1;
            suspect.item.content = Content::Local(self.numbers.content);
            found.changed.push(suspect);
        }
        let seen = found
            .restamped
            .drain(..)
            .map(|(id, stamp)| Write::Seen(id, Some(stamp)));
        let seen: Vec<_> = seen.collect();
        self.journal.write(&seen).await?;
        self.withdraw(&found.forgotten, outcome).await?;
        Ok(found)
    }

    fn look(&mut self, scope: &Scope) -> Result<Found, Error> {
        let journal = &self.journal;
        let runtime = Handle::current();
        let mut known = |id: ItemId, name: Option<&str>| {
            let children = runtime.block_on(async {
                match name {
                    None => journal.children(id).await,
                    Some(name) => journal.child(id, name).await,
                }
            })?;
            Ok(children.into_iter().map(known_of).collect())
        };
        let scan = Scan {
            folder: &self.folder,
            root: self.root,
            scope,
            most: self.most,
        };
        Ok(scan.run(&mut self.ignore, &mut self.numbers, &mut known)?)
    }

    /// Forgets what is not synced any more. What the user does not want here is taken away, as far as the server
    /// has it; not before it is forgotten, or it would count as deleted here when this process dies in between.
    async fn withdraw(&self, forgotten: &[ItemId], outcome: &mut Outcome) -> Result<(), Error> {
        // Collections come before what they hold, and have to be empty to go.
        for forgotten in forgotten.rchunks(FORGOTTEN) {
            let (mut writes, mut going) = (Vec::new(), Vec::new());
            for id in forgotten.iter().rev() {
                let Some((entry, stamp)) = self.journal.item(*id).await? else {
                    continue;
                };
                writes.push(Write::Remove(*id));
                if let Some(path) = self.journal.path(*id, Side::Synced, self.root).await?
                    && self.config.excludes(&format!("/{path}"))
                {
                    going.push((entry, stamp, path));
                }
            }
            self.journal.write(&writes).await?;
            for (entry, stamp, path) in going {
                let taken = block_in_place(|| self.take_away(&entry, stamp, &path));
                if let Err(what) = taken {
                    self.note(&path, &what, outcome).await?;
                }
            }
        }
        Ok(())
    }

    fn take_away(&self, entry: &Entry, stamp: Option<Stamp>, path: &str) -> Result<(), String> {
        let Some(stamp) = stamp else {
            return Err("was changed here and stays, but is not kept in step any more".to_owned());
        };
        let taken = match entry.kind {
            Kind::Collection => remove_collection(&self.folder, path, &stamp),
            Kind::File | Kind::Link => remove_file(&self.folder, path, &stamp)
                .and_then(Old::discard)
                .map(drop),
        };
        taken.map_err(|refused| format!("stays here: {refused}"))
    }
}

fn known_of((entry, stamp): (Entry, Option<Stamp>)) -> Known {
    let item: Item = entry.item();
    Known { item, stamp }
}
