//! The keys of the spaces, unwrapped once and kept.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::meta::{self, Alone, Conn, Meta, process, seals, spaces, tokens};
use super::{Error, Result};
use crate::crypto::{MasterKey, SpaceKey, SpaceKeys, Wrapped};
use crate::types::{Millis, SpaceId};

const FINGERPRINT: &str = "master_key_fingerprint";

/// Opens space keys with the master key and remembers them.
pub struct KeyRing {
    master: MasterKey,
    opened: RwLock<HashMap<SpaceId, Arc<SpaceKeys>>>,
    /// Held by whoever opens one: all others who come at once wait for him, not for connections.
    opening: tokio::sync::Mutex<()>,
}

impl KeyRing {
    /// Whether a database belongs to a key already.
    pub async fn is_marked(meta: &Meta) -> Result<bool> {
        let mark = meta::settings::get(&mut *meta.read().await?, FINGERPRINT).await?;
        Ok(mark.is_some())
    }

    /// Proves that `master` is the key of this database, or marks a new database with it.
    pub(super) async fn open(master: MasterKey, meta: &Meta) -> Result<Self> {
        let keys = Self::unmarked(master);
        keys.mark(meta).await?;
        Ok(keys)
    }

    /// Takes `master` for the key of whatever is opened with it.
    pub(super) fn unmarked(master: MasterKey) -> Self {
        Self {
            master,
            opened: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// Marks a new database with the key, or proves that it is the key of this one.
    pub async fn mark(&self, meta: &Meta) -> Result<()> {
        let found = self.master.name();
        let mine = found.clone();
        let expected = meta
            .write(move |tx| {
                Box::pin(async move { meta::settings::get_or_put(tx, FINGERPRINT, &mine).await })
            })
            .await?;
        if expected != found {
            return Err(Error::WrongKey { expected, found });
        }
        Ok(())
    }

    /// The master key, for snapshots.
    pub fn master(&self) -> &MasterKey {
        &self.master
    }

    /// The same for a database that is only read.
    pub(super) async fn open_to_read(master: MasterKey, meta: &Meta) -> Result<Self> {
        Self::prove(&master, meta).await?;
        Ok(Self::unmarked(master))
    }

    /// Proves that `master` is the key of this database.
    pub async fn prove(master: &MasterKey, meta: &Meta) -> Result<()> {
        prove(&mut *meta.read().await?, master).await
    }

    /// A fresh key for a new space, wrapped for its row, in the transaction that makes it. Fails when the
    /// store has got another master key meanwhile.
    pub async fn new_space_key(&self, conn: &mut Conn, space: SpaceId) -> Result<Vec<u8>> {
        prove(conn, &self.master).await?;
        Ok(self
            .master
            .wrap(Wrapped::Space, space, &SpaceKey::generate()?)?)
    }

    /// The key that signs access tokens; the same after a restart.
    pub fn token_key(&self) -> Zeroizing<[u8; 32]> {
        self.master.token_key()
    }

    /// The key that hashes pairing codes; the same after a restart.
    pub fn code_key(&self) -> Zeroizing<[u8; 32]> {
        self.master.code_key()
    }

    /// Whether the sealed key of a space opens, and all that seal what is stored in it.
    pub async fn opens(&self, conn: &mut Conn, space: SpaceId, wrapped: &[u8]) -> Result<()> {
        self.unwrap(conn, space, wrapped).await.map(drop)
    }

    /// Takes the keys of all spaces from the database again, because older ones are not needed any more.
    pub fn forget(&self) {
        let opened = self.opened.write();
        opened.unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn unwrap(&self, conn: &mut Conn, space: SpaceId, wrapped: &[u8]) -> Result<SpaceKeys> {
        let own = self.master.unwrap(Wrapped::Space, space, wrapped)?;
        let mut keys = SpaceKeys::derive(space, &own);
        for seal in seals::of_space(conn, space).await? {
            keys = keys.sealed_by(&self.master.unwrap(Wrapped::Seal, space, &seal)?);
        }
        if seals::left(conn).await?.is_none() {
            keys = keys.forget_older();
        }
        Ok(keys)
    }

    /// The keys of a space.
    pub async fn of(&self, meta: &Meta, space: SpaceId) -> Result<Arc<SpaceKeys>> {
        if let Some(keys) = self.known(space) {
            return Ok(keys);
        }
        let _opening = self.opening.lock().await;
        if let Some(keys) = self.known(space) {
            return Ok(keys);
        }
        let keys = {
            let mut conn = meta.read().await?;
            let wrapped = spaces::wrapped_key(&mut conn, space).await?;
            Arc::new(self.unwrap(&mut conn, space, &wrapped).await?)
        };
        self.opened
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(space, Arc::clone(&keys));
        Ok(keys)
    }

    fn known(&self, space: SpaceId) -> Option<Arc<SpaceKeys>> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        opened.get(&space).cloned()
    }
}

async fn prove(conn: &mut Conn, master: &MasterKey) -> Result<()> {
    let expected = meta::settings::get(conn, FINGERPRINT).await?;
    let expected = expected.ok_or(Error::Unfit("nothing was ever stored in it"))?;
    let found = master.name();
    if expected != found {
        return Err(Error::WrongKey { expected, found });
    }
    Ok(())
}

/// What became of a change of the master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rekeyed {
    /// Done: so many spaces.
    Done(usize),
    /// The new key was that of the store already.
    Before,
    /// Nothing was changed, because a process uses the store, or did less than a minute ago.
    InUse,
}

/// Makes `new` the master key of a store that nobody else may be using, all or nothing. Every space key
/// is wrapped anew and stays what it is. What `old` alone made ends: access tokens and pairing codes.
///
/// With `reseal` each space gets a new key that seals from now on, and what is sealed already is marked
/// as to be sealed anew.
pub async fn rekey(
    meta: &Meta,
    (old, new): (MasterKey, MasterKey),
    reseal: bool,
    now: Millis,
) -> Result<Rekeyed> {
    let shared = meta.is_shared();
    meta.write(move |conn| {
        Box::pin(async move {
            conn.alone(Alone::Accounts).await?;
            if prove(conn, &new).await.is_ok() {
                return Ok(Rekeyed::Before);
            }
            prove(conn, &old).await?;
            if shared && is_used(conn, now).await? {
                return Ok(Rekeyed::InUse);
            }
            let all = spaces::wrapped_keys(conn).await?;
            for (space, wrapped) in &all {
                let again = old.rewrap(&new, Wrapped::Space, *space, wrapped)?;
                spaces::set_key(conn, *space, &again).await?;
            }
            for seal in seals::all(conn).await? {
                let again = old.rewrap(&new, Wrapped::Seal, seal.space, &seal.wrapped)?;
                seals::set_key(conn, seal.id, &again).await?;
            }
            if reseal {
                for (space, _) in &all {
                    let key = SpaceKey::generate()?;
                    let wrapped = new.wrap(Wrapped::Seal, *space, &key)?;
                    seals::insert(conn, *space, &wrapped).await?;
                }
                seals::begin(conn).await?;
                if !shared {
                    // Whoever was killed appends no more, and what he appended to is to be emptied.
                    process::clear(conn).await?;
                }
            }
            tokens::forget_codes(conn).await?;
            meta::settings::put(conn, FINGERPRINT, &new.name()).await?;
            Ok(Rekeyed::Done(all.len()))
        })
    })
    .await
}

/// Whether a process may be using the store; those that have not been heard of do not count.
async fn is_used(conn: &mut Conn, now: Millis) -> Result<bool> {
    conn.alone(Alone::Collecting).await?;
    process::expire(conn, now).await?;
    Ok(process::floor(conn).await?.is_some())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::Store;
    use crate::store::meta::{testing, versions::Keep};
    use crate::types::{Clock, NodeId};

    /// A key of a known number, as often as it is needed.
    fn master(folder: &Path, nth: u8) -> MasterKey {
        let file = folder.join(format!("key {nth}"));
        MasterKey::load_or_create(&file).unwrap().0
    }

    async fn open(folder: &Path, nth: u8) -> Result<Arc<Store>> {
        let database = testing::database(folder);
        let (data, key) = (folder.join("data"), master(folder, nth));
        Store::open(&database, &data, key, Keep::default()).await
    }

    /// Makes spaces; what stands for some bytes in each.
    async fn spaces(store: &Arc<Store>, names: &[&'static str]) -> Vec<(SpaceId, [u8; 32])> {
        let mut made = Vec::new();
        for &name in names {
            let ring = Arc::clone(store);
            let space = store.meta.write(move |tx| {
                Box::pin(async move {
                    let space = spaces::create(tx, name, false, None).await?;
                    let key = ring.keys.new_space_key(tx, space).await?;
                    spaces::set_key_and_root(tx, space, &key, NodeId(0)).await?;
                    Ok::<_, Error>(space)
                })
            });
            let space = space.await.unwrap();
            made.push((space, stands_for(store, space).await.unwrap()));
        }
        made
    }

    async fn stands_for(store: &Store, space: SpaceId) -> Result<[u8; 32]> {
        let keys = store.keys.of(&store.meta, space).await?;
        Ok(keys.chunk_id(b"some bytes").0)
    }

    async fn change(folder: &Path, from: u8, to: u8) -> Result<Rekeyed> {
        let meta = Meta::open(&testing::database(folder)).await.unwrap();
        let now = Clock::system().now();
        let done = rekey(
            &meta,
            (master(folder, from), master(folder, to)),
            false,
            now,
        )
        .await;
        meta.close().await;
        done
    }

    #[tokio::test]
    async fn a_new_master_key_opens_every_space_and_the_old_one_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let store = open(folder, 1).await.unwrap();
        let made = spaces(&store, &["a", "b", "c"]).await;
        store.close().await;

        assert_eq!(change(folder, 1, 2).await.unwrap(), Rekeyed::Done(3));

        let refused = open(folder, 1).await.err().unwrap();
        let Error::WrongKey { expected, found } = refused else {
            panic!("{refused}")
        };
        let names = [2, 1].map(|nth| master(folder, nth).name());
        assert_eq!([expected, found], names);
        let store = open(folder, 2).await.unwrap();
        for (space, known) in made {
            assert_eq!(stands_for(&store, space).await.unwrap(), known);
        }
        store.close().await;
        // Asked once more, as after a kill: it is so already, and the wrong way round it is refused.
        assert_eq!(change(folder, 1, 2).await.unwrap(), Rekeyed::Before);
        assert!(change(folder, 1, 3).await.is_err());
    }

    #[tokio::test]
    async fn one_key_that_does_not_open_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let store = open(folder, 1).await.unwrap();
        let made = spaces(&store, &["a", "b"]).await;
        let (good, bad) = (made[0], made[1].0);
        let swapped = "UPDATE space SET wrapped_key =
            (SELECT wrapped_key FROM space WHERE id = $1) WHERE id = $2";
        let ids = [good.0.0, bad.0];
        let done: Result<u64> = store
            .meta
            .write(move |tx| Box::pin(async move { testing::execute(tx, swapped, &ids).await }))
            .await;
        done.unwrap();
        store.close().await;

        let refused = change(folder, 1, 2).await;

        assert!(matches!(refused, Err(Error::Crypto(_))), "{refused:?}");
        assert!(open(folder, 2).await.is_err());
        let store = open(folder, 1).await.unwrap();
        assert_eq!(stands_for(&store, good.0).await.unwrap(), good.1);
        store.close().await;
    }

    #[tokio::test]
    async fn no_space_is_made_under_a_master_key_that_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let store = open(folder, 1).await.unwrap();
        spaces(&store, &["a"]).await;
        change(folder, 1, 2).await.unwrap();
        let ring = Arc::clone(&store);
        let late = store.meta.write(move |tx| {
            Box::pin(async move { ring.keys.new_space_key(tx, SpaceId(9)).await })
        });
        let late = late.await;
        assert!(matches!(late, Err(Error::WrongKey { .. })), "{late:?}");
        store.close().await;
    }

    #[tokio::test]
    async fn a_process_at_work_on_a_shared_database_keeps_the_key_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let store = open(folder, 1).await.unwrap();
        spaces(&store, &["a"]).await;
        let pin = store.pin().await.unwrap();
        let done = change(folder, 1, 2).await.unwrap();
        if store.meta.is_shared() {
            assert_eq!(done, Rekeyed::InUse);
        } else {
            // There the lock of the data folder says who is at work.
            assert_eq!(done, Rekeyed::Done(1));
        }
        drop(pin);
        store.close().await;
    }
}
