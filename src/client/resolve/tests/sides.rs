//! Which side is whose, and what that means for the server.

use super::{AT, conflict, me, node, pair, version};
use crate::client::resolve::sides::{
    Choice, Label, Which, is_tag_of, ours, tag, writer_of_copy, writer_of_node,
};
use crate::protocol::files::Keep;

const OURS: &str = "/a.conflict-20251125-143909-Annaslaptop.txt";
const THEIRS: &str = "/a.conflict-20251125-143909-desktop.txt";

#[test]
fn the_name_of_a_copy_names_a_device() {
    assert_eq!(
        tag("a.b.conflict-20251125-143909-my-box-2.txt"),
        Some("my-box-2")
    );
    assert_eq!(tag(".profile.conflict-20251125-143909-web"), Some("web"));
    assert_eq!(tag("a.conflict-2025-143909-web"), None);
    assert_eq!(tag("a.txt"), None);
    assert!(is_tag_of("Annaslaptop", "Anna's laptop"));
    assert!(is_tag_of("Annaslaptop-12", "Anna's laptop"));
    assert!(!is_tag_of("Annaslaptop-two", "Anna's laptop"));
    assert!(!is_tag_of("Annaslaptops", "Anna's laptop"));
}

#[test]
fn our_write_that_arrived_and_won_is_the_file() {
    let met = conflict(1, "/a.txt", THEIRS);
    let versions = [version(3, AT, Some(1)), version(2, AT - 9, Some(2))];
    assert_eq!(ours(&met, &me(), &versions, &[]), Some(Which::Node));
}

#[test]
fn our_write_that_arrived_and_lost_is_the_copy() {
    let met = conflict(1, "/a.txt", OURS);
    let versions = [version(2, AT - 9, Some(2)), version(1, AT - 99, Some(1))];
    assert_eq!(ours(&met, &me(), &versions, &[]), Some(Which::Copy));
}

#[test]
fn our_write_that_was_there_first_is_found_as_well() {
    let mut met = conflict(1, "/a.txt", OURS);
    met.device = Some(2);
    let lost = [version(3, AT, Some(2)), version(2, AT - 9, Some(1))];
    assert_eq!(ours(&met, &me(), &lost, &[]), Some(Which::Copy));
    let mut met = conflict(1, "/a.txt", THEIRS);
    met.device = Some(2);
    let won = [version(2, AT - 9, Some(1))];
    assert_eq!(ours(&met, &me(), &won, &[]), Some(Which::Node));
}

#[test]
fn nothing_is_ours_of_a_conflict_between_others() {
    let mut met = conflict(1, "/a.txt", THEIRS);
    met.device = Some(3);
    assert_eq!(
        ours(
            &met,
            &me(),
            &[version(3, AT, Some(3)), version(2, AT - 9, Some(2))],
            &[]
        ),
        None
    );
    assert_eq!(ours(&met, &me(), &[], &[]), None);
    met.device = None;
    assert_eq!(ours(&met, &me(), &[version(2, AT - 9, Some(2))], &[]), None);
}

#[test]
fn a_device_that_met_itself_has_no_side() {
    let met = conflict(1, "/a.txt", OURS);
    assert_eq!(
        ours(
            &met,
            &me(),
            &[version(3, AT, Some(1)), version(2, AT - 9, Some(1))],
            &[]
        ),
        None
    );
}

#[test]
fn where_the_versions_are_gone_the_name_of_the_copy_tells() {
    let later = [version(30, AT + 9, Some(2)), version(29, AT + 5, Some(2))];
    assert_eq!(
        ours(&conflict(1, "/a.txt", OURS), &me(), &later, &[]),
        Some(Which::Copy)
    );
    // The file was ours then, and is another's by now.
    assert_eq!(
        ours(&conflict(1, "/a.txt", THEIRS), &me(), &later, &[]),
        None
    );
    assert_eq!(
        ours(&conflict(1, "/a.txt", "/renamed.txt"), &me(), &later, &[]),
        None
    );
}

#[test]
fn a_side_that_another_wrote_on_is_not_ours_any_more() {
    let met = conflict(1, "/a.txt", THEIRS);
    let by = |device| {
        [
            version(4, AT + 5, Some(device)),
            version(3, AT, Some(1)),
            version(2, AT - 9, Some(2)),
        ]
    };
    assert_eq!(ours(&met, &me(), &by(2), &[]), None);
    assert_eq!(ours(&met, &me(), &by(1), &[]), Some(Which::Node));
    let copy = |device| [version(2, AT + 5, Some(device)), version(1, AT, Some(1))];
    assert_eq!(ours(&met, &me(), &by(1), &copy(1)), None);
    assert_eq!(ours(&met, &me(), &by(1), &copy(2)), Some(Which::Node));
}

#[test]
fn a_device_that_was_renamed_is_not_guessed() {
    let met = conflict(1, "/a.txt", "/a.conflict-20251125-143909-oldname.txt");
    assert_eq!(ours(&met, &me(), &[version(2, AT - 9, Some(2))], &[]), None);
}

#[test]
fn writers_are_told_by_name() {
    let devices = [(1, "Anna's laptop".to_owned()), (2, "desktop".to_owned())];
    let newest = |device| [version(3, AT, device)];
    assert_eq!(
        writer_of_node(&newest(Some(2)), &devices).as_deref(),
        Some("desktop")
    );
    assert_eq!(
        writer_of_node(&newest(Some(9)), &devices).as_deref(),
        Some("device 9")
    );
    assert_eq!(
        writer_of_node(&newest(None), &devices).as_deref(),
        Some("web")
    );
    assert_eq!(writer_of_node(&[], &devices), None);
    assert_eq!(
        writer_of_copy(OURS, &[], &devices).as_deref(),
        Some("Anna's laptop")
    );
    assert_eq!(
        writer_of_copy("x.conflict-20251125-143909-tv", &[], &devices).as_deref(),
        Some("tv")
    );
    assert_eq!(
        writer_of_copy(OURS, &newest(Some(2)), &devices).as_deref(),
        Some("desktop")
    );
}

#[test]
fn local_and_server_mean_the_file_or_the_copy() {
    let met = conflict(1, "/a.txt", OURS);
    let of = |ours, choice| {
        let pair = pair(&met, ours);
        (pair.keep(choice), pair.chosen(choice))
    };
    assert_eq!(
        of(Some(Which::Node), Choice::Local),
        (Ok(Keep::Node), Label::Local)
    );
    assert_eq!(
        of(Some(Which::Node), Choice::Server),
        (Ok(Keep::Copy), Label::Server)
    );
    assert_eq!(
        of(Some(Which::Copy), Choice::Local),
        (Ok(Keep::Copy), Label::Local)
    );
    assert_eq!(
        of(Some(Which::Copy), Choice::Server),
        (Ok(Keep::Node), Label::Server)
    );
    assert_eq!(of(None, Choice::Local), (Ok(Keep::Node), Label::Current));
    assert_eq!(of(None, Choice::Server), (Ok(Keep::Copy), Label::Kept));
    assert_eq!(of(None, Choice::Both), (Ok(Keep::Both), Label::Both));
    assert_eq!(of(None, Choice::Editor), (Ok(Keep::Node), Label::Editor));
}

#[test]
fn what_was_deleted_cannot_be_taken_and_what_is_left_stays_where_it_is() {
    let mut met = conflict(1, "/a.txt", OURS);
    met.node = None;
    let alone = pair(&met, Some(Which::Copy));
    assert_eq!(alone.keep(Choice::Local), Ok(Keep::Both));
    assert!(
        alone
            .keep(Choice::Server)
            .unwrap_err()
            .contains("`server` was deleted")
    );
    assert!(alone.keep(Choice::Editor).is_err());
    met.node = Some(node(1, "/a.txt", 1));
    met.copy = None;
    let alone = pair(&met, None);
    assert_eq!(alone.keep(Choice::Local), Ok(Keep::Node));
    assert!(
        alone
            .keep(Choice::Server)
            .unwrap_err()
            .contains("`kept` was deleted")
    );
    met.node = None;
    let nothing = pair(&met, None);
    assert_eq!(nothing.keep(Choice::Local), Ok(Keep::Both));
    assert_eq!(nothing.keep(Choice::Both), Ok(Keep::Both));
}
