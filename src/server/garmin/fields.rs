//! The fields of a request: a query, a form or a JSON object, all read in the same way.
//!
//! A watch app has numbers and texts in a dictionary; which of the three it becomes is up to the
//! method and one option of the request.

use std::ops::RangeInclusive;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::error::Error;

/// Longest body of a request, in bytes: samples for a file of 100 KB, or a slice of 4 KB in base64
/// with every character percent-encoded.
const BODY_MAX: usize = 128 * 1024;

/// Fields that nobody has asked for yet.
#[derive(Debug, PartialEq)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of a query.
    pub(super) fn of_query(query: Option<&str>) -> Result<Self, Error> {
        of_form(query.unwrap_or_default().as_bytes())
    }

    /// The fields of a body. No body has no fields.
    pub(super) async fn of_body(headers: &HeaderMap, body: Body) -> Result<Self, Error> {
        let collected = Limited::new(body, BODY_MAX).collect().await;
        let bytes = collected.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Error::TooBig
            } else {
                Error::Body
            }
        })?;
        let bytes = bytes.to_bytes();
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        match media(headers).as_str() {
            "application/x-www-form-urlencoded" => of_form(&bytes),
            "application/json" => serde_json::from_slice(&bytes)
                .map(Self)
                .map_err(|_not_an_object| Error::Body),
            _ => Err(Error::Media),
        }
    }

    /// Takes a field as it is.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes a text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::field(name)),
        }
    }

    /// Takes a whole number, also when it is written as a text, as in a form.
    pub(super) fn integer(
        &mut self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Error> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        let number = number.filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| Error::field(name))
    }

    /// Refuses what is left: a misspelt field would be silently without effect.
    pub(super) fn end(self) -> Result<(), Error> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::field(name)),
        }
    }
}

fn of_form(encoded: &[u8]) -> Result<Fields, Error> {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(encoded) {
        // What is no UTF-8 was replaced by this.
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(Error::field(&name));
        }
        let twice = fields.insert(name.to_string(), Value::String(value.into_owned()));
        if twice.is_some() {
            return Err(Error::field(&name));
        }
    }
    Ok(Fields(fields))
}

fn media(headers: &HeaderMap) -> String {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = text.unwrap_or_default().split(';').next();
    essence.unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    async fn body(media: &'static str, text: &'static str) -> Result<Fields, Error> {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media))]);
        Fields::of_body(&headers, Body::from(text)).await
    }

    #[tokio::test]
    async fn query_form_and_json_say_the_same() {
        let form = "n=a+%C3%A4.gpx&o=4096&crc=-1";
        let json = r#"{"n":"a ä.gpx","o":4096,"crc":-1}"#;
        for mut fields in [
            Fields::of_query(Some(form)).unwrap(),
            body("application/x-www-form-urlencoded", form)
                .await
                .unwrap(),
            body("Application/JSON; charset=utf-8", json).await.unwrap(),
        ] {
            assert_eq!(fields.text("n").unwrap().as_deref(), Some("a ä.gpx"));
            assert_eq!(fields.integer("o", 0..=9999).unwrap(), Some(4096));
            assert_eq!(fields.integer("crc", -9..=9).unwrap(), Some(-1));
            assert_eq!(fields.integer("t", 0..=1).unwrap(), None);
            fields.end().unwrap();
        }
        assert_eq!(body("text/plain", "").await, Fields::of_query(None));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_refused_by_name() {
        let named = |name| Err(Error::field(name));
        for text in [
            "o=x",
            "o=",
            "o=1.5",
            "o=10",
            "o=-1",
            "o=99999999999999999999",
        ] {
            let mut fields = Fields::of_query(Some(text)).unwrap();
            assert_eq!(
                fields.integer("o", 0..=9),
                named("o").map(|()| None),
                "{text}"
            );
        }
        assert_eq!(Fields::of_query(Some("a=1&a=2")).map(drop), named("a"));
        assert_eq!(Fields::of_query(Some("a=%ff")).map(drop), named("a"));
        assert_eq!(Fields::of_query(Some("zz=1")).unwrap().end(), named("zz"));
        let json = "application/json";
        let mut odd = body(json, r#"{"n":1,"o":[1]}"#).await.unwrap();
        assert_eq!(odd.text("n").map(drop), named("n"));
        assert_eq!(odd.integer("o", 0..=9).map(drop), named("o"));
        for text in ["[1]", "{", "null", "{}x", "\u{0}"] {
            assert_eq!(body(json, text).await, Err(Error::Body), "{text}");
        }
        assert_eq!(body("text/plain", "x").await, Err(Error::Media));
        assert_eq!(body("", "x").await, Err(Error::Media));
    }

    #[tokio::test]
    async fn a_body_may_be_128_kib_long() {
        let headers = HeaderMap::new();
        let most = Body::from(vec![b'x'; BODY_MAX]);
        assert_eq!(Fields::of_body(&headers, most).await, Err(Error::Media));
        let more = Body::from(vec![b'x'; BODY_MAX + 1]);
        assert_eq!(Fields::of_body(&headers, more).await, Err(Error::TooBig));
    }
}
