//! Files that look edited and are not.

use std::fs::File;
use std::time::{Duration, SystemTime};

use super::world::World;
use crate::client::item::ItemId;
use crate::client::journal::Write;

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
