//! The screen: conflicts on the left, both sides of the chosen one on the right.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, List, ListItem, ListState, Paragraph, Wrap};

use super::compare::{Compared, Found};
use super::diff::{Diff, Numbered, Part, Row};
use super::keys::{Item, State, View};
use super::sides::{Pair, Which};
use crate::client::show::{size, time};

/// From this many columns on the list stands beside what it is a list of.
const BESIDE_MIN: u16 = 70;
/// From this many columns on two texts stand side by side.
const WIDE_MIN: u16 = 90;
/// Rows of the list where it stands above.
const LIST_ROWS: u16 = 7;
/// Most rows of what was said last.
const SAID_ROWS: u16 = 3;
/// Columns of the number of a line.
const NUMBER: usize = 5;

const LEFT: Style = Style::new().fg(Color::Green);
const RIGHT: Style = Style::new().fg(Color::Red);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

const HELP: [&str; 13] = [
    "l        keep what this device wrote (`local`, or `current`)",
    "s        keep the other side (`server`, or `kept`)",
    "b        keep both, as two files",
    "e        put both together in $VISUAL or $EDITOR",
    "j k ↓ ↑  choose a conflict",
    "u d      half a page up or down",
    "PgUp PgDn Home End",
    "← →      sideways",
    "r        look again at what may have changed",
    "q        leave; what is not resolved stays",
    "",
    "What does not stay can be had back for 30 days:",
    "as a version of the file, or from the trash.",
];

/// Draws everything, and notes how much of the text fits.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State) {
    let text = if state.busy {
        "working …"
    } else {
        state.said.as_deref().unwrap_or_default()
    };
    let room = usize::from(frame.area().width).max(1);
    let lines = u16::try_from(Span::raw(text).width().div_ceil(room)).unwrap_or(SAID_ROWS);
    let said = Paragraph::new(text.to_owned())
        .style(BOLD)
        .wrap(Wrap { trim: true });
    let [body, below, keys] = Layout::vertical([
        Constraint::Min(0),
        Constraint::Length(lines.clamp(1, SAID_ROWS)),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [left, right] = if body.width >= BESIDE_MIN {
        Layout::horizontal([Constraint::Percentage(30), Constraint::Min(0)]).areas(body)
    } else {
        Layout::vertical([Constraint::Length(LIST_ROWS), Constraint::Min(0)]).areas(body)
    };
    list(frame, state, left);
    view(frame, state, right);
    frame.render_widget(said, below);
    let text = "l local  s server  b both  e editor  j/k choose  u/d scroll  ? help  q quit";
    frame.render_widget(Paragraph::new(text).style(FAINT), keys);
    if state.help {
        help(frame);
    }
}

fn list(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let open = state
        .items
        .iter()
        .filter(|item| item.done.is_none())
        .count();
    let block = Block::bordered().title(format!("Conflicts ({open} open)"));
    let room = usize::from(block.inner(area).width).saturating_sub(2);
    let row = |item: &Item| {
        let (mark, style) = if item.done.is_some() {
            ("✓ ", FAINT)
        } else {
            ("  ", Style::new())
        };
        ListItem::new(Line::from(vec![
            mark.into(),
            Span::raw(end_of(title(item), room)),
        ]))
        .style(style)
    };
    let rows = List::new(state.items.iter().map(row)).block(block);
    let rows = rows.highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut chosen = ListState::default().with_selected(Some(state.chosen));
    frame.render_stateful_widget(rows, area, &mut chosen);
}

/// What a conflict is called: the path of its file, or of what is left.
fn title(item: &Item) -> &str {
    let node = item.conflict.node.as_ref().or(item.conflict.copy.as_ref());
    node.map_or("(both deleted)", |node| &node.path)
}

/// The end of a text that is too long: names tell more than folders.
fn end_of(text: &str, room: usize) -> String {
    let width = |text: &str| Span::raw(text).width();
    if width(text) <= room {
        return text.to_owned();
    }
    let starts = text.char_indices().map(|(at, _)| at);
    let fits = starts.map(|at| &text[at..]).find(|rest| width(rest) < room);
    format!("…{}", fits.unwrap_or_default())
}

fn view(frame: &mut Frame<'_>, state: &mut State, area: Rect) {
    let Some(item) = state.items.get(state.chosen) else {
        return;
    };
    let block = Block::bordered().title(end_of(
        title(item),
        usize::from(area.width).saturating_sub(4),
    ));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let head = head(item);
    let [above, below] = Layout::vertical([
        Constraint::Length(u16::try_from(head.len()).unwrap_or(u16::MAX)),
        Constraint::Min(0),
    ])
    .areas(inner);
    frame.render_widget(Paragraph::new(head), above);
    let texts = match &item.view {
        View::Here(here) => here.1.texts(),
        View::Unknown | View::Stale | View::Coming | View::Failed(_) => None,
    };
    let Some(texts) = texts else {
        state.rows = (0, 0);
        let words = Paragraph::new(words(&item.view)).wrap(Wrap { trim: true });
        frame.render_widget(words, below);
        return;
    };
    let fit = usize::from(below.height);
    let wide = below.width >= WIDE_MIN;
    let rows = if wide {
        texts.diff.rows.len()
    } else {
        texts.diff.unified.len()
    };
    if rows == 0 {
        frame.render_widget(Paragraph::new("Both hold the same."), below);
    }
    state.rows = (rows, fit);
    let first = state.down.min(rows.saturating_sub(fit));
    let shown = first..rows.min(first + fit);
    if wide {
        side_by_side(frame, &texts.diff.rows[shown], state.across, below);
    } else {
        let lines = texts.diff.unified[shown]
            .iter()
            .filter_map(|at| unified(&texts.diff, *at, state.across));
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), below);
    }
}

/// Who, when and how much, one line for each side.
fn head(item: &Item) -> Vec<Line<'static>> {
    let mut lines = vec![Line::raw(format!(
        "Conflict {} of {}",
        item.conflict.id,
        time(item.conflict.at)
    ))];
    if let Some(done) = item.done {
        lines.push(Line::styled(format!("resolved: {}", done.text()), BOLD));
    }
    if let View::Here(here) = &item.view {
        let left = here.0.left();
        lines.push(side(&here.0, left, LEFT, "- "));
        lines.push(side(&here.0, left.other(), RIGHT, "+ "));
    }
    lines.push(Line::raw(""));
    lines
}

fn side(pair: &Pair, which: Which, style: Style, sign: &'static str) -> Line<'static> {
    let label = Span::styled(
        format!("{sign}{:<8}", pair.label(which).text()),
        style.add_modifier(Modifier::BOLD),
    );
    let Some(side) = pair.side(which) else {
        return Line::from(vec![label, Span::raw("deleted since")]);
    };
    let node = &side.node;
    let who = side.who.as_deref().unwrap_or("somebody");
    let kind = if node.link { ", a symbolic link" } else { "" };
    let beside = if which == Which::Copy { " (copy)" } else { "" };
    Line::from(vec![
        label,
        Span::raw(format!(
            "{}  {}  {who}{kind}{beside}",
            time(node.mtime),
            size(node.size)
        )),
    ])
}

/// What is told where there are no texts to show.
fn words(view: &View) -> String {
    let compared = match view {
        View::Unknown | View::Stale | View::Coming => return "fetching both sides …".to_owned(),
        View::Failed(why) => return format!("{why} (r: look again)"),
        View::Here(here) => &here.1,
    };
    match compared {
        Compared::Texts(_) => String::new(),
        Compared::Alone => "There is nothing to compare.".to_owned(),
        Compared::Bytes(Found::Nowhere) => "Both hold the same bytes.".to_owned(),
        Compared::Bytes(Found::At(at)) => {
            format!("No texts, or too long. They differ from byte {at} on (counted from 0).")
        }
        Compared::Bytes(Found::NotWithin(bytes)) => {
            format!("They do not differ in the first {}.", size(*bytes))
        }
    }
}

fn side_by_side(frame: &mut Frame<'_>, rows: &[Row], across: usize, area: Rect) {
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(area);
    let half = |mine: &dyn Fn(&Row) -> Line<'static>| {
        Paragraph::new(rows.iter().map(mine).collect::<Vec<_>>())
    };
    let lefts = half(&|row| match row {
        Row::Gap(at, _) => gap(*at),
        Row::Same(line, _) => numbered(' ', line, across, Style::new()),
        Row::Differ(Some(line), _) => numbered('-', line, across, LEFT),
        Row::Differ(None, _) => Line::raw(""),
    });
    let rights = half(&|row| match row {
        Row::Gap(_, at) => gap(*at),
        Row::Same(_, line) => numbered(' ', line, across, Style::new()),
        Row::Differ(_, Some(line)) => numbered('+', line, across, RIGHT),
        Row::Differ(_, None) => Line::raw(""),
    });
    frame.render_widget(lefts, left);
    frame.render_widget(rights.block(Block::new().borders(Borders::LEFT)), right);
}

fn unified(diff: &Diff, (at, part): (usize, Part), across: usize) -> Option<Line<'static>> {
    match (diff.rows.get(at)?, part) {
        (Row::Gap(at, _), _) => Some(gap(*at)),
        (Row::Same(line, _), _) => Some(numbered(' ', line, across, Style::new())),
        (Row::Differ(Some(line), _), Part::Left) => Some(numbered('-', line, across, LEFT)),
        (Row::Differ(_, Some(line)), Part::Right) => Some(numbered('+', line, across, RIGHT)),
        (Row::Differ(..), _) => None,
    }
}

fn gap(at: usize) -> Line<'static> {
    Line::styled(format!("{:>NUMBER$} ┄┄ line {at}", ""), FAINT)
}

fn numbered(sign: char, line: &Numbered, across: usize, style: Style) -> Line<'static> {
    let text: String = line.text.chars().skip(across).collect();
    let number = Span::styled(format!("{:>NUMBER$} ", line.number), FAINT);
    Line::from(vec![number, Span::styled(format!("{sign} {text}"), style)])
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let width = HELP
        .iter()
        .map(|line| Span::raw(*line).width())
        .max()
        .unwrap_or(0)
        + 4;
    let width = u16::try_from(width).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(HELP.len() + 2)
        .unwrap_or(u16::MAX)
        .min(area.height);
    let area = Rect::new(
        (area.width - width) / 2,
        (area.height - height) / 2,
        width,
        height,
    );
    let lines: Vec<_> = HELP
        .iter()
        .map(|line| Line::raw(format!(" {line}")))
        .collect();
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title("Keys")),
        area,
    );
}
