//! What a key means: the state of the screen and a key give the next state and what has to be done.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::compare::Compared;
use super::sides::{Choice, Label, Pair};
use crate::protocol::files::Conflict;

/// Columns that the text moves sideways at once.
const SIDEWAYS: usize = 8;

/// Everything that is on the screen.
#[derive(Debug)]
pub struct State {
    /// The conflicts, in their order.
    pub items: Vec<Item>,
    /// The one that is looked at.
    pub chosen: usize,
    /// First row that is shown.
    pub down: usize,
    /// First column that is shown.
    pub across: usize,
    /// Whether the keys are explained.
    pub help: bool,
    /// Something is being done: other keys have to wait.
    pub busy: bool,
    /// What was said last.
    pub said: Option<String>,
    /// How many rows there are, and how many of them fit; set when they are drawn.
    pub rows: (usize, usize),
}

/// A conflict on the screen.
#[derive(Debug)]
pub struct Item {
    /// As the server has it.
    pub conflict: Conflict,
    /// What is known of it.
    pub view: View,
    /// How it was resolved.
    pub done: Option<Label>,
}

/// What is known of a conflict.
#[derive(Debug)]
pub enum View {
    /// Nobody asked yet.
    Unknown,
    /// It may have changed since it was listed.
    Stale,
    /// It is being fetched.
    Coming,
    /// It is here.
    Here(Box<(Pair, Compared)>),
    /// It could not be fetched.
    Failed(String),
}

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing but to draw again.
    None,
    /// Leave.
    Quit,
    /// Leave, even in the middle of something.
    Interrupt,
    /// End the conflict that is looked at.
    Take(Choice),
}

impl State {
    /// A screen with the first conflict chosen.
    pub fn new(conflicts: Vec<Conflict>) -> Self {
        let item = |conflict| Item {
            conflict,
            view: View::Unknown,
            done: None,
        };
        Self {
            items: conflicts.into_iter().map(item).collect(),
            chosen: 0,
            down: 0,
            across: 0,
            help: false,
            busy: false,
            said: None,
            rows: (0, 0),
        }
    }

    /// The conflict that is looked at.
    pub fn item(&self) -> Option<&Item> {
        self.items.get(self.chosen)
    }

    /// Notes how a conflict was resolved, and goes on to the next one that is not.
    pub fn resolved(&mut self, id: i64, label: Label) {
        let Some(at) = self.items.iter().position(|item| item.conflict.id == id) else {
            return;
        };
        self.items[at].done = Some(label);
        let open = |at: &usize| self.items[*at].done.is_none();
        if let Some(next) = (at..self.items.len()).chain(0..at).find(open) {
            self.choose(next);
        }
    }

    /// Forgets one that somebody else resolved.
    pub fn vanished(&mut self, id: i64) {
        self.items.retain(|item| item.conflict.id != id);
        self.chosen = self.chosen.min(self.items.len().saturating_sub(1));
        (self.down, self.across) = (0, 0);
        self.said = Some(format!("conflict {id} was resolved elsewhere"));
    }

    /// Whether all are resolved.
    pub fn is_over(&self) -> bool {
        self.items.iter().all(|item| item.done.is_some())
    }

    fn choose(&mut self, at: usize) {
        let at = at.min(self.items.len().saturating_sub(1));
        if at != self.chosen {
            (self.chosen, self.down, self.across, self.said) = (at, 0, 0, None);
        }
    }

    fn scroll(&mut self, to: usize) {
        let (rows, fit) = self.rows;
        self.down = to.min(rows.saturating_sub(fit));
    }
}

/// What a key does.
pub fn press(state: &mut State, key: KeyEvent) -> Action {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return if key.code == KeyCode::Char('c') {
            Action::Interrupt
        } else {
            Action::None
        };
    }
    if state.help {
        state.help = false;
        return Action::None;
    }
    let page = state.rows.1.max(1);
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other keys mean nothing"
    )]
    match key.code {
        KeyCode::Char('j') | KeyCode::Down if !state.busy => state.choose(state.chosen + 1),
        KeyCode::Char('k') | KeyCode::Up if !state.busy => {
            state.choose(state.chosen.saturating_sub(1));
        }
        KeyCode::Char('d') => state.scroll(state.down + page.div_ceil(2)),
        KeyCode::Char('u') => state.scroll(state.down.saturating_sub(page.div_ceil(2))),
        KeyCode::PageDown => state.scroll(state.down + page),
        KeyCode::PageUp => state.scroll(state.down.saturating_sub(page)),
        KeyCode::Home => state.scroll(0),
        KeyCode::End => state.scroll(usize::MAX),
        KeyCode::Right => state.across += SIDEWAYS,
        KeyCode::Left => state.across = state.across.saturating_sub(SIDEWAYS),
        KeyCode::Char('?') => state.help = true,
        KeyCode::Char('r') if !state.busy => look_again(state),
        KeyCode::Char('q') if !state.busy => return Action::Quit,
        KeyCode::Char(letter) => {
            return choice(letter).map_or(Action::None, |choice| take(state, choice));
        }
        _ => {}
    }
    Action::None
}

fn look_again(state: &mut State) {
    state.said = None;
    let item = state
        .items
        .get_mut(state.chosen)
        .filter(|item| item.done.is_none());
    if let Some(item) = item
        && matches!(item.view, View::Here(_) | View::Failed(_))
    {
        item.view = View::Stale;
    }
}

fn choice(letter: char) -> Option<Choice> {
    match letter {
        'l' => Some(Choice::Local),
        's' => Some(Choice::Server),
        'b' => Some(Choice::Both),
        'e' => Some(Choice::Editor),
        _ => None,
    }
}

/// Nothing is resolved that is not on the screen.
fn take(state: &mut State, choice: Choice) -> Action {
    let Some(item) = state.item().filter(|_| !state.busy) else {
        return Action::None;
    };
    let refused = match (&item.done, &item.view) {
        (Some(_), _) => Some("this one is resolved".to_owned()),
        (None, View::Here(here)) => here.0.keep(choice).err(),
        (None, View::Unknown | View::Stale | View::Coming | View::Failed(_)) => {
            Some("both sides are not here yet".to_owned())
        }
    };
    state.said = refused;
    if state.said.is_some() {
        Action::None
    } else {
        Action::Take(choice)
    }
}
