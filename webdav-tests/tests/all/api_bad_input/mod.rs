//! Nonsense sent to the API: each a clear problem, nothing changed, the server alive. What there is to
//! send nonsense to is read from the document that the server itself serves, so no route is forgotten.

mod bodies;
mod cursors;
mod paths;
mod queries;
mod routes;

use serde_json::Value;
use webdav_tests::api::text;
use webdav_tests::{Api, Response, TestServer};

/// One route and method of the served document.
struct Operation {
    method: String,
    /// With `{id}` and the like in it.
    path: String,
    query: Vec<Parameter>,
    /// The JSON body it takes.
    body: Option<Value>,
}

/// A query parameter.
struct Parameter {
    name: String,
    kind: String,
    required: bool,
}

/// A server with a file that must stay as it is.
struct Scene {
    server: TestServer,
    api: Api,
    before: Value,
}

impl Scene {
    #[track_caller]
    fn new() -> Self {
        let server = TestServer::start();
        let api = Api::admin(&server);
        api.upload("/a", b"the content");
        let before = standing(&api);
        Self {
            server,
            api,
            before,
        }
    }

    /// The same process still serves the same tree, and no turn was taken.
    #[track_caller]
    fn unharmed(mut self) {
        assert!(self.server.is_alive(), "the process died");
        assert_eq!(self.api.download("/a"), b"the content");
        assert_eq!(standing(&self.api), self.before, "something has changed");
    }

    /// All operations of the API.
    #[track_caller]
    fn operations(&self) -> Vec<Operation> {
        let document = self.api.get("openapi.json").json(200);
        let mut found = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, described) in methods.as_object().expect("methods") {
                let body = &described["requestBody"]["content"]["application/json"]["schema"];
                found.push(Operation {
                    method: method.to_uppercase(),
                    path: path.trim_start_matches('/').to_owned(),
                    query: parameters(described),
                    body: resolved(&document, body).cloned(),
                });
            }
        }
        assert!(found.len() > 40, "{} operations", found.len());
        found
    }
}

impl Operation {
    /// The route with `value` for each part that varies.
    fn route(&self, value: &str) -> String {
        self.path.replace("{id}", value).replace("{number}", value)
    }

    /// Whether it names something by an id in its path.
    fn has_id(&self) -> bool {
        self.path.contains('{')
    }
}

/// Where the account stands, without the times of the server and of the device.
#[track_caller]
fn standing(api: &Api) -> Value {
    let mut status = api.status();
    for time in ["time", "last_sync"] {
        status[time].take();
    }
    status
}

fn parameters(described: &Value) -> Vec<Parameter> {
    let all = described["parameters"].as_array().into_iter().flatten();
    let of_query = all.filter(|parameter| parameter["in"] == "query");
    of_query
        .map(|parameter| Parameter {
            name: text(parameter, "name").to_owned(),
            kind: text(&parameter["schema"], "type").to_owned(),
            required: parameter["required"] == true,
        })
        .collect()
}

/// The schema that is meant, when it is only referred to.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    match schema["$ref"].as_str() {
        Some(name) => {
            let name = name.rsplit('/').next()?;
            document["components"]["schemas"].get(name)
        }
        None => schema.is_object().then_some(schema),
    }
}

/// A client's fault, told as a problem; returns it.
#[track_caller]
fn refused(answer: &Response, what: &str) -> Value {
    assert!((400..500).contains(&answer.status), "{what}: {answer}");
    answer.any_problem()
}

/// Such a problem, and it names the field.
#[track_caller]
fn refused_naming(answer: &Response, field: &str, what: &str) {
    let problem = refused(answer, what);
    let named = problem["field"] == field || text(&problem, "detail").contains(field);
    assert!(named, "{what} does not name {field}: {answer}");
}
