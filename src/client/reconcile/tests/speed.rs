//! Large plans take no more than their size.

use std::time::Duration;

use super::disk::{Disk, Node, ROOT};
use super::plan;
use crate::client::item::{ItemId, Kind};
use crate::client::reconcile::{Plan, Tree};

/// Of computing time for each item: five times what it takes in code that was built quickly, on a machine of 2026.
const LIMIT: Duration = Duration::from_micros(100);

/// How long this thread has computed; waiting for others does not count.
fn computed() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = times.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap())
}

/// A hundred files in each collection; `name` gives each file its name.
fn wide(sign: i64, count: i64, name: impl Fn(i64) -> String) -> Tree {
    let mut disk = Disk::new();
    let mut parent = ROOT;
    for number in 0..count {
        let id = ItemId(sign * (number + 2));
        if number % 100 == 0 {
            parent = id;
            disk.make(id, Node::new(ROOT, &format!("d{number}"), Kind::Collection));
        } else {
            disk.make(id, Node::new(parent, &name(number), Kind::File));
        }
    }
    disk.tree()
}

fn timed(what: &str, local: &Tree, remote: &Tree, synced: &Tree) -> Plan {
    let start = computed();
    let plan = plan(local, remote, synced);
    let taken = computed().saturating_sub(start);
    println!(
        "{what}: {} and {} steps in {taken:?}",
        plan.here.len(),
        plan.there.len()
    );
    let limit = LIMIT * u32::try_from(size()).unwrap();
    assert!(!plan.is_empty() && taken < limit, "{what}: {taken:?}");
    plan
}

/// How many items.
fn size() -> i64 {
    if std::env::var_os("SYNC_TEST_LONG").is_some() {
        100_000
    } else {
        10_000
    }
}

#[test]
fn new_renamed_swapped_and_removed_items_plan_in_time() {
    let none = Disk::new().tree();
    let usual = |number: i64| format!("name of a file {number}");
    let old = wide(1, size(), usual);
    let new = timed("new here", &wide(-1, size(), usual), &none, &none);
    assert_eq!(i64::try_from(new.there.len()).unwrap(), size());
    timed("new there", &none, &old, &none);
    timed("removed", &old, &none, &old);
    timed("made on both sides", &wide(-1, size(), usual), &old, &none);
    timed(
        "renamed",
        &wide(1, size(), |number| format!("other {number}")),
        &old,
        &old,
    );
    let swapped = wide(1, size(), |number| usual(number ^ 1));
    timed("swapped", &old, &swapped, &old);
    let turned = |number: i64| {
        if number % 100 == 99 {
            usual(number - 98)
        } else {
            usual(number + 1)
        }
    };
    timed("turned", &old, &wide(1, size(), turned), &old);
}

#[test]
fn deep_trees_and_many_things_moved_out_of_one_plan_in_time() {
    let chain = |name: &str| {
        let mut disk = Disk::new();
        for number in 0..size() {
            let parent = if number == 0 {
                ROOT
            } else {
                ItemId(number + 1)
            };
            disk.make(
                ItemId(number + 2),
                Node::new(parent, name, Kind::Collection),
            );
        }
        disk.tree()
    };
    let none = Disk::new().tree();
    timed("deep", &none, &chain("a"), &none);
    timed("deep and renamed", &chain("a"), &chain("b"), &chain("a"));
    // Each of them takes a name that another one leaves, out of a collection that goes.
    let spread = |inside: bool| {
        let mut disk = Disk::new();
        let mut parent = ROOT;
        if inside {
            parent = ItemId(2);
            disk.make(parent, Node::new(ROOT, "d", Kind::Collection));
        }
        for number in 3..size() {
            let name = if inside { number } else { number ^ 1 };
            disk.make(
                ItemId(number),
                Node::new(parent, &name.to_string(), Kind::File),
            );
        }
        disk.tree()
    };
    timed("moved out", &spread(true), &spread(false), &spread(true));
}
