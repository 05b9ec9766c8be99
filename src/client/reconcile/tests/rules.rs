//! Each rule of the merge by an example.

use super::plan;
use super::short::What::{Collection, Edited, File, Link, Mount, Program};
use super::short::{adopted, both, steps, tree};
use crate::client::item::{Content, ItemId};
use crate::client::reconcile::{Names, Unsound, reconcile};

#[test]
fn what_is_the_same_everywhere_needs_nothing() {
    let same = tree(&[(2, 0, "d", Collection), (3, 2, "a", File("f1"))]);
    assert!(plan(&same, &same, &same).is_empty());
}

#[test]
fn what_one_side_changed_goes_to_the_other() {
    let synced = tree(&[(2, 0, "a", File("f1")), (3, 0, "b", File("f2"))]);
    let local = tree(&[(2, 0, "a", Edited(7)), (3, 0, "b", File("f2"))]);
    let remote = tree(&[(2, 0, "a", File("f1")), (3, 0, "c", File("f3"))]);
    let expected = steps(&["move 3 /c", "replace 3 /c"], &["upload 2 /a f1"]);
    assert_eq!(both(&plan(&local, &remote, &synced)), expected);
}

#[test]
fn a_move_here_and_an_edit_there_both_hold() {
    let synced = tree(&[(2, 0, "a", File("f1"))]);
    let local = tree(&[(2, 0, "b", File("f1"))]);
    let remote = tree(&[(2, 0, "a", File("f2"))]);
    let expected = steps(&["replace 2 /b"], &["move 2 /b"]);
    assert_eq!(both(&plan(&local, &remote, &synced)), expected);
}

#[test]
fn when_both_sides_did_the_same_only_the_journal_learns_it() {
    let synced = tree(&[(2, 0, "a", File("f1")), (3, 0, "x", File("f2"))]);
    let now = tree(&[(2, 0, "b", File("f1"))]);
    let plan = plan(&now, &now, &synced);
    assert_eq!(both(&plan), steps(&[], &[]));
    assert_eq!(plan.settled, [ItemId(2), ItemId(3)]);
}

#[test]
fn when_both_sides_renamed_an_item_the_name_of_the_server_holds() {
    let synced = tree(&[(2, 0, "a", File("f1"))]);
    let local = tree(&[(2, 0, "b", File("f1"))]);
    let remote = tree(&[(2, 0, "c", File("f1"))]);
    assert_eq!(
        both(&plan(&local, &remote, &synced)),
        steps(&["move 2 /c"], &[])
    );
}

#[test]
fn when_both_sides_edited_a_file_the_local_bytes_go_up_with_their_base() {
    let synced = tree(&[(2, 0, "a", File("f1"))]);
    let local = tree(&[(2, 0, "a", Edited(7))]);
    let remote = tree(&[(2, 0, "a", File("f2"))]);
    let plan = plan(&local, &remote, &synced);
    assert_eq!(both(&plan), steps(&[], &["upload 2 /a f1"]));
    let merged = plan.merged.get(ItemId(2)).unwrap();
    assert_eq!(merged.content, Content::Local(7));
}

#[test]
fn executable_goes_either_way_and_comes_with_a_content() {
    let synced = tree(&[
        (2, 0, "a", File("f1")),
        (3, 0, "b", File("f1")),
        (4, 0, "c", Program("f1")),
    ]);
    let local = tree(&[
        (2, 0, "a", Program("f1")),
        (3, 0, "b", File("f1")),
        (4, 0, "c", Program("f1")),
    ]);
    let remote = tree(&[
        (2, 0, "a", File("f1")),
        (3, 0, "b", Program("f1")),
        (4, 0, "c", File("f2")),
    ]);
    let plan = plan(&local, &remote, &synced);
    let expected = steps(
        &["executable 3 true", "replace 4 /c"],
        &["executable 2 true"],
    );
    assert_eq!(both(&plan), expected);
    assert!(!plan.merged.get(ItemId(4)).unwrap().executable);
}

#[test]
fn when_nobody_knows_what_was_the_executable_of_the_server_holds() {
    let none = tree(&[]);
    let local = tree(&[(2, 0, "a", Program("f1"))]);
    let remote = tree(&[(2, 0, "a", File("f1"))]);
    let expected = steps(&["executable 2 false"], &[]);
    assert_eq!(both(&plan(&local, &remote, &none)), expected);
}

#[test]
fn collections_made_on_both_sides_are_one_with_what_both_hold() {
    let local = tree(&[
        (-1, 0, "d", Collection),
        (-2, -1, "e", Collection),
        (-3, -2, "a", Edited(7)),
    ]);
    let remote = tree(&[
        (5, 0, "d", Collection),
        (6, 5, "e", Collection),
        (7, 6, "b", File("f1")),
    ]);
    let plan = plan(&local, &remote, &tree(&[]));
    assert_eq!(adopted(&plan), [(-1, 5), (-2, 6)]);
    assert_eq!(
        both(&plan),
        steps(&["fetch 7 6/b"], &["upload -3 6/a none"])
    );
    assert_eq!(plan.settled, [ItemId(5), ItemId(6)]);
}

#[test]
fn files_made_on_both_sides_are_one_and_the_server_sorts_them_out() {
    let local = tree(&[(-1, 0, "a", Edited(7)), (-2, 0, "l", Link("f9"))]);
    let remote = tree(&[(5, 0, "a", File("f1")), (6, 0, "l", Link("f2"))]);
    let plan = plan(&local, &remote, &tree(&[]));
    assert_eq!(adopted(&plan), [(-1, 5), (-2, 6)]);
    assert_eq!(
        both(&plan),
        steps(&[], &["upload 5 /a none", "upload 6 /l none"])
    );
}

#[test]
fn of_a_file_and_a_collection_of_one_name_the_local_one_gets_out_of_the_way() {
    let local = tree(&[
        (-1, 0, "a", Edited(7)),
        (-2, 0, "b", Collection),
        (-3, 0, "c", Link("f9")),
    ]);
    let remote = tree(&[
        (5, 0, "a", Collection),
        (6, 0, "b", File("f1")),
        (7, 0, "c", File("f2")),
    ]);
    let plan = plan(&local, &remote, &tree(&[]));
    assert_eq!(adopted(&plan), []);
    let here = [
        "move -3 /c~0",
        "move -2 /b~0",
        "move -1 /a~0",
        "make 5 /a",
        "fetch 6 /b",
        "fetch 7 /c",
    ];
    let mut found = both(&plan);
    found.0.sort();
    let mut expected = steps(
        &here,
        &["upload -3 /c~0 none", "make -2 /b~0", "upload -1 /a~0 none"],
    );
    expected.0.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_moves_onto_a_name_that_the_server_gave_away_gets_a_free_one() {
    let synced = tree(&[(2, 0, "a", File("f1")), (3, 0, "b~0", File("f2"))]);
    let local = tree(&[(2, 0, "b", File("f1")), (3, 0, "b~0", File("f2"))]);
    let remote = tree(&[
        (2, 0, "a", File("f1")),
        (3, 0, "b~0", File("f2")),
        (4, 0, "b", File("f3")),
    ]);
    let expected = steps(&["move 2 /b~1", "fetch 4 /b"], &["move 2 /b~1"]);
    assert_eq!(both(&plan(&local, &remote, &synced)), expected);
}

#[test]
fn what_was_deleted_and_made_again_there_is_a_change_of_it() {
    let synced = tree(&[(2, 0, "a", File("f1")), (3, 0, "b", File("f2"))]);
    let local = tree(&[(2, 0, "a", Edited(7)), (3, 0, "b", File("f2"))]);
    let remote = tree(&[(5, 0, "a", File("f4")), (6, 0, "b", File("f5"))]);
    let plan = plan(&local, &remote, &synced);
    assert_eq!(adopted(&plan), [(2, 5), (3, 6)]);
    assert_eq!(both(&plan), steps(&["replace 6 /b"], &["upload 5 /a f1"]));
}

#[test]
fn what_moved_here_does_not_become_what_was_made_there_meanwhile() {
    let synced = tree(&[(2, 0, "a", File("f1"))]);
    let local = tree(&[(2, 0, "b", File("f1"))]);
    let remote = tree(&[(5, 0, "b", File("f4"))]);
    let expected = steps(&["move 2 /b~0", "fetch 5 /b"], &["upload 2 /b~0 f1"]);
    assert_eq!(both(&plan(&local, &remote, &synced)), expected);
}

#[test]
fn a_mount_that_is_gone_does_not_become_a_collection_of_its_name() {
    let synced = tree(&[(2, 0, "m", Mount), (3, 2, "a", File("f1"))]);
    let remote = tree(&[(5, 0, "m", Collection), (6, 5, "a", File("f4"))]);
    let plan = plan(&synced, &remote, &synced);
    assert_eq!(adopted(&plan), []);
    let expected = steps(&["remove 2 3", "make 5 /m", "fetch 6 5/a"], &[]);
    assert_eq!(both(&plan), expected);
}

#[test]
fn a_conflict_name_is_none_that_another_item_has_here_or_there() {
    let synced = tree(&[(2, 0, "a", File("f1")), (3, 0, "x", File("f2"))]);
    let local = tree(&[(2, 0, "b", File("f1")), (3, 0, "b~0", File("f2"))]);
    let remote = tree(&[
        (2, 0, "a", File("f1")),
        (3, 0, "x", File("f2")),
        (4, 0, "b", File("f3")),
        (5, 0, "b~1", File("f4")),
    ]);
    let there = ["move 2 /b~2", "move 3 /b~0"];
    assert_eq!(both(&plan(&local, &remote, &synced)).1, there);
}

#[test]
fn what_one_side_deleted_and_the_other_left_alone_goes() {
    let synced = tree(&[
        (2, 0, "d", Collection),
        (3, 2, "a", File("f1")),
        (4, 0, "b", File("f2")),
    ]);
    let local = tree(&[(2, 0, "d", Collection), (3, 2, "a", File("f1"))]);
    let remote = tree(&[(4, 0, "b", File("f2"))]);
    let plan = plan(&local, &remote, &synced);
    assert_eq!(both(&plan), steps(&["remove 2 3"], &["remove 4"]));
    assert_eq!(plan.merged.items().count(), 1);
}

#[test]
fn an_edit_is_stronger_than_a_deletion() {
    let synced = tree(&[(2, 0, "a", File("f1")), (3, 0, "b", File("f2"))]);
    let local = tree(&[(2, 0, "a", Edited(7))]);
    let remote = tree(&[(3, 0, "b", File("f3"))]);
    let expected = steps(&["fetch 3 /b"], &["upload 2 /a f1"]);
    assert_eq!(both(&plan(&local, &remote, &synced)), expected);
}

#[test]
fn a_move_is_stronger_than_a_deletion() {
    let synced = tree(&[(2, 0, "a", File("f1")), (3, 0, "b", File("f2"))]);
    let local = tree(&[(2, 0, "x", File("f1"))]);
    let remote = tree(&[(3, 0, "y", File("f2"))]);
    let expected = steps(&["fetch 3 /y"], &["upload 2 /x f1"]);
    assert_eq!(both(&plan(&local, &remote, &synced)), expected);
}

#[test]
fn a_file_that_became_executable_is_not_deleted() {
    let synced = tree(&[(2, 0, "a", File("f1")), (3, 0, "b", File("f2"))]);
    let local = tree(&[(2, 0, "a", Program("f1"))]);
    let remote = tree(&[(3, 0, "b", Program("f2"))]);
    let expected = steps(&["fetch 3 /b"], &["upload 2 /a f1"]);
    assert_eq!(both(&plan(&local, &remote, &synced)), expected);
}

#[test]
fn a_collection_that_moved_takes_with_it_what_the_other_side_deleted() {
    let synced = tree(&[(2, 0, "d", Collection), (3, 2, "a", File("f1"))]);
    let moved = tree(&[(2, 0, "e", Collection), (3, 2, "a", File("f1"))]);
    let none = tree(&[]);
    let up = steps(&[], &["make 2 /e", "upload 3 2/a f1"]);
    assert_eq!(both(&plan(&moved, &none, &synced)), up);
    let down = steps(&["make 2 /e", "fetch 3 2/a"], &[]);
    assert_eq!(both(&plan(&none, &moved, &synced)), down);
}

#[test]
fn a_deleted_collection_stays_for_what_was_changed_in_it_only() {
    let synced = tree(&[
        (2, 0, "d", Collection),
        (3, 2, "a", File("f1")),
        (4, 2, "b", File("f2")),
    ]);
    let none = tree(&[]);
    let local = tree(&[
        (2, 0, "d", Collection),
        (3, 2, "a", Edited(7)),
        (4, 2, "b", File("f2")),
    ]);
    let up = steps(&["remove 4"], &["make 2 /d", "upload 3 2/a f1"]);
    assert_eq!(both(&plan(&local, &none, &synced)), up);
    let remote = tree(&[
        (2, 0, "d", Collection),
        (3, 2, "a", File("f5")),
        (4, 2, "b", File("f2")),
    ]);
    let down = steps(&["make 2 /d", "fetch 3 2/a"], &["remove 4"]);
    assert_eq!(both(&plan(&none, &remote, &synced)), down);
}

#[test]
fn a_deleted_collection_stays_for_what_was_moved_into_it() {
    let synced = tree(&[(2, 0, "d", Collection), (3, 0, "a", File("f1"))]);
    let local = tree(&[(2, 0, "d", Collection), (3, 2, "a", File("f1"))]);
    let remote = tree(&[(3, 0, "a", File("f1"))]);
    let expected = steps(&[], &["make 2 /d", "move 3 2/a"]);
    assert_eq!(both(&plan(&local, &remote, &synced)), expected);
}

#[test]
fn of_moves_into_each_other_those_of_the_server_hold() {
    let synced = tree(&[(2, 0, "a", Collection), (3, 0, "b", Collection)]);
    let local = tree(&[(3, 0, "b", Collection), (2, 3, "a", Collection)]);
    let remote = tree(&[(2, 0, "a", Collection), (3, 2, "b", Collection)]);
    let expected = steps(&["move 2 /a", "move 3 2/b"], &[]);
    assert_eq!(both(&plan(&local, &remote, &synced)), expected);
}

#[test]
fn a_mount_stays_where_the_server_says_and_what_is_in_it_goes_the_normal_way() {
    let synced = tree(&[
        (2, 0, "m", Mount),
        (3, 2, "a", File("f1")),
        (4, 0, "n", Mount),
    ]);
    let local = tree(&[(2, 0, "x", Mount)]);
    let expected = steps(&["move 2 /m", "make 4 /n"], &["remove 3"]);
    assert_eq!(both(&plan(&local, &synced, &synced)), expected);
}

#[test]
fn a_mount_that_the_server_took_away_goes_even_if_it_was_renamed_here() {
    let synced = tree(&[(2, 0, "m", Mount), (3, 2, "a", File("f1"))]);
    let local = tree(&[(2, 0, "x", Mount), (3, 2, "a", File("f1"))]);
    let expected = steps(&["remove 2 3"], &[]);
    assert_eq!(both(&plan(&local, &tree(&[]), &synced)), expected);
}

#[test]
fn what_was_edited_in_a_mount_that_is_gone_stays_in_an_ordinary_collection() {
    let synced = tree(&[(2, 0, "m", Mount), (3, 2, "a", File("f1"))]);
    let local = tree(&[(2, 0, "m", Mount), (3, 2, "a", Edited(7))]);
    let plan = plan(&local, &tree(&[]), &synced);
    assert_eq!(both(&plan), steps(&[], &["make 2 /m", "upload 3 2/a f1"]));
    assert!(!plan.merged.get(ItemId(2)).unwrap().mount);
}

#[test]
fn an_id_of_another_kind_here_counts_as_deleted_and_made() {
    let synced = tree(&[(2, 0, "a", File("f1"))]);
    let local = tree(&[(2, 0, "a", Collection), (-1, 2, "b", Edited(7))]);
    let plan = plan(&local, &synced, &synced);
    assert_eq!(plan.strangers.len(), 1);
    assert_eq!(
        (plan.strangers[0].from, plan.strangers[0].to),
        (ItemId(2), ItemId(-2))
    );
    let expected = steps(&[], &["remove 2", "make -2 /a", "upload -1 -2/b none"]);
    assert_eq!(both(&plan), expected);
}

#[test]
fn an_id_of_another_kind_there_leaves_the_local_item_as_one_made_here() {
    let synced = tree(&[(2, 0, "a", File("f1"))]);
    let remote = tree(&[(2, 0, "a", Link("f1"))]);
    let expected = steps(&["move -1 /a~0", "fetch 2 /a"], &["upload -1 /a~0 none"]);
    assert_eq!(both(&plan(&synced, &remote, &synced)), expected);
}

#[test]
fn whether_a_link_is_executable_does_not_matter() {
    let link = tree(&[(2, 0, "a", Link("f1"))]);
    let mut flagged = link.clone();
    let mut item = link.get(ItemId(2)).unwrap().clone();
    item.executable = true;
    flagged.insert(item);
    assert_eq!(both(&plan(&link, &flagged, &link)), steps(&[], &[]));
    assert_eq!(both(&plan(&flagged, &link, &link)), steps(&[], &[]));
}

#[test]
fn an_item_left_under_its_temporary_name_counts_as_not_moved() {
    let synced = tree(&[(2, 0, "a", File("f1")), (3, 0, "b", File("f1"))]);
    let local = tree(&[(2, 0, "b", File("f1")), (3, 0, "a", File("f1"))]);
    let remote = tree(&[(2, 0, "temporary2", File("f1")), (3, 0, "a", File("f1"))]);
    let there = steps(&[], &["move 2 /b"]);
    assert_eq!(both(&plan(&local, &remote, &synced)), there);
    let here = steps(&["move 2 /b"], &[]);
    assert_eq!(both(&plan(&remote, &local, &synced)), here);
    let parked = tree(&[(2, 0, "temporary2", File("f1")), (3, 0, "b", File("f1"))]);
    let back = steps(&["move 2 /a"], &[]);
    assert_eq!(both(&plan(&parked, &synced, &synced)), back);
    let gone = tree(&[(3, 0, "a", File("f1"))]);
    assert_eq!(
        both(&plan(&remote, &gone, &synced)),
        steps(&["remove 2"], &[])
    );
}

#[test]
fn a_tree_without_a_needed_parent_is_refused() {
    let sound = tree(&[(2, 0, "d", Collection), (3, 2, "a", File("f1"))]);
    let mut torn = sound.clone();
    torn.remove(ItemId(2));
    let names = Names {
        conflict: &super::conflict_name,
        temporary: &super::temporary_name,
    };
    let plan = |local, remote| reconcile(local, remote, &sound, &names);
    assert_eq!(plan(&torn, &sound), Err(Unsound::Local(ItemId(3))));
    assert_eq!(plan(&sound, &torn), Err(Unsound::Remote(ItemId(3))));
}
