//! A folder, a journal, and a server in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use tempfile::TempDir;

use super::model::Model;
use crate::client::config::Config;
use crate::client::journal::Journal;
use crate::client::local::folder::{Folder, OWN};
use crate::client::local::scan::{Reach, Scope};
use crate::client::pass::{Asked, Engine, Outcome};
use crate::client::progress::Progress;
use crate::client::remote::tests::session;
use crate::client::remote::tests::stand::Stand;

/// A device with its server.
pub(super) struct World {
    dir: TempDir,
    pub(super) engine: Engine,
    server: Arc<Mutex<Model>>,
    _stand: Stand,
}

impl World {
    /// With these files on both sides.
    pub(super) async fn with(files: &[&str]) -> Self {
        let world = Self::new().await;
        for path in files {
            world.write(path, &format!("bytes of {path}"));
        }
        // Stamps that can be relied on
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        let mut world = world;
        world.settle().await;
        world
    }

    pub(super) async fn new() -> Self {
        let dir = TempDir::with_prefix("sync-pass-").unwrap();
        let path = dir.path().join("folder");
        fs::create_dir(&path).unwrap();
        let id = Folder::create(&path).unwrap();
        let server = Arc::new(Mutex::new(Model::new()));
        let model = Arc::clone(&server);
        let stand = Stand::start(move |seen| Some(model.lock().unwrap().answer(&seen))).await;
        let folder = Arc::new(Folder::open(&path, &id).unwrap());
        let journal = Journal::open(&dir.path().join("journal.db")).await.unwrap();
        let session = session(&stand.address(), dir.path(), 900).await;
        let progress = Arc::new(Progress::default());
        let config = Config::new(path, id);
        let engine = Engine::open(folder, Arc::new(journal), session, config, progress);
        Self {
            engine: engine.await.unwrap(),
            dir,
            server,
            _stand: stand,
        }
    }

    pub(super) fn server(&self) -> MutexGuard<'_, Model> {
        self.server.lock().unwrap()
    }

    /// One pass over everything.
    pub(super) async fn pass(&mut self) -> Outcome {
        self.pass_in(Scope::All).await
    }

    /// One pass over some paths, which hears of the server's news as well.
    pub(super) async fn pass_over(&mut self, paths: &[(&str, Reach)]) -> Outcome {
        let paths = paths
            .iter()
            .map(|(path, reach)| ((*path).to_owned(), *reach));
        self.pass_in(Scope::Dirty(paths.collect())).await
    }

    pub(super) async fn pass_in(&mut self, scope: Scope) -> Outcome {
        let asked = Asked {
            scope,
            pull: true,
            force_delete: true,
        };
        self.engine.pass(&asked).await.unwrap()
    }

    /// Passes over what the last one wants to be looked at again, as the daemon makes them.
    pub(super) async fn go_on(&mut self, mut outcome: Outcome) -> Outcome {
        for _ in 0..10 {
            if !outcome.more && !outcome.rest && outcome.again.is_empty() {
                return outcome;
            }
            let again = std::mem::take(&mut outcome.again);
            outcome = self.pass_in(Scope::Dirty(again)).await;
        }
        panic!("it does not come to an end: {outcome:?}");
    }

    /// Until all is in step.
    pub(super) async fn settle(&mut self) {
        let outcome = self.pass().await;
        self.go_on(outcome).await;
        assert_eq!(self.server().tree(), self.tree());
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("folder").join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    pub(super) fn mkdir(&self, path: &str) {
        fs::create_dir_all(self.at(path)).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    pub(super) fn remove(&self, path: &str) {
        let at = self.at(path);
        if at.is_dir() {
            fs::remove_dir_all(at).unwrap();
        } else {
            fs::remove_file(at).unwrap();
        }
    }

    /// All that is here but what is the client's own.
    pub(super) fn tree(&self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        let mut left = vec![String::new()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(self.at(&dir)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name == OWN {
                    continue;
                }
                let path = crate::client::local::join(&dir, &name);
                let text = if self.at(&path).is_dir() {
                    left.push(path.clone());
                    String::new()
                } else {
                    fs::read_to_string(self.at(&path)).unwrap()
                };
                tree.insert(path, text);
            }
        }
        tree
    }
}
