//! What either database would not take is refused before it comes there.

use super::fixture::{Fixture, path};
use crate::tree::{Error, Property, PropertyChange, Times};
use crate::types::NodePath;

fn set(namespace: usize, name: usize) -> Vec<PropertyChange> {
    vec![PropertyChange::Set(Property {
        namespace: "n".repeat(namespace),
        name: "x".repeat(name),
        xml: b"<x/>".to_vec(),
    })]
}

#[tokio::test]
async fn a_property_with_a_name_too_long_for_an_index_is_refused() {
    let f = Fixture::new().await;
    f.put("/a", b"a").await;
    for (namespace, name, fits) in [(2000, 48, true), (2000, 49, false), (0, 4000, false)] {
        let (at, changes) = (path("/a"), set(namespace, name));
        let set = f.tree.patch_properties(&at, changes, Times::default());
        match set.await {
            Ok(_) => assert!(fits, "{namespace} {name}"),
            Err(Error::TooLarge(_)) => assert!(!fits, "{namespace} {name}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_search_for_what_no_name_holds_finds_nothing() {
    let f = Fixture::new().await;
    f.put("/a", b"a").await;
    let root = f.tree.lookup(&NodePath::root()).await.unwrap();
    let top = f.tree.by_id(root.id).await.unwrap();
    let found = f.tree.search(&top, "a\0", None, 10).await.unwrap();
    assert!(found.nodes.is_empty() && found.next.is_none());
}
