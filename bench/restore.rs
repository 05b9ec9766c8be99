//! Times restoring a folder of 10,000 files from trash, which has no route yet.
//! `cargo run --release --example restore`

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use sync_server::crypto::MasterKey;
use sync_server::store::Store;
use sync_server::store::meta::versions::Keep;
use sync_server::tree::{NewSpace, Tree, User, Write, create_space};
use sync_server::types::{AccountId, Clock, NodePath, SpaceId};

const FILES: usize = 10_000;
const ROUNDS: usize = 9;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("sync-restore-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let timed = measure(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    let mut millis = timed?;
    millis.sort_by(f64::total_cmp);
    let (median, most) = (millis[ROUNDS / 2], millis[ROUNDS - 1]);
    writeln!(
        std::io::stdout(),
        "restore of {FILES} files: median {median:.1} ms, max {most:.1} ms"
    )?;
    Ok(())
}

async fn measure(folder: &std::path::Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let key = MasterKey::generate()?;
    let (database, data) = (folder.join("sync.db").into(), folder.join("data"));
    let store = Store::open(&database, &data, key, Keep::default()).await?;
    let clock = Clock::system();
    let (inner, now) = (Arc::clone(&store), clock.now());
    let made: Result<SpaceId, sync_server::tree::Error> = store
        .meta
        .write(move |conn| {
            Box::pin(async move {
                let new = NewSpace {
                    name: "one",
                    everyone: false,
                    quota: None,
                    folders: &[],
                };
                create_space(conn, &inner.keys, new, now).await
            })
        })
        .await;
    let user = User {
        account: AccountId(1),
        name: "one".into(),
        space: made?,
        device: None,
    };
    let tree = Tree::new(Arc::clone(&store), user, clock);
    let top = NodePath::parse("/many")?;
    tree.mkdir(&top, None).await?;
    for number in 0..FILES {
        let at = NodePath::parse(&format!("/many/{number}"))?;
        let upload = tree.upload(&at, Some(0), None).await?;
        tree.commit(&at, upload, Write::default()).await?;
    }
    let mut millis = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        tree.remove(&top).await?;
        let trashed = tree.trash(&NodePath::root(), None).await?;
        let id = trashed.first().ok_or("nothing in trash")?.node.id;
        let start = Instant::now();
        tree.restore(id).await?;
        millis.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    store.close().await;
    Ok(millis)
}
