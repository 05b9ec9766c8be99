//! What differs between two texts, in rows that can be shown side by side or one below the other.

use std::ops::Range;
use std::time::Duration;

use similar::{DiffOp, DiffTag, TextDiff};

/// Lines that are shown around each difference.
const CONTEXT: usize = 3;
/// After this long the difference may be larger than it has to be.
const PATIENCE: Duration = Duration::from_millis(500);
/// Columns between stops of a tab.
const TAB: usize = 4;

/// A line of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// From 1.
    pub number: usize,
    /// Without its end, and without what a terminal would obey.
    pub text: String,
}

/// A row of two texts side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Lines that are alike were left out; the next ones are these.
    Gap(usize, usize),
    /// A line that both have.
    Same(Numbered, Numbered),
    /// Lines that differ, or that one lacks.
    Differ(Option<Numbered>, Option<Numbered>),
}

/// Which part of a row a line of the unified form shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The row as a whole.
    Whole,
    /// Its left line.
    Left,
    /// Its right line.
    Right,
}

/// The differences of two texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Side by side.
    pub rows: Vec<Row>,
    /// One below the other: parts of rows, by index.
    pub unified: Vec<(usize, Part)>,
}

/// Compares two texts line by line.
pub fn diff(left: &str, right: &str) -> Diff {
    let compared = lines(left, right);
    let mut rows = Vec::new();
    for group in compared.grouped_ops(CONTEXT) {
        if let Some(first) = group.first() {
            rows.push(Row::Gap(
                first.old_range().start + 1,
                first.new_range().start + 1,
            ));
        }
        for op in &group {
            push(&mut rows, &compared, op);
        }
    }
    let unified = unify(&rows);
    Diff { rows, unified }
}

/// The comparison that all is made of.
pub(super) fn lines<'a>(left: &'a str, right: &'a str) -> TextDiff<'a, 'a, str> {
    TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(left, right)
}

fn push(rows: &mut Vec<Row>, compared: &TextDiff<'_, '_, str>, op: &DiffOp) {
    let numbered = |text: Option<&str>, index: usize| {
        text.map(|text| Numbered {
            number: index + 1,
            text: shown(text),
        })
    };
    let left = |index: usize| numbered(compared.old_slice(index), index);
    let right = |index: usize| numbered(compared.new_slice(index), index);
    let (old, new) = (op.old_range(), op.new_range());
    let both = |step: usize| {
        (
            nth(&old, step).and_then(left),
            nth(&new, step).and_then(right),
        )
    };
    for step in 0..old.len().max(new.len()) {
        rows.push(match (op.tag(), both(step)) {
            (DiffTag::Equal, (Some(left), Some(right))) => Row::Same(left, right),
            (_, (left, right)) => Row::Differ(left, right),
        });
    }
}

fn nth(range: &Range<usize>, step: usize) -> Option<usize> {
    (step < range.len()).then_some(range.start + step)
}

/// Of rows that differ in a row, all lines of the left come first.
fn unify(rows: &[Row]) -> Vec<(usize, Part)> {
    let mut unified = Vec::new();
    let mut later = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let Row::Differ(left, right) = row else {
            unified.append(&mut later);
            unified.push((index, Part::Whole));
            continue;
        };
        if left.is_some() {
            unified.push((index, Part::Left));
        }
        if right.is_some() {
            later.push((index, Part::Right));
        }
    }
    unified.append(&mut later);
    unified
}

/// A line as a terminal may be shown it: nothing in it is obeyed, and ends that differ can be seen.
fn shown(line: &str) -> String {
    let (line, end) = if let Some(line) = line.strip_suffix("\r\n").or(line.strip_suffix('\r')) {
        (line, "␍")
    } else if let Some(line) = line.strip_suffix('\n') {
        (line, "")
    } else {
        (line, " ⟨no end of line⟩")
    };
    let mut text = String::with_capacity(line.len());
    let mut column = 0;
    for c in line.chars() {
        let before = text.len();
        match c {
            '\t' => text.extend(std::iter::repeat_n(' ', TAB - column % TAB)),
            c if c.is_control() || is_direction(c) => text.push('\u{fffd}'),
            c => text.push(c),
        }
        column += text[before..].chars().count();
    }
    text + end
}

/// Whether it changes the order in which others are shown (Unicode Bidirectional Algorithm, formatting characters).
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(diff: &Diff) -> Vec<String> {
        let line = |line: &Option<Numbered>| {
            line.as_ref().map_or("-".to_owned(), |line| {
                format!("{}:{}", line.number, line.text)
            })
        };
        let row = |row: &Row| match row {
            Row::Gap(left, right) => format!("@ {left} {right}"),
            Row::Same(left, right) => format!("= {}:{} {}", left.number, left.text, right.number),
            Row::Differ(left, right) => format!("! {} | {}", line(left), line(right)),
        };
        diff.rows.iter().map(row).collect()
    }

    #[test]
    fn lines_that_differ_are_paired_and_far_lines_that_are_alike_left_out() {
        let left = "1\n2\n3\n4\n5\nold\n7\n";
        let right = "1\n2\n3\n4\n5\nnew\nmore\n7\n";
        let diff = diff(left, right);
        let rows = [
            "@ 3 3",
            "= 3:3 3",
            "= 4:4 4",
            "= 5:5 5",
            "! 6:old | 6:new",
            "! - | 7:more",
            "= 7:7 8",
        ];
        assert_eq!(plain(&diff), rows);
        let unified = [
            (0, Part::Whole),
            (1, Part::Whole),
            (2, Part::Whole),
            (3, Part::Whole),
            (4, Part::Left),
            (4, Part::Right),
            (5, Part::Right),
            (6, Part::Whole),
        ];
        assert_eq!(diff.unified, unified);
    }

    #[test]
    fn texts_that_are_alike_have_no_rows() {
        assert_eq!(diff("a\nb", "a\nb"), Diff::default());
        assert_eq!(diff("", ""), Diff::default());
    }

    #[test]
    fn nothing_in_a_text_reaches_the_terminal_as_a_command() {
        assert_eq!(
            shown("a\x1b[2Jb\u{202e}c\u{9b}\n"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}"
        );
        assert_eq!(shown("a\tb\t\tc\n"), "a   b       c");
    }

    #[test]
    fn ends_of_lines_that_differ_can_be_seen() {
        let diff = diff("a\r\nb", "a\nb\n");
        assert_eq!(
            plain(&diff),
            ["@ 1 1", "! 1:a␍ | 1:a", "! 2:b ⟨no end of line⟩ | 2:b"]
        );
    }

    #[test]
    fn two_texts_that_share_nothing_are_compared_in_time() {
        let text = |seed: usize| {
            (0..100_000).fold(String::new(), |text, line| {
                text + &format!("{}\n", line * 7 % 9973 + seed)
            })
        };
        let began = std::time::Instant::now();
        assert!(!diff(&text(0), &text(3)).rows.is_empty());
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
    }
}
