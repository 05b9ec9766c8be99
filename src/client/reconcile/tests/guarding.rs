//! When a plan removes too much.

use super::plan;
use super::short::What::{Collection, File};
use super::short::tree;
use crate::client::reconcile::Tree;
use crate::client::reconcile::guard::{Count, Removal, too_much};

fn count(files: u64, items: u64) -> Count {
    Count { files, items }
}

/// Ids from 2 on, in one collection.
fn files(numbers: std::ops::Range<i64>) -> Tree {
    let names: Vec<_> = numbers.clone().map(|number| number.to_string()).collect();
    let mut items = vec![(2, 0, "d", Collection)];
    items.extend(
        numbers
            .zip(&names)
            .map(|(number, name)| (number + 3, 2, name.as_str(), File("f1"))),
    );
    tree(&items)
}

#[test]
fn the_last_files_of_a_side_do_not_go_without_a_question() {
    let (full, none) = (files(0..5), tree(&[]));
    let plan = plan(&full, &none, &full);
    assert_eq!(plan.removed_here, count(5, 6));
    assert_eq!(too_much(&plan, count(6, 9)), None);
    let found = too_much(&plan, count(5, 9)).unwrap();
    let expected = Removal {
        removed: count(5, 6),
        of: count(5, 9),
    };
    assert_eq!((found.here, found.there), (Some(expected), None));
}

#[test]
fn a_few_files_go_without_a_question_unless_nothing_is_left() {
    let (full, none) = (files(0..3), tree(&[]));
    let plan = plan(&full, &none, &full);
    assert_eq!(plan.removed_here, count(3, 4));
    assert_eq!(too_much(&plan, count(3, 9)), None);
    assert!(too_much(&plan, count(3, 4)).is_some());
}

#[test]
fn the_sides_are_judged_each_by_itself() {
    let (full, none) = (files(0..5), tree(&[]));
    let plan = plan(&none, &full, &full);
    assert_eq!(
        (plan.removed_here, plan.removed_there),
        (count(0, 0), count(5, 6))
    );
    let found = too_much(&plan, count(5, 6)).unwrap();
    assert!(found.here.is_none() && found.there.is_some());
}

#[test]
fn more_than_half_of_many_items_is_too_much() {
    let (full, rest) = (files(0..60), files(51..60));
    let plan = plan(&rest, &full, &full);
    assert_eq!(plan.removed_there, count(51, 51));
    let judged = |items| too_much(&plan, count(1000, items)).is_some();
    assert!(judged(101));
    assert!(!judged(102));
    assert!(!judged(100), "of few items half may go");
}

#[test]
fn empty_collections_may_all_go_where_there_are_few() {
    let (full, none) = (files(0..0), tree(&[]));
    let plan = plan(&full, &none, &full);
    assert_eq!(plan.removed_here, count(0, 1));
    assert_eq!(too_much(&plan, count(0, 1)), None);
}

#[test]
fn what_moves_is_not_removed() {
    let from = tree(&[(2, 0, "d", Collection), (3, 2, "a", File("f1"))]);
    let to = tree(&[(3, 0, "a", File("f1"))]);
    let plan = plan(&from, &to, &from);
    assert_eq!(plan.removed_here, count(0, 1));
}
