//! The two files of a conflict, and which of them this device wrote.

use serde::Serialize;

use crate::protocol::auth::DeviceName;
use crate::protocol::files::{Conflict, Keep, Node, Version};

/// Letters of a device's name that the server puts into the name of a copy.
const TAG_MAX: usize = 32;
/// What the server writes where no device wrote.
const NO_DEVICE: &str = "web";

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The file as it is now.
    Node,
    /// The file beside it that keeps what lost.
    Copy,
}

impl Which {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Node => Self::Copy,
            Self::Copy => Self::Node,
        }
    }
}

/// What should stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// What this device wrote; the file as it is now when that cannot be told.
    Local,
    /// The other one.
    Server,
    /// Both, as two files.
    Both,
    /// What comes out of an editor.
    Editor,
}

/// A file of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// As the server has it.
    pub node: Node,
    /// The device that wrote it, by name, when that is known.
    pub who: Option<String>,
}

/// A conflict and what is known of its sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The conflict's id.
    pub id: i64,
    /// When it arose, in milliseconds since 1970.
    pub at: i64,
    /// The file; none when it was deleted since.
    pub node: Option<Side>,
    /// The copy; none when it was deleted since.
    pub copy: Option<Side>,
    /// Which of them this device wrote, when that can be told.
    pub ours: Option<Which>,
}

/// How a side is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// This device wrote it.
    Local,
    /// Another device wrote it.
    Server,
    /// The file as it is now, whoever wrote it.
    Current,
    /// The copy beside it, whoever wrote it.
    Kept,
    /// Both of them.
    Both,
    /// Neither: what came out of an editor.
    Editor,
}

impl Label {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Server => "server",
            Self::Current => "current",
            Self::Kept => "kept",
            Self::Both => "both",
            Self::Editor => "editor",
        }
    }
}

impl Pair {
    /// The side that is shown on the left: this device's; the file as it is now when that cannot be told.
    pub fn left(&self) -> Which {
        self.ours.unwrap_or(Which::Node)
    }

    /// A side; none when it was deleted since.
    pub fn side(&self, which: Which) -> Option<&Side> {
        match which {
            Which::Node => self.node.as_ref(),
            Which::Copy => self.copy.as_ref(),
        }
    }

    /// How a side is called.
    pub fn label(&self, which: Which) -> Label {
        match (self.ours, which) {
            (Some(ours), which) if ours == which => Label::Local,
            (Some(_), _) => Label::Server,
            (None, Which::Node) => Label::Current,
            (None, Which::Copy) => Label::Kept,
        }
    }

    /// How what is chosen is called.
    pub fn chosen(&self, choice: Choice) -> Label {
        match choice {
            Choice::Local => self.label(self.left()),
            Choice::Server => self.label(self.left().other()),
            Choice::Both => Label::Both,
            Choice::Editor => Label::Editor,
        }
    }

    /// What the server has to be asked for a choice, or why it cannot be made.
    pub fn keep(&self, choice: Choice) -> Result<Keep, String> {
        let which = match choice {
            Choice::Local => self.left(),
            Choice::Server => self.left().other(),
            Choice::Both => return Ok(Keep::Both),
            Choice::Editor if self.node.is_some() && self.copy.is_some() => return Ok(Keep::Node),
            Choice::Editor => {
                return Err(
                    "one of the two was deleted since: there is nothing to merge".to_owned(),
                );
            }
        };
        match (which, &self.node, &self.copy) {
            (Which::Node, Some(_), _) => Ok(Keep::Node),
            (Which::Copy, Some(_), Some(_)) => Ok(Keep::Copy),
            // There is no file that it could become a version of: it stays where it is.
            (Which::Copy, None, Some(_)) | (_, None, None) => Ok(Keep::Both),
            (Which::Node, None, Some(_)) | (Which::Copy, Some(_), None) => {
                let (gone, other) = (self.label(which).text(), self.label(which.other()).text());
                Err(format!(
                    "`{gone}` was deleted since; take `{other}` or `both`"
                ))
            }
        }
    }
}

/// Which of the two this device wrote, when that can be told. `node` and `copy` are their versions, newest first.
pub fn ours(
    conflict: &Conflict,
    me: &DeviceName,
    node: &[Version],
    copy: &[Version],
) -> Option<Which> {
    let device = Some(me.id);
    let tag = conflict.copy.as_ref().and_then(|copy| tag(&copy.name));
    let tagged = tag.map(|tag| is_tag_of(tag, &me.name));
    let which = match writers(conflict, node) {
        // Where the name of the copy says something else, somebody has been renamed, or history has a gap.
        Some((winner, _)) if winner == device && tagged != Some(true) => Which::Node,
        Some((winner, loser)) if winner != device && loser == device && tagged != Some(false) => {
            Which::Copy
        }
        None if tagged == Some(true) => Which::Copy,
        None if tagged == Some(false) && conflict.device == device => Which::Node,
        Some(_) | None => return None,
    };
    // Written on since, by one or the other.
    let node = node.first().filter(|newest| newest.written > conflict.at);
    let copy = copy.first().filter(|newest| newest.number > 1);
    let by_us = |version: Option<&Version>| version.map(|version| version.device == device);
    let (of_ours, of_theirs) = match which {
        Which::Node => (by_us(node), by_us(copy)),
        Which::Copy => (by_us(copy), by_us(node)),
    };
    (of_ours != Some(false) && of_theirs != Some(true)).then_some(which)
}

/// The device that won and the one that lost, as long as the versions go back to when that was.
fn writers(conflict: &Conflict, node: &[Version]) -> Option<(Option<i64>, Option<i64>)> {
    let won =
        |version: &Version| version.written == conflict.at && version.device == conflict.device;
    if let Some(at) = node.iter().position(won) {
        let before = node
            .get(at + 1)
            .filter(|before| before.number + 1 == node[at].number)?;
        return Some((conflict.device, before.device));
    }
    let head = node.iter().find(|version| version.written < conflict.at)?;
    Some((head.device, conflict.device))
}

/// The device that the name of a conflict copy names: `NAME.conflict-YYYYMMDD-HHMMSS-DEVICE.EXT`.
pub fn tag(name: &str) -> Option<&str> {
    let (_, rest) = name.rsplit_once(".conflict-")?;
    let digits = |text: &str, most: usize| {
        text.len() == most && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (day, rest) = rest.split_once('-')?;
    let (time, rest) = rest.split_once('-')?;
    let device = rest.split('.').next().unwrap_or_default();
    (digits(day, 8) && digits(time, 6)).then_some(device)
}

/// Whether a name of a copy means the device of this name. The server numbers copies of one second.
pub fn is_tag_of(tag: &str, device: &str) -> bool {
    let plain: String = device
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '-')
        .take(TAG_MAX)
        .collect();
    let Some(rest) = tag.strip_prefix(plain.as_str()) else {
        return false;
    };
    let number = rest.strip_prefix('-').unwrap_or_default();
    rest.is_empty() || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The name of the device that wrote the file as it is now. `devices` are ids and names.
pub fn writer_of_node(versions: &[Version], devices: &[(i64, String)]) -> Option<String> {
    Some(named(versions.first()?.device, devices))
}

/// The name of the device that wrote the copy: the server makes it in the name of the one that arrived, so it is
/// the name of the file that says it, until somebody writes on.
pub fn writer_of_copy(
    name: &str,
    versions: &[Version],
    devices: &[(i64, String)],
) -> Option<String> {
    if let Some(newest) = versions.first().filter(|newest| newest.number > 1) {
        return Some(named(newest.device, devices));
    }
    let tag = tag(name)?;
    let device = devices.iter().find(|(_, device)| is_tag_of(tag, device));
    Some(device.map_or_else(|| tag.to_owned(), |(_, device)| device.clone()))
}

fn named(device: Option<i64>, devices: &[(i64, String)]) -> String {
    let Some(id) = device else {
        return NO_DEVICE.to_owned();
    };
    let known = devices.iter().find(|(known, _)| *known == id);
    known.map_or_else(|| format!("device {id}"), |(_, name)| name.clone())
}
