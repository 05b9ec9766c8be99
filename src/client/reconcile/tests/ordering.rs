//! The order of steps, by examples.

use super::plan;
use super::short::What::{Collection, File};
use super::short::{here, tree};
use crate::client::reconcile::Tree;

/// The steps that make one tree of another here.
fn steps(from: &Tree, to: &Tree) -> Vec<String> {
    here(&plan(from, to, from))
}

#[test]
fn collections_are_made_before_what_lies_in_them() {
    let to = tree(&[
        (9, 0, "d", Collection),
        (4, 9, "e", Collection),
        (2, 4, "a", File("f1")),
    ]);
    assert_eq!(
        steps(&tree(&[]), &to),
        ["make 9 /d", "make 4 9/e", "fetch 2 4/a"]
    );
}

#[test]
fn a_name_is_left_before_another_item_takes_it() {
    let from = tree(&[(2, 0, "a", File("f1")), (3, 0, "b", File("f2"))]);
    let to = tree(&[(2, 0, "b", File("f1")), (3, 0, "c", File("f2"))]);
    assert_eq!(steps(&from, &to), ["move 3 /c", "move 2 /b"]);
}

#[test]
fn swapped_names_pass_each_other_by_a_temporary_one() {
    let from = tree(&[(2, 0, "a", File("f1")), (3, 0, "b", File("f2"))]);
    let to = tree(&[(2, 0, "b", File("f1")), (3, 0, "a", File("f2"))]);
    let plan = plan(&from, &to, &from);
    assert_eq!(
        here(&plan),
        ["park 3 /temporary3", "move 2 /b", "move 3 /a"]
    );
    assert_eq!(plan.here[1].needs, [0]);
    assert_eq!(plan.here[2].needs, [1, 0]);
}

#[test]
fn a_rotation_of_many_names_needs_one_temporary_name() {
    let names: Vec<_> = (0..50).map(|number| format!("n{number}")).collect();
    let turned = |by: usize| {
        let items = (0..50_usize).map(|id| {
            let name = names[(id + by) % 50].as_str();
            (i64::try_from(id).unwrap() + 2, 0, name, File("f1"))
        });
        tree(&items.collect::<Vec<_>>())
    };
    let steps = steps(&turned(0), &turned(1));
    assert_eq!(steps.len(), 51);
    assert_eq!(
        steps.iter().filter(|step| step.starts_with("park")).count(),
        1
    );
}

#[test]
fn a_collection_goes_after_what_has_to_be_moved_out_of_it() {
    let from = tree(&[
        (2, 0, "d", Collection),
        (3, 2, "e", Collection),
        (4, 3, "a", File("f1")),
        (5, 3, "b", File("f2")),
    ]);
    let to = tree(&[(4, 0, "z", File("f1"))]);
    let plan = plan(&from, &to, &from);
    assert_eq!(here(&plan), ["move 4 /z", "remove 2 3 5"]);
    assert_eq!(plan.here[1].needs, [0]);
}

#[test]
fn what_takes_the_place_of_the_collection_it_lies_in_waits_beside_it() {
    let from = tree(&[(2, 0, "d", Collection), (3, 2, "a", File("f1"))]);
    let to = tree(&[(3, 0, "d", File("f1"))]);
    assert_eq!(
        steps(&from, &to),
        ["park 3 /temporary3", "remove 2", "move 3 /d"]
    );
}

#[test]
fn a_collection_and_the_one_it_lies_in_change_places() {
    let from = tree(&[(2, 0, "a", Collection), (3, 2, "b", Collection)]);
    let to = tree(&[(3, 0, "a", Collection), (2, 3, "b", Collection)]);
    assert_eq!(
        steps(&from, &to),
        ["park 2 /temporary2", "move 3 /a", "move 2 3/b"]
    );
}

#[test]
fn a_collection_moves_into_a_new_one_below_what_lay_below_it() {
    let from = tree(&[(2, 0, "x", Collection), (3, 2, "q", Collection)]);
    let to = tree(&[
        (3, 0, "q", Collection),
        (4, 3, "p", Collection),
        (2, 4, "x", Collection),
    ]);
    let steps = steps(&from, &to);
    let at = |step: &str| steps.iter().position(|other| other == step).unwrap();
    assert!(at("move 3 /q") < at("move 2 4/x"), "{steps:?}");
    assert!(at("make 4 3/p") < at("move 2 4/x"), "{steps:?}");
}

#[test]
fn removals_come_last() {
    let from = tree(&[(2, 0, "a", File("f1"))]);
    let to = tree(&[(3, 0, "b", File("f2"))]);
    assert_eq!(steps(&from, &to), ["fetch 3 /b", "remove 2"]);
}
