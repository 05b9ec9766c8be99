//! How fast a device may send and receive, and when.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Bytes per second each way; none is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// To the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<ByteSize>,
    /// From the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<ByteSize>,
}

/// Rates for a part of each day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// When it begins, `HH:MM` in local time.
    pub from: String,
    /// When it ends, `HH:MM`; before `from` when it goes over midnight.
    pub to: String,
    /// The rates meanwhile.
    #[serde(flatten)]
    pub rates: Rates,
}

/// Rates, and others for parts of the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The rates when no window is open.
    #[serde(flatten)]
    pub rates: Rates,
    /// Parts of the day; the first that is open counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Window>,
}

impl Limits {
    /// Whether nothing is limited at any time.
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }

    /// The rates at a minute of the day.
    pub fn at(&self, minute: u16) -> Rates {
        let open = self.schedule.iter().find(|window| window.is_open(minute));
        open.map_or(self.rates, |window| window.rates)
    }

    pub(super) fn wrong(&self) -> Option<String> {
        let border = |window: &Window| [window.from.clone(), window.to.clone()];
        let wrong = self
            .schedule
            .iter()
            .flat_map(border)
            .find(|border| parse(border).is_none());
        wrong
            .map(|border| format!("limits.schedule: `{border}` is not a time of day such as 08:30"))
    }
}

impl Window {
    /// Reads `08:00-18:00`.
    pub fn hours(text: &str) -> Option<(String, String)> {
        let (from, to) = text.split_once('-')?;
        (parse(from).is_some() && parse(to).is_some()).then(|| (from.to_owned(), to.to_owned()))
    }

    fn is_open(&self, minute: u16) -> bool {
        let (Some(from), Some(to)) = (parse(&self.from), parse(&self.to)) else {
            return false;
        };
        if from <= to {
            (from..to).contains(&minute)
        } else {
            minute >= from || minute < to
        }
    }
}

/// Minutes since midnight.
fn parse(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: u16| {
        text.parse::<u16>()
            .ok()
            .filter(|number| *number < below && text.len() == 2)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let window = |from: &str, to: &str, up| Window {
            from: from.to_owned(),
            to: to.to_owned(),
            rates: Rates {
                up: Some(ByteSize(up)),
                down: None,
            },
        };
        Limits {
            rates: Rates::default(),
            schedule: vec![window("08:00", "18:00", 1), window("22:30", "06:00", 2)],
        }
    }

    fn up(minute: u16) -> Option<u64> {
        limits().at(minute).up.map(|up| up.0)
    }

    #[test]
    fn a_window_holds_from_its_begin_to_before_its_end() {
        assert_eq!(
            [up(8 * 60 - 1), up(8 * 60), up(18 * 60 - 1), up(18 * 60)],
            [None, Some(1), Some(1), None]
        );
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        assert_eq!(
            [up(22 * 60 + 30), up(0), up(6 * 60 - 1), up(6 * 60)],
            [Some(2), Some(2), Some(2), None]
        );
    }

    #[test]
    fn what_is_no_time_of_day_is_refused() {
        for text in ["24:00", "8:00", "08:60", "", "0800", "-1:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
