//! One text of two, with marks where they differ.

use similar::DiffTag;

use super::diff::lines;

/// What marks begin with, as in git.
const MARKS: [&str; 3] = ["<<<<<<<", "=======", ">>>>>>>"];

/// Both texts in one: lines that are alike once, the others between marks that name the sides.
pub fn marked(left: &str, right: &str, (ours, theirs): (&str, &str)) -> String {
    let compared = lines(left, right);
    let end = if first_ends_with_return(left) {
        "\r\n"
    } else {
        "\n"
    };
    let mut text = String::with_capacity(left.len() + right.len());
    for op in compared.ops() {
        let old = op.old_range().filter_map(|index| compared.old_slice(index));
        if op.tag() == DiffTag::Equal {
            text.extend(old);
            continue;
        }
        let new = op.new_range().filter_map(|index| compared.new_slice(index));
        text.extend([MARKS[0], " ", ours, end]);
        text.extend(old);
        close(&mut text, end);
        text.extend([MARKS[1], end]);
        text.extend(new);
        close(&mut text, end);
        text.extend([MARKS[2], " ", theirs, end]);
    }
    text
}

/// Whether marks that [`marked`] set are still there.
pub fn has_marks(text: &str, (ours, theirs): (&str, &str)) -> bool {
    let (begin, end) = (
        format!("{} {ours}", MARKS[0]),
        format!("{} {theirs}", MARKS[2]),
    );
    text.lines().any(|line| line == begin || line == end)
}

fn first_ends_with_return(text: &str) -> bool {
    text.split_inclusive('\n')
        .next()
        .is_some_and(|line| line.ends_with("\r\n"))
}

fn close(text: &mut String, end: &str) {
    if !text.ends_with('\n') {
        text.push_str(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDES: (&str, &str) = ("local", "server");

    #[test]
    fn only_what_differs_stands_between_marks() {
        let text = marked("a\nb\nc\n", "a\nB\nc\nd\n", SIDES);
        let wanted = "a\n<<<<<<< local\nb\n=======\nB\n>>>>>>> server\nc\n<<<<<<< local\n=======\nd\n>>>>>>> server\n";
        assert_eq!(text, wanted);
        assert!(has_marks(&text, SIDES));
        assert!(!has_marks("a\n======= \n<<<<<<< other\n", SIDES));
    }

    #[test]
    fn marks_stand_on_lines_of_their_own_with_the_ends_of_the_text() {
        let text = marked("a\r\nb", "a\r\nc", SIDES);
        assert_eq!(
            text,
            "a\r\n<<<<<<< local\r\nb\r\n=======\r\nc\r\n>>>>>>> server\r\n"
        );
        assert!(has_marks(&text, SIDES));
    }

    #[test]
    fn texts_that_are_alike_get_no_marks() {
        assert_eq!(marked("a\nb", "a\nb", SIDES), "a\nb");
        assert_eq!(
            marked("", "x\n", SIDES),
            "<<<<<<< local\n=======\nx\n>>>>>>> server\n"
        );
    }
}
