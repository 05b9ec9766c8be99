//! What a push holds while its sender pauses.

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::crypto::MasterKey;
use crate::protocol::stream;
use crate::store::Store;
use crate::store::meta::testing;
use crate::store::meta::versions::Keep;
use crate::types::{Clock, Millis};

/// How long a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Files of 8,000 bytes that take more than one turn together, and are no batch.
const FILES: usize = 200;

async fn tree(folder: &TempDir) -> Tree {
    let (key, _) = MasterKey::load_or_create(&folder.path().join("key")).unwrap();
    let (database, data) = (testing::database(folder.path()), folder.path().join("data"));
    let store = Store::open(&database, &data, key, Keep::default()).await;
    let store = store.unwrap();
    let space = tree::testing::space(&store, "~one", false, None, Millis(1)).await;
    let user = tree::testing::user(1, "one", space);
    Tree::new(store, user, Clock::system())
}

/// A stream that has not ended.
fn files() -> Bytes {
    let mut bytes = Vec::new();
    stream::magic(&mut bytes);
    for n in 0..FILES {
        let json = format!(r#"{{"op":"put","path":"/{n}","size":8000}}"#);
        stream::file(&mut bytes, json.as_bytes());
        let mut content = vec![0; 8000];
        blake3::Hasher::new()
            .update(json.as_bytes())
            .finalize_xof()
            .fill(&mut content);
        stream::lit(&mut bytes, &content);
        stream::end(&mut bytes);
    }
    bytes.into()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn turns_come_back_once_files_are_named_though_their_sender_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = Body::from_stream(ReceiverStream::new(receiver));
    let mut push = Receiver::new(tree(&folder).await, body);
    let running = tokio::spawn(async move { push.run().await.map_err(|_| "refused") });
    sender.send(Ok(files())).await.unwrap();
    until("no turn is taken", || HOLDING.available_permits() < TURNS).await;
    until("turns are kept", || HOLDING.available_permits() == TURNS).await;
    assert!(!running.is_finished());
    drop(sender);
    let results = running.await.unwrap().unwrap();
    let done = |result: &PushResult| result.status == PushStatus::Done;
    assert_eq!(results.iter().filter(|result| done(result)).count(), FILES);
}
