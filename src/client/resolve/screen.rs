//! Showing conflicts on a terminal and doing what is asked there.

use std::io::{self, stdout};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{DefaultTerminal, Terminal};
use tokio::task::{JoinSet, block_in_place};

use super::act::{Devices, all, mergeable, merged, pair, take, take_merged};
use super::compare::{Compared, compare};
use super::keys::{Action, State, View, press};
use super::sides::{Choice, Label, Pair};
use super::signals::Signals;
use super::{Error, Result, ui};
use crate::client::remote::Session;
use crate::protocol::files::{Conflict, Keep};

/// How long a key is waited for before anything else is looked at.
const TICK: Duration = Duration::from_millis(50);

/// A conflict that was ended.
pub type Ended = (Pair, Choice, Keep);

/// A conflict, fetched.
type Seen = (Conflict, Pair, Compared);

/// Something that was waited for.
enum Came {
    /// None when it is no conflict any more.
    Seen(i64, Result<Option<Box<Seen>>>),
    Ended(Box<Pair>, Choice, Result<Keep>),
}

/// The terminal, as long as it is ours. It is given back however this ends.
struct Screen(DefaultTerminal);

impl Screen {
    fn enter() -> io::Result<Self> {
        // It also sees to a panic.
        ratatui::try_init().map(Self)
    }

    /// Lends the terminal to another program.
    fn lend() -> io::Result<()> {
        disable_raw_mode()?;
        execute!(
            stdout(),
            LeaveAlternateScreen,
            ratatui::crossterm::cursor::Show
        )
    }

    fn take_back(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
        // A new one draws everything; the old one would ask the terminal where its cursor is, and wait for it.
        self.0 = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that went away needs nothing.
        drop(ratatui::try_restore());
    }
}

/// Shows conflicts until all are ended or somebody leaves. What was ended is in `ended`, whatever comes.
pub async fn show(
    session: &Session,
    devices: &Devices,
    conflicts: Vec<Conflict>,
    signals: &mut Signals,
    ended: &mut Vec<Ended>,
) -> Result<()> {
    let screen = Screen::enter().map_err(on_terminal)?;
    let mut show = Show {
        session,
        devices,
        screen,
        state: State::new(conflicts),
        coming: JoinSet::new(),
        ended,
    };
    show.run(signals).await
}

/// A conflict as it is now.
async fn again(session: &Session, id: i64) -> Result<Option<Conflict>> {
    Ok(all(session)
        .await?
        .into_iter()
        .find(|conflict| conflict.id == id))
}

fn on_terminal(error: io::Error) -> Error {
    Error::Io("the terminal", error)
}

struct Show<'a> {
    session: &'a Session,
    devices: &'a Devices,
    screen: Screen,
    state: State,
    coming: JoinSet<Came>,
    ended: &'a mut Vec<Ended>,
}

impl Show<'_> {
    async fn run(&mut self, signals: &mut Signals) -> Result<()> {
        let mut changed = true;
        while !self.state.is_over() {
            changed |= self.look();
            if changed {
                self.screen
                    .0
                    .draw(|frame| ui::draw(frame, &mut self.state))
                    .map_err(on_terminal)?;
            }
            let heard = block_in_place(|| {
                if event::poll(TICK)? {
                    event::read().map(Some)
                } else {
                    Ok(None)
                }
            });
            let heard = heard.map_err(on_terminal)?;
            changed = heard.is_some();
            signals.check()?;
            if let Some(Event::Key(key)) = heard
                && key.kind != KeyEventKind::Release
            {
                match press(&mut self.state, key) {
                    Action::None => {}
                    Action::Quit => return Ok(()),
                    Action::Interrupt => return Err(Error::Signal(super::signals::INTERRUPT)),
                    Action::Take(choice) => self.take(choice, signals).await?,
                }
            }
            while let Some(came) = self.coming.try_join_next() {
                changed = true;
                self.note(came.map_err(|error| Error::Refused(error.to_string()))?);
            }
        }
        Ok(())
    }

    /// Fetches what is looked at, when nobody has yet. The others come when they are looked at.
    fn look(&mut self) -> bool {
        let Some(item) = self.state.items.get_mut(self.state.chosen) else {
            return false;
        };
        let stale = matches!(item.view, View::Stale);
        if !stale && !matches!(item.view, View::Unknown) {
            return false;
        }
        item.view = View::Coming;
        let (session, devices, conflict) = (
            self.session.clone(),
            self.devices.clone(),
            item.conflict.clone(),
        );
        self.coming.spawn(async move {
            let id = conflict.id;
            let seen = async {
                let conflict = if stale {
                    again(&session, id).await?
                } else {
                    Some(conflict)
                };
                let Some(conflict) = conflict else {
                    return Ok(None);
                };
                let pair = pair(&session, &devices, &conflict).await?;
                let compared = compare(&session, &pair).await?;
                Ok(Some(Box::new((conflict, pair, compared))))
            };
            Came::Seen(id, seen.await)
        });
        true
    }

    async fn take(&mut self, choice: Choice, signals: &mut Signals) -> Result<()> {
        let Some(View::Here(here)) = self.state.item().map(|item| &item.view) else {
            return Ok(());
        };
        let pair = here.0.clone();
        let session = self.session.clone();
        if choice == Choice::Editor {
            let compared = here.1.clone();
            let text = match self.edit(&pair, compared, signals).await {
                Ok(text) => text,
                Err(error @ (Error::Signal(_) | Error::Io("the terminal", _))) => {
                    return Err(error);
                }
                Err(error) => {
                    self.state.said = Some(error.to_string());
                    return Ok(());
                }
            };
            self.coming.spawn(async move {
                let kept = take_merged(&session, &pair, text).await;
                Came::Ended(Box::new(pair), choice, kept)
            });
        } else {
            self.coming.spawn(async move {
                let kept = take(&session, &pair, choice).await;
                Came::Ended(Box::new(pair), choice, kept)
            });
        }
        self.state.busy = true;
        Ok(())
    }

    async fn edit(
        &mut self,
        pair: &Pair,
        compared: Compared,
        signals: &mut Signals,
    ) -> Result<Vec<u8>> {
        let texts = mergeable(pair, compared)?;
        Screen::lend().map_err(on_terminal)?;
        let text = merged(pair, &texts, signals).await;
        self.screen.take_back().map_err(on_terminal)?;
        text
    }

    fn note(&mut self, came: Came) {
        match came {
            Came::Seen(id, seen) => {
                let item = self
                    .state
                    .items
                    .iter_mut()
                    .find(|item| item.conflict.id == id);
                match (item, seen) {
                    (None, _) => {}
                    (Some(item), Ok(Some(seen))) => {
                        let (conflict, pair, compared) = *seen;
                        item.conflict = conflict;
                        item.view = View::Here(Box::new((pair, compared)));
                    }
                    (Some(_), Ok(None)) => self.state.vanished(id),
                    (Some(item), Err(error)) => item.view = View::Failed(error.to_string()),
                }
            }
            Came::Ended(pair, choice, Ok(keep)) => {
                self.state.busy = false;
                let label: Label = pair.chosen(choice);
                self.state.resolved(pair.id, label);
                self.state.said = Some(format!("conflict {}: {}", pair.id, label.text()));
                self.ended.push((*pair, choice, keep));
            }
            Came::Ended(pair, _, Err(error)) => {
                self.state.busy = false;
                let item = self
                    .state
                    .items
                    .iter_mut()
                    .find(|item| item.conflict.id == pair.id);
                if let Some(item) = item {
                    item.view = View::Stale;
                }
                self.state.said = Some(error.to_string());
            }
        }
    }
}
