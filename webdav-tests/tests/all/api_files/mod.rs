//! Files and collections through the API. They know the contract of the API and nothing else.

mod changing;
mod conflicts;
mod download;
mod foreign;
mod listing;
mod searching;
mod times;
mod upload;

use serde_json::Value;
use webdav_tests::api::{route, text};
use webdav_tests::{Api, Dav, Response, xml};

/// Password of every account but `admin`.
const PASSWORD: &str = "a long password 1";

/// The paths of nodes, in their order.
#[track_caller]
fn paths(nodes: &[Value]) -> Vec<&str> {
    nodes.iter().map(|node| text(node, "path")).collect()
}

/// Downloads by parameters, whatever comes.
#[track_caller]
fn fetch(api: &Api, parameters: &[(&str, &str)]) -> Response {
    api.get(&route("files/download", parameters))
}

/// Bytes that the quota counts in the account's own space.
#[track_caller]
fn used(api: &Api) -> Value {
    api.get("usage").json(200)["spaces"][0]["used"].take()
}

/// Locks a path by WebDAV and returns the token as `Lock-Token` has it.
#[track_caller]
fn lock(dav: &Dav, path: &str) -> String {
    let asked = xml::lock("exclusive");
    let locked = dav.request("LOCK", path, &[("Timeout", "Second-600")], asked.as_bytes());
    let locked = locked.expect(&[200, 201]);
    locked.header("lock-token").expect("Lock-Token").to_owned()
}
