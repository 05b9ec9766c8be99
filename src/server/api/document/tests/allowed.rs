//! What the document allows, the handlers take: nobody who keeps to it is told that his request is wrong.

use proptest::prelude::*;
use proptest::string::string_regex;

use super::*;
use crate::accounts::is_device_name;
use crate::server::api::extract;
use crate::server::api::files::list::is_search_text;
use crate::store::content::Checksum;

/// Texts that a schema allows, with names of `longest` characters at most in place of 255.
fn texts(schema: &Value, longest: usize) -> impl Strategy<Value = String> + use<> {
    let pattern = schema["pattern"].as_str().unwrap();
    let inner = pattern
        .strip_prefix('^')
        .unwrap()
        .strip_suffix('$')
        .unwrap();
    let shorter = [254, 253].iter().fold(inner.to_owned(), |text, long| {
        text.replace(&format!(",{long}}}"), &format!(",{longest}}}"))
    });
    string_regex(&shorter).unwrap()
}

/// The schema of a parameter of an operation.
fn parameter(document: &Value, path: &str, name: &str) -> Value {
    let parameters = document["paths"][path]["get"]["parameters"].as_array();
    let found = parameters
        .unwrap()
        .iter()
        .find(|found| found["name"] == name);
    let schema = &found.unwrap()["schema"];
    match schema["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap()
            .clone(),
        None => schema.clone(),
    }
}

fn schema(name: &str) -> Value {
    document()["components"]["schemas"][name].clone()
}

#[test]
fn every_search_text_that_the_document_allows_is_searched_for() {
    let schema = parameter(&document(), "/files/search", "q");
    proptest!(|(text in texts(&schema, 254))| prop_assert!(is_search_text(&text), "{text:?}"));
}

#[test]
fn every_device_name_that_the_document_allows_is_taken() {
    proptest!(|(text in texts(&schema("Label"), 254))| {
        prop_assert!(is_device_name(&text), "{text:?}");
    });
}

#[test]
fn every_path_that_the_document_allows_is_one() {
    // Sixty characters are never too many bytes for a name.
    proptest!(|(text in texts(&schema("Path"), 60))| {
        prop_assert!(text.len() > 4096 || extract::path("path", &text).is_ok(), "{text:?}");
    });
}

#[test]
fn every_tag_and_checksum_that_the_document_allows_is_read() {
    proptest!(|(file in texts(&schema("FileTag"), 0), base in texts(&schema("Base"), 0))| {
        prop_assert!(extract::content("from", &file).is_ok(), "{file}");
        prop_assert!(extract::base(Some(&base)).is_ok(), "{base}");
    });
    proptest!(|(text in texts(&schema("Checksum"), 0))| {
        prop_assert!(Checksum::parse(&text).is_some(), "{text}");
    });
}

#[test]
fn every_number_in_a_request_has_both_bounds() {
    let document = document();
    let mut taken: Vec<_> = Vec::new();
    for (method, path, operation) in operations(&document) {
        let json = &operation["requestBody"]["content"]["application/json"];
        taken.push((format!("{method} {path}"), &operation["parameters"]));
        taken.push((format!("{method} {path} body"), json));
    }
    let (mut seen, mut unbounded) = (BTreeSet::new(), Vec::new());
    while let Some((place, part)) = taken.pop() {
        walk(part, &place, &mut |place, value| {
            let open = value["minimum"].is_null() || value["maximum"].is_null();
            if value["type"] == "integer" && open {
                unbounded.push(place.to_owned());
            }
            if let Some(reference) = value["$ref"].as_str()
                && seen.insert(reference.to_owned())
            {
                let part = document.pointer(reference.strip_prefix('#').unwrap());
                taken.push((reference.to_owned(), part.unwrap()));
            }
        });
    }
    assert!(seen.len() > 10, "{seen:?}");
    assert_eq!(unbounded, Vec::<String>::new());
}
