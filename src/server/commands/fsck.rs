//! `sync-server fsck`: whether what is stored agrees with itself, told as it is found.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};

use serde_json::json;

use super::{close, open};
use crate::jobs::fsck::{self, Finding, How, Summary};
use crate::server::cli::Fsck;
use crate::server::config::Config;
use crate::server::error::{Error, Result};
use crate::types::Clock;

/// Checks, repairs when asked to, and reports; [`Error::Damage`] when anything is lost for now.
pub(super) async fn run(what: Fsck, config: &Config) -> Result<String> {
    let opened = open(config).await?;
    let how = How {
        deep: what.deep,
        repair: what.repair,
        data: config.data_path.clone(),
        clock: Clock::system(),
    };
    let mut told = |finding: &Finding| {
        let text = if what.json {
            json(finding)
        } else {
            text(finding)
        };
        // A reader that has gone away does not keep repairs from being made.
        drop(stdout().write_all(text.as_bytes()));
    };
    let checked = fsck::check(&opened.store, &how, &mut told).await;
    close(&opened, String::new()).await?;
    let summary = checked.map_err(Error::Check)?;
    let report = if what.json {
        format!("{}\n", json!({ "summary": summary }))
    } else {
        said(&summary)
    };
    if summary.damaged > summary.repaired {
        stdout().write_all(report.as_bytes())?;
        return Err(Error::Damage(summary.damaged - summary.repaired));
    }
    Ok(report)
}

/// One JSON object on a line.
fn json(finding: &Finding) -> String {
    let text = serde_json::to_string(finding);
    text.map_or_else(|_impossible| String::new(), |text| format!("{text}\n"))
}

/// A few lines for people.
fn text(finding: &Finding) -> String {
    let Finding {
        kind,
        space,
        subject,
        wrong,
        files,
        more,
        repaired,
    } = finding;
    let mut text = format!("{}: {subject}", kind.word());
    let mut line = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line)
            .expect("writing to a String never fails");
    };
    if let Some(space) = space {
        line(format_args!(" of {space}"));
    }
    line(format_args!(" {wrong}\n"));
    for file in files {
        line(format_args!("  file {file}\n"));
    }
    if *more > 0 {
        line(format_args!("  and {more} more\n"));
    }
    if let Some(repaired) = repaired {
        line(format_args!("  done: {repaired}\n"));
    }
    text
}

fn said(summary: &Summary) -> String {
    let Summary {
        nodes,
        contents,
        chunks,
        damaged,
        repaired,
        harmless,
    } = summary;
    format!(
        "checked\t{nodes} nodes, {contents} contents, {chunks} chunks\ndamaged\t{damaged}\n\
         repaired\t{repaired}\nharmless\t{harmless}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::fsck::Kind;

    #[test]
    fn a_finding_is_told_to_people_and_to_programs() {
        let finding = Finding {
            kind: Kind::Record,
            space: Some("user:anna".to_owned()),
            subject: "segment 3f at 32, chunk 7".to_owned(),
            wrong: "does not open".to_owned(),
            files: vec!["user:anna/a".to_owned(), "user:anna/b".to_owned()],
            more: 5,
            repaired: None,
        };
        assert_eq!(
            text(&finding),
            "record: segment 3f at 32, chunk 7 of user:anna does not open\n\
             \x20 file user:anna/a\n  file user:anna/b\n  and 5 more\n"
        );
        let expected = json!({
            "kind": "record", "space": "user:anna", "subject": "segment 3f at 32, chunk 7",
            "wrong": "does not open", "files": ["user:anna/a", "user:anna/b"], "more": 5,
        });
        let told: serde_json::Value = serde_json::from_str(&json(&finding)).unwrap();
        assert_eq!(told, expected);
        let repaired = Finding {
            kind: Kind::Sum,
            space: None,
            files: Vec::new(),
            more: 0,
            repaired: Some("worked out again".to_owned()),
            ..finding
        };
        assert_eq!(
            text(&repaired),
            "sum: segment 3f at 32, chunk 7 does not open\n  done: worked out again\n"
        );
    }
}
