//! Files that look edited and are not.

use std::fs::File;
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use super::wire::keys;
use super::world::World;
use crate::chunk::Class;
use crate::client::item::ItemId;
use crate::client::journal::Write;
use crate::client::local::cutting::Cutting;
use crate::client::local::read::Opened;
use crate::client::pass::content::list_of;

#[tokio::test(flavor = "multi_thread")]
async fn a_touched_file_is_no_edit_whether_or_not_it_is_known_how_it_is_cut() {
    for known in [true, false] {
        let mut world = World::with(&["x"]).await;
        let id = ItemId(world.server().find("x").unwrap());
        if !known {
            // Without the list
            let row = world.engine.journal.item(id).await.unwrap();
            let (entry, stamp) = row.unwrap();
            let writes = [Write::Remove(id), Write::Put(entry, stamp)];
            world.engine.journal.write(&writes).await.unwrap();
        }
        let later = SystemTime::now() + Duration::from_mins(10);
        let file = File::options().write(true).open(world.at("x")).unwrap();
        file.set_modified(later).unwrap();
        world.server().put("x", "an edit of another");
        let pushed = world.server().pushed.len();
        let outcome = world.pass().await;
        world.go_on(outcome).await;
        assert_eq!(world.server().pushed.len(), pushed);
        assert_eq!(world.tree()["x"], "an edit of another");
        assert_eq!(world.server().asked.len(), usize::from(!known));
    }
}

#[test]
fn a_file_is_the_one_that_is_known_whichever_way_the_server_has_cut_it() {
    let file = NamedTempFile::new().unwrap();
    let mut bytes = vec![0; 1_000_000];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    std::fs::write(file.path(), &bytes).unwrap();
    let opened = Opened::of(file.as_file()).unwrap();
    let [usual, other] =
        [Class::Small, Class::Large].map(|class| Cutting::whole(class, &bytes, &keys()));
    assert_ne!(usual.chunks, other.chunks);
    for there in [&usual, &other] {
        let found = list_of(usual.clone(), &opened, &there.chunks, &keys());
        assert_eq!(found.unwrap().as_ref(), Some(there));
    }
    let edited = Cutting::whole(Class::Small, &bytes[1..], &keys());
    let found = list_of(usual, &opened, &edited.chunks, &keys());
    assert_eq!(found.unwrap(), None);
}
