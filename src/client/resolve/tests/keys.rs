//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{here, state};
use crate::client::resolve::compare::{Compared, Found};
use crate::client::resolve::keys::{Action, State, View, press};
use crate::client::resolve::sides::{Choice, Label, Which};

fn key(state: &mut State, code: KeyCode) -> Action {
    press(state, KeyEvent::from(code))
}

fn letter(state: &mut State, letter: char) -> Action {
    key(state, KeyCode::Char(letter))
}

#[test]
fn letters_choose_what_stays() {
    let mut state = state(b"a\n", b"b\n", Some(Which::Node));
    let choices = [
        ('l', Choice::Local),
        ('s', Choice::Server),
        ('b', Choice::Both),
        ('e', Choice::Editor),
    ];
    for (pressed, choice) in choices {
        assert_eq!(letter(&mut state, pressed), Action::Take(choice));
    }
    assert_eq!(letter(&mut state, 'x'), Action::None);
}

#[test]
fn nothing_is_resolved_before_both_sides_are_seen() {
    let mut state = state(b"a\n", b"b\n", None);
    letter(&mut state, 'j');
    assert_eq!(state.chosen, 1);
    assert_eq!(letter(&mut state, 'l'), Action::None);
    assert!(state.said.as_deref().unwrap().contains("not here yet"));
}

#[test]
fn a_side_that_was_deleted_is_not_taken() {
    let mut state = state(b"a\n", b"b\n", None);
    state.items[0].conflict.copy = None;
    here(&mut state.items[0], None, Compared::Alone);
    assert_eq!(letter(&mut state, 's'), Action::None);
    assert!(state.said.as_deref().unwrap().contains("deleted"));
    assert_eq!(letter(&mut state, 'l'), Action::Take(Choice::Local));
    assert_eq!(state.said, None);
}

#[test]
fn choosing_stops_at_both_ends_and_starts_at_the_top() {
    let mut state = state(b"a\n", b"b\n", None);
    assert_eq!(key(&mut state, KeyCode::Up), Action::None);
    assert_eq!(state.chosen, 0);
    (state.down, state.across) = (3, 8);
    key(&mut state, KeyCode::Down);
    letter(&mut state, 'j');
    assert_eq!((state.chosen, state.down, state.across), (1, 0, 0));
    letter(&mut state, 'k');
    assert_eq!(state.chosen, 0);
}

#[test]
fn scrolling_ends_with_the_last_row() {
    let mut state = state(b"a\n", b"b\n", None);
    state.rows = (100, 20);
    letter(&mut state, 'd');
    assert_eq!(state.down, 10);
    key(&mut state, KeyCode::PageDown);
    assert_eq!(state.down, 30);
    key(&mut state, KeyCode::End);
    assert_eq!(state.down, 80);
    letter(&mut state, 'd');
    assert_eq!(state.down, 80);
    key(&mut state, KeyCode::PageUp);
    letter(&mut state, 'u');
    assert_eq!(state.down, 50);
    key(&mut state, KeyCode::Home);
    letter(&mut state, 'u');
    assert_eq!(state.down, 0);
    key(&mut state, KeyCode::Right);
    assert_eq!(state.across, 8);
    key(&mut state, KeyCode::Left);
    key(&mut state, KeyCode::Left);
    assert_eq!(state.across, 0);
}

#[test]
fn help_goes_with_the_next_key_which_does_nothing_else() {
    let mut state = state(b"a\n", b"b\n", None);
    letter(&mut state, '?');
    assert!(state.help);
    assert_eq!(letter(&mut state, 'l'), Action::None);
    assert!(!state.help);
    assert_eq!(letter(&mut state, 'q'), Action::Quit);
}

#[test]
fn while_something_is_done_only_ctrl_c_leaves() {
    let mut state = state(b"a\n", b"b\n", None);
    state.busy = true;
    for pressed in ['q', 'l', 's', 'b', 'e', 'j', 'r'] {
        assert_eq!(letter(&mut state, pressed), Action::None);
    }
    assert_eq!(state.chosen, 0);
    assert!(matches!(state.items[0].view, View::Here(_)));
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(press(&mut state, interrupt), Action::Interrupt);
    let other = KeyEvent::new(KeyCode::Char('l'), KeyModifiers::CONTROL);
    state.busy = false;
    assert_eq!(press(&mut state, other), Action::None);
}

#[test]
fn what_may_have_changed_is_looked_at_again() {
    let mut state = state(b"a\n", b"b\n", None);
    letter(&mut state, 'r');
    assert!(matches!(state.items[0].view, View::Stale));
    assert_eq!(letter(&mut state, 'l'), Action::None);
}

#[test]
fn after_one_is_resolved_the_next_is_chosen_until_none_is_left() {
    let mut state = state(b"a\n", b"b\n", None);
    here(&mut state.items[1], None, Compared::Bytes(Found::Nowhere));
    letter(&mut state, 'j');
    state.resolved(2, Label::Both);
    assert_eq!(state.chosen, 0);
    letter(&mut state, 'j');
    assert_eq!(letter(&mut state, 'l'), Action::None);
    assert!(!state.is_over());
    state.resolved(1, Label::Local);
    assert!(state.is_over());
}

#[test]
fn one_that_was_resolved_elsewhere_is_forgotten() {
    let mut state = state(b"a\n", b"b\n", None);
    letter(&mut state, 'j');
    state.vanished(2);
    assert_eq!((state.items.len(), state.chosen), (1, 0));
    state.vanished(1);
    assert!(state.is_over());
    assert_eq!(letter(&mut state, 'l'), Action::None);
}
