mod allowed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::Router;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::{Api, Waiting, documented, routes};
use super::*;
use crate::server::config::{Config, Secret};
use crate::server::{Metrics, startup};
use crate::types::Clock;

/// The document as clients get it.
fn document() -> Value {
    let (_, spec) = documented().split_for_parts();
    serde_json::from_str(&text(spec)).unwrap()
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
    })
}

/// Calls `visit` with every object in the document and where it is.
fn walk(value: &Value, place: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(place, value);
    match value {
        Value::Object(fields) => {
            for (name, below) in fields {
                walk(below, &format!("{place}/{name}"), visit);
            }
        }
        Value::Array(items) => {
            for (nth, below) in items.iter().enumerate() {
                walk(below, &format!("{place}/{nth}"), visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_document_is_as_reviewed() {
    let pretty = serde_json::to_string_pretty(&document()).unwrap();
    insta::assert_snapshot!("openapi", pretty);
}

/// The API over a store that is open.
async fn api(folder: &Path) -> Api {
    let config = Config {
        db_path: folder.join("sync.db"),
        data_path: folder.join("data"),
        key_file: folder.join("key"),
        admin_password: Some(Secret::new("correct horse")),
        ..Config::default()
    };
    let clock = Clock::system();
    let opened = startup::open(&config, clock.clone()).await.unwrap();
    Api {
        store: opened.store,
        accounts: opened.accounts,
        metrics: Metrics::new(),
        clock,
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        waiting: Waiting::new(),
        answering: super::super::answering(),
    }
}

/// axum lists its routes only in its debug output; `/` and `/{*…}` are its fallback.
fn routes_of(router: &Router) -> BTreeSet<String> {
    let shown = format!("{router:?}");
    let texts = shown.split('"').skip(1).step_by(2);
    let paths = texts.filter(|text| text.starts_with('/') && *text != "/" && !text.contains("{*"));
    paths.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_route_is_in_the_document_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let router = routes(api(folder.path()).await);
    let document = document();
    let described = document["paths"].as_object().unwrap().keys();
    assert_eq!(routes_of(&router), described.cloned().collect());
}

#[test]
fn operations_have_names_of_their_own_and_a_tag_that_is_described() {
    let document = document();
    let tags = document["tags"].as_array().unwrap();
    let tags: BTreeSet<_> = tags
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut names = BTreeMap::new();
    let mut used = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(
            name.bytes().all(|letter| letter.is_ascii_alphabetic()),
            "{name}"
        );
        assert_eq!(names.insert(name, path), None, "{name}");
        used.insert(operation["tags"][0].as_str().unwrap());
        assert!(operation["summary"].is_string(), "{method} {path}");
    }
    assert_eq!(used, tags);
}

#[test]
fn everything_is_described() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(
                parameter["description"].is_string(),
                "{method} {path} {parameter}"
            );
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let described = response["description"].is_string() || response["$ref"].is_string();
            assert!(described, "{method} {path} {status}");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name}");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let described = property["description"].is_string()
                || property["oneOf"][0]["description"].is_string();
            assert!(described, "{name}.{field}");
        }
    }
    for (name, response) in document["components"]["responses"].as_object().unwrap() {
        assert_ne!(response["description"], "", "{name}");
    }
}

#[test]
fn every_reference_and_every_link_leads_somewhere() {
    let document = document();
    let names: BTreeMap<_, _> = operations(&document)
        .map(|(_, _, operation)| (operation["operationId"].as_str().unwrap(), operation))
        .collect();
    let mut links = 0;
    walk(&document, "", &mut |place, value| {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{place} {reference}");
        }
        for link in value["links"].as_object().into_iter().flatten() {
            links += 1;
            let target = names[link.1["operationId"].as_str().unwrap()];
            let takes = target["parameters"].as_array();
            for parameter in link.1["parameters"].as_object().into_iter().flatten() {
                let mut known = takes.into_iter().flatten();
                assert!(
                    known.any(|taken| taken["name"] == **parameter.0),
                    "{place} {parameter:?}"
                );
            }
        }
    });
    assert_eq!(links, links::count());
}

#[test]
fn only_logging_in_and_the_document_need_no_token() {
    let document = document();
    let open: Vec<_> = operations(&document)
        .filter(|(_, _, operation)| operation["security"] == serde_json::json!([{}]))
        .map(|(_, path, _)| path)
        .collect();
    assert_eq!(
        open,
        [
            "/auth/login",
            "/auth/refresh",
            "/auth/register",
            "/openapi.json"
        ]
    );
    assert_eq!(document["security"], serde_json::json!([{ "bearer": [] }]));
}
