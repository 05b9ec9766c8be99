//! What watches send.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, header};
use tokio::runtime::{Builder, Runtime};

use super::fields::Fields;
use super::{files, find, samples};
use crate::fuzzing::choice;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
}

/// A query, a form and JSON are read or refused; what is made of samples is a file that can be read.
pub(crate) fn garmin(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    let fields = match (kind % 3, std::str::from_utf8(bytes)) {
        (0, Ok(text)) => {
            files::fuzz(text);
            if let Some(id) = find::decode(text) {
                assert_eq!(find::decode(&find::encode(id)), Some(id));
            }
            Fields::of_query(Some(text))
        }
        (1, _) => body("application/x-www-form-urlencoded", bytes),
        _ => body("application/json; charset=utf-8", bytes),
    };
    let Ok(mut fields) = fields else {
        return;
    };
    if let Ok(Some(number)) = fields.integer("o", 0..=9999) {
        assert!((0..=9999).contains(&number));
    }
    let made = fields.take("samples").map(samples::file);
    if let Some(Ok(made)) = made {
        match made.extension {
            "json" => drop(serde_json::from_slice::<serde_json::Value>(&made.bytes).expect("JSON")),
            _ => drop(xmltree::Element::parse(&made.bytes[..]).expect("a track")),
        }
    }
}

fn body(media: &'static str, bytes: &[u8]) -> Result<Fields, super::error::Error> {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media))]);
    RUNTIME.with(|runtime| runtime.block_on(Fields::of_body(&headers, Body::from(bytes.to_vec()))))
}
