//! What the screen shows.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::{AT, here, state};
use crate::client::resolve::compare::{Compared, Found};
use crate::client::resolve::keys::{State, View};
use crate::client::resolve::sides::{Label, Which};
use crate::client::resolve::ui::draw;
use crate::client::show::time;

const LEFT: &str =
    "# Notes\n\none\ntwo\nthree\nfour\nfive\nsix\nwhat the laptop wrote\nseven\neight\nnine\nten\n";
const RIGHT: &str = "# Notes\n\none\ntwo\nthree\nfour\nfive\nsix\nwhat the desktop wrote\nand more\nseven\neight\nnine\nten";

/// The screen as text, with times as they are in UTC.
fn shown(state: &mut State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    let screen = terminal.backend().to_string();
    screen.replace(&time(AT), "2025-11-25 14:39:09")
}

#[test]
fn a_wide_screen_shows_both_texts_side_by_side() {
    let mut state = state(LEFT.as_bytes(), RIGHT.as_bytes(), Some(Which::Node));
    insta::assert_snapshot!("wide", shown(&mut state, 140, 24));
    assert_eq!(state.rows, (10, 16));
}

#[test]
fn a_screen_of_80_columns_shows_one_text_below_the_other() {
    let mut state = state(LEFT.as_bytes(), RIGHT.as_bytes(), Some(Which::Copy));
    insta::assert_snapshot!("narrow", shown(&mut state, 80, 20));
}

#[test]
fn a_very_narrow_screen_has_the_list_above() {
    let mut state = state(LEFT.as_bytes(), RIGHT.as_bytes(), None);
    state.resolved(2, Label::Both);
    insta::assert_snapshot!("above", shown(&mut state, 44, 24));
}

#[test]
fn what_is_scrolled_begins_further_down_and_to_the_right() {
    let mut state = state(LEFT.as_bytes(), RIGHT.as_bytes(), None);
    (state.down, state.across) = (4, 8);
    insta::assert_snapshot!("scrolled", shown(&mut state, 80, 12));
}

#[test]
fn files_that_are_no_texts_show_where_they_begin_to_differ() {
    let mut state = state(b"a\0b", b"a\0c", Some(Which::Node));
    insta::assert_snapshot!("bytes", shown(&mut state, 80, 10));
    let screen = |state: &mut State, compared| {
        here(&mut state.items[0], None, compared);
        shown(state, 80, 10)
    };
    assert!(
        screen(&mut state, Compared::Bytes(Found::NotWithin(64 << 20)))
            .contains("in the first 64.0 MiB")
    );
    assert!(screen(&mut state, Compared::Bytes(Found::Nowhere)).contains("the same bytes"));
    state.items[0].conflict.copy = None;
    let alone = screen(&mut state, Compared::Alone);
    assert!(
        alone.contains("+ kept    deleted since") && alone.contains("nothing to compare"),
        "{alone}"
    );
}

#[test]
fn help_lies_over_it_all() {
    let mut state = state(b"a\n", b"b\n", None);
    state.help = true;
    insta::assert_snapshot!("help", shown(&mut state, 80, 20));
}

#[test]
fn what_is_not_here_and_what_failed_is_told() {
    let mut state = state(b"a\n", b"b\n", None);
    state.items[0].view = View::Coming;
    assert!(shown(&mut state, 80, 10).contains("fetching both sides"));
    state.items[0].view = View::Failed("the server is away".to_owned());
    assert!(shown(&mut state, 80, 10).contains("the server is away"));
    state.busy = true;
    assert!(shown(&mut state, 80, 10).contains("working"));
}

#[test]
fn every_size_of_screen_can_be_drawn() {
    for (width, height) in [(1, 1), (3, 2), (10, 5), (69, 8), (70, 9), (300, 3)] {
        let mut state = state(LEFT.as_bytes(), RIGHT.as_bytes(), None);
        state.help = width % 2 == 1;
        state.down = usize::MAX;
        assert!(!shown(&mut state, width, height).is_empty());
    }
}
