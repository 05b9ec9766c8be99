//! What was: versions, trash, conflicts, usage and the activity log, through the API.

mod conflicts;
mod log;
mod trash;
mod usage;
mod versions;

use serde_json::Value;
use webdav_tests::api::{number, route};
use webdav_tests::{Api, Dav, TestServer, xml};

/// Password of every account but `admin`.
const PASSWORD: &str = "a long password 1";

/// The account `bob` and a device of his.
#[track_caller]
fn bob(server: &TestServer) -> Api {
    server.add_user("bob", PASSWORD, None);
    Api::register(server, "bob", PASSWORD, "bob's laptop")
}

/// The versions of a file, newest first.
#[track_caller]
fn versions(api: &Api, id: i64) -> Vec<Value> {
    let list = api.get(&format!("files/{id}/versions")).json(200);
    list["items"].as_array().expect("items").clone()
}

/// The numbers of the versions of a file, newest first.
#[track_caller]
fn numbers(api: &Api, id: i64) -> Vec<i64> {
    let versions = versions(api, id);
    versions
        .iter()
        .map(|version| number(version, "number"))
        .collect()
}

/// The bytes of a version.
#[track_caller]
fn bytes_of(api: &Api, id: i64, version: i64) -> Vec<u8> {
    let parameters = [("id", &*id.to_string()), ("version", &version.to_string())];
    api.get(&route("files/download", &parameters))
        .expect(&[200])
        .body
}

/// Locks a path by WebDAV and returns the token as `Lock-Token` has it.
#[track_caller]
fn lock(dav: &Dav, path: &str) -> String {
    let asked = xml::lock("exclusive");
    let locked = dav.request("LOCK", path, &[("Timeout", "Second-600")], asked.as_bytes());
    let locked = locked.expect(&[200, 201]);
    locked.header("lock-token").expect("Lock-Token").to_owned()
}
