//! Samples that an app has recorded, as a file: a GPX track when they are one, else JSON.
//!
//! Nothing is lost on the way. A track is made only of samples that all have a place, and of fields
//! that a track can hold (GPX 1.1 with version 1 of Garmin's extension for track points); any
//! others are kept as they came.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::FILE_MAX;
use super::error::Error;

/// Longest name of a field, in bytes.
const KEY_MAX: usize = 16;

/// The fields that a track holds, and what they may be.
const TRACK: [(&str, f64, f64); 7] = [
    ("t", 0.0, 253_402_300_799.0),
    ("lat", -90.0, 90.0),
    ("lon", -180.0, 180.0),
    ("ele", -12_000.0, 100_000.0),
    ("tmp", -100.0, 100.0),
    ("hr", 1.0, 255.0),
    ("cad", 0.0, 254.0),
];
const HEAD: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    "\n",
    r#"<gpx version="1.1" creator="sync-server" xmlns="http://www.topografix.com/GPX/1/1" "#,
    r#"xmlns:x="http://www.garmin.com/xmlschemas/TrackPointExtension/v1"><trk><trkseg>"#,
    "\n"
);
const TAIL: &str = "</trkseg></trk></gpx>\n";

/// A file made of samples.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// `gpx` or `json`.
    pub(super) extension: &'static str,
    /// Its name without extension, after the time of the first sample.
    pub(super) stem: String,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// Makes a file of the value of the field `samples`.
pub(super) fn file(samples: Value) -> Result<Made, Error> {
    let wrong = || Error::field("samples");
    let Value::Array(samples) = samples else {
        return Err(wrong());
    };
    let samples: Vec<_> = samples.iter().map(sample).collect::<Result<_, _>>()?;
    let first = samples.first().ok_or_else(wrong)?;
    let stem = time(first)?.strftime("%Y%m%d-%H%M%S").to_string();
    let (extension, bytes) = if samples.iter().all(|sample| is_point(sample)) {
        ("gpx", track(&samples)?.into_bytes())
    } else {
        let text = serde_json::to_vec(&serde_json::json!({ "samples": samples }));
        ("json", text.map_err(|_not_json| wrong())?)
    };
    if bytes.len() > FILE_MAX {
        return Err(Error::TooBig);
    }
    Ok(Made {
        extension,
        stem,
        bytes,
    })
}

/// A sample is an object of numbers; `t`, in seconds since 1970, must be there.
fn sample(value: &Value) -> Result<&Map<String, Value>, Error> {
    let fields = value.as_object().filter(|fields| {
        let is_number =
            |(name, value): (&String, &Value)| name.len() <= KEY_MAX && value.is_number();
        fields.iter().all(is_number)
    });
    let fields = fields.ok_or_else(|| Error::field("samples"))?;
    time(fields)?;
    for (name, least, most) in TRACK {
        let number = fields.get(name).and_then(Value::as_f64);
        if number.is_some_and(|number| !(least..=most).contains(&number)) {
            return Err(Error::field(name));
        }
    }
    Ok(fields)
}

fn time(sample: &Map<String, Value>) -> Result<Timestamp, Error> {
    let seconds = sample.get("t").and_then(Value::as_i64);
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.ok_or_else(|| Error::field("t"))
}

fn is_point(sample: &Map<String, Value>) -> bool {
    let known = |name: &String| TRACK.iter().any(|(known, ..)| known == name);
    let whole = |name: &str| sample.get(name).is_none_or(Value::is_u64);
    sample.contains_key("lat")
        && sample.contains_key("lon")
        && sample.keys().all(known)
        && whole("hr")
        && whole("cad")
}

fn track(samples: &[&Map<String, Value>]) -> Result<String, Error> {
    let mut out = HEAD.to_owned();
    for sample in samples {
        point(&mut out, sample, time(sample)?);
    }
    out.push_str(TAIL);
    Ok(out)
}

/// One point, its elements in the order that the schemas want.
fn point(out: &mut String, sample: &Map<String, Value>, time: Timestamp) {
    // A number prints without an exponent here, as the schema wants it.
    let number = |name| sample.get(name).and_then(Value::as_f64);
    let (lat, lon) = (number("lat").unwrap_or(0.0), number("lon").unwrap_or(0.0));
    let mut add = |text: std::fmt::Arguments<'_>| {
        out.write_fmt(text)
            .expect("writing to a String never fails");
    };
    add(format_args!(r#"<trkpt lat="{lat}" lon="{lon}">"#));
    if let Some(ele) = number("ele") {
        add(format_args!("<ele>{ele}</ele>"));
    }
    add(format_args!("<time>{time}</time>"));
    let extension = [("tmp", "atemp"), ("hr", "hr"), ("cad", "cad")];
    let mut begun = false;
    for (name, element) in extension {
        let Some(number) = number(name) else { continue };
        if !begun {
            add(format_args!("<extensions><x:TrackPointExtension>"));
            begun = true;
        }
        add(format_args!("<x:{element}>{number}</x:{element}>"));
    }
    if begun {
        add(format_args!("</x:TrackPointExtension></extensions>"));
    }
    add(format_args!("</trkpt>\n"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(made: &Made) -> &str {
        std::str::from_utf8(&made.bytes).unwrap()
    }

    #[test]
    fn samples_with_places_become_a_track() {
        let made = file(json!([
            {"t": 1_795_391_150, "lat": 48.1, "lon": -11, "ele": 520.5, "hr": 120, "cad": 0, "tmp": -3.5},
            {"t": 1_795_391_151, "lat": 0.000_000_1, "lon": 11.5},
        ]))
        .unwrap();
        assert_eq!((made.extension, &*made.stem), ("gpx", "20261122-234550"));
        let expected = [
            HEAD,
            r#"<trkpt lat="48.1" lon="-11"><ele>520.5</ele><time>2026-11-22T23:45:50Z</time>"#,
            "<extensions><x:TrackPointExtension><x:atemp>-3.5</x:atemp><x:hr>120</x:hr>",
            "<x:cad>0</x:cad></x:TrackPointExtension></extensions></trkpt>\n",
            r#"<trkpt lat="0.0000001" lon="11.5"><time>2026-11-22T23:45:51Z</time></trkpt>"#,
            "\n",
            TAIL,
        ];
        assert_eq!(text(&made), expected.concat());
        let mut xml = quick_xml::Reader::from_str(text(&made));
        while xml.read_event().unwrap() != quick_xml::events::Event::Eof {}
    }

    #[test]
    fn samples_that_are_no_track_are_kept_as_they_came() {
        for samples in [
            json!([{"t": 1_795_391_150, "hr": 60}, {"t": 1_795_391_151, "stress": 25.5}]),
            json!([{"t": 1, "lat": 1, "lon": 1}, {"t": 2, "hr": 60}]),
            json!([{"t": 1, "lat": 1, "lon": 1, "pow": 250}]),
            json!([{"t": 1, "lat": 1, "lon": 1, "hr": 60.5}]),
        ] {
            let made = file(samples.clone()).unwrap();
            assert_eq!(made.extension, "json");
            let kept: Value = serde_json::from_slice(&made.bytes).unwrap();
            assert_eq!(kept, json!({ "samples": samples }));
        }
    }

    #[test]
    fn what_is_no_sample_is_refused_by_name() {
        for (samples, name) in [
            (json!([]), "samples"),
            (json!({}), "samples"),
            (json!([1]), "samples"),
            (json!([{"t": 1, "note": "text"}]), "samples"),
            (json!([{"t": 1, "longer than sixteen": 1}]), "samples"),
            (json!([{"lat": 1, "lon": 1}]), "t"),
            (json!([{"t": 1.5}]), "t"),
            (json!([{"t": -1}]), "t"),
            (json!([{"t": 1, "lat": 90.1, "lon": 1}]), "lat"),
            (json!([{"t": 1, "lat": 1, "lon": -181}]), "lon"),
            (json!([{"t": 1, "hr": 256}]), "hr"),
        ] {
            assert_eq!(file(samples.clone()), Err(Error::field(name)), "{samples}");
        }
    }

    #[test]
    fn a_file_of_more_than_100_kb_is_not_made() {
        let many: Vec<_> = (0..4000)
            .map(|t| json!({"t": t, "lat": 1, "lon": 1}))
            .collect();
        assert_eq!(file(many.into()), Err(Error::TooBig));
    }
}
