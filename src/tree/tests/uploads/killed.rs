//! Uploads whose server was killed or stopped in the middle.

use super::*;
use crate::tree::{self, free_uploads};

/// A server process on a folder; dropping the runtime is its kill -9.
struct Process {
    runtime: Runtime,
    tree: Tree,
}

pub(super) async fn opened(folder: &Path, space: Option<SpaceId>) -> Tree {
    let (key, _) = MasterKey::load_or_create(&folder.join("key")).unwrap();
    let (database, data) = (testing::database(folder), folder.join("data"));
    let store = Store::open(&database, &data, key, Keep::default()).await;
    let store = store.unwrap();
    let space = if let Some(space) = space {
        space
    } else {
        tree::testing::space(&store, "~one", false, None, Millis(START)).await
    };
    let user = tree::testing::user(1, "one", space);
    Tree::new(store, user, Clock::from_fn(|| Millis(START)))
}

impl Process {
    fn start(folder: &Path, space: Option<SpaceId>) -> Self {
        let runtime = Runtime::new().unwrap();
        let tree = runtime.block_on(opened(folder, space));
        // As a server does that finds no other on the data folder.
        runtime.block_on(free_uploads(&tree.store)).unwrap();
        Self { runtime, tree }
    }

    fn kill(self) -> SpaceId {
        let space = self.tree.user().space;
        self.runtime.shutdown_background();
        space
    }
}

#[test]
fn after_a_kill_an_upload_goes_on_from_its_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(40 * MIB);
    let mut space = None;
    let (mut id, mut at) = (None, 0);
    // Killed twice while bytes come; what was paused before is not lost either time.
    for until in [20 * MIB, 36 * MIB] {
        let process = Process::start(folder.path(), space);
        let tree = process.tree.clone();
        let appender = process.runtime.block_on(async {
            if id.is_none() {
                id = Some(begin(&tree, "/a", bytes.len()).await);
                at = send(&tree, id.unwrap(), 0, &bytes[..77_777]).await.received;
                assert_eq!(at, 77_777);
            }
            let mut appender = tree.upload_append(id.unwrap(), at).await.unwrap();
            let mut from = usize::try_from(at).unwrap();
            for end in [from + 9 * MIB, from + 18 * MIB, until] {
                let end = end.min(until);
                for piece in bytes[from..end].chunks(65_536) {
                    appender.push(Bytes::copy_from_slice(piece)).await.unwrap();
                }
                // What took longer than a second is made durable.
                tokio::time::sleep(Duration::from_millis(1100)).await;
                from = end;
            }
            appender
        });
        space = Some(process.kill());
        drop(appender);

        let process = Process::start(folder.path(), space);
        let session = process
            .runtime
            .block_on(process.tree.upload_get(id.unwrap()));
        let received = session.unwrap().received;
        // At most what came since the checkpoint before the last was not noted.
        let pushed = until as u64;
        assert!(
            received > at && received <= pushed,
            "{received} of {pushed}"
        );
        assert!(
            pushed - received <= 20 * MIB as u64,
            "{received} of {pushed}"
        );
        at = received;
        space = Some(process.kill());
    }

    let process = Process::start(folder.path(), space);
    let (tree, id) = (&process.tree, id.unwrap());
    process.runtime.block_on(async {
        assert!(matches!(
            tree.lookup(&path("/a")).await,
            Err(Error::NotFound)
        ));
        let from = usize::try_from(at).unwrap();
        send(tree, id, from, &bytes[from..]).await;
        let written = tree.upload_finish(id, None).await.unwrap();
        let whole = put(tree, "/b", &bytes, Write::default()).await.unwrap();
        assert_eq!(written.node.content, whole.node.content);
        assert!(read(tree, "/a").await.unwrap() == bytes);
    });
}

#[test]
fn a_clean_stop_saves_what_arrived_of_interrupted_uploads() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), None);
    let id = process.runtime.block_on(async {
        let tree = &process.tree;
        let id = begin(tree, "/a", 100_000).await;
        let mut appender = tree.upload_append(id, 0).await.unwrap();
        appender.push(Bytes::from(vec![7; 60_000])).await.unwrap();
        drop(appender);
        tree.store.close().await;
        id
    });
    let space = process.kill();
    let process = Process::start(folder.path(), Some(space));
    process.runtime.block_on(async {
        let tree = &process.tree;
        assert_eq!(tree.upload_get(id).await.unwrap().received, 60_000);
        send(tree, id, 60_000, &vec![8; 40_000]).await;
        tree.upload_finish(id, None).await.unwrap();
        let bytes = [vec![7; 60_000], vec![8; 40_000]].concat();
        assert_eq!(read(tree, "/a").await.unwrap(), bytes);
    });
}
